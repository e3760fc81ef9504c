//! The kinds of objects that runs are.

use std::collections::HashMap;
use std::sync::Arc;

use controller_core::ports::ExecutorError;
use controller_core::spec::ExperimentSpec;
use kube::core::{ApiResource, DynamicObject};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::Bells;
use super::of_runs::OfRuns;
use crate::discovery::{Discovery, Known};

/// Kinds that are watched, each once one is wanted.
pub(super) struct Kinds {
    discovery: Arc<Discovery>,
    bells: Arc<Bells>,
    caches: Mutex<Caches>,
}

#[derive(Default)]
struct Caches {
    of: HashMap<ApiResource, Arc<OfRuns<DynamicObject>>>,
    tasks: JoinSet<()>,
}

impl Kinds {
    pub(super) fn new(discovery: Arc<Discovery>, bells: Arc<Bells>) -> Self {
        Self { discovery, bells, caches: Mutex::default() }
    }

    /// The objects of a kind that are runs. Refused if the cluster knows no such kind.
    pub(super) async fn of(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Arc<OfRuns<DynamicObject>>, ExecutorError> {
        let unknown = || ExecutorError::Refused(unknown(api_version, kind));
        let Known { resource, is_namespaced } =
            self.discovery.of(api_version, kind).await?.ok_or_else(unknown)?;
        if !is_namespaced {
            return Err(ExecutorError::Refused(format!(
                "a `{kind}` lies in no namespace and can be no trial"
            )));
        }
        let mut caches = self.caches.lock().await;
        if let Some(cache) = caches.of.get(&resource) {
            return Ok(Arc::clone(cache));
        }
        let bells = Arc::clone(&self.bells);
        let api = self.discovery.cluster().all(&resource);
        let cache = Arc::new(OfRuns::watch(&mut caches.tasks, api, &resource, bells));
        caches.of.insert(resource, Arc::clone(&cache));
        Ok(cache)
    }
}

/// What is said where there is no such kind.
pub(super) fn unknown(api_version: &str, kind: &str) -> String {
    format!("the cluster knows no kind `{kind}` of `{api_version}`; install what brings it")
}

/// The kind of object that a template's kind becomes: a Process is a Job.
fn as_made(api_version: &str, kind: &str) -> (String, String) {
    if kind == "Process" {
        return ("batch/v1".into(), "Job".into());
    }
    (api_version.into(), kind.into())
}

/// The kind of object that the runs of an experiment are.
pub(super) fn of_trials(spec: &ExperimentSpec) -> (String, String) {
    let template = spec.trial_template.as_ref();
    template.map(|template| as_made(template.api_version(), template.kind())).unwrap_or_default()
}
