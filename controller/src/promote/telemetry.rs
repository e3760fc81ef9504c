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
    let (mut counts, mut in_flight) = (BTreeMap::new(), BTreeMap::new());
    for deployment in &serving.deployments {
        let labels = format!("{{{model},version=\"{}\"}}", deployment.name);
        let count = |name: &str| number(&format!("{name}{labels}")).unwrap_or(0.0) as u64;
        let up_to: Vec<u64> = samples(page, &format!("cairn_router_latency_seconds_bucket{labels}"))
            .iter()
            .filter_map(|value| value.parse().ok())
            .collect();
        let latencies = up_to
            .iter()
            .scan(0, |before, sum| Some(sum.saturating_sub(std::mem::replace(before, *sum))))
            .collect();
        let (requests, errors) = (count("cairn_router_requests_total"), count("cairn_router_errors_total"));
        counts.insert(deployment.name.clone(), Counts { requests, errors, latencies, ..Counts::default() });
        in_flight.insert(deployment.name.clone(), count("cairn_router_requests_in_flight"));
    }
    Some(Telemetry { since: (start * 1e6) as i64, generation: generation as u64, counts, in_flight })
}
