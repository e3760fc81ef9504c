//! Collecting by the sidecar's library, in this process, into the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use controller_core::ports::{Collected, ObservationRow, ObservationSink, Store, StoreError};
use controller_core::run::{Run, RunId};
use study::Direction;

use super::collect::{Collect, Signals};
use super::files::RunFolder;

/// Keeps rows in the store.
pub(crate) struct StoreSink(pub(crate) Arc<dyn Store>);

#[async_trait]
impl ObservationSink for StoreSink {
    async fn append(&self, run: &RunId, rows: Vec<ObservationRow>) -> Result<(), StoreError> {
        self.0.append(&[(*run, rows)]).await
    }

    async fn positions(&self, run: &RunId) -> Result<BTreeMap<String, u64>, StoreError> {
        self.0.positions(*run).await
    }
}

/// Collects by the sidecar's library.
pub(crate) struct InProcess {
    sink: Arc<dyn ObservationSink>,
}

impl InProcess {
    /// Collects into this sink.
    pub(crate) fn new(sink: Arc<dyn ObservationSink>) -> Self {
        Self { sink }
    }
}

#[async_trait]
impl Collect for InProcess {
    async fn collect(&self, run: &Run, folder: &RunFolder, signals: Signals) -> Collected {
        let target = sidecar::Target {
            run: run.id,
            collector: run.collector.clone(),
            metrics: run.metrics.clone(),
            direction: if run.maximize { Direction::Maximize } else { Direction::Minimize },
            rules: run.rules.clone(),
            output: folder.output(),
            path: folder.metrics_path(&run.collector),
            port: folder.metrics_port(),
            since: folder.started().map(|file| file.started),
        };
        sidecar::collect(&target, &*self.sink, signals.ended, signals.stop).await
    }
}
