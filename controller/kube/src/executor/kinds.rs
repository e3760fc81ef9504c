//! The kinds of objects that runs are.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use controller_core::ports::ExecutorError;
use kube::core::{DynamicObject, GroupVersion, GroupVersionKind};
use kube::discovery::{Scope, pinned_kind};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::Bells;
use crate::answer::{self, Doing};
use crate::cache::Cache;
use crate::client::Cluster;
use crate::names;

/// Kinds that are watched, each once one is wanted.
pub(super) struct Kinds {
    cluster: Cluster,
    bells: Arc<Bells>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    caches: HashMap<GroupVersionKind, Arc<Cache<DynamicObject>>>,
    tasks: JoinSet<()>,
}

impl Kinds {
    pub(super) fn new(cluster: Cluster, bells: Arc<Bells>) -> Self {
        Self { cluster, bells, known: Mutex::default() }
    }

    /// The objects of a kind that are runs. Refused if the cluster knows no such kind.
    pub(super) async fn of(
        &self,
        api_version: &str,
        kind: &str,
    ) -> Result<Arc<Cache<DynamicObject>>, ExecutorError> {
        let unknown = || {
            ExecutorError::Refused(format!(
                "the cluster knows no kind `{kind}` of `{api_version}`; install what brings it"
            ))
        };
        let version: GroupVersion = api_version.parse().map_err(|_| unknown())?;
        let wanted = version.with_kind(kind);
        let mut known = self.known.lock().await;
        if let Some(cache) = known.caches.get(&wanted) {
            return Ok(Arc::clone(cache));
        }
        let (resource, capabilities) = match answer::within(pinned_kind(&self.cluster.client, &wanted)).await
        {
            Ok(found) => found,
            Err(kube::Error::Discovery(_)) => return Err(unknown()),
            Err(error) if answer::is_not_found(&error) => return Err(unknown()),
            Err(error) => {
                let doing = Doing { verb: "get", group: &wanted.group, plural: kind };
                return Err(ExecutorError::Unavailable(answer::message(&error, &doing)));
            }
        };
        if capabilities.scope == Scope::Cluster {
            return Err(ExecutorError::Refused(format!(
                "a `{kind}` lies in no namespace and can be no trial"
            )));
        }
        let bells = Arc::clone(&self.bells);
        let api = self.cluster.all(&resource);
        let cache = Cache::watch(&mut known.tasks, api, &resource, Some(names::TRIAL_LABEL), move |event| {
            bells.ring_for(event);
        });
        let cache = Arc::new(cache);
        known.caches.insert(wanted, Arc::clone(&cache));
        Ok(cache)
    }
}

/// The kind of object that a template's kind becomes: a Process is a Job.
pub(super) fn as_made(api_version: &str, kind: &str) -> (String, String) {
    if kind == "Process" {
        return ("batch/v1".into(), "Job".into());
    }
    (api_version.into(), kind.into())
}

/// The kinds of runs that there can be, told by Trials.
pub(super) fn of_trials(trials: &[Arc<DynamicObject>]) -> BTreeSet<(String, String)> {
    let of = |trial: &Arc<DynamicObject>| {
        let made = trial.data.pointer("/spec/runSpec")?;
        let word = |word: &str| made[word].as_str().filter(|text| !text.is_empty());
        Some(as_made(word("apiVersion")?, word("kind")?))
    };
    trials.iter().filter_map(of).collect()
}
