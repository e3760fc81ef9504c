//! Counters for Prometheus, worked out from the store when asked.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::error::ApiError;
use super::view;
use crate::api::Api;

/// The text of `/metrics`: Cairn's own counters, and Katib's of the same meaning.
pub(crate) async fn exposition(api: &Api) -> Result<String, ApiError> {
    let mut experiments: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut trials: BTreeMap<(String, &'static str), u64> = BTreeMap::new();
    let (mut events, mut run_seconds, mut gpu_seconds) = (0_u64, 0.0, 0.0);
    for (record, status) in api.world.store.experiments().await? {
        *experiments.entry((record.namespace.clone(), view::state(&status).to_owned())).or_default() += 1;
        let counters = &status.counters;
        for (state, count) in [
            ("Pending", counters.pending),
            ("Running", counters.running),
            ("Succeeded", counters.succeeded),
            ("Failed", counters.failed),
            ("Killed", counters.killed),
            ("EarlyStopped", counters.early_stopped),
            ("MetricsUnavailable", counters.metrics_unavailable),
        ] {
            *trials.entry((record.namespace.clone(), state)).or_default() += count;
        }
        events += status.last_seq;
        run_seconds += status.spent.run_seconds;
        gpu_seconds += status.spent.gpu_seconds;
    }
    let mut text = String::new();
    let label = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let mut family = |name: &str, kind: &str, help: &str, rows: Vec<(String, String)>| {
        // Writing to a string cannot fail.
        let mut line = |parts: std::fmt::Arguments<'_>| text.write_fmt(parts).unwrap_or_default();
        line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        for (labels, value) in rows {
            line(format_args!("{name}{labels} {value}\n"));
        }
    };
    let by_state = |(namespace, state): (&str, &str), count: u64| {
        (format!("{{namespace=\"{}\",status=\"{}\"}}", label(namespace), label(state)), count.to_string())
    };
    let rows: Vec<_> = experiments.iter().map(|((n, s), count)| by_state((n, s), *count)).collect();
    family("cairn_experiments", "gauge", "Living experiments by state.", rows.clone());
    family("katib_experiments_current", "gauge", "Living experiments by state, under Katib's name.", rows);
    let rows: Vec<_> = trials.iter().map(|((n, s), count)| by_state((n, s), *count)).collect();
    family("cairn_trials", "gauge", "Trials of living experiments by state.", rows.clone());
    family(
        "katib_trials_current",
        "gauge",
        "Trials of living experiments by state, under Katib's name.",
        rows,
    );
    let one = |value: String| vec![(String::new(), value)];
    family("cairn_log_events", "gauge", "Events in the logs of living experiments.", one(events.to_string()));
    family(
        "cairn_spent_run_seconds",
        "gauge",
        "Seconds of ended runs of living experiments.",
        one(run_seconds.to_string()),
    );
    family(
        "cairn_spent_gpu_seconds",
        "gauge",
        "GPU-seconds of ended runs of living experiments.",
        one(gpu_seconds.to_string()),
    );
    Ok(text)
}
