//! Metrics from logs that others keep, such as those of a cluster's pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use controller_core::metrics::LineParser;
use controller_core::metrics::rules::RuleWatch;
use controller_core::ports::{Collected, LogCollector, LogLine, ObservationSink, Wanted};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use study::Rule;
use tokio::sync::mpsc;

use crate::collect::text_format;
use crate::sender::Sender;

/// Finds metrics in lines, and puts them into a sink.
pub struct Logs {
    sink: Arc<dyn ObservationSink>,
}

impl Logs {
    /// Into this sink.
    pub fn new(sink: Arc<dyn ObservationSink>) -> Self {
        Self { sink }
    }
}

#[async_trait]
impl LogCollector for Logs {
    async fn collect(
        &self,
        wanted: &Wanted,
        mut lines: BoxStream<'_, Vec<LogLine>>,
        stop: &(dyn Fn(Rule) + Send + Sync),
    ) -> Collected {
        let objective = wanted.metrics.first().map_or("", String::as_str);
        let watch = RuleWatch::new(&wanted.rules, objective, wanted.direction);
        let (met, mut rules) = mpsc::channel(1);
        let mut sender = Sender::new(wanted.run, &*self.sink, watch, met);
        let mut parsers: BTreeMap<Arc<str>, LineParser> = BTreeMap::new();
        while let Some(some) = lines.next().await {
            let mut rows = Vec::new();
            for LogLine { source, place, time, text } in some {
                let parser = parsers.entry(Arc::clone(&source)).or_insert_with(|| {
                    LineParser::new(source, text_format(&wanted.collector), &wanted.metrics)
                });
                rows.extend(parser.line_at(place, time, &text));
            }
            sender.send(rows).await;
            if let Ok(rule) = rules.try_recv() {
                stop(rule);
            }
        }
        sender.finish().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use controller_core::ports::{ObservationRow, StoreError};
    use controller_core::run::RunId;
    use controller_core::spec::MetricsCollectorSpec;
    use controller_core::time::Timestamp;
    use study::{Comparison, Direction};

    use super::*;

    #[derive(Default)]
    struct Kept(Mutex<Vec<(String, u64, u32, String)>>);

    #[async_trait]
    impl ObservationSink for Kept {
        async fn append(&self, _: &RunId, rows: Vec<ObservationRow>) -> Result<(), StoreError> {
            let rows = rows.into_iter().map(|row| (row.source.to_string(), row.offset, row.nth, row.text));
            self.0.lock().unwrap().extend(rows);
            Ok(())
        }

        async fn positions(&self, _: &RunId) -> Result<BTreeMap<String, u64>, StoreError> {
            Ok(BTreeMap::new())
        }
    }

    fn line(source: &str, place: u64, text: &'static str) -> LogLine {
        LogLine { source: source.into(), place, time: Timestamp(1), text: text.into() }
    }

    #[tokio::test]
    async fn values_of_all_logs_are_kept_with_their_places_and_a_rule_is_told_once() {
        let kept = Arc::new(Kept::default());
        let logs = Logs::new(Arc::<Kept>::clone(&kept));
        let rule = Rule { metric: "loss".into(), value: 1.0, comparison: Comparison::Greater, start_step: 1 };
        let wanted = Wanted {
            run: RunId {
                experiment: controller_core::experiment::ExperimentId(1),
                trial: study::TrialIdx(0),
                attempt: 1,
            },
            collector: MetricsCollectorSpec::default(),
            metrics: vec!["loss".into()],
            direction: Direction::Minimize,
            rules: vec![rule],
        };
        let batches = vec![
            vec![line("a", 5, "loss=2"), line("b", 5, "no metric")],
            vec![line("b", 6, "loss=3 loss=4"), line("a", 9, "loss=0.5")],
        ];
        let told = Mutex::new(0);
        let stop = |_| *told.lock().unwrap() += 1;
        let collected = logs.collect(&wanted, futures::stream::iter(batches).boxed(), &stop).await;
        assert!(collected.stopped_by.is_some());
        assert_eq!(*told.lock().unwrap(), 1);
        let row = |source: &str, place, nth, text: &str| (source.to_owned(), place, nth, text.to_owned());
        assert_eq!(
            *kept.0.lock().unwrap(),
            [row("a", 5, 0, "2"), row("b", 6, 0, "3"), row("b", 6, 1, "4"), row("a", 9, 0, "0.5")]
        );
    }
}
