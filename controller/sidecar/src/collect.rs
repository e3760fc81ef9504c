//! One run's metrics from its beginning to its end.

use std::path::PathBuf;

use controller_core::metrics::filter::Filter;
use controller_core::metrics::rules::RuleWatch;
use controller_core::metrics::{Format, LineParser};
use controller_core::ports::{Collected, ObservationSink};
use controller_core::run::RunId;
use controller_core::spec::MetricsCollectorSpec;
use controller_core::time::Timestamp;
use study::{Direction, Rule};
use tokio::sync::{mpsc, oneshot};

use crate::sender::Sender;
use crate::{events, scrape, tail};

/// What to collect.
#[derive(Clone, Debug)]
pub struct Target {
    /// Whose metrics.
    pub run: RunId,
    /// How.
    pub collector: MetricsCollectorSpec,
    /// Metrics wanted, the objective first.
    pub metrics: Vec<String>,
    /// What "best so far" means to rules.
    pub direction: Direction,
    /// Rules that stop the run.
    pub rules: Vec<Rule>,
    /// What the run prints.
    pub output: PathBuf,
    /// The file or folder that it writes metrics to.
    pub path: PathBuf,
    /// The port that it serves metrics on, if not the collector's own.
    pub port: Option<u16>,
    /// When the run began, if that was before anybody collects here.
    pub since: Option<Timestamp>,
}

/// Collects until `ended` says that no process of the run is left, then reads what is left, and returns once every row
/// is safe in the sink. Rules met are sent to `stop` within a second. Called again after a crash it reads the same rows
/// at the same places, which the sink passes over.
pub async fn collect(
    target: &Target,
    sink: &dyn ObservationSink,
    ended: oneshot::Receiver<()>,
    stop: mpsc::Sender<Rule>,
) -> Collected {
    let objective = target.metrics.first().map_or("", String::as_str);
    let watch = RuleWatch::new(&target.rules, objective, target.direction);
    let mut sender = Sender::new(target.run, sink, watch, stop);
    match target.collector.kind() {
        "StdOut" => {
            let parser = LineParser::new("stdout", text_format(&target.collector), &target.metrics);
            tail::lines(&target.output, "stdout", parser, ended, &mut sender).await;
        }
        "File" => {
            let path = target.collector.source.as_ref().and_then(|source| source.file_system_path.as_ref());
            let json = path.is_some_and(|path| path.format == "JSON");
            let format = if json { Format::Json } else { text_format(&target.collector) };
            let parser = LineParser::new("file", format, &target.metrics);
            tail::lines(&target.path, "file", parser, ended, &mut sender).await;
        }
        "TensorFlowEvent" => events::folder(target, ended, &mut sender).await,
        "PrometheusMetric" => scrape::page(target, ended, &mut sender).await,
        // Rows come through the API.
        _ => {
            ended.await.ok();
        }
    }
    sender.finish().await
}

/// The filters of the spec; those that do not compile were refused or warned of, and the default stands in.
pub(crate) fn text_format(collector: &MetricsCollectorSpec) -> Format {
    let filter = collector.source.as_ref().and_then(|source| source.filter.as_ref());
    let filters: Vec<Filter> =
        filter.iter().flat_map(|f| &f.metrics_format).filter_map(|text| Filter::compile(text).ok()).collect();
    Format::Text(if filters.is_empty() { vec![Filter::default()] } else { filters })
}
