//! The distribution of names: a probability for each name of each parameter, moved by the natural gradient.
//!
//! Hamano et al. 2024, "CatCMA", arXiv:2405.09962; its step size is that of Akimoto, Shirakawa, Yoshinari, Uchida, Saito
//! and Nishida 2019, "Adaptive Stochastic Natural Gradient Method", PMLR 97, algorithm 1.

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;

/// Probability that a point has all the likeliest values once all is learnt (CatCMA, section 4.2).
const ALL_LIKELIEST: f64 = 0.73;
/// Ratio of the path's squared length to what chance makes of it above which steps grow.
const TRUSTED: f64 = 1.5;

/// Probabilities by parameter and name.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// Each sums to 1.
    q: Vec<Vec<f64>>,
    /// Least of each probability, by parameter.
    margins: Vec<f64>,
    /// Steps that the gradients have taken, each of length 1 in Fisher's metric.
    path: Vec<Vec<f64>>,
    /// Squared length of `path` if it were by chance.
    expected: f64,
    /// Step size in Fisher's metric.
    delta: f64,
}

impl Names {
    /// Every name equally likely. `sizes`: how many names each parameter has. `n_discrete`: how many parameters are no
    /// continuum, these among them.
    pub(super) fn new(sizes: &[usize], n_discrete: usize) -> Self {
        let share = 1.0 - ALL_LIKELIEST.powf(1.0 / n_discrete.max(1) as f64);
        let margin = |n: usize| (share / n.saturating_sub(1).max(1) as f64).min(0.5 / n.max(1) as f64);
        Self {
            q: sizes.iter().map(|n| vec![1.0 / *n as f64; *n]).collect(),
            margins: sizes.iter().map(|n| margin(*n)).collect(),
            path: sizes.iter().map(|n| vec![0.0; *n]).collect(),
            expected: 0.0,
            delta: 1.0,
        }
    }

    /// Makes names as likely as they are among good points, with one of each added.
    pub(super) fn start_from<'a>(&mut self, points: impl Iterator<Item = &'a [Option<usize>]>) {
        let mut counts: Vec<Vec<f64>> = self.q.iter().map(|q| vec![1.0; q.len()]).collect();
        for names in points {
            for (counts, name) in counts.iter_mut().zip(names) {
                name.iter().for_each(|name| counts[*name] += 1.0);
            }
        }
        for ((q, counts), margin) in self.q.iter_mut().zip(counts).zip(&self.margins) {
            let sum: f64 = counts.iter().sum();
            q.iter_mut().zip(counts).for_each(|(q, count)| *q = count / sum);
            keep_margin(q, *margin);
        }
    }

    /// A name for each parameter.
    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let one = |q: &Vec<f64>| {
            let mut left = rng.random::<f64>();
            let at = q.iter().position(|p| {
                left -= p;
                left < 0.0
            });
            at.unwrap_or(q.len().saturating_sub(1))
        };
        self.q.iter().map(one).collect()
    }

    /// Learns from points, the best first, with their weights. A parameter that a point lacks learns nothing from it.
    pub(super) fn update(&mut self, ranked: &[Vec<Option<usize>>], weights: &[f64]) {
        let gradient: Vec<Vec<f64>> = (0..self.q.len()).map(|i| self.gradient(i, ranked, weights)).collect();
        // In Fisher's metric a step g of probabilities q is g / sqrt(q) long.
        let white: Vec<Vec<f64>> = gradient
            .iter()
            .zip(&self.q)
            .map(|(g, q)| g.iter().zip(q).map(|(g, q)| g / q.sqrt()).collect())
            .collect();
        let length = squares(&white).sqrt();
        if length < 1e-12 {
            return;
        }
        let step = self.delta / length;
        for (q, g) in self.q.iter_mut().flatten().zip(gradient.iter().flatten()) {
            *q += step * g;
        }
        let free: usize = self.q.iter().map(|q| q.len() - 1).sum();
        let beta = (self.delta / (free as f64).sqrt()).min(1.0);
        for (s, w) in self.path.iter_mut().flatten().zip(white.iter().flatten()) {
            *s = (1.0 - beta) * *s + (beta * (2.0 - beta)).sqrt() * w / length;
        }
        self.expected = (1.0 - beta).powi(2) * self.expected + beta * (2.0 - beta);
        self.delta /= (beta * (self.expected - squares(&self.path) / TRUSTED)).exp();
        for (q, margin) in self.q.iter_mut().zip(&self.margins) {
            keep_margin(q, *margin);
        }
    }

    fn gradient(&self, parameter: usize, ranked: &[Vec<Option<usize>>], weights: &[f64]) -> Vec<f64> {
        let mut gradient = vec![0.0; self.q[parameter].len()];
        for (names, weight) in ranked.iter().zip(weights) {
            let Some(name) = names[parameter] else { continue };
            for (k, (g, q)) in gradient.iter_mut().zip(&self.q[parameter]).enumerate() {
                *g += weight * (f64::from(u8::from(k == name)) - q);
            }
        }
        gradient
    }
}

