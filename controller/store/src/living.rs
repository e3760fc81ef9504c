//! Living experiments, which are asked for many times a second. What was read before is kept, and that alone is read again
//! which was written meanwhile, by whomever.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use controller_core::experiment::{ExperimentId, Living};
use controller_core::ports::StoreError;
use sqlx::AnyPool;

use crate::database::during;
use crate::experiments::{body, int};

/// How long what was read is trusted: a Cairn from before there were revisions may write beside this one for a while.
const TRUSTED: Duration = Duration::from_mins(1);

/// How often a record and its status were written.
type Revisions = (i64, i64);

/// What was read.
type Read = HashMap<ExperimentId, (Revisions, Arc<Living>)>;

/// What was read, and since when all of it.
type Since = (Instant, Arc<Read>);

/// Experiments as they were last read.
#[derive(Debug, Default)]
pub(crate) struct Experiments(Mutex<Option<Since>>);

impl Experiments {
    /// All living experiments, newest first.
    pub(crate) async fn list(&self, pool: &AnyPool) -> Result<Vec<Arc<Living>>, StoreError> {
        // An index has all of this.
        let rows = sqlx::query(
            "SELECT experiments.id AS id, experiments.revision AS record_revision,
                    experiment_status.revision AS status_revision
             FROM experiments JOIN experiment_status ON experiment_status.experiment_id = experiments.id
             WHERE living = 0",
        )
        .fetch_all(pool)
        .await
        .map_err(during("experiments cannot be read"))?;
        let before = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let before = before.filter(|(since, _)| since.elapsed() < TRUSTED);
        let (since, before) = before.unwrap_or_else(|| (Instant::now(), Arc::default()));
        let (mut read, mut is_news) = (Read::with_capacity(rows.len()), rows.len() != before.len());
        for row in &rows {
            let id = ExperimentId(int(row, "id")?);
            let revisions = (int(row, "record_revision")?, int(row, "status_revision")?);
            let known = before.get(&id).filter(|(known, _)| *known == revisions).cloned();
            is_news |= known.is_none();
            let known = match known {
                Some(known) => Some(known),
                None => one(pool, id).await?,
            };
            read.extend(known.map(|known| (id, known)));
        }
        let mut all: Vec<_> = read.values().map(|(_, living)| Arc::clone(living)).collect();
        all.sort_unstable_by_key(|living| (Reverse(living.record.created), living.record.id));
        if is_news {
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((since, Arc::new(read)));
        }
        Ok(all)
    }
}

/// One of them; `None` if it was deleted meanwhile.
async fn one(pool: &AnyPool, id: ExperimentId) -> Result<Option<(Revisions, Arc<Living>)>, StoreError> {
    let row = sqlx::query(
        "SELECT experiments.body AS body, experiments.revision AS record_revision,
                experiment_status.body AS status, experiment_status.revision AS status_revision
         FROM experiments JOIN experiment_status ON experiment_status.experiment_id = experiments.id
         WHERE experiments.id = $1 AND living = 0",
    )
    .bind(id.0)
    .fetch_optional(pool)
    .await
    .map_err(during("experiments cannot be read"))?;
    let Some(row) = row else { return Ok(None) };
    let living = Living { record: body(&row, "body")?, status: body(&row, "status")? };
    let revisions = (int(&row, "record_revision")?, int(&row, "status_revision")?);
    Ok(Some((revisions, Arc::new(living))))
}
