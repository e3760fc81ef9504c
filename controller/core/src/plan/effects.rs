//! What the world should do, read from a snapshot. Doing it twice has the effect of once.

use study::TrialIdx;

use super::judge::is_run_unwanted;
use super::snapshot::{RunView, Snapshot};
use crate::experiment::Hold;
use crate::ports::AskRecord;
use crate::run::RunId;

/// Something for the world to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Put this question to the suggestion service.
    Ask(AskRecord),
    /// See to it that the newest run of this trial exists.
    Ensure(TrialIdx),
    /// See to it that this run is gone.
    Stop(RunId),
    /// The executor may forget this run.
    Forget(RunId),
    /// See to it that the model of this trial is gone.
    RemoveModel(TrialIdx),
    /// See to it that the checkpoint of this trial, which has ended, is gone.
    RemoveCheckpoint(TrialIdx),
}

/// What the world should do now.
pub fn effects(snapshot: &Snapshot) -> Vec<Effect> {
    let hold = snapshot.status.hold;
    let over = snapshot.status.is_completed();
    let mut effects: Vec<Effect> = snapshot.finished.iter().map(|run| Effect::Forget(*run)).collect();
    effects.extend(snapshot.unwanted_models().map(Effect::RemoveModel));
    effects.extend(snapshot.unwanted_checkpoints().map(Effect::RemoveCheckpoint));
    for trial in snapshot.active.values() {
        let unwanted =
            over || matches!(hold, Hold::Stopped | Hold::Deleting) || is_run_unwanted(&trial.reason);
        match snapshot.runs.get(&trial.idx) {
            // One that is not yet known to exist is begun even if unwanted: only then can it be seen to end.
            Some(RunView::Intended) => effects.push(Effect::Ensure(trial.idx)),
            Some(RunView::Waiting { .. } | RunView::Running { .. }) if unwanted => {
                effects.push(Effect::Stop(snapshot.run_id(trial)));
            }
            _ => {}
        }
    }
    if !over && hold == Hold::Free {
        effects.extend(snapshot.asks.iter().map(|ask| Effect::Ask(*ask)));
    }
    effects
}
