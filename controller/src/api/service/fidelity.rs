//! What is shown of trials that are judged while they run: where they stand, and what that has spared.

use std::fmt;
use std::time::Duration;

use controller_core::duration;
use controller_core::experiment::{ExperimentRecord, ExperimentStatus};
use controller_core::plan::{Limits, spared};
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
    let judged = trials.iter().filter(|trial| trial.steps > 0).count() as u64;
    let saved = match whole.filter(|_| judged > 0) {
        None => None,
        Some(whole) => {
            let runs = api.world.store.runs(record.id, None).await?;
            Some(spared(&Limits::of_spec(&record.spec), whole, &trials, &runs))
        }
    };
    block.steps = Some(Steps {
        run: steps.all,
        whole: whole.map(|whole| whole * judged),
        at_best: steps.at_best,
        saved_run_seconds: saved.map(|saved| saved.run_seconds),
        saved_gpu_seconds: saved.filter(|_| status.spent.gpu_seconds > 0.0).map(|saved| saved.gpu_seconds),
    });
    Ok(())
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ran {}", self.run)?;
        if let Some(whole) = self.whole {
            write!(f, " of {whole}")?;
        }
        f.write_str(" steps")?;
        if self.at_best > 0 {
            write!(f, "; best found at step {}", self.at_best)?;
        }
        let positive = |saved: Option<f64>| {
            let saved = Duration::try_from_secs_f64(saved?).ok()?;
            (!saved.is_zero()).then(|| duration::show(saved))
        };
        if let Some(runs) = positive(self.saved_run_seconds) {
            write!(f, "; those stopped early would have taken about {runs} more of runs")?;
        }
        match positive(self.saved_gpu_seconds) {
            Some(gpus) => write!(f, " and {gpus} of GPUs"),
            None => Ok(()),
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_run_and_spared_is_one_sentence() {
        let steps = Steps { run: 212, whole: Some(1620), at_best: 58, ..Steps::default() };
        assert_eq!(steps.to_string(), "ran 212 of 1620 steps; best found at step 58");
        let saved = Steps { saved_run_seconds: Some(7200.0), saved_gpu_seconds: Some(14_400.0), ..steps };
        let said = saved.to_string();
        assert!(
            said.ends_with(
                "; those stopped early would have taken about 2h00m more of runs and 4h00m of GPUs"
            ),
            "{said}"
        );
        let none = Steps { saved_run_seconds: Some(0.0), ..steps };
        assert_eq!(none.to_string(), steps.to_string());
    }
}
