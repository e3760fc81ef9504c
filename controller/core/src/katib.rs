//! What Katib's resources say of an experiment, in Katib's words: the status, conditions, parameters.

use serde_json::{Map, Value, json};

use crate::experiment::{Condition, Counters, ExperimentRecord, ExperimentStatus};
use crate::ports::TrialQuery;
use crate::time::Timestamp;
use crate::trial::TrialState;

/// Most names in a list of a status.
pub const MAX_NAMES: u64 = 500;

/// The lists of names in a status, each with the states of its trials.
const LISTS: [(&str, &[TrialState]); 7] = [
    ("pendingTrialList", &[TrialState::Pending, TrialState::Paused]),
    ("runningTrialList", &[TrialState::Running]),
    ("succeededTrialList", &[TrialState::Succeeded]),
    ("failedTrialList", &[TrialState::Failed]),
    ("killedTrialList", &[TrialState::Killed]),
    ("earlyStoppedTrialList", &[TrialState::EarlyStopped]),
    ("metricsUnavailableTrialList", &[TrialState::MetricsUnavailable]),
];

/// The lists that are not empty, each with the question to the store whose answer is its trials, newest first.
pub fn lists(counters: &Counters) -> impl Iterator<Item = (&'static str, TrialQuery)> {
    let mut counters = *counters;
    LISTS.into_iter().filter(move |(_, states)| states.iter().any(|state| *counters.of(*state) > 0)).map(
        |(word, states)| {
            let query = TrialQuery {
                states: states.to_vec(),
                descending: true,
                limit: MAX_NAMES,
                ..TrialQuery::default()
            };
            (word, query)
        },
    )
}

/// The status of an experiment but for its lists of names. Counters that are 0 are left out, as Katib does.
pub fn status(record: &ExperimentRecord, status: &ExperimentStatus) -> Map<String, Value> {
    let mut view = Map::new();
    view.insert("startTime".into(), json!(record.created.to_rfc3339()));
    view.insert("completionTime".into(), json!(status.completed.map(Timestamp::to_rfc3339)));
    view.insert("conditions".into(), conditions(&status.conditions));
    let optimal = match &status.best {
        None => json!({ "observation": {} }),
        Some(best) => json!({
            "bestTrialName": best.name,
            "parameterAssignments": assignments(&best.assignments),
            "observation": { "metrics": best.observation },
        }),
    };
    view.insert("currentOptimalTrial".into(), optimal);
    let counters = &status.counters;
    for (word, count) in [
        ("trials", counters.total()),
        ("trialsSucceeded", counters.succeeded),
        ("trialsFailed", counters.failed),
        ("trialsKilled", counters.killed),
        ("trialsPending", counters.pending),
        ("trialsRunning", counters.running),
        ("trialsEarlyStopped", counters.early_stopped),
        ("trialMetricsUnavailable", counters.metrics_unavailable),
    ] {
        if count > 0 {
            view.insert(word.into(), json!(count));
        }
    }
    view
}

/// Conditions with times in whole seconds.
pub fn conditions(conditions: &[Condition]) -> Value {
    let condition = |condition: &Condition| {
        json!({
            "type": condition.kind,
            "status": condition.status,
            "reason": condition.reason,
            "message": condition.message,
            "lastUpdateTime": condition.last_update_time.to_rfc3339(),
            "lastTransitionTime": condition.last_transition_time.to_rfc3339(),
        })
    };
    conditions.iter().map(condition).collect()
}

/// Parameters as texts, in the order of the spec.
pub fn assignments(assignments: &[(String, String)]) -> Value {
    assignments.iter().map(|(name, value)| json!({ "name": name, "value": value })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_state_has_its_list_and_empty_ones_are_not_asked_for() {
        for state in TrialState::ALL {
            let mut counters = Counters::default();
            *counters.of(state) = 3;
            let (word, query) = lists(&counters).next().unwrap();
            assert!(query.states.contains(&state) && query.descending && query.limit == 500, "{word}");
            let name = if state == TrialState::Paused { "Pending" } else { state.name() };
            assert_eq!(word.to_lowercase(), format!("{name}TrialList").to_lowercase());
        }
        assert_eq!(lists(&Counters::default()).count(), 0);
    }
}
