//! Experiments that are not known yet.

use std::time::Duration;

use controller_core::experiment::Birth;
use controller_core::ports::StoreError;
use kube::ResourceExt as _;
use kube::core::DynamicObject;
use tokio::time::Instant;
use tracing::info;

use super::{ReconcileError, Reconciler};
use crate::project;
use crate::wishes;

/// How often one that was not taken in is looked at again though nobody has edited it: what it lacks may have come.
const AGAIN: Duration = Duration::from_secs(10);

/// An Experiment that was not taken in.
pub(super) struct Waiting {
    generation: Option<i64>,
    looked: Instant,
}

impl Reconciler {
    /// Takes an experiment in, if it is valid; else says everything that is wrong with it.
    pub(super) async fn new_one(&mut self, resource: &DynamicObject) -> Result<(), ReconcileError> {
        let (uid, generation) = (resource.uid().unwrap_or_default(), resource.metadata.generation);
        let again = |waiting: &Waiting| waiting.generation != generation || waiting.looked.elapsed() > AGAIN;
        let due = self.waiting.get(&uid).is_none_or(again);
        if !due || resource.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        self.waiting.insert(uid.clone(), Waiting { generation, looked: Instant::now() });
        let (document, mut report) = wishes::document(resource);
        match self.door.check(&document, &report).await {
            Ok(more) => report.extend(more),
            Err(error) => {
                self.say(resource, "NotTakenIn", format!("it waits to be checked: {error}")).await;
                return Ok(());
            }
        }
        if !report.is_valid() {
            self.say(resource, "NotValid", super::lines(&report.errors)).await;
            return self.write_status(resource, project::refused(resource, &report.errors)).await;
        }
        let birth = Birth {
            uid: uid.clone(),
            cluster: self.cluster.uid().to_owned(),
            base_dir: None,
            at: self.clock.now(),
        };
        match self.door.take_in(&document, birth).await {
            Ok(()) => {
                info!(experiment = resource.name_any(), namespace = resource.namespace(), "taken in");
                self.waiting.remove(&uid);
                Ok(())
            }
            Err(StoreError::AlreadyExists { .. }) => {
                let text = "the one before it of this name is still being deleted";
                self.say(resource, "NotTakenIn", text.into()).await;
                self.waiting.remove(&uid);
                Ok(())
            }
            Err(error) => {
                self.waiting.remove(&uid);
                Err(error.into())
            }
        }
    }
}
