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
//! | local search | the best so far, or a failure | the same | a failure | not proposed again |
//!
//! A trial that ends late counts when it ends, as if it had begun late, but for CMA-ES, to which one of a run that is over
//! says nothing. A trial ends once: a second end is that of an unknown trial and passed over.

pub mod auto;
pub mod cmaes;
pub mod defaults;
pub mod encode;
pub mod evolution;
pub mod gp;
pub mod grid;
pub mod halving;
pub mod local_search;
pub mod median;
mod mutation;
mod past;
pub mod prior;
pub mod random;
pub mod rng;
pub mod settings;
pub mod sobol;
#[cfg(test)]
mod testing;
pub mod tpe;

use std::ops::Range;

use study::{Assignment, Cost, HistoryEvent, Suggestion, Trial, TrialIdx};
pub use study::{Comparison, Rule};

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
pub trait Scheduler: Send {
    /// Takes in what happened, as [`Sampler::tell`].
    fn tell(&mut self, events: &[HistoryEvent]);

    /// For running trials: what should happen to them. Those not named go on.
    fn decide(&self, streams: &Streams) -> Vec<Decision>;

    /// Rules that whoever watches a new trial applies on the spot, as Katib's sidecars do; empty: none yet.
    fn rules(&self) -> Vec<Rule>;
}

/// What a [`Scheduler`] wants done with a trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Which trial.
    pub trial: TrialIdx,
    /// What.
    pub verdict: Verdict,
    /// Why, in one line for people.
    pub reason: String,
}

/// The fates a trial can meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Goes on.
    Continue,
    /// Waits with its checkpoint.
    Pause,
    /// Ends now, its result so far counts.
    Stop,
    /// A paused one goes on.
    Resume,
    /// Begins anew from another's checkpoint.
    CopyFrom(TrialIdx),
}
