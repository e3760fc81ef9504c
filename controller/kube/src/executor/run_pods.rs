//! The pods of runs, by run: with thousands of them nobody can look through all for each.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use controller_core::ports::ExecutorError;
use controller_core::run::RunId;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::runtime::watcher::Event;
use tokio::task::JoinSet;

use super::{Bells, lock, pods};
use crate::cache::Cache;
use crate::client::Cluster;
use crate::job::run_id;
use crate::names;

/// Namespaces and names of the pods of each run, which may be gone by now.
type Places = Mutex<HashMap<RunId, BTreeSet<(String, String)>>>;

/// Pods of trials, as the watch has them.
pub(super) struct RunPods {
    cache: Cache<Pod>,
    places: Arc<Places>,
}

impl RunPods {
    /// Begins to watch; each change rings for its run.
    pub(super) fn watch(tasks: &mut JoinSet<()>, cluster: &Cluster, bells: Arc<Bells>) -> Self {
        let places = Arc::new(Places::default());
        let seen = Arc::clone(&places);
        let cache = Cache::watch(tasks, cluster.all_of(), &(), Some(names::TRIAL_LABEL), move |event| {
            match event {
                Event::Apply(pod) | Event::InitApply(pod) => come(&seen, pod),
                Event::Delete(pod) => gone(&seen, pod),
                Event::Init | Event::InitDone => {}
            }
            bells.ring_for(event);
        });
        Self { cache, places }
    }

    /// Waits for the first whole list. If it does not come it is said why.
    pub(super) async fn ready(&self) -> Result<(), ExecutorError> {
        self.cache.ready().await
    }

    /// Pods of a run, oldest first.
    pub(super) fn of(&self, run: RunId) -> Vec<Arc<Pod>> {
        let places = lock(&self.places).get(&run).cloned().unwrap_or_default();
        let there = places.iter().filter_map(|(namespace, name)| self.cache.get(namespace, name));
        let mut there: Vec<_> = there.filter(|pod| run_id(&**pod) == Some(run)).collect();
        there.sort_by_key(|pod| pods::order(pod));
        there
    }
}

fn place(pod: &Pod) -> (String, String) {
    (pod.namespace().unwrap_or_default(), pod.name_any())
}

fn come(places: &Places, pod: &Pod) {
    if let Some(run) = run_id(pod) {
        lock(places).entry(run).or_default().insert(place(pod));
    }
}

fn gone(places: &Places, pod: &Pod) {
    if let Some(run) = run_id(pod)
        && let Entry::Occupied(mut of_run) = lock(places).entry(run)
    {
        of_run.get_mut().remove(&place(pod));
        if of_run.get().is_empty() {
            of_run.remove();
        }
    }
}
