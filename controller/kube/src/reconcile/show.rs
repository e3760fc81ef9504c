//! Showing how an experiment goes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller_core::experiment::{ExperimentRecord, ExperimentStatus};
use controller_core::katib;
use controller_core::ports::TrialQuery;
use controller_core::trial::{TrialRecord, TrialState};
use kube::ResourceExt as _;
use kube::core::DynamicObject;
use study::TrialIdx;
use tokio::time::Instant;

use super::{ReconcileError, Reconciler};
use crate::names;
use crate::project;
use crate::resources::Kind;
use crate::watched::{Changed, Since};
use crate::wishes;

/// What of an experiment is shown already.
pub(super) struct Shown {
    record: ExperimentRecord,
    status: ExperimentStatus,
    /// When its open trials were last looked at.
    looked: Instant,
}

/// How often trials that wait are looked at: what for is no event.
const WAITING_EVERY: Duration = Duration::from_secs(1);

/// States of trials that have not ended.
const OPEN: [TrialState; 3] = [TrialState::Pending, TrialState::Running, TrialState::Paused];

impl Reconciler {
    /// Brings Trials, Suggestion and status up to date, in this order: who sees the end of an experiment sees all of it.
    pub(super) async fn show(
        &mut self,
        resource: &DynamicObject,
        record: &ExperimentRecord,
        status: &ExperimentStatus,
        since: &Since,
    ) -> Result<(), ReconcileError> {
        let before = self.shown.get(&record.id);
        let news = before.is_none_or(|shown| shown.record != *record || shown.status != *status);
        let touched = |kind: Kind, name: &str| {
            since.has(&Changed { kind, namespace: record.namespace.clone(), name: name.to_owned() })
        };
        let (touched_self, touched_suggestion) =
            (touched(Kind::Experiment, &record.name), touched(Kind::Suggestion, &record.name));
        let after = before.filter(|_| !since.all).map(|shown| shown.status.last_seq);
        let waiting =
            before.is_some_and(|shown| status.counters.pending > 0 && shown.looked.elapsed() > WAITING_EVERY);
        let looked = before.filter(|_| !(news || waiting)).map_or_else(Instant::now, |shown| shown.looked);
        let trials = match after {
            None => self.all_trials(record, status).await?,
            Some(after) if news || waiting => self.trials_since(record, after).await?,
            Some(_) => Vec::new(),
        };
        for trial in &trials {
            self.show_trial(record, trial).await?;
        }
        if after.is_none() {
            self.clear(record, &trials).await?;
        }
        let shown: BTreeSet<&str> = trials.iter().map(|trial| trial.name.as_str()).collect();
        let of_this = |changed: &&Changed| {
            let is_ours = changed.name.strip_prefix(&record.name).is_some_and(|rest| rest.starts_with('-'));
            changed.kind == Kind::Trial && changed.namespace == record.namespace && is_ours
        };
        for changed in since.some.iter().filter(of_this).filter(|it| !shown.contains(it.name.as_str())) {
            self.touched_trial(record, &changed.name).await?;
        }
        if news || touched_suggestion || since.all {
            self.show_suggestion(record, status).await?;
        }
        if news || touched_self || since.all {
            let mut lists = Vec::new();
            for (word, query) in katib::lists(&status.counters) {
                lists.push((word, self.store.trials(record.id, &query).await?.items));
            }
            self.write_status(resource, project::status(record, status, &lists)).await?;
        }
        self.shown.insert(record.id, Shown { record: record.clone(), status: status.clone(), looked });
        Ok(())
    }

    /// All trials that have a resource.
    async fn all_trials(
        &self,
        record: &ExperimentRecord,
        status: &ExperimentStatus,
    ) -> Result<Vec<TrialRecord>, ReconcileError> {
        let mut trials = self.store.trials(record.id, &TrialQuery::default()).await?.items;
        trials.retain(|trial| project::is_shown(record, status, trial));
        Ok(trials)
    }

    /// Trials that have changed after an event, and open ones, of which not every change is one.
    async fn trials_since(
        &self,
        record: &ExperimentRecord,
        after: u64,
    ) -> Result<Vec<TrialRecord>, ReconcileError> {
        let query = TrialQuery { states: OPEN.to_vec(), ..TrialQuery::default() };
        let open = self.store.trials(record.id, &query).await?.items;
        let mut trials: BTreeMap<TrialIdx, TrialRecord> =
            open.into_iter().map(|trial| (trial.idx, trial)).collect();
        for event in self.store.events(record.id, after, 0).await? {
            if let Some(idx) = event.event.trial().filter(|idx| !trials.contains_key(idx))
                && let Some(trial) = self.store.trial(record.id, idx).await?
            {
                trials.insert(idx, trial);
            }
        }
        Ok(trials.into_values().collect())
    }

    /// Shows a trial, once it is seen what a person wishes of it.
    async fn show_trial(&self, record: &ExperimentRecord, trial: &TrialRecord) -> Result<(), ReconcileError> {
        if let Some(resource) = self.watched.trials.get(&record.namespace, &trial.name)
            && wishes::of_trial(&resource, trial, &[]).is_some()
        {
            let open = self.store.open_wishes(record.id).await?;
            if let Some(wish) = wishes::of_trial(&resource, trial, &open) {
                self.wish(record.id, &wish).await?;
            }
        }
        self.put(Kind::Trial, project::trial(record, trial)).await
    }

    /// A Trial that somebody has touched: a wish, or to be written back.
    async fn touched_trial(&self, record: &ExperimentRecord, name: &str) -> Result<(), ReconcileError> {
        let named = self.store.trials_named(name).await?.into_iter();
        match named.into_iter().find(|(id, _)| *id == record.id) {
            Some((_, trial)) => self.show_trial(record, &trial).await,
            None => Ok(()),
        }
    }

    /// Deletes Trials that are shown no longer, or never were.
    async fn clear(&self, record: &ExperimentRecord, trials: &[TrialRecord]) -> Result<(), ReconcileError> {
        let wanted: BTreeSet<&str> = trials.iter().map(|trial| trial.name.as_str()).collect();
        for resource in self.watched.trials.all() {
            let name = resource.name_any();
            let of_this = resource.namespace().as_deref() == Some(&record.namespace)
                && resource.labels().get(names::EXPERIMENT_LABEL) == Some(&record.name)
                && resource.owner_references().iter().any(|owner| owner.uid == record.uid);
            if of_this && !wanted.contains(name.as_str()) {
                self.remove(Kind::Trial, &resource).await?;
            }
        }
        Ok(())
    }

    async fn show_suggestion(
        &self,
        record: &ExperimentRecord,
        status: &ExperimentStatus,
    ) -> Result<(), ReconcileError> {
        let open = TrialQuery { states: OPEN.to_vec(), ..TrialQuery::default() };
        let newest =
            TrialQuery { descending: true, limit: project::MAX_SUGGESTIONS, ..TrialQuery::default() };
        let mut trials = BTreeMap::new();
        for query in [open, newest] {
            let some = self.store.trials(record.id, &query).await?.items;
            trials.extend(some.into_iter().map(|trial| (trial.idx, trial)));
        }
        let asks = self.store.asks(record.id, TrialIdx(status.counters.total())).await?;
        let trials: Vec<TrialRecord> = trials.into_values().collect();
        self.put(Kind::Suggestion, project::suggestion(record, status, &asks, &trials)).await
    }
}
