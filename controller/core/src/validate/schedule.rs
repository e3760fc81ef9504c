//! When the search is run again.

use crate::duration;
use crate::report::{Problem, Report};
use crate::schedule::Timetable;
use crate::spec::{ExperimentSpec, ScheduleSpec};

/// Longest name of a template: a number of its runs comes behind it.
const MAX_NAME: usize = 33;

pub(super) fn check(name: &str, spec: &ExperimentSpec, report: &mut Report) {
    let Some(schedule) = &spec.schedule else { return };
    if name.len() > MAX_NAME {
        let message = format!("`{name}` is too long for a schedule: names of its runs are this and a number");
        let problem = Problem::new("metadata.name", message);
        report.error(problem.hint(format!("use at most {MAX_NAME} characters")));
    }
    report.errors.extend(Timetable::of(schedule).err().unwrap_or_default());
    reasons(schedule, report);
    data(schedule, report);
    if let Some(text) = schedule.concurrency.as_deref()
        && !matches!(text, "allow" | "forbid" | "replace")
    {
        let problem = Problem::new("spec.schedule.concurrency", format!("`{text}` is not a policy"));
        report.error(problem.hint("use allow, forbid or replace"));
    }
    durations("spec.schedule.startingDeadline", schedule.starting_deadline.as_deref(), report);
    for (word, n) in schedule.history.iter().flat_map(|h| [("succeeded", h.succeeded), ("failed", h.failed)])
    {
        if let Some(n) = n.filter(|n| *n < 0) {
            report.error(Problem::new(format!("spec.schedule.history.{word}"), format!("{n} is below 0")));
        }
    }
}

/// Something has to begin its runs.
fn reasons(schedule: &ScheduleSpec, report: &mut Report) {
    let ScheduleSpec { cron, every, on_new_data, on_drift, time_zone, .. } = schedule;
    if cron.is_none() && every.is_none() && on_new_data.is_none() && *on_drift != Some(true) {
        let problem = Problem::new("spec.schedule", "nothing begins a run");
        report.error(problem.hint("set cron, every, onNewData or onDrift"));
    }
    if cron.is_some() && every.is_some() {
        let problem = Problem::new("spec.schedule", "only one of cron and every can be given");
        report.error(problem.hint("`every` counts from the last run, `cron` goes by the clock"));
    }
    if time_zone.is_some() && cron.is_none() {
        let problem = Problem::new("spec.schedule.timeZone", "only cron goes by the clock of a zone");
        report.error(problem.hint("leave it out"));
    }
}

fn data(schedule: &ScheduleSpec, report: &mut Report) {
    let Some(data) = &schedule.on_new_data else { return };
    if data.path.is_empty() {
        report.error(Problem::new("spec.schedule.onNewData.path", "it is missing"));
    }
    durations("spec.schedule.onNewData.check", data.check.as_deref(), report);
}

fn durations(path: &str, text: Option<&str>, report: &mut Report) {
    if let Some(text) = text.filter(|text| duration::parse(text).is_none()) {
        let problem = Problem::new(path, format!("`{text}` is no duration"));
        report.error(problem.hint("write it as 90s, 2h30m or 7d"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{HistorySpec, NewDataSpec};

    fn paths(schedule: ScheduleSpec) -> Vec<String> {
        let mut report = Report::default();
        let spec = ExperimentSpec { schedule: Some(schedule), ..ExperimentSpec::default() };
        check("again", &spec, &mut report);
        report.errors.into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn all_that_is_wrong_with_a_schedule_is_said_at_once() {
        let wrong = ScheduleSpec {
            cron: Some("at night".into()),
            time_zone: Some("Here".into()),
            every: Some("often".into()),
            on_new_data: Some(NewDataSpec { path: String::new(), check: Some("0".into()) }),
            concurrency: Some("Forbid".into()),
            starting_deadline: Some("soon".into()),
            history: Some(HistorySpec { succeeded: Some(-1), failed: Some(-2) }),
            ..ScheduleSpec::default()
        };
        let expected = [
            "timeZone",
            "cron",
            "every",
            "",
            "onNewData.path",
            "onNewData.check",
            "concurrency",
            "startingDeadline",
            "history.succeeded",
            "history.failed",
        ];
        let expected = expected.map(|word| format!("spec.schedule.{word}").trim_end_matches('.').to_owned());
        assert_eq!(paths(wrong), expected);
    }

    #[test]
    fn something_has_to_begin_its_runs_and_its_name_leaves_room() {
        assert_eq!(paths(ScheduleSpec::default()), ["spec.schedule"]);
        let drift = ScheduleSpec { on_drift: Some(true), ..ScheduleSpec::default() };
        assert!(paths(drift.clone()).is_empty());
        let mut report = Report::default();
        let spec = ExperimentSpec { schedule: Some(drift), ..ExperimentSpec::default() };
        check(&"a".repeat(34), &spec, &mut report);
        assert_eq!(report.errors[0].path, "metadata.name");
    }
}
