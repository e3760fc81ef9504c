//! How metrics are collected.

use serde_json::Value;

use crate::report::{Problem, Report};
use crate::spec::{ExperimentSpec, MetricsCollectorSpec, Source};

const PATH: &str = "spec.metricsCollectorSpec";

pub(super) fn check(spec: &ExperimentSpec, report: &mut Report) {
    let collector = spec.collector();
    let source = collector.source.clone().unwrap_or_default();
    match collector.kind() {
        "StdOut" | "Push" => {}
        "File" => file(&source, report),
        "TensorFlowEvent" => event_files(&source, report),
        "PrometheusMetric" => prometheus(&source, report),
        "Custom" => custom(&collector, &source, report),
        other => {
            let problem =
                Problem::new(format!("{PATH}.collector.kind"), format!("`{other}` is no collector"));
            report.error(problem.hint("use StdOut, File, TensorFlowEvent, PrometheusMetric, Custom or Push"));
        }
    }
    if collector.kind() != "Push" {
        filters(collector.kind(), &source, report);
    }
}

fn file(source: &Source, report: &mut Report) {
    let path = source.file_system_path.clone().unwrap_or_default();
    if path.kind != "File" || !path.path.starts_with('/') {
        let message = "a File collector needs kind `File` and an absolute path";
        report.error(Problem::new(format!("{PATH}.source.fileSystemPath.path"), message));
    }
    if !matches!(path.format.as_str(), "TEXT" | "JSON") {
        let message = format!("`{}` is not TEXT or JSON", path.format);
        report.error(Problem::new(format!("{PATH}.source.fileSystemPath.format"), message));
    }
    if path.format == "JSON" && source.filter.is_some() {
        report.error(
            Problem::new(format!("{PATH}.source.filter"), "JSON lines are not filtered").hint("remove it"),
        );
    }
}

fn event_files(source: &Source, report: &mut Report) {
    let path = source.file_system_path.clone().unwrap_or_default();
    if path.kind != "Directory" || !path.path.starts_with('/') {
        let message = "a TensorFlowEvent collector needs kind `Directory` and an absolute path";
        report.error(Problem::new(format!("{PATH}.source"), message));
    }
    if !path.format.is_empty() {
        report.error(Problem::new(
            format!("{PATH}.source.fileSystemPath.format"),
            "event files have no format",
        ));
    }
}

fn prometheus(source: &Source, report: &mut Report) {
    let http = source.http_get.clone().unwrap_or_default();
    let port = match &http.port {
        Some(Value::Number(port)) => port.as_u64(),
        Some(Value::String(port)) => port.parse().ok(),
        _ => None,
    };
    if port.is_none_or(|port| port > u64::from(u16::MAX)) {
        let message = format!("`{}` is no port", http.port.unwrap_or_default());
        report.error(Problem::new(format!("{PATH}.source.httpGet.port"), message));
    }
    if !http.path.starts_with('/') {
        let message = format!("`{}` does not begin with `/`", http.path);
        report.error(Problem::new(format!("{PATH}.source.httpGet.path"), message));
    }
}

fn custom(collector: &MetricsCollectorSpec, source: &Source, report: &mut Report) {
    if collector.collector.as_ref().is_none_or(|collector| collector.custom_collector.is_none()) {
        report.error(Problem::new(format!("{PATH}.collector.customCollector"), "it is missing"));
    }
    if let Some(path) = &source.file_system_path
        && (!matches!(path.kind.as_str(), "Directory" | "File") || !path.path.starts_with('/'))
    {
        let message = "it needs kind `Directory` or `File` and an absolute path";
        report.error(Problem::new(format!("{PATH}.source.fileSystemPath"), message));
    }
}

/// Filters must compile and have two groups. Katib does not look at those of StdOut, and then breaks on them.
fn filters(kind: &str, source: &Source, report: &mut Report) {
    let Some(filter) = &source.filter else { return };
    for (i, text) in filter.metrics_format.iter().enumerate() {
        let path = format!("{PATH}.source.filter.metricsFormat[{i}]");
        let Err(error) = crate::metrics::filter::Filter::compile(text) else {
            continue;
        };
        let problem = Problem::new(path, error.to_string());
        if kind == "StdOut" { report.warn(problem) } else { report.error(problem) }
    }
}
