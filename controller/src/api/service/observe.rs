//! Rows that collectors elsewhere read, such as the sidecars of a cluster.

use std::collections::BTreeMap;

use controller_core::artifacts::{CHECKPOINT, MODEL, Scheme, StoreUri, key_of};
use controller_core::plan::is_run_unwanted;
use controller_core::ports::{Collected, Left, ObservationRow, Wish};
use controller_core::run::RunId;
use controller_core::trial::{TrialRecord, TrialState};

use super::error::{ApiError, Code};
use crate::api::Api;

/// A run whose rows somebody collects.
#[derive(Clone)]
pub(crate) struct Collection {
    api: Api,
    run: RunId,
    /// Where what it leaves is kept, in whichever store.
    place: String,
}

impl Collection {
    /// The run of a number, which must be the one of these names.
    pub(crate) async fn of(api: &Api, run: RunId, namespace: &str, name: &str) -> Result<Self, ApiError> {
        let record = api.world.store.experiment_by_id(run.experiment).await?;
        let named = record.as_ref().is_some_and(|record| record.namespace == namespace);
        let experiment = record.map(|record| record.name).unwrap_or_default();
        let trial = api.world.store.trial(run.experiment, run.trial).await?;
        let trial = trial.filter(|trial| named && trial.name == name);
        match trial {
            None => Err(ApiError::not_found(format!("there is no trial `{namespace}/{name}` of run {run}"))),
            // A run is written down before it begins.
            Some(trial) if trial.attempt < run.attempt => {
                let message = format!("attempt {} of trial `{name}` has not begun", run.attempt);
                Err(ApiError::new(Code::Conflict, message))
            }
            Some(_) => {
                let place = key_of(namespace, &experiment, name, run.attempt);
                Ok(Self { api: api.clone(), run, place })
            }
        }
    }

    /// Where what it leaves is kept, in whichever store.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Largest place kept of each source.
    pub(crate) async fn positions(&self) -> Result<BTreeMap<String, u64>, ApiError> {
        Ok(self.api.world.store.positions(self.run).await?)
    }

    /// Keeps rows; those already kept are passed over.
    pub(crate) async fn keep(&self, rows: Vec<ObservationRow>) -> Result<(), ApiError> {
        self.api.world.store.append(&[(self.run, rows)]).await?;
        self.api.world.wake.notify_waiters();
        Ok(())
    }

    /// The rules are met: the driver ends the trial, whose rows so far count.
    pub(crate) async fn met(&self) -> Result<(), ApiError> {
        if self.trial().await?.is_some_and(|trial| self.is_wanted(&trial)) {
            let wish = Wish::StopEarly { trial: self.run.trial };
            self.api.world.store.wish(self.run.experiment, &wish, self.api.world.clock.now()).await?;
            self.api.world.wake.notify_waiters();
        }
        Ok(())
    }

    /// All rows are there. `stopped_by` is the number of the rule that was met last, if all were.
    pub(crate) async fn end(
        &self,
        stopped_by: Option<u32>,
        mut collected: Collected,
    ) -> Result<(), ApiError> {
        self.check_left(&collected.left)?;
        if let Some(rule) = stopped_by {
            self.met().await?;
            let trial = self.trial().await?;
            collected.stopped_by = trial.and_then(|trial| trial.rules.get(rule as usize).cloned());
        }
        self.api.world.store.put_collected(self.run, &collected, self.api.world.clock.now()).await?;
        self.api.world.wake.notify_waiters();
        Ok(())
    }

    /// A sealed folder lies at the place of its own run, or whoever reads it would be led elsewhere.
    fn check_left(&self, left: &Left) -> Result<(), ApiError> {
        let model = left.model.iter().filter(|model| !model.elsewhere).map(|model| (&model.uri, MODEL));
        let sealed = model.chain(left.checkpoint.iter().map(|sealed| (&sealed.uri, CHECKPOINT)));
        for (uri, name) in sealed {
            let end = format!("{}/{name}", self.place);
            let place = StoreUri::parse(uri).map_err(ApiError::invalid)?;
            let is_own = match place.scheme {
                Scheme::Cairn => place.path == end,
                Scheme::File => false,
                _ => place.path == end || place.path.ends_with(&format!("/{end}")),
            };
            if !is_own {
                return Err(ApiError::invalid(format!("{uri} is not the place of run {}: {end}", self.run)));
            }
        }
        Ok(())
    }

    /// Whether the program may go on: its trial runs, in this attempt, and nobody wants its end.
    pub(crate) async fn goes_on(&self) -> Result<bool, ApiError> {
        Ok(self.trial().await?.is_some_and(|trial| self.is_wanted(&trial)))
    }

    fn is_wanted(&self, trial: &TrialRecord) -> bool {
        let is_open = matches!(trial.state, TrialState::Pending | TrialState::Running);
        is_open && trial.attempt == self.run.attempt && !is_run_unwanted(&trial.reason)
    }

    async fn trial(&self) -> Result<Option<TrialRecord>, ApiError> {
        Ok(self.api.world.store.trial(self.run.experiment, self.run.trial).await?)
    }
}
