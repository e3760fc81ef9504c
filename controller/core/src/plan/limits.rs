//! What bounds an experiment, and when a bound is reached.

use std::time::Duration;

use study::{Direction, Unit};

use super::snapshot::{RunView, Snapshot};
use crate::duration;
use crate::experiment::Spent;
use crate::run::RunEnd;
use crate::spec::{ExperimentSpec, TrialTemplate};
use crate::time::Timestamp;

/// The bounds of a spec, read once.
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Trials at once.
    pub parallel: u64,
    /// Trials at all.
    pub max_trials: Option<u64>,
    /// Runs of a point that does best, in all.
    pub repeats: u32,
    /// Failed trials at which the experiment fails; 0 means at the first.
    pub max_failed: Option<u64>,
    /// Value at which the search has succeeded.
    pub goal: Option<f64>,
    /// Whether larger is better.
    pub direction: Direction,
    /// Longest time.
    pub max_duration: Option<Duration>,
    /// Most GPU-seconds.
    pub max_gpu_seconds: Option<f64>,
    /// Most money.
    pub max_cost: Option<f64>,
    /// Price of a slot for an hour.
    pub price_per_slot_hour: f64,
    /// How often a failing trial is tried again.
    pub retries: u32,
    /// Rows of the objective that early stopping wants to see of each trial; 0: none.
    pub curve_rows: u32,
    /// Whether budgets were edited since the experiment was completed.
    pub edited_since_end: bool,
}

/// Why an experiment is over.
#[derive(Clone, Debug, PartialEq)]
pub struct Reached {
    /// Whether it counts as a success.
    pub success: bool,
    /// One word.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
}

impl Limits {
    /// Reads the bounds of a valid spec.
    pub fn of_spec(spec: &ExperimentSpec) -> Self {
        let count = |n: Option<i32>| n.and_then(|n| u64::try_from(n).ok());
        let objective = spec.objective();
        let rows = spec.early_stopping.as_ref().map_or(0, |rule| {
            let start = rule.algorithm_settings.iter().find(|setting| setting.name == "start_step");
            start.and_then(|setting| setting.value.parse().ok()).unwrap_or(4)
        });
        Self {
            parallel: count(spec.parallel_trial_count).unwrap_or(3).max(1),
            max_trials: count(spec.max_trial_count),
            repeats: spec.repeats.and_then(|n| u32::try_from(n).ok()).unwrap_or(1).max(1),
            max_failed: count(spec.max_failed_trial_count),
            goal: objective.goal,
            direction: objective.direction(),
            max_duration: spec.max_duration.as_deref().and_then(duration::parse),
            max_gpu_seconds: spec.max_gpu_hours.map(|hours| hours * 3600.0),
            max_cost: spec.max_cost,
            price_per_slot_hour: spec.price_per_slot_hour.unwrap_or(0.0),
            retries: spec.trial_template.as_ref().map_or(0, TrialTemplate::retries),
            curve_rows: rows,
            edited_since_end: false,
        }
    }

    /// The first bound that is reached, in Katib's order: goal, failures, trials; then time, GPUs, money, space.
    pub fn reached(&self, now: Timestamp, snapshot: &Snapshot) -> Option<Reached> {
        let counters = &snapshot.status.counters;
        let success = |reason, what: &str| Reached {
            success: true,
            reason,
            message: format!("Experiment has succeeded because {what}"),
        };
        let best = snapshot.status.best.as_ref().and_then(|best| best.value);
        if let (Some(goal), Some(best)) = (self.goal, best)
            && snapshot.points.is_trusted()
            && self.direction.cost(best) <= self.direction.cost(goal)
        {
            return Some(success("ExperimentGoalReached", "Objective goal has reached"));
        }
        let failed = counters.failed + counters.metrics_unavailable;
        if self.max_failed.is_some_and(|max| failed != 0 && failed >= max) {
            return Some(Reached {
                success: false,
                reason: "ExperimentFailed",
                message: "Experiment has failed because max failed count has reached".into(),
            });
        }
        if self.max_trials.is_some_and(|max| counters.ended() >= max) {
            return Some(success("ExperimentMaxTrialsReached", "max trial count has reached"));
        }
        let elapsed = snapshot.status.started.map_or(Duration::ZERO, |started| now.since(started));
        if self.max_duration.is_some_and(|max| elapsed >= max) {
            return Some(success("ExperimentMaxDurationReached", "max duration has reached"));
        }
        let spent = self.spent_by_now(now, snapshot);
        if self.max_gpu_seconds.is_some_and(|max| spent.gpu_seconds >= max) {
            return Some(success("ExperimentMaxGpuHoursReached", "max GPU hours has reached"));
        }
        if self.max_cost.is_some_and(|max| spent.cost >= max) {
            return Some(success("ExperimentMaxCostReached", "max cost has reached"));
        }
        let nothing_left = snapshot.exhausted && counters.active() == 0 && snapshot.asks.is_empty();
        let nothing_left = nothing_left && snapshot.to_repeat().is_none();
        nothing_left.then(|| success("ExperimentSuggestionEndReached", "the search space is exhausted"))
    }

