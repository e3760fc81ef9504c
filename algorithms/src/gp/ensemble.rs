//! Several posteriors in place of one: few points leave the hyperparameters open, and a search that trusts one guess of
//! them misses what the others would have tried.

use super::acquisition::Acquisition;
use super::kernel::Point;
use super::posterior::Posterior;
use super::search::Landscape;

/// Posteriors under several hyperparameters, weighted; the first is that of the most probable ones.
#[derive(Clone, Debug)]
pub(super) struct Ensemble {
    /// Weights add up to 1.
    members: Vec<(f64, Posterior)>,
}

impl Ensemble {
    /// An ensemble of posteriors with positive weights; `None` without any.
    pub(super) fn new(mut members: Vec<(f64, Posterior)>) -> Option<Self> {
        let all: f64 = members.iter().map(|(weight, _)| weight).sum();
        members.iter_mut().for_each(|(weight, _)| *weight /= all);
        (!members.is_empty()).then_some(Self { members })
    }

    /// The posterior of the most probable hyperparameters.
    pub(super) fn main(&self) -> &Posterior {
        &self.members[0].1
    }

    /// Mean and deviation of the mixture at a point.
    pub(super) fn at(&self, x: &[f64]) -> (f64, f64) {
        let each: Vec<(f64, f64, f64)> = self
            .members
            .iter()
            .map(|(weight, posterior)| {
                let (mean, std) = posterior.at(x);
                (*weight, mean, std)
            })
            .collect();
        let mean: f64 = each.iter().map(|(weight, mean, _)| weight * mean).sum();
        let variance: f64 = each.iter().map(|(weight, m, s)| weight * (s * s + (m - mean).powi(2))).sum();
        (mean, variance.sqrt())
    }

    /// The ensemble after each posterior has taken a trial to end as it expects, see [`Posterior::believe`].
    pub(super) fn believe(&mut self, x: &Point) {
        self.members.iter_mut().for_each(|(_, posterior)| posterior.believe(x));
    }

    /// What points promise under all members, each times these factors.
    pub(super) fn promises<'a>(
        &'a self,
        acquisition: Acquisition,
        factors: Vec<&'a dyn Factor>,
        view: View,
    ) -> Promises<'a> {
        let incumbent =
            |posterior: &Posterior| match view.known.iter().map(|x| posterior.mean(x)).reduce(f64::min) {
                None => posterior.incumbent(),
                Some(least) => least,
            };
        let incumbents = self.members.iter().map(|(_, posterior)| incumbent(posterior)).collect();
        Promises { ensemble: self, factors, acquisition, incumbents, tail: view.tail }
    }
}

/// Where points are looked at: for a model that sees more than their own coordinates.
#[derive(Clone, Debug, Default)]
pub(super) struct View {
    /// The coordinates behind their own.
    pub(super) tail: Vec<f64>,
    /// Told points there, of which the best is the incumbent; none: it is the best of the points as they were told.
    pub(super) known: Vec<Point>,
}

/// What the acquisition is multiplied by.
pub(super) trait Factor {
    /// Its logarithm at a point.
    fn log(&self, x: &Point) -> f64;
    /// The same with slopes along some axes.
    fn slopes(&self, x: &Point, axes: &[usize]) -> (f64, Vec<f64>);
}

/// What points promise: the acquisition, averaged over the hyperparameters (Snoek, Larochelle and Adams 2012,
/// arXiv:1206.2944, eq. 8), of a logarithm what it is the logarithm of; times the factors.
pub(super) struct Promises<'a> {
    ensemble: &'a Ensemble,
    factors: Vec<&'a dyn Factor>,
    acquisition: Acquisition,
    /// The smallest mean of each member.
    incumbents: Vec<f64>,
    /// Coordinates behind those of a point.
    tail: Vec<f64>,
}

