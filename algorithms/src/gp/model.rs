//! The model of a study: which warp of the costs, which hyperparameters, and the posterior that follows.
//!
//! Hyperparameters are fitted after each end, later after every twentieth more, but only from fixed starts: the mode of
//! the priors, and what was fitted at the last checkpoint. So a model is a function of the history alone, and a cold
//! start needs the checkpoints only.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::ensemble::Ensemble;
use super::feasibility::{self, Feasibility};
use super::fit::{fit, mode};
use super::kernel::{Measure, Point};
use super::laplace::draws;
use super::posterior::Posterior;
use super::warp::{Back, Warp, better_half};

/// The smallest and the largest checkpoint. Later ones would take longer than anybody should wait for a point.
const CHECKPOINTS: (usize, usize) = (4, 96);
/// Ends up to which each is followed by a fit.
const EACH: usize = 100;
/// How many more ends are needed for the next fit after that.
const MORE: f64 = 1.05;
/// Ends up to which hyperparameters are averaged over.
const AVERAGED: usize = 150;

/// Ended trials.
pub(super) struct Data {
    pub(super) points: Vec<Point>,
    /// `None` where a trial failed.
    pub(super) costs: Vec<Option<f64>>,
}

impl Data {
    /// Points that have costs, and their costs.
    fn measured(&self) -> (Vec<Point>, Vec<f64>) {
        let both = self.points.iter().zip(&self.costs);
        both.filter_map(|(point, cost)| Some((point.clone(), (*cost)?))).unzip()
    }

    /// Which points failed; `None` if none did, or all.
    fn failed(&self) -> Option<Vec<bool>> {
        let failed: Vec<bool> = self.costs.iter().map(Option::is_none).collect();
        (failed.contains(&true) && failed.contains(&false)).then_some(failed)
    }
}

/// What a study's ends say of points.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) ensemble: Ensemble,
    /// Where trials fail, if any has.
    pub(super) feasibility: Option<Feasibility>,
    /// From its scale to costs.
    pub(super) back: Option<Back>,
}

/// What is fitted to ends.
#[derive(Clone, Debug)]
struct Fitted {
    warp: Warp,
    /// Hyperparameters with their weights, the most probable first.
    thetas: Vec<(f64, Vec<f64>)>,
    /// Those of the process of failures, if there are any.
    failures: Option<Vec<f64>>,
}

/// What was fitted at a checkpoint.
#[derive(Clone, Debug)]
struct Checkpoint {
    /// Hyperparameters under each warp, in the order of [`Warp::ALL`].
    thetas: Vec<Vec<f64>>,
    /// The warp that foretells best.
    chosen: usize,
}

/// A cache of fits and nothing else.
#[derive(Debug, Default)]
pub(super) struct Models {
    checkpoints: RefCell<BTreeMap<usize, Checkpoint>>,
    /// The last fit, and after how many ends it was made.
    last: RefCell<Option<(usize, Fitted)>>,
}

/// The last of 4, 6, 8, 12, 16, 24, ... 96 up to `n`.
fn checkpoint(n: usize) -> Option<usize> {
    let n = n.min(CHECKPOINTS.1);
    let power = 1 << n.checked_ilog2()?;
    let between = power + power / 2;
    let last = if n >= between { between } else { power };
    (last >= CHECKPOINTS.0).then_some(last)
}

/// The last number of ends up to `n` that is followed by a fit.
fn fitted_at(n: usize) -> usize {
    let (mut last, mut next) = (EACH.min(n), EACH as f64);
    while next <= n as f64 {
        last = next as usize;
        next = (next * MORE).ceil();
    }
    last
}