    /// How many more trials may be made now. Those that wait take up no place, but are trials.
    pub fn places(&self, snapshot: &Snapshot) -> u64 {
        let asked: u64 = snapshot.asks.iter().map(|ask| u64::from(ask.n)).sum();
        let left = self.max_trials.map(|max| max.saturating_sub(snapshot.status.counters.total() + asked));
        self.unused(snapshot).saturating_sub(asked).min(left.unwrap_or(u64::MAX))
    }

    /// How many places nobody has: not even a trial that is still to begin.
    pub fn unused(&self, snapshot: &Snapshot) -> u64 {
        let waiting = snapshot.waiting().count() as u64;
        self.parallel.saturating_sub(snapshot.status.counters.active() - waiting)
    }

    /// How many more runs may be begun now. Fewer than trials wait, where budgets were made smaller since those were made.
    pub fn free(&self, snapshot: &Snapshot) -> u64 {
        let begun = snapshot.runs.values().filter(|view| **view != RunView::Unborn).count();
        self.wanted(snapshot).saturating_sub(begun as u64)
    }

    /// How many trials should be active.
    fn wanted(&self, snapshot: &Snapshot) -> u64 {
        let left = self.max_trials.map(|max| max.saturating_sub(snapshot.status.counters.ended()));
        left.map_or(self.parallel, |left| left.min(self.parallel))
    }

    /// What a run that has ended has spent.
    pub fn spent(&self, end: &RunEnd) -> Spent {
        let seconds = end.started.map_or(0.0, |started| end.ended.since(started).as_secs_f64());
        self.price(seconds, &end.slots)
    }

    /// What ended and running runs have spent together.
    pub fn spent_by_now(&self, now: Timestamp, snapshot: &Snapshot) -> Spent {
        let running = snapshot.runs.values().filter_map(|view| match view {
            RunView::Running { since, slots } => Some(self.price(now.since(*since).as_secs_f64(), slots)),
            _ => None,
        });
        running.fold(snapshot.status.spent, Spent::plus)
    }

    fn price(&self, seconds: f64, slots: &[String]) -> Spent {
        let count = |kind: &str| slots.iter().filter(|slot| slot.starts_with(kind)).count() as f64;
        let gpus = count("gpu-");
        let priced = if gpus > 0.0 { gpus } else { count("cpu-").max(1.0) };
        Spent {
            run_seconds: seconds,
            gpu_seconds: seconds * gpus,
            cost: seconds / 3600.0 * priced * self.price_per_slot_hour,
        }
    }
}

impl Spent {
    /// How much of what is bounded.
    pub fn of(&self, unit: Unit) -> f64 {
        match unit {
            Unit::Seconds => self.run_seconds,
            Unit::GpuSeconds => self.gpu_seconds,
            Unit::Money => self.cost,
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            run_seconds: self.run_seconds + other.run_seconds,
            gpu_seconds: self.gpu_seconds + other.gpu_seconds,
            cost: self.cost + other.cost,
        }
    }

    /// As often.
    #[must_use]
    pub fn times(self, factor: f64) -> Self {
        Self {
            run_seconds: self.run_seconds * factor,
            gpu_seconds: self.gpu_seconds * factor,
            cost: self.cost * factor,
        }
    }
}
