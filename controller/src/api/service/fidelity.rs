//! What is shown of trials that are judged while they run: where they stand, and what that has spared.

use controller_core::experiment::{ExperimentRecord, ExperimentStatus};
use controller_core::ports::TrialQuery;
use controller_core::trial::{TrialRecord, TrialState};

use super::error::ApiError;
use super::search;
use crate::api::Api;
use crate::api::types::{CairnBlock, Rung, Steps};

/// Adds steps and rungs to what is shown of an experiment, where it has any.
pub(super) async fn add(
    api: &Api,
    record: &ExperimentRecord,
    status: &ExperimentStatus,
    block: &mut CairnBlock,
) -> Result<(), ApiError> {
    let Some(study) = record.spec.early_stopping.as_ref().and_then(|_| search::study(record).ok()) else {
        return Ok(());
    };
    let Some(watch) = suggest::registry::watch(&study) else { return Ok(()) };
    let rule = study.early_stopping.as_ref();
    let whole: Option<u64> = rule.and_then(|rule| rule.settings.get("r_l")?.parse().ok());
    let trials = api.world.store.trials(record.id, &TrialQuery::default()).await?.items;
    block.rungs = watch
        .steps
        .iter()
        .filter(|step| whole.is_some_and(|whole| **step < whole))
        .map(|step| Rung { step: *step, ..Rung::default() })
        .collect();
    trials.iter().for_each(|trial| stand(&mut block.rungs, trial));
    let steps = status.steps.unwrap_or_default();
    let judged = trials.iter().filter(|trial| trial.steps > 0);
    let whole = whole.map(|whole| whole * judged.count() as u64);
    let left = whole.filter(|_| steps.all > 0).map(|whole| whole.saturating_sub(steps.all) as f64);
    block.steps = Some(Steps {
        run: steps.all,
        whole,
        at_best: steps.at_best,
        saved_gpu_seconds: left
            .filter(|_| status.spent.gpu_seconds > 0.0)
            .map(|left| status.spent.gpu_seconds * left / steps.all as f64),
    });
    Ok(())
}

/// Counts a trial on all rungs that it has come to.
fn stand(rungs: &mut [Rung], trial: &TrialRecord) {
    let passed = rungs.partition_point(|rung| trial.reached.is_some_and(|reached| rung.step <= reached));
    let Some((last, below)) = rungs[..passed].split_last_mut() else { return };
    for rung in below {
        rung.reached += 1;
        rung.promoted += 1;
    }
    last.reached += 1;
    match trial.state {
        TrialState::Paused => last.paused += 1,
        TrialState::EarlyStopped => last.stopped += 1,
        TrialState::Succeeded => last.promoted += 1,
        // It goes on, or is not judged yet; or it has ended by itself.
        _ => {}
    }
}
