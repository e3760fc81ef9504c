//! Rules over values that programs report themselves: collectors look at what they read, and nobody else at these.
//!
//! What is held of a run is a cache: it is read from the store again where it is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use controller_core::metrics::rules::RuleWatch;
use controller_core::plan::STOP_WANTED;
use controller_core::ports::{ObservationQuery, ObservationRow, Wish};
use controller_core::run::RunId;
use controller_core::trial::TrialRecord;
use study::Direction;

use super::error::ApiError;
use crate::api::Api;

/// Runs looked at at once; beyond that all are read from the store again.
const MOST: usize = 4096;

/// The runs whose pushed values are looked at. Cheap to clone; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct PushWatches(Arc<Mutex<BTreeMap<RunId, Watched>>>);

/// Whether the places of rows are those that the store has given them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Places {
    /// They are: a row sent again is known by its place.
    Known,
    /// The store gives places that we do not hear of; each row is new.
    Unknown,
}

#[derive(Debug)]
struct Watched {
    watch: RuleWatch,
    /// Places of the rows that were looked at.
    seen: BTreeSet<(Arc<str>, u64, u32)>,
}

impl Watched {
    fn new(trial: &TrialRecord, objective: &str, direction: Direction) -> Self {
        Self { watch: RuleWatch::new(&trial.rules, objective, direction), seen: BTreeSet::new() }
    }

    /// Whether all rules are met by now. A row that was looked at is passed over, where its place tells.
    fn look<'r>(&mut self, rows: impl IntoIterator<Item = &'r ObservationRow>, places: Places) -> bool {
        let mut met = false;
        for row in rows {
            let place = (row.source.clone(), row.offset, row.nth);
            if places == Places::Unknown || self.seen.insert(place) {
                met |= self.watch.look(row).is_some();
            }
        }
        met
    }
}

/// Looks at rows that are safe in the store, and ends the trial if its rules are met by them.
pub(super) async fn look(
    api: &Api,
    run: RunId,
    trial: &TrialRecord,
    rows: &[ObservationRow],
    places: Places,
) -> Result<(), ApiError> {
    if trial.rules.is_empty() || trial.reason == STOP_WANTED {
        return Ok(());
    }
    let held = {
        let mut watches = api.watches.0.lock().unwrap_or_else(PoisonError::into_inner);
        watches.get_mut(&run).map(|watched| watched.look(rows, places))
    };
    let met = match held {
        Some(met) => met,
        None => look_anew(api, run, trial).await?,
    };
    if met {
        let wish = Wish::StopEarly { trial: trial.idx };
        api.world.store.wish(run.experiment, &wish, api.world.clock.now()).await?;
    }
    Ok(())
}

/// Looks at everything that the store has of a run.
async fn look_anew(api: &Api, run: RunId, trial: &TrialRecord) -> Result<bool, ApiError> {
    let Some(record) = api.world.store.experiment_by_id(run.experiment).await? else { return Ok(false) };
    let objective = record.spec.objective();
    let direction = if objective.is_maximize() { Direction::Maximize } else { Direction::Minimize };
    let query = ObservationQuery { trial: Some(run.trial), attempt: Some(run.attempt), ..Default::default() };
    let stored = api.world.store.observations(run.experiment, &query).await?;
    let mut watched = Watched::new(trial, &objective.objective_metric_name, direction);
    let met = watched.look(stored.iter().map(|observation| &observation.row), Places::Known);
    let mut watches = api.watches.0.lock().unwrap_or_else(PoisonError::into_inner);
    if watches.len() >= MOST {
        watches.clear();
    }
    watches.insert(run, watched);
    Ok(met)
}
