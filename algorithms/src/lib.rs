//! Where to look next, and how long to run. Pure: algorithms are told history and asked for points; they hold no
//! service, file, clock or global random source.
//!
//! Entry points: [`Sampler`] and [`Scheduler`], the traits; [`rng::Streams`], where all chance comes from. Each
//! algorithm has one settings struct that is checked once and then trusted.
//!
//! What trials mean to samplers that learn from them (`testing::uses` holds them to it):
//!
//! | sampler | ended | stopped early | failed | running |
//! |---|---|---|---|---|
//! | random, Sobol, grid | not proposed again in small spaces | the same | the same | the same |
//! | Gaussian process | its cost | the cost it had reached | where trials fail, nothing of the cost | ends as expected of it |
//! | TPE | good, or one of the others | by the cost it had reached | one of the others | one of the others |
//! | CMA-ES | a member of its generation | with the cost it had reached | a member worse than all others | nothing |
//! | evolution | may have children | the same | nothing | not proposed again |
//! | population based training | may be copied from | the same | takes over another's place | is not continued |
//! | local search | the best so far, or a failure | the same | a failure | not proposed again |
//!
//! A trial that ends late counts when it ends, as if it had begun late, but for CMA-ES, to which one of a run that is over
//! says nothing. A trial ends once: a second end is that of an unknown trial and passed over, and so is a trial
//! with values that its space does not have.

pub mod auto;
pub mod cmaes;
pub mod defaults;
pub mod encode;
pub mod evolution;
pub mod gp;
pub mod grid;
pub mod halving;
pub mod local_search;
mod mutation;
mod past;
pub mod pbt;
pub mod prior;
pub mod random;
pub mod rng;
mod rungs;
pub mod schedule;
pub mod settings;
pub mod sobol;
#[cfg(test)]
mod testing;
pub mod tpe;

use std::ops::Range;

use study::{Assignment, Cost, HistoryEvent, Suggestion, Trial, TrialIdx};
pub use study::{Comparison, Decision, Rule, Verdict, Watch};

use crate::rng::Streams;

/// Chooses points.
///
/// A suggestion is a pure function of (settings, space, seed, trial index, history told, running trials).
pub trait Sampler: Send {
    /// Takes in what happened: trials started, reported at a step, ended. However it is split into calls, the state
    /// is the same.
    fn tell(&mut self, events: &[HistoryEvent]);

    /// Proposes for these trial indices; fewer means the space is exhausted, which is not an error. Changes nothing.
    ///
    /// `running` are the trials that have begun and not ended, in the order of their numbers. Asking for n trials
    /// equals asking n times for one with the earlier ones counted as running.
    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion>;

    /// What has been learnt from the history told, for [`Sampler::restore`]; `None` where being told again is cheap.
    /// Opaque, and of no use to another study or build.
    fn state(&self) -> Option<Vec<u8>> {
        None
    }

    /// Takes over what [`Sampler::state`] gave, in place of being told the history up to there; for a sampler that has been
    /// told nothing. Whether that went well; if not, nothing has changed.
    fn restore(&mut self, _state: &[u8]) -> bool {
        false
    }

    /// What is believed of points, one answer a point, in their order; `None` without a model of the cost, or as long as
    /// too little is known for one. Changes nothing.
    fn predict(&self, _points: &[Assignment]) -> Option<Vec<Prediction>> {
        None
    }
}

/// What is believed of the cost of a point, noise of measuring left out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    /// Expected cost.
    pub mean: Cost,
    /// Its standard deviation, not below 0.
    pub std: f64,
}

/// Chooses how long trials run.
///
/// What it wants is a pure function of (settings, seed, history told). It is told what is carried out: after a verdict
/// comes [`HistoryEvent::Paused`], [`HistoryEvent::Resumed`] or [`HistoryEvent::Ended`], sooner or later or never, and a
/// verdict stands until then. So it does not matter how often it is asked, nor whether somebody asks at all.
///
/// What it is told may come late, twice or never, and out of order: see [`schedule`] for what that means.
pub trait Scheduler: Send {
    /// Takes in what happened, as [`Sampler::tell`].
    fn tell(&mut self, events: &[HistoryEvent]);

    /// For trials that run or wait: what should happen to them, those to be resumed in the order in which places should
    /// go to them, before new trials. Those not named go on, or go on waiting. Changes nothing.
    ///
    /// `Pause` is for those that run and `Resume` for those that wait; `Stop` may end both.
    fn decide(&self, streams: &Streams) -> Vec<Decision>;

    /// What it wants to hear of trials while they run; `None`: nothing, as it has rules for them or no say.
    fn watch(&self) -> Option<Watch> {
        None
    }

    /// Rules that whoever watches a new trial applies on the spot, as Katib's sidecars do; empty: none, or none yet.
    fn rules(&self) -> Vec<Rule> {
        Vec::new()
    }
}
