//! What the router has counted, read from the page that it shows to Prometheus.

use std::collections::BTreeMap;

use controller_core::metrics::prometheus::samples;
use controller_core::promotion::{Counts, Serving, Telemetry, Watched};

/// Adds how many labels each deployment has got, and how many of its answers they say were wrong.
pub(super) fn label(telemetry: &mut Telemetry, watched: &Watched) {
    for (name, version) in &watched.versions {
        if let Some(counts) = telemetry.counts.get_mut(name) {
            (counts.labelled, counts.wrong) = (version.labelled, version.labelled - version.right);
        }
    }
}

/// What a page says of the deployments of a model; `None` if it is no page of a router.
pub(super) fn read(page: &str, serving: &Serving) -> Option<Telemetry> {
    let number = |metric: &str| samples(page, metric).first()?.parse::<f64>().ok();
    let start = number("cairn_router_start_time_seconds")?;
    let model = format!("namespace=\"{}\",model=\"{}\"", serving.namespace, serving.model);
    let generation = number(&format!("cairn_router_generation{{{model}}}")).unwrap_or(0.0);
    let (mut counts, mut copies, mut in_flight) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for deployment in &serving.deployments {
        let labels = format!("{{{model},version=\"{}\"}}", deployment.name);
        counts.insert(deployment.name.clone(), counted(page, "cairn_router", &labels));
        if deployment.shadow {
            copies.insert(deployment.name.clone(), counted(page, "cairn_router_shadow", &labels));
        }
        let on_way = number(&format!("cairn_router_requests_in_flight{labels}")).unwrap_or(0.0);
        in_flight.insert(deployment.name.clone(), on_way as u64);
    }
    let (since, generation) = ((start * 1e6) as i64, generation as u64);
    Some(Telemetry { since, generation, counts, copies, in_flight })
}

/// What a page says under names that begin so.
fn counted(page: &str, name: &str, labels: &str) -> Counts {
    let count = |what: &str| {
        let found = samples(page, &format!("{name}_{what}_total{labels}"));
        found.first().and_then(|value| value.parse::<f64>().ok()).unwrap_or(0.0) as u64
    };
    let up_to: Vec<u64> = samples(page, &format!("{name}_latency_seconds_bucket{labels}"))
        .iter()
        .filter_map(|value| value.parse().ok())
        .collect();
    let latencies = up_to
        .iter()
        .scan(0, |before, sum| Some(sum.saturating_sub(std::mem::replace(before, *sum))))
        .collect();
    Counts {
        requests: count("requests"),
        errors: count("errors"),
        latencies,
        compared: count("compared"),
        disagreed: count("disagreed"),
        ..Counts::default()
    }
}