/// Raises probabilities to the margin, and takes what that adds from the others in proportion to what they have above it.
fn keep_margin(q: &mut [f64], margin: f64) {
    q.iter_mut().for_each(|q| *q = q.max(margin));
    let sum: f64 = q.iter().sum();
    let spare = sum - margin * q.len() as f64;
    if spare > 0.0 {
        q.iter_mut().for_each(|q| *q -= (sum - 1.0) * (*q - margin) / spare);
    }
}

fn squares(rows: &[Vec<f64>]) -> f64 {
    rows.iter().flatten().map(|x| x * x).sum()
}

#[cfg(test)]
mod tests {
    use study::TrialIdx;

    use super::*;
    use crate::rng::Streams;

    const WEIGHTS: [f64; 3] = [0.5, 0.3, 0.2];

    /// Generations of six in which points with `cost` lowest are learnt from.
    fn learnt(sizes: &[usize], generations: u64, cost: impl Fn(&[usize]) -> f64) -> Names {
        let mut names = Names::new(sizes, sizes.len());
        for generation in 0..generations {
            let mut rng = Streams::new(2).stream("test", TrialIdx(generation));
            let mut drawn: Vec<Vec<usize>> = (0..6).map(|_| names.draw(&mut rng)).collect();
            drawn.sort_by(|a, b| cost(a).total_cmp(&cost(b)));
            let ranked: Vec<Vec<Option<usize>>> =
                drawn.into_iter().map(|names| names.into_iter().map(Some).collect()).collect();
            names.update(&ranked, &WEIGHTS);
        }
        names
    }

    #[test]
    fn the_best_names_become_likely_and_no_other_impossible() {
        let names = learnt(&[4, 3], 60, |at| f64::from(u8::from(at[0] != 2) + u8::from(at[1] != 0)));
        assert!(names.q[0][2] > 0.8 && names.q[1][0] > 0.8, "{:?}", names.q);
        for (q, margin) in names.q.iter().zip(&names.margins) {
            assert!(q.iter().all(|q| *q >= margin - 1e-12));
            assert!((q.iter().sum::<f64>() - 1.0).abs() < 1e-9);
        }
    }

    #[test]
    fn a_parameter_that_points_lack_stays_as_it_is() {
        let mut names = Names::new(&[3, 2], 2);
        names.update(&vec![vec![None, Some(1)]; 3], &WEIGHTS);
        assert!(names.q[0].iter().all(|q| (q - 1.0 / 3.0).abs() < 1e-12) && names.q[1][1] > 0.5);
    }

    /// Renaming changes nothing but names.
    #[test]
    fn the_order_of_names_does_not_matter() {
        let (mut one, mut other) = (Names::new(&[4], 1), Names::new(&[4], 1));
        for best in [0, 1, 1, 3, 1, 2] {
            one.update(&[vec![Some(best)], vec![Some(0)]], &WEIGHTS);
            other.update(&[vec![Some(3 - best)], vec![Some(3)]], &WEIGHTS);
        }
        let turned: Vec<f64> = other.q[0].iter().rev().copied().collect();
        assert!(one.q[0].iter().zip(&turned).all(|(a, b)| (a - b).abs() < 1e-12));
    }
}
