//! A Gaussian process over sets of features, grown point by point.

use std::collections::{BTreeMap, BTreeSet};

use super::spread::winsorised;

/// Most points in a model; beyond, the best and the newest are kept, half of each.
const MAX_POINTS: usize = 1200;
/// Most points that lengths are chosen by.
const MAX_CHOICE: usize = 150;
/// Differing features over which likeness falls to 1/e, as a share of the mean difference.
const LENGTHS: [f64; 4] = [0.25, 0.5, 1.0, 2.0];
/// Variance of noise against that of the costs.
const NOISES: [f64; 3] = [0.01, 0.1, 0.5];
/// Costs beyond so many deviations count as that.
const FAR: f64 = 3.0;

/// A set of features as bits.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Bits(Vec<u64>);

impl Bits {
    /// In how many features two sets differ.
    fn differing(&self, other: &Self) -> u32 {
        let (short, long) = if self.0.len() < other.0.len() { (self, other) } else { (other, self) };
        let shared: u32 = short.0.iter().zip(&long.0).map(|(a, b)| (a ^ b).count_ones()).sum();
        shared + long.0[short.0.len()..].iter().map(|word| word.count_ones()).sum::<u32>()
    }
}

/// The bits of features, by the order in which they were first met.
#[derive(Clone, Debug, Default)]
pub(crate) struct Features(BTreeMap<String, usize>);

impl Features {
    /// The bits of a set; features that are new get the next ones.
    pub(crate) fn learn(&mut self, features: BTreeSet<String>) -> Bits {
        let mut bits = Bits::default();
        for feature in features {
            let next = self.0.len();
            set(&mut bits, *self.0.entry(feature).or_insert(next));
        }
        bits
    }

    /// The same without learning: features that nobody had are told apart from those known, not from each other.
    pub(crate) fn read(&self, features: &BTreeSet<String>) -> Bits {
        let mut bits = Bits::default();
        let unknown = self.0.len()..;
        let mut unknown = unknown.into_iter();
        for feature in features {
            let bit = self.0.get(feature).copied().or_else(|| unknown.next());
            bit.into_iter().for_each(|bit| set(&mut bits, bit));
        }
        bits
    }
}

fn set(bits: &mut Bits, bit: usize) {
    if bits.0.len() <= bit / 64 {
        bits.0.resize(bit / 64 + 1, 0);
    }
    bits.0[bit / 64] |= 1 << (bit % 64);
}

/// A Gaussian process with the kernel exp(-d / length), d the number of differing features.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    points: Vec<(Bits, f64)>,
    length: f64,
    noise: f64,
    /// Lower triangle of the Cholesky factor of the covariance, row by row.
    factor: Vec<Vec<f64>>,
    /// How many points there were when the lengths were chosen.
    chosen_at: usize,
}

