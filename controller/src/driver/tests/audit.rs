//! What must hold at the end of any story, and what two tellings of one story have in common.

use std::collections::{BTreeMap, BTreeSet};

use controller_core::event::{Event, StoredEvent};
use controller_core::experiment::{Counters, Hold};
use controller_core::plan::{Action, plan};
use controller_core::ports::{ObservationQuery, Store as _, TrialQuery};
use controller_core::run::RunRecord;
use controller_core::trial::{Origin, TrialRecord, TrialState};
use study::TrialIdx;

use super::world::Story;
use crate::driver::load;

/// What does not depend on when things happened.
#[derive(Debug, PartialEq)]
pub(super) struct Told {
    pub(super) trials: Vec<Tale>,
    /// In which order they ended.
    pub(super) ends: Vec<TrialIdx>,
    pub(super) counters: Counters,
    pub(super) best: Option<TrialIdx>,
    pub(super) reason: String,
}

/// What is told of a trial.
#[derive(Debug, PartialEq)]
pub(super) struct Tale {
    pub(super) assignments: Vec<(String, String)>,
    pub(super) state: TrialState,
    pub(super) reason: String,
    pub(super) attempt: u32,
    pub(super) objectives: Vec<f64>,
    pub(super) origin: Origin,
}

impl Told {
    /// The same story, but for times.
    pub(super) fn assert_same(&self, other: &Self, which: &str) {
        assert_eq!(self.ends, other.ends, "order of ends: {which}");
        for (idx, (here, there)) in self.trials.iter().zip(&other.trials).enumerate() {
            assert_eq!(here, there, "trial {idx}: {which}");
        }
        assert_eq!(self, other, "{which}");
    }
}

impl Story {
    pub(super) async fn trials(&self) -> Vec<TrialRecord> {
        self.store.trials(self.id, &TrialQuery::default()).await.unwrap().items
    }

    pub(super) async fn told(&self) -> Told {
        let status = self.status().await;
        let tale = |trial: TrialRecord| Tale {
            assignments: trial.assignments,
            state: trial.state,
            reason: trial.reason,
            attempt: trial.attempt,
            objectives: trial.objectives,
            origin: trial.origin,
        };
        let events = self.store.events(self.id, 0, 0).await.unwrap();
        Told {
            trials: self.trials().await.into_iter().map(tale).collect(),
            ends: ends(&events),
            counters: status.counters,
            best: status.best.map(|best| best.idx),
            reason: status.conditions.last().unwrap().reason.clone(),
        }
    }

    /// Checks everything that holds once an experiment is at rest.
    pub(super) async fn audit(&self) {
        self.faults.spare();
        assert_eq!(self.executor.wrongs(), [""; 0], "of the executor");
        assert_eq!(self.store.wrongs(), [""; 0], "of the store");
        let trials = self.trials().await;
        let status = self.status().await;
        let mut counted = Counters::default();
        for trial in &trials {
            *counted.of(trial.state) += 1;
        }
        assert_eq!(status.counters, counted);
        assert!(trials.iter().enumerate().all(|(i, trial)| trial.idx.0 == i as u64), "numbers have no gaps");
        let events = self.store.events(self.id, 0, 0).await.unwrap();
        let gapless = events.iter().enumerate().all(|(i, stored)| stored.seq == i as u64 + 1);
        assert!(gapless && status.last_seq == events.len() as u64, "events have no gaps");
        let ended: Vec<_> = trials.iter().filter(|t| t.state.is_final()).map(|t| t.idx).collect();
        let mut told = ends(&events);
        told.sort();
        assert_eq!(told, ended, "every end is told once");
        let runs = self.store.runs(self.id, None).await.unwrap();
        self.audit_runs(&trials, &runs).await;
        self.audit_plan(&trials).await;
    }

    #[expect(clippy::unused_self, reason = "one of the audit's parts")]
    fn audit_best(&self, trials: &[TrialRecord], best: Option<TrialIdx>) {
        let counts =
            |trial: &&TrialRecord| matches!(trial.state, TrialState::Succeeded | TrialState::EarlyStopped);
        let least =
            trials.iter().filter(counts).flat_map(|t| &t.objectives).copied().fold(f64::INFINITY, f64::min);
        let value = best.map_or(f64::INFINITY, |idx| trials[idx.0 as usize].objectives[0]);
        assert_eq!(value.to_bits(), least.to_bits(), "the best is the best");
    }

    /// Every run has ended and is forgotten, and what it reported is there once.
    async fn audit_runs(&self, trials: &[TrialRecord], runs: &[RunRecord]) {
        assert_eq!(self.executor.known(), [], "runs left behind");
        let ids: BTreeSet<_> = runs.iter().map(|run| run.id).collect();
        assert!(runs.iter().all(|run| run.end.is_some()), "every run has an end");
        assert!(self.executor.forgotten().is_subset(&ids));
        for trial in trials {
            let attempts = runs.iter().filter(|run| run.id.trial == trial.idx).count();
            assert_eq!(attempts, trial.attempt as usize, "attempts of trial {}", trial.idx.0);
        }
        let mut rows: BTreeMap<_, u32> = BTreeMap::new();
        for row in self.store.observations(self.id, &ObservationQuery::default()).await.unwrap() {
            *rows.entry((row.trial, row.attempt)).or_default() += 1;
        }
        for run in self.executor.forgotten() {
            let reported = self.executor.reported(run);
            assert_eq!(rows.remove(&(run.trial, run.attempt)), reported, "observations of run {run}");
        }
        assert!(rows.is_empty(), "observations of nothing: {rows:?}");
    }

    /// Nothing is left to be done.
    async fn audit_plan(&self, trials: &[TrialRecord]) {
        let lease = self.store.acquire(self.id, "audit").await.unwrap().unwrap();
        let (snapshot, _) = load::load(&self.world, &lease).await.unwrap();
        let best = snapshot.status.best.as_ref().map(|best| best.idx);
        if snapshot.points.repeat() {
            let again = snapshot.points.best().and_then(|point| point.nearest());
            assert_eq!(best, again.map(|(idx, _)| idx), "the best is the best of what is stored");
        } else {
            self.audit_best(trials, best);
        }
        let plan = plan(self.world.clock.now(), &snapshot);
        let done = if snapshot.status.hold == Hold::Deleting { vec![Action::Delete] } else { vec![] };
        assert_eq!(plan, done);
        self.store.free_leases().await;
    }
}

fn ends(events: &[StoredEvent]) -> Vec<TrialIdx> {
    let ended = events.iter().filter(|stored| matches!(stored.event, Event::TrialEnded { .. }));
    ended.filter_map(|stored| stored.event.trial()).collect()
}
