//! The page for Prometheus: gauges worked out from the store when asked, and what this process has counted.

use std::collections::BTreeMap;

use controller_core::experiment::Living;
use controller_core::histogram::Histogram;

use super::error::ApiError;
use super::view;
use crate::api::Api;
use crate::meters::{Counts, Meters};
use crate::promote;

/// The text of `/metrics`: Cairn's own names, and Katib's.
pub(crate) async fn exposition(api: &Api) -> Result<String, ApiError> {
    let mut experiments: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut trials: BTreeMap<(String, &'static str), u64> = BTreeMap::new();
    let (mut events, mut run_seconds, mut gpu_seconds) = (0_u64, 0.0, 0.0);
    for living in api.world.store.experiments().await? {
        let Living { record, status } = &*living;
        *experiments.entry((record.namespace.clone(), view::state(status).to_owned())).or_default() += 1;
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
    let mut page = Page::default();
    let rows = by_state(&experiments);
    page.family("cairn_experiments", "gauge", "Living experiments by state.", &rows);
    page.family(
        "katib_experiments_current",
        "gauge",
        "Living experiments by state, under Katib's name.",
        &rows,
    );
    let rows = by_state(&trials);
    page.family("cairn_trials", "gauge", "Trials of living experiments by state.", &rows);
    page.family(
        "katib_trials_current",
        "gauge",
        "Trials of living experiments by state, under Katib's name.",
        &rows,
    );
    page.family("cairn_log_events", "gauge", "Events in the logs of living experiments.", &one(&events));
    let help = "Seconds of ended runs of living experiments.";
    page.family("cairn_spent_run_seconds", "gauge", help, &one(&run_seconds));
    let help = "GPU-seconds of ended runs of living experiments.";
    page.family("cairn_spent_gpu_seconds", "gauge", help, &one(&gpu_seconds));
    served(&mut page, api).await?;
    since_start(&mut page, &api.world.meters);
    Ok(page.text)
}

/// What is known of models that are served and watched.
async fn served(page: &mut Page, api: &Api) -> Result<(), ApiError> {
    let (mut breaches, mut labels, mut right, mut drift) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for serving in api.world.promotions.all_serving().await? {
        // What cannot be read now is there again with the next page.
        let Ok(watched) = promote::known(&api.world.home, &serving) else { continue };
        let model = [("namespace", serving.namespace.as_str()), ("model", serving.model.as_str())];
        breaches.push((labels_of(&model, None), watched.n_breaches.to_string()));
        for (name, version) in &watched.versions {
            let of = labels_of(&model, Some(name));
            labels.push((of.clone(), version.labelled.to_string()));
            right.push((of.clone(), version.right.to_string()));
            if let Some(last) = &version.last {
                drift.push((of, u64::from(last.drifted).to_string()));
            }
        }
    }
    let help = "Windows of requests that have drifted where the one before had not.";
    page.family("cairn_model_breaches_total", "counter", help, &breaches);
    page.family("cairn_model_labels_total", "counter", "Rows that have got a label.", &labels);
    let help = "Rows with a label whose prediction was right.";
    page.family("cairn_model_labels_right_total", "counter", help, &right);
    let help = "Whether the last window of requests has drifted.";
    page.family("cairn_model_drift", "gauge", help, &drift);
    Ok(())
}

fn labels_of(model: &[(&str, &str); 2], version: Option<&str>) -> String {
    let version = version.map(|version| ("version", version));
    labels(&model.iter().copied().chain(version).collect::<Vec<_>>())
}

/// What this process has done, which is lost with it.
fn since_start(page: &mut Page, meters: &Meters) {
    let counts = meters.counts();
    for (name, help, count) in COUNTERS {
        let rows: Vec<Row> = counts
            .iter()
            .map(|(namespace, counts)| (labels(&[("namespace", namespace)]), count(counts).to_string()))
            .collect();
        page.family(name, "counter", help, &rows);
    }
    let none = String::new;
    let help = "How long trials waited for their first run.";
    page.histograms("cairn_trial_queue_seconds", help, &[(none(), &meters.queue)]);
    let help = "How long suggestion services took to answer.";
    page.histograms("cairn_suggestion_seconds", help, &[(none(), &meters.suggestions)]);
    let help = "How long drivers took to bring an experiment up to date.";
    page.histograms("cairn_turn_seconds", help, &[(none(), &meters.turns)]);
    let help = "How long it took to bring resources of a cluster and the store together.";
    page.histograms("cairn_reconcile_seconds", help, &[(none(), &meters.passes)]);
    let store = meters.store();
    let rows: Vec<(String, &Histogram)> = store
        .iter()
        .map(|(operation, histogram)| (labels(&[("operation", operation)]), &**histogram))
        .collect();
    page.histograms("cairn_store_seconds", "How long operations of the store took.", &rows);
}

/// What Katib counts.
type Counter = (&'static str, &'static str, fn(&Counts) -> u64);
const COUNTERS: [Counter; 9] = [
    ("katib_experiment_created_total", "Experiments taken in.", |counts| counts.experiments_created),
    ("katib_experiment_succeeded_total", "Experiments that have succeeded.", |counts| {
        counts.experiments_succeeded
    }),
    ("katib_experiment_failed_total", "Experiments that have failed.", |counts| counts.experiments_failed),
    ("katib_experiment_deleted_total", "Experiments that were deleted.", |counts| counts.experiments_deleted),
    ("katib_trial_created_total", "Trials written down.", |counts| counts.trials_created),
    ("katib_trial_succeeded_total", "Trials that have succeeded.", |counts| counts.trials_succeeded),
    ("katib_trial_failed_total", "Trials that have failed.", |counts| counts.trials_failed),
    ("katib_trial_deleted_total", "Trials that went with their experiment.", |counts| counts.trials_deleted),
    ("katib_trial_metrics_unavailable_total", "Trials that ended well without the objective.", |counts| {
        counts.trials_metrics_unavailable
    }),
];

/// Labels and value.
type Row = (String, String);

fn by_state<S: AsRef<str>>(counts: &BTreeMap<(String, S), u64>) -> Vec<Row> {
    let row = |((namespace, state), count): (&(String, S), &u64)| {
        (labels(&[("namespace", namespace), ("status", state.as_ref())]), count.to_string())
    };
    counts.iter().map(row).collect()
}

fn one(value: &impl ToString) -> Vec<Row> {
    vec![(String::new(), value.to_string())]
}

fn labels(pairs: &[(&str, &str)]) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let pairs = pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value)));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}

/// A text in the format of Prometheus.
#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str, rows: &[Row]) {
        self.head(name, kind, help);
        for (labels, value) in rows {
            self.line(name, labels, value);
        }
    }

    fn histograms(&mut self, name: &str, help: &str, rows: &[(String, &Histogram)]) {
        self.head(name, "histogram", help);
        for (labels, histogram) in rows {
            let (mut count, inner) = (0, labels.trim_matches(['{', '}']));
            for (bound, up_to) in histogram.buckets() {
                let bound = if bound.is_finite() { bound.to_string() } else { "+Inf".into() };
                let comma = if inner.is_empty() { "" } else { "," };
                self.line(
                    &format!("{name}_bucket"),
                    &format!("{{{inner}{comma}le=\"{bound}\"}}"),
                    &up_to.to_string(),
                );
                count = up_to;
            }
            self.line(&format!("{name}_sum"), labels, &histogram.sum().to_string());
            self.line(&format!("{name}_count"), labels, &count.to_string());
        }
    }

    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn line(&mut self, name: &str, labels: &str, value: &str) {
        self.text.push_str(&format!("{name}{labels} {value}\n"));
    }
}
