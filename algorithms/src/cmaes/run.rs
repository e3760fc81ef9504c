//! One descent: a search distribution, and how far its generation has come.

use super::evolution::{Evolution, Strategy};
use super::layout::{Layout, Point};
use super::names::Names;
use super::warm::distribution;

/// One descent of a distribution.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// From 0.
    pub(super) number: u64,
    pub(super) evolution: Evolution,
    pub(super) names: Names,
    /// Points of the generation so far, with costs; infinite where a trial failed.
    members: Vec<(f64, Point)>,
    /// The best cost of each generation.
    best: Vec<f64>,
}

impl Run {
    /// A run from `evolution`, all names equally likely.
    pub(super) fn new(number: u64, evolution: Evolution, layout: &Layout) -> Self {
        let names = Names::new(&layout.sizes(), layout.n_discrete());
        let mut run = Self { number, evolution, names, members: Vec::new(), best: Vec::new() };
        run.keep_floors(layout);
        run
    }

    /// The first run, around points that are known to be good; at least one.
    pub(super) fn around(points: &[Point], lambda: usize, layout: &Layout) -> Self {
        let places: Vec<&[f64]> = points.iter().map(|point| point.v.as_slice()).collect();
        let (mean, sigma, covariance) = distribution(&places);
        let mut run = Self::new(0, Evolution::new(mean, sigma, lambda).with_covariance(covariance), layout);
        run.names.start_from(points.iter().map(|point| point.names.as_slice()));
        run
    }

    /// The population of the first run.
    pub(super) fn population(layout: &Layout) -> usize {
        Strategy::population(layout.dims())
    }

    /// Takes in a point; `true` if that completed a generation. One needs lambda points, with costs for those that pull
    /// the mean.
    pub(super) fn take(&mut self, cost: Option<f64>, point: Point, layout: &Layout) -> bool {
        self.members.push((cost.unwrap_or(f64::INFINITY), point));
        let strategy = &self.evolution.strategy;
        let measured = self.members.iter().filter(|(cost, _)| cost.is_finite()).count();
        if self.members.len() < strategy.lambda || measured < strategy.mu {
            return false;
        }
        let mut members = std::mem::take(&mut self.members);
        members.sort_by(|a, b| a.0.total_cmp(&b.0));
        members.truncate(strategy.lambda);
        self.best.push(members[0].0);
        let (places, names): (Vec<Vec<f64>>, Vec<Vec<Option<usize>>>) =
            members.into_iter().map(|(_, point)| (point.v, point.names)).unzip();
        self.names.update(&names, &strategy.weights[..strategy.mu]);
        self.evolution.update(&places);
        self.keep_floors(layout);
        true
    }

    fn keep_floors(&mut self, layout: &Layout) {
        for (j, axis) in layout.axes.iter().enumerate() {
            self.evolution.widen(j, axis.floor());
        }
    }

    /// Whether more generations would find nothing: the distribution is spent, or its best costs are long alike
    /// (tutorial, B.3: `TolFun`, but by equality, so that only ranks count).
    pub(super) fn is_spent(&self) -> bool {
        let (n, lambda) = (self.evolution.dims() as f64, self.evolution.strategy.lambda as f64);
        let window = 10 + (30.0 * n / lambda).ceil() as usize;
        let newest = &self.best[self.best.len().saturating_sub(window)..];
        let alike = newest.windows(2).all(|pair| pair[0].total_cmp(&pair[1]).is_eq());
        self.evolution.is_spent() || newest.len() == window && alike
    }
}
