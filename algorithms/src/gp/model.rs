//! The model of a study: which warp of the costs, which hyperparameters, and the posterior that follows.
//!
//! Hyperparameters are fitted after each end, but only from fixed starts: the mode of the priors, and what was fitted at
//! the last checkpoint. So a model is a function of the history alone, and a cold start needs the checkpoints only.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::fit::{fit, mode};
use super::kernel::{Measure, Point};
use super::posterior::Posterior;
use super::warp::{Warp, better_half};

/// The smallest checkpoint.
const FIRST: usize = 4;

/// Points with costs; what failed has the cost of the worst.
pub(super) struct Data {
    pub(super) points: Vec<Point>,
    pub(super) costs: Vec<f64>,
}

/// What was fitted at a checkpoint.
#[derive(Clone, Debug)]
struct Checkpoint {
    /// Hyperparameters under each warp, in the order of [`Warp::ALL`].
    thetas: Vec<Vec<f64>>,
    /// The warp that foretells best.
    chosen: usize,
}

/// A cache of checkpoints and nothing else.
#[derive(Debug, Default)]
pub(super) struct Models(RefCell<BTreeMap<usize, Checkpoint>>);

/// The last of 4, 6, 8, 12, 16, 24, ... up to `n`.
fn checkpoint(n: usize) -> Option<usize> {
    let power = 1 << n.checked_ilog2()?;
    let between = power + power / 2;
    let last = if n >= between { between } else { power };
    (last >= FIRST).then_some(last)
}

impl Models {
    /// The posterior of the first `n` ends; `data` gives the points of the first so many.
    pub(super) fn posterior(
        &self,
        measures: &[Measure],
        n: usize,
        data: &dyn Fn(usize) -> Data,
    ) -> Option<Posterior> {
        let now = data(n);
        let (warp, theta) = match checkpoint(n) {
            None => (
                Warp::Tail,
                fit(measures, &now.points, &Warp::Tail.of(&now.costs).y, &[mode(measures.len())]),
            ),
            Some(at) => {
                let base = self.at(measures, at, data);
                let (warp, theta) = (Warp::ALL[base.chosen], base.thetas[base.chosen].clone());
                if at == n {
                    (warp, theta)
                } else {
                    (warp, fit(measures, &now.points, &warp.of(&now.costs).y, &[theta]))
                }
            }
        };
        let y = warp.of(&now.costs).y;
        Posterior::new(measures, &theta, now.points, y)
    }

    fn at(&self, measures: &[Measure], at: usize, data: &dyn Fn(usize) -> Data) -> Checkpoint {
        if let Some(known) = self.0.borrow().get(&at) {
            return known.clone();
        }
        let before = checkpoint(at - 1).map(|before| self.at(measures, before, data));
        let now = data(at);
        let mut thetas = Vec::new();
        let mut best = (f64::NEG_INFINITY, 0);
        for (i, warp) in Warp::ALL.into_iter().enumerate() {
            let mut starts = vec![mode(measures.len())];
            starts.extend(before.as_ref().map(|before| before.thetas[i].clone()));
            let y = warp.of(&now.costs).y;
            let theta = fit(measures, &now.points, &y, &starts);
            let score = score(measures, &theta, &now, warp);
            if score > best.0 {
                best = (score, i);
            }
            thetas.push(theta);
        }
        let made = Checkpoint { thetas, chosen: best.1 };
        self.0.borrow_mut().insert(at, made.clone());
        made
    }
}

/// How well each of the better costs is foretold from the others: mean logarithm of its density, on the scale of costs.
fn score(measures: &[Measure], theta: &[f64], data: &Data, warp: Warp) -> f64 {
    let warped = warp.of(&data.costs);
    let Some(posterior) = Posterior::new(measures, theta, data.points.clone(), warped.y) else {
        return f64::NEG_INFINITY;
    };
    let densities = posterior.left_out().into_iter().zip(warped.log_slopes).zip(better_half(&data.costs));
    let better: Vec<f64> =
        densities.filter(|(_, better)| *better).map(|((density, slope), _)| density + slope).collect();
    better.iter().sum::<f64>() / better.len().max(1) as f64
}
