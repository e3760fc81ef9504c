//! Edits of a live Experiment: budgets are wishes, everything else is refused.

use controller_core::experiment::{ExperimentRecord, ExperimentStatus};
use controller_core::ports::{StoredWish, Wish};
use controller_core::report::Problem;
use controller_core::spec::ExperimentSpec;
use controller_core::validate::{Changes, changes, edited};

use super::Asked;

/// What a new spec, defaulted, asks of an experiment beside whether it is held.
pub(super) fn budgets(
    new: &ExperimentSpec,
    record: &ExperimentRecord,
    status: &ExperimentStatus,
    open: &[StoredWish],
) -> Asked {
    // What it will be once everything is carried out that is wished already.
    let old = open.iter().fold(record.spec.clone(), |spec, stored| edited(&spec, &stored.wish));
    let mut asked = Asked { refused: refused(&old, new), ..Asked::default() };
    let wanted = with_budgets(old.clone(), new);
    let mut wishes = Vec::new();
    let lifted = lifted(&old, &wanted);
    if !lifted.is_empty() {
        wishes.push(Wish::Lift { budgets: lifted });
    }
    if let Changes::Budgets(edit) = changes(&old, &wanted)
        && edited(&old, &edit) != old
    {
        wishes.push(edit);
    }
    if wishes.is_empty() {
        return asked;
    }
    let problems = problems(&old, &wanted, record, status);
    if problems.is_empty() {
        asked.wishes = wishes;
    } else {
        asked.refused.extend(problems);
    }
    asked
}

/// What is no budget and differs all the same.
fn refused(old: &ExperimentSpec, new: &ExperimentSpec) -> Vec<Problem> {
    let rest = ExperimentSpec { suspend: old.suspend, ..with_budgets(new.clone(), old) };
    let Changes::More(differences) = changes(old, &rest) else { return Vec::new() };
    let problem = |line: &String| {
        let (path, what) = line.split_once(": ").unwrap_or(("spec", line));
        Problem::new(path, what).hint("of an experiment that exists only budgets and `suspend` can be edited")
    };
    differences.iter().map(problem).collect()
}

fn with_budgets(spec: ExperimentSpec, of: &ExperimentSpec) -> ExperimentSpec {
    ExperimentSpec {
        parallel_trial_count: of.parallel_trial_count,
        max_trial_count: of.max_trial_count,
        max_failed_trial_count: of.max_failed_trial_count,
        max_duration: of.max_duration.clone(),
        max_gpu_hours: of.max_gpu_hours,
        max_cost: of.max_cost,
        ..spec
    }
}

/// Budgets that there were and that are gone.
fn lifted(old: &ExperimentSpec, new: &ExperimentSpec) -> Vec<String> {
    let budgets = [
        ("maxTrialCount", old.max_trial_count.is_some(), new.max_trial_count.is_some()),
        ("maxFailedTrialCount", old.max_failed_trial_count.is_some(), new.max_failed_trial_count.is_some()),
        ("maxDuration", old.max_duration.is_some(), new.max_duration.is_some()),
        ("maxGpuHours", old.max_gpu_hours.is_some(), new.max_gpu_hours.is_some()),
        ("maxCost", old.max_cost.is_some(), new.max_cost.is_some()),
    ];
    budgets.into_iter().filter(|(_, was, is)| *was && !is).map(|(word, ..)| word.to_owned()).collect()
}

/// Why budgets cannot become others, as Katib has it.
fn problems(
    old: &ExperimentSpec,
    new: &ExperimentSpec,
    record: &ExperimentRecord,
    status: &ExperimentStatus,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let policy = record.spec.resume_policy.as_deref().unwrap_or_default();
    let at_its_count = status
        .conditions
        .iter()
        .any(|condition| condition.kind == "Succeeded" && condition.reason == "ExperimentMaxTrialsReached");
    if status.is_completed() && !(at_its_count && matches!(policy, "LongRunning" | "FromVolume")) {
        let what = format!("the experiment is over, and with `{policy}` it cannot be taken up again");
        let hint = "only one that reached its maxTrialCount can, with LongRunning or FromVolume; give it another name";
        problems.push(Problem::new("spec.resumePolicy", what).hint(hint));
    }
    let trials = status.counters.total();
    if new.max_trial_count != old.max_trial_count
        && new.max_trial_count.is_some_and(|max| u64::try_from(max).is_ok_and(|max| max <= trials))
    {
        let what = format!("it must be above the {trials} trials that there are");
        problems.push(Problem::new("spec.maxTrialCount", what));
    }
    problems
}
