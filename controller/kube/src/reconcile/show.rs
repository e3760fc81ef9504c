//! Showing how an experiment goes.

use std::collections::{BTreeMap, BTreeSet};
use std::future::ready;
use std::sync::Arc;
use std::time::Duration;

use controller_core::experiment::{ExperimentRecord, ExperimentStatus};
use controller_core::katib;
use controller_core::ports::TrialQuery;
use controller_core::trial::{TrialRecord, TrialState};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::ResourceExt as _;
use kube::core::DynamicObject;
use study::TrialIdx;
use tokio::time::Instant;

use super::{OBJECTS, ReconcileError, Reconciler};
use crate::names;
use crate::project::{self, Difference};
use crate::resources::Kind;
use crate::watched::{Changed, Since};
use crate::wishes;

/// What of an experiment is shown already.
pub(super) struct Shown {
    record: ExperimentRecord,
    status: ExperimentStatus,
    /// When its open trials were last looked at.
    looked: Instant,
    /// Up to which number of its log events were written.
    told: u64,
    /// When Suggestion and status were last written, or found as they should be.
    written: Instant,
    /// Whether they may not be as they should be.
    stale: bool,
    /// Whether the first status of a Trial was put off.
    put_off: bool,
    /// The trials that go on, as their Trials show them.
    open: Arc<BTreeMap<TrialIdx, TrialRecord>>,
}

/// How often trials that wait are looked at: what for is no event.
const WAITING_EVERY: Duration = Duration::from_secs(1);

/// How often Suggestion and status of an experiment that goes on are written: what trials do meanwhile is one write.
const PACE: Duration = Duration::from_secs(1);
/// How long a new Trial may go without a status: mostly it runs by then, and one write says both.
const FIRST_STATUS: Duration = Duration::from_secs(3);
/// The same once it runs: of those that end at once, one write says all.
const FIRST_RUNNING: Duration = Duration::from_secs(1);

/// States of trials that have not ended.
const OPEN: [TrialState; 3] = [TrialState::Pending, TrialState::Running, TrialState::Paused];