impl Promises<'_> {
    /// The average of the members' values, and how much each counts in its slope.
    fn average(&self, values: &[f64]) -> (f64, Vec<f64>) {
        let weights = self.ensemble.members.iter().map(|(weight, _)| *weight);
        if self.acquisition == Acquisition::Lcb {
            let weights: Vec<f64> = weights.collect();
            return (weights.iter().zip(values).map(|(weight, value)| weight * value).sum(), weights);
        }
        let top = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let parts: Vec<f64> =
            weights.zip(values).map(|(weight, value)| weight * (value - top).exp()).collect();
        let sum: f64 = parts.iter().sum();
        (top + sum.ln(), parts.iter().map(|part| part / sum).collect())
    }

    fn factor(&self, x: &Point) -> f64 {
        self.factors.iter().map(|factor| factor.log(x)).sum()
    }

    /// The point with the coordinates behind its own.
    fn whole(&self, x: &Point) -> Point {
        x.iter().chain(&self.tail).copied().collect()
    }

    fn members(&self) -> impl Iterator<Item = (&Posterior, f64)> {
        self.ensemble.members.iter().map(|(_, posterior)| posterior).zip(self.incumbents.iter().copied())
    }
}

impl Landscape for Promises<'_> {
    fn views(&self) -> usize {
        self.incumbents.len()
    }

    fn glance(&self, view: usize, x: &Point) -> f64 {
        let x = &self.whole(x);
        let (mean, std) = self.ensemble.members[view].1.at(x);
        self.acquisition.of(mean, std, self.incumbents[view]).value + self.factor(x)
    }

    fn value(&self, x: &Point) -> f64 {
        let x = &self.whole(x);
        let of = |(posterior, best): (&Posterior, f64)| {
            let (mean, std) = posterior.at(x);
            self.acquisition.of(mean, std, best).value
        };
        self.average(&self.members().map(of).collect::<Vec<_>>()).0 + self.factor(x)
    }

    fn slopes(&self, x: &Point, axes: &[usize]) -> (f64, Vec<f64>) {
        let x = &self.whole(x);
        let of = |(posterior, best): (&Posterior, f64)| {
            let at = posterior.slopes(x, axes);
            let promise = self.acquisition.of(at.mean, at.std, best);
            let parts = at.by_mean.iter().zip(&at.by_std);
            let slope: Vec<f64> = parts.map(|(m, s)| promise.by_mean * m + promise.by_std * s).collect();
            (promise.value, slope)
        };
        let (values, slopes): (Vec<f64>, Vec<Vec<f64>>) = self.members().map(of).unzip();
        let (mut value, shares) = self.average(&values);
        let mut slope = vec![0.0; axes.len()];
        let mut add = |share: f64, part: &[f64]| {
            slope.iter_mut().zip(part).for_each(|(sum, part)| *sum += share * part);
        };
        shares.iter().zip(&slopes).for_each(|(share, member)| add(*share, member));
        for factor in &self.factors {
            let (log, by_place) = factor.slopes(x, axes);
            value += log;
            add(1.0, &by_place);
        }
        (value, slope)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fit::{fit, mode};
    use super::super::laplace::draws;
    use super::super::testing::data;
    use super::*;

    fn ensemble() -> Ensemble {
        let (measures, points, y) = data();
        let theta = fit(&measures, &points, &y, &[mode(3)]);
        let members = draws(&measures, &points, &y, &theta);
        assert!(members.len() > 3);
        let posterior = |theta: &[f64]| Posterior::new(&measures, theta, &points, y.clone()).unwrap();
        Ensemble::new(members.iter().map(|(weight, theta)| (*weight, posterior(theta))).collect()).unwrap()
    }

    #[test]
    fn it_doubts_more_than_its_members_on_average() {
        let ensemble = ensemble();
        let x = [0.95, -2.0, 0.25];
        let (_, std) = ensemble.at(&x);
        let inner: f64 = ensemble.members.iter().map(|(weight, p)| weight * p.at(&x).1.powi(2)).sum();
        assert!(std * std > inner, "{std} {inner}");
    }

    #[test]
    fn the_slopes_are_those_of_finite_differences() {
        let ensemble = ensemble();
        for acquisition in [Acquisition::LogEi, Acquisition::Pi, Acquisition::Lcb] {
            let promises = ensemble.promises(acquisition, vec![], View::default());
            let x = vec![0.31, 0.77, 0.25];
            let (value, slopes) = promises.slopes(&x, &[0, 1]);
            assert!((value - promises.value(&x)).abs() < 1e-12);
            for j in 0..2 {
                let at = |step: f64| {
                    let mut x = x.clone();
                    x[j] += step;
                    promises.value(&x)
                };
                let expected = (at(1e-6) - at(-1e-6)) / 2e-6;
                assert!(
                    (slopes[j] - expected).abs() < 1e-3 * (1.0 + expected.abs()),
                    "{acquisition:?} {slopes:?} {expected}"
                );
            }
        }
    }
}