impl Model {
    /// Number of points it knows.
    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }

    /// One more point with its cost. Lengths are chosen anew whenever there are twice as many.
    pub(crate) fn add(&mut self, bits: Bits, cost: f64) {
        self.points.push((bits, cost));
        if self.points.len() > MAX_POINTS {
            self.thin();
            self.choose();
        } else if self.points.len() >= 8 && self.points.len() >= 2 * self.chosen_at {
            self.choose();
        } else if self.chosen_at > 0 {
            let row = self.row(self.points.len() - 1);
            self.factor.push(row);
        }
    }

    /// Keeps the best and the newest, in their order.
    fn thin(&mut self) {
        let n = self.points.len();
        let mut ranked: Vec<usize> = (0..n).collect();
        ranked.sort_by(|a, b| self.points[*a].1.total_cmp(&self.points[*b].1));
        let kept: BTreeSet<usize> =
            ranked.into_iter().take(MAX_POINTS / 4).chain(n - MAX_POINTS / 4..n).collect();
        self.points = kept.into_iter().map(|i| self.points[i].clone()).collect();
    }

    /// The length and noise under which the costs are the most likely, and the factor for them.
    fn choose(&mut self) {
        self.chosen_at = self.points.len();
        let n = self.points.len();
        let few: Vec<(Bits, f64)> = self.points[n.saturating_sub(MAX_CHOICE)..].to_vec();
        let pairs =
            few.iter().enumerate().flat_map(|(i, (a, _))| few[..i].iter().map(move |(b, _)| a.differing(b)));
        let (sum, count) = pairs.fold((0.0, 0.0), |(sum, count), d| (sum + f64::from(d), count + 1.0));
        let mean = f64::max(sum / f64::max(count, 1.0), 1.0);
        let mut best = (f64::NEG_INFINITY, mean, NOISES[1]);
        for (length, noise) in LENGTHS.iter().flat_map(|l| NOISES.iter().map(move |noise| (l * mean, *noise)))
        {
            let mut model = Self { points: few.clone(), length, noise, ..Self::default() };
            model.refactor();
            let likelihood = model.log_likelihood();
            if likelihood > best.0 {
                best = (likelihood, length, noise);
            }
        }
        (self.length, self.noise) = (best.1, best.2);
        self.refactor();
    }

    fn refactor(&mut self) {
        self.factor.clear();
        for i in 0..self.points.len() {
            let row = self.row(i);
            self.factor.push(row);
        }
    }

    fn likeness(&self, a: &Bits, b: &Bits) -> f64 {
        (-f64::from(a.differing(b)) / self.length).exp()
    }

    /// Row `i` of the factor, from those before it.
    fn row(&self, i: usize) -> Vec<f64> {
        let point = &self.points[i].0;
        let k: Vec<f64> = self.points[..i].iter().map(|(other, _)| self.likeness(point, other)).collect();
        let mut row = self.forward(&k);
        let rest = 1.0 + self.noise - row.iter().map(|x| x * x).sum::<f64>();
        row.push(rest.max(1e-9).sqrt());
        row
    }

    /// The solution of L x = b, as long as `b`.
    fn forward(&self, b: &[f64]) -> Vec<f64> {
        let mut x: Vec<f64> = Vec::with_capacity(b.len());
        for (row, b) in self.factor.iter().zip(b) {
            let known: f64 = row.iter().zip(&x).map(|(l, x)| l * x).sum();
            x.push((b - known) / row[x.len()]);
        }
        x
    }

    /// The costs on a scale of mean 0 and deviation 1, those of failures and the far ones drawn in, with that mean and
    /// deviation, which are finite.
    fn scaled(&self) -> (Vec<f64>, f64, f64) {
        let costs: Vec<f64> = self.points.iter().map(|(_, cost)| *cost).collect();
        let costs = winsorised(&costs);
        let n = costs.len().max(1) as f64;
        // Squares of what is larger overflow.
        let size = costs.iter().map(|cost| cost.abs()).fold(0.0, f64::max);
        let unit = if size > 1e100 { size } else { 1.0 };
        let mean = costs.iter().map(|cost| cost / unit).sum::<f64>() / n * unit;
        let squares = costs.iter().map(|cost| (cost / unit - mean / unit) * (cost / unit - mean / unit));
        let variance = squares.sum::<f64>() / n;
        let deviation = if variance > 0.0 { variance.sqrt() * unit } else { 1.0 };
        let scaled =
            costs.iter().map(|cost| ((cost / unit - mean / unit) / (deviation / unit)).clamp(-FAR, FAR));
        (scaled.collect(), mean, deviation)
    }

    fn log_likelihood(&self) -> f64 {
        let z = self.forward(&self.scaled().0);
        let logs: f64 = self.factor.iter().filter_map(|row| row.last()).map(|x| x.ln()).sum();
        -0.5 * z.iter().map(|z| z * z).sum::<f64>() - logs
    }

    /// Means and deviations of the costs of points; `None` before lengths have been chosen.
    pub(crate) fn predict(&self, points: &[Bits]) -> Option<Vec<(f64, f64)>> {
        if self.chosen_at == 0 {
            return None;
        }
        let (y, mean, deviation) = self.scaled();
        let z = self.forward(&y);
        let of = |point: &Bits| {
            let k: Vec<f64> = self.points.iter().map(|(other, _)| self.likeness(point, other)).collect();
            let v = self.forward(&k);
            let expected: f64 = v.iter().zip(&z).map(|(v, z)| v * z).sum();
            let variance = (1.0 - v.iter().map(|v| v * v).sum::<f64>()).max(1e-12);
            (mean + deviation * expected, deviation * variance.sqrt())
        };
        Some(points.iter().map(of).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(features: &mut Features, n: usize) -> Bits {
        features.learn((0..10).filter(|i| n >> i & 1 == 1).map(|i| i.to_string()).collect())
    }

    #[test]
    fn differing_features_are_counted_across_lengths() {
        let mut features = Features::default();
        let many: BTreeSet<String> = (0..130).map(|i| format!("{i:03}")).collect();
        let few: BTreeSet<String> = ["000".to_owned(), "x".to_owned()].into();
        let (a, b) = (features.learn(many), features.read(&few));
        assert_eq!((a.differing(&b), b.differing(&a), a.differing(&a)), (130, 130, 0));
    }

    #[test]
    fn a_model_that_grew_point_by_point_is_the_whole_one() {
        let (mut features, mut model) = (Features::default(), Model::default());
        for n in 0..100_usize {
            let point = bits(&mut features, n * 37 % 1024);
            model.add(point, (n * 37 % 1024).count_ones().into());
        }
        let mut whole = model.clone();
        whole.refactor();
        let apart =
            model.factor.iter().flatten().zip(whole.factor.iter().flatten()).map(|(a, b)| (a - b).abs());
        assert!(apart.fold(0.0, f64::max) < 1e-12);
        // The cost is the number of bits, which a sum of likenesses can tell.
        let points: Vec<Bits> = [0, 1023].iter().map(|n| bits(&mut features, *n)).collect();
        let predicted = model.predict(&points).unwrap();
        assert!(predicted[0].0 < 2.5 && predicted[1].0 > 7.0, "{predicted:?}");
        assert!(predicted.iter().all(|(_, deviation)| *deviation > 0.0));
    }

    /// One trial that diverged, or many: what the others say is learnt all the same.
    #[test]
    fn costs_of_failures_hide_nothing() {
        for huge in [1e30, f64::MAX] {
            for every in [3, 20] {
                let (mut features, mut model) = (Features::default(), Model::default());
                for n in 0..100_usize {
                    let set = n * 37 % 1024;
                    let point = bits(&mut features, set);
                    model.add(point, if n % every == 1 { huge } else { set.count_ones().into() });
                }
                let points: Vec<Bits> = [0, 1023].iter().map(|n| bits(&mut features, *n)).collect();
                let predicted = model.predict(&points).unwrap();
                let (low, high) = (predicted[0], predicted[1]);
                assert!(low.0 + 1.0 < high.0 && high.0 < 20.0, "{huge:e} in {every}: {predicted:?}");
                assert!(low.1 > 0.0 && low.1 < 10.0, "{predicted:?}");
            }
        }
        // And where all have failed nothing overflows.
        let (mut features, mut model) = (Features::default(), Model::default());
        for n in 0..20 {
            let point = bits(&mut features, n);
            model.add(point, f64::MAX / if n % 2 == 0 { 4.0 } else { 8.0 });
        }
        let predicted = model.predict(&[bits(&mut features, 3)]).unwrap();
        assert!(predicted[0].0.is_finite() && predicted[0].1.is_finite(), "{predicted:?}");
    }

    #[test]
    fn a_long_history_is_thinned_to_its_best_and_newest() {
        let (mut features, mut model) = (Features::default(), Model::default());
        for n in 0..=MAX_POINTS {
            let point = bits(&mut features, n % 1024);
            model.add(point, if n == 3 { -1.0 } else { n as f64 });
        }
        assert!(model.len() <= MAX_POINTS / 2);
        assert!(model.points.iter().any(|(_, cost)| *cost < 0.0), "the best stays");
        assert!(model.points.iter().any(|(_, cost)| *cost >= MAX_POINTS as f64), "and so does the newest");
    }
}