impl Models {
    /// The model of the first `n` ends; `data` gives the points of the first so many.
    pub(super) fn model(
        &self,
        measures: &[Measure],
        n: usize,
        data: &dyn Fn(usize) -> Data,
    ) -> Option<Model> {
        let Fitted { warp, thetas, failures } = self.fitted(measures, fitted_at(n), data);
        let now = data(n);
        let (points, costs) = now.measured();
        let warped = warp.of(&costs);
        let posterior = |(weight, theta): (f64, Vec<f64>)| {
            Some((weight, Posterior::new(measures, &theta, &points, warped.y.clone())?))
        };
        let ensemble = Ensemble::new(thetas.into_iter().filter_map(posterior).collect())?;
        let feasibility = now.failed().and_then(|failed| {
            let theta = failures.unwrap_or_else(|| mode(measures.len()));
            Feasibility::new(measures, &theta, &now.points, &failed)
        });
        Some(Model { ensemble, feasibility, back: warped.back })
    }

    /// What is fitted to the first `n` ends.
    fn fitted(&self, measures: &[Measure], n: usize, data: &dyn Fn(usize) -> Data) -> Fitted {
        if let Some((at, fitted)) = &*self.last.borrow()
            && *at == n
        {
            return fitted.clone();
        }
        let (warp, start) = match checkpoint(n) {
            None => (Warp::Tail, mode(measures.len())),
            Some(at) => {
                let base = self.at(measures, at, data);
                (Warp::ALL[base.chosen], base.thetas[base.chosen].clone())
            }
        };
        let now = data(n);
        let (points, costs) = now.measured();
        let y = warp.of(&costs).y;
        let theta = if checkpoint(n) == Some(n) { start } else { fit(measures, &points, &y, &[start]) };
        let thetas = if n > AVERAGED { vec![(1.0, theta)] } else { draws(measures, &points, &y, &theta) };
        let failures = now.failed().map(|failed| feasibility::fitted(measures, &now.points, &failed));
        let fitted = Fitted { warp, thetas, failures };
        *self.last.borrow_mut() = Some((n, fitted.clone()));
        fitted
    }

    fn at(&self, measures: &[Measure], at: usize, data: &dyn Fn(usize) -> Data) -> Checkpoint {
        if let Some(known) = self.checkpoints.borrow().get(&at) {
            return known.clone();
        }
        let before = checkpoint(at - 1).map(|before| self.at(measures, before, data));
        let (points, costs) = data(at).measured();
        let mut thetas = Vec::new();
        let mut best = (f64::NEG_INFINITY, 0);
        for (i, warp) in Warp::ALL.into_iter().enumerate() {
            let mut starts = vec![mode(measures.len())];
            starts.extend(before.as_ref().map(|before| before.thetas[i].clone()));
            let theta = fit(measures, &points, &warp.of(&costs).y, &starts);
            let score = score(measures, &theta, &points, &costs, warp);
            if score > best.0 {
                best = (score, i);
            }
            thetas.push(theta);
        }
        let made = Checkpoint { thetas, chosen: best.1 };
        self.checkpoints.borrow_mut().insert(at, made.clone());
        made
    }
}

/// How well each of the better costs is foretold from the others: mean logarithm of its density, on the scale of costs.
fn score(measures: &[Measure], theta: &[f64], points: &[Point], costs: &[f64], warp: Warp) -> f64 {
    let warped = warp.of(costs);
    let Some(posterior) = Posterior::new(measures, theta, points, warped.y) else {
        return f64::NEG_INFINITY;
    };
    let densities = posterior.left_out().into_iter().zip(warped.log_slopes).zip(better_half(costs));
    let better: Vec<f64> =
        densities.filter(|(_, better)| *better).map(|((density, slope), _)| density + slope).collect();
    better.iter().sum::<f64>() / better.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fits_get_rarer_and_checkpoints_end() {
        assert_eq!([3, 4, 5, 6, 11, 12, 95, 96, 5000].map(checkpoint), {
            let at = [4, 4, 6, 8, 12, 64, 96, 96].map(Some);
            [None, at[0], at[1], at[2], at[3], at[4], at[5], at[6], at[7]]
        });
        assert_eq!([0, 3, 100, 104, 105, 110, 111].map(fitted_at), [0, 3, 100, 100, 105, 105, 111]);
        let fits = (100..10_000).map(fitted_at).collect::<std::collections::BTreeSet<_>>();
        assert!(fits.len() < 110, "{}", fits.len());
    }
}
