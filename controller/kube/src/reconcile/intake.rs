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
use crate::template;

/// How often one that was not taken in is looked at again though nobody has edited it: what it lacks may have come.
const AGAIN: Duration = Duration::from_secs(10);

/// An Experiment that was not taken in.
pub(super) struct Waiting {
    generation: Option<i64>,
    looked: Instant,
}

impl Reconciler {
    /// Takes an experiment in, if it is valid; else says everything that is wrong with it.
    pub(super) async fn new_one(&self, resource: &DynamicObject) -> Result<(), ReconcileError> {
        let (uid, generation) = (resource.uid().unwrap_or_default(), resource.metadata.generation);
        let again = |waiting: &Waiting| waiting.generation != generation || waiting.looked.elapsed() > AGAIN;
        let due = self.waiting.lock().get(&uid).is_none_or(again);
        if !due || resource.metadata.deletion_timestamp.is_some() {
            return Ok(());
        }
        self.waiting.lock().insert(uid.clone(), Waiting { generation, looked: Instant::now() });
        let waits = |why: String| {
            self.say(resource, "NotTakenIn", format!("it waits to be checked: {why}"));
            Ok(())
        };
        let (document, mut report) = match template::document(&self.cluster, resource).await {
            Ok(read) => read,
            Err(why) => return waits(why),
        };
        match self.door.check(&document, &report).await {
            Ok(more) => report.extend(more),
            Err(error) => return waits(error.to_string()),
        }
        if !report.is_valid() {
            self.say(resource, "NotValid", super::lines(&report.errors));
            let refused = project::refused(resource, &report.errors);
            return self.write_status(resource, refused).await.map(drop);
        }
        let birth = Birth {
            uid: uid.clone(),
            cluster: self.cluster.uid().to_owned(),
            base_dir: None,
            at: self.clock.now(),
        };
        match self.door.take_in(&document, birth).await {
            Ok(()) => {
                info!("taken in");
                self.waiting.lock().remove(&uid);
                Ok(())
            }
            Err(StoreError::AlreadyExists { .. }) => {
                let text = "the one before it of this name is still being deleted";
                self.say(resource, "NotTakenIn", text.into());
                self.waiting.lock().remove(&uid);
                Ok(())
            }
            Err(error) => {
                self.waiting.lock().remove(&uid);
                Err(error.into())
            }
        }
    }
}