impl Reconciler {
    /// Brings Trials, Suggestion and status up to date, in this order: who sees the end of an experiment sees all of it.
    pub(super) async fn show(
        &self,
        resource: &DynamicObject,
        record: &ExperimentRecord,
        status: &ExperimentStatus,
        since: &Since,
    ) -> Result<(), ReconcileError> {
        let before = self.shown.lock().get(&record.id).cloned();
        let before = before.as_deref();
        let news = before.is_none_or(|shown| shown.record != *record || shown.status != *status);
        let touched = |kind: Kind, name: &str| {
            since.has(&Changed { kind, namespace: record.namespace.clone(), name: name.to_owned() })
        };
        let after = before.filter(|_| !since.all).map(|shown| shown.status.last_seq);
        let waits = |shown: &Shown| status.counters.pending > 0 || shown.put_off;
        let waiting = before.is_some_and(|shown| waits(shown) && shown.looked.elapsed() > WAITING_EVERY);
        let looked = before.filter(|_| !(news || waiting)).map_or_else(Instant::now, |shown| shown.looked);
        let trials = match before.zip(after) {
            None => self.all_trials(record, status).await?,
            Some((before, _)) if news || waiting => self.trials_since(record, &before.status, status).await?,
            Some(_) => Vec::new(),
        };
        let is_shown = |trial: &TrialRecord| {
            before.is_some_and(|shown| shown.open.get(&trial.idx) == Some(trial))
                && !touched(Kind::Trial, &trial.name)
        };
        let late = trials.iter().filter(|trial| self.puts_off(record, trial));
        let late: BTreeSet<TrialIdx> = late.map(|trial| trial.idx).collect();
        let show = |trial| self.show_trial(record, status, trial, late.contains(&trial.idx));
        let shows: Vec<_> = trials.iter().filter(|trial| !is_shown(trial)).map(show).collect();
        stream::iter(shows).buffer_unordered(OBJECTS).try_for_each(|_| ready(Ok(()))).await?;
        if after.is_none() {
            self.clear(record, &trials).await?;
        }
        let (put_off, open) = match before {
            Some(shown) if !(news || waiting || since.all) => (shown.put_off, Arc::clone(&shown.open)),
            _ => {
                let is_open = |trial: &&TrialRecord| !trial.state.is_final() && !late.contains(&trial.idx);
                let open = trials.iter().filter(is_open).map(|trial| (trial.idx, trial.clone()));
                (!late.is_empty(), Arc::new(open.collect()))
            }
        };
        let shown: BTreeSet<&str> = trials.iter().map(|trial| trial.name.as_str()).collect();
        let of_this = |changed: &&Changed| {
            let is_ours = changed.name.strip_prefix(&record.name).is_some_and(|rest| rest.starts_with('-'));
            changed.kind == Kind::Trial && changed.namespace == record.namespace && is_ours
        };
        for changed in since.some.iter().filter(of_this).filter(|it| !shown.contains(it.name.as_str())) {
            self.touched_trial(record, status, &changed.name).await?;
        }
        let is_over = |shown: &Shown| shown.status.is_completed() == status.is_completed();
        if before.is_none_or(|shown| !is_over(shown)) || since.all || (news && !status.waiting.is_empty()) {
            self.start_algorithm(resource, record, status).await?;
        }
        let touched = touched(Kind::Experiment, &record.name) || touched(Kind::Suggestion, &record.name);
        let mut stale = news || touched || before.is_some_and(|shown| shown.stale);
        let mut written = before.map_or_else(Instant::now, |shown| shown.written);
        let at_once = since.all || before.is_none() || status.is_completed();
        if stale && (at_once || written.elapsed() > PACE) {
            let suggestion = self.show_suggestion(record, status).await?;
            let experiment = self.show_status(resource, record, status).await?;
            // Nothing has happened since it was right.
            let was_right = !news && before.is_some_and(|shown| !shown.stale);
            let is_edited = !suggestion.is_none() || !experiment.is_none();
            if was_right && is_edited && self.is_still(record, status).await? {
                let seen = self.watched.suggestions.get(&record.namespace, &record.name);
                if let Some(seen) = seen.filter(|_| !suggestion.is_none()) {
                    self.say_reverted(Kind::Suggestion, &seen, suggestion);
                }
                if !experiment.is_none() {
                    self.say_reverted(Kind::Experiment, resource, experiment);
                }
            }
            (stale, written) = (false, Instant::now());
        }
        let told = self.tell(resource, record, status, before.map(|shown| shown.told)).await?;
        let same = |shown: &Shown| {
            let as_before = (shown.looked, shown.told, shown.written, shown.stale, shown.put_off);
            let is_same = as_before == (looked, told, written, stale, put_off);
            !news && is_same && Arc::ptr_eq(&shown.open, &open)
        };
        if !before.is_some_and(same) {
            let (record, status) = (record.clone(), status.clone());
            let shown = Shown { record, status, looked, told, written, stale, put_off, open };
            self.shown.lock().insert(shown.record.id, Arc::new(shown));
        }
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

    /// Trials that have changed since an earlier status, open ones, of which not every change is an event, and those that
    /// newer ones have driven out.
    async fn trials_since(
        &self,
        record: &ExperimentRecord,
        before: &ExperimentStatus,
        status: &ExperimentStatus,
    ) -> Result<Vec<TrialRecord>, ReconcileError> {
        let query = TrialQuery { states: OPEN.to_vec(), ..TrialQuery::default() };
        let open = self.store.trials(record.id, &query).await?.items;
        let mut trials: BTreeMap<TrialIdx, TrialRecord> =
            open.into_iter().map(|trial| (trial.idx, trial)).collect();
        let events = self.store.events(record.id, before.last_seq, 0).await?;
        let changed = events.iter().filter_map(|event| event.event.trial());
        for idx in changed.chain(project::driven_out(before, status)) {
            if !trials.contains_key(&idx)
                && let Some(trial) = self.store.trial(record.id, idx).await?
            {
                trials.insert(idx, trial);
            }
        }
        Ok(trials.into_values().collect())
    }

    /// Shows a trial that is to be shown, `put_off` without its status, once it is seen what a person wishes of it.
    async fn show_trial(
        &self,
        record: &ExperimentRecord,
        status: &ExperimentStatus,
        trial: &TrialRecord,
        put_off: bool,
    ) -> Result<Difference, ReconcileError> {
        let seen = self.watched.trials.get(&record.namespace, &trial.name);
        if !project::is_shown(record, status, trial) {
            if let Some(resource) = seen {
                self.remove(Kind::Trial, &resource).await?;
            }
            return Ok(Difference::default());
        }
        if let Some(resource) = &seen
            && wishes::of_trial(resource, trial, &[]).is_some()
        {
            let open = self.store.open_wishes(record.id).await?;
            if let Some(wish) = wishes::of_trial(resource, trial, &open) {
                self.wish(record.id, &wish).await?;
            }
        }
        let mut wanted = project::trial(record, trial);
        if put_off {
            wanted.data["status"].take();
        }
        self.put(Kind::Trial, wanted).await
    }

    /// Whether the first status of a Trial waits for what comes next.
    fn puts_off(&self, record: &ExperimentRecord, trial: &TrialRecord) -> bool {
        let until = match trial.state {
            TrialState::Pending => trial.created.plus(FIRST_STATUS),
            TrialState::Running => trial.started.unwrap_or(trial.created).plus(FIRST_RUNNING),
            _ => return false,
        };
        let seen = self.watched.trials.get(&record.namespace, &trial.name);
        self.clock.now() < until && seen.is_none_or(|seen| seen.data["status"].is_null())
    }

    /// A Trial that somebody has touched: a wish, or to be written back.
    async fn touched_trial(
        &self,
        record: &ExperimentRecord,
        status: &ExperimentStatus,
        name: &str,
    ) -> Result<(), ReconcileError> {
        let named = self.store.trials_named(name).await?.into_iter();
        let Some((_, trial)) = named.into_iter().find(|(id, _)| *id == record.id) else { return Ok(()) };
        let seen = self.watched.trials.get(&record.namespace, name);
        let put_off = self.puts_off(record, &trial);
        let difference = self.show_trial(record, status, &trial, put_off).await?;
        // Not every change of one that goes on is an event.
        let is_edited = difference.object || difference.status && trial.state.is_final();
        if let Some(seen) = seen.filter(|_| is_edited)
            && self.is_still(record, status).await?
        {
            self.say_reverted(Kind::Trial, &seen, difference);
        }
        Ok(())
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

    /// Whether nothing has happened since this status was read, which what was read after it may show already.
    async fn is_still(
        &self,
        record: &ExperimentRecord,
        status: &ExperimentStatus,
    ) -> Result<bool, ReconcileError> {
        Ok(self.store.status(record.id).await?.last_seq == status.last_seq)
    }

    async fn show_status(
        &self,
        resource: &DynamicObject,
        record: &ExperimentRecord,
        status: &ExperimentStatus,
    ) -> Result<Difference, ReconcileError> {
        let mut lists = Vec::new();
        for (word, query) in katib::lists(&status.counters) {
            lists.push((word, self.store.trials(record.id, &query).await?.items));
        }
        self.write_status(resource, project::status(record, status, &lists)).await
    }

    async fn show_suggestion(
        &self,
        record: &ExperimentRecord,
        status: &ExperimentStatus,
    ) -> Result<Difference, ReconcileError> {
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
