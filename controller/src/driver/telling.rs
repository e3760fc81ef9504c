//! What is told of the trials of an experiment: while they run, if anybody judges those, and in the space of the day, where
//! that has been edited.

use controller_core::experiment::ExperimentRecord;
use controller_core::ports::{Store, StoreError, TrialQuery};
use controller_core::telling::{Telling, Version};
use study::TrialIdx;

/// How trials are told to the algorithm of one of an experiment's studies. Most experiments are never edited, and their
/// trials are told as they are.
pub(crate) async fn telling(
    store: &dyn Store,
    record: &ExperimentRecord,
    version: Version<'_>,
) -> Result<Telling, StoreError> {
    let live = suggest::registry::watch(version.study).is_some();
    let unit = version.study.expense.map(|expense| expense.unit);
    if version.from == TrialIdx(0) {
        return Ok(Telling::default().live(live).heeding(unit));
    }
    let query = TrialQuery { limit: version.from.0, ..TrialQuery::default() };
    Ok(Telling::new(version, store.trials(record.id, &query).await?.items).live(live).heeding(unit))
}
