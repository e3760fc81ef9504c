//! Objects of runs, by run: with thousands of them nobody can look through all for each.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex};

use controller_core::experiment::ExperimentId;
use controller_core::ports::ExecutorError;
use controller_core::run::RunId;
use kube::api::Api;
use kube::runtime::reflector::Lookup;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use study::TrialIdx;
use tokio::task::JoinSet;

use super::{Bells, lock};
use crate::cache::Cache;
use crate::job::run_id;
use crate::names;

/// Namespaces and names of the objects of each run, which may be gone by now.
type Places = Mutex<BTreeMap<RunId, BTreeSet<(String, String)>>>;

/// Objects of one kind that are of trials, as the watch has them.
pub(super) struct OfRuns<K>
where
    K: Resource + Lookup<DynamicType = <K as Resource>::DynamicType> + Clone + 'static,
    <K as Resource>::DynamicType: Eq + Hash + Clone,
{
    cache: Cache<K>,
    places: Arc<Places>,
}

impl<K> OfRuns<K>
where
    K: Resource + Lookup<DynamicType = <K as Resource>::DynamicType>,
    K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    <K as Resource>::DynamicType: Debug + Eq + Hash + Clone + Send + Sync,
{
    /// Begins to watch; each change rings for its run.
    pub(super) fn watch(
        tasks: &mut JoinSet<()>,
        api: Api<K>,
        kind: &<K as Resource>::DynamicType,
        bells: Arc<Bells>,
    ) -> Self {
        let places = Arc::new(Places::default());
        let seen = Arc::clone(&places);
        let cache = Cache::watch(tasks, api, kind, Some(names::TRIAL_LABEL), move |event| {
            match event {
                Event::Apply(object) | Event::InitApply(object) => come(&seen, object),
                Event::Delete(object) => gone(&seen, object),
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

    /// An object.
    pub(super) fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.cache.get(namespace, name)
    }

    /// Whether the watch has broken off, and what is here may be old.
    pub(super) fn may_be_old(&self) -> bool {
        self.cache.may_be_old()
    }

    /// What kind they are.
    pub(super) fn kind(&self) -> &<K as Resource>::DynamicType {
        self.cache.kind()
    }

    /// Those of a run.
    pub(super) fn of(&self, run: RunId) -> Vec<Arc<K>> {
        let places = lock(&self.places).get(&run).cloned().unwrap_or_default();
        places.iter().filter_map(|place| self.there(run, place)).collect()
    }

    /// Those of an experiment, or of all, and whose they are.
    pub(super) fn of_experiment(&self, experiment: Option<ExperimentId>) -> Vec<(RunId, Arc<K>)> {
        let places: Vec<_> = {
            let places = lock(&self.places);
            let wanted = in_order(&places, experiment);
            wanted.flat_map(|(run, places)| places.iter().map(|place| (*run, place.clone()))).collect()
        };
        places.iter().filter_map(|(run, place)| Some((*run, self.there(*run, place)?))).collect()
    }

    fn there(&self, run: RunId, (namespace, name): &(String, String)) -> Option<Arc<K>> {
        self.cache.get(namespace, name).filter(|object| run_id(&**object) == Some(run))
    }
}

/// What is kept of the runs of an experiment, or of all.
pub(super) fn in_order<T>(
    of: &BTreeMap<RunId, T>,
    experiment: Option<ExperimentId>,
) -> impl Iterator<Item = (&RunId, &T)> {
    let first = experiment.unwrap_or(ExperimentId(i64::MIN));
    let first = RunId { experiment: first, trial: TrialIdx(0), attempt: 0 };
    of.range(first..).take_while(move |(run, _)| experiment.is_none_or(|wanted| run.experiment == wanted))
}

fn place(object: &impl ResourceExt) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn come(places: &Places, object: &impl ResourceExt) {
    if let Some(run) = run_id(object) {
        lock(places).entry(run).or_default().insert(place(object));
    }
}

fn gone(places: &Places, object: &impl ResourceExt) {
    if let Some(run) = run_id(object)
        && let Entry::Occupied(mut of_run) = lock(places).entry(run)
    {
        of_run.get_mut().remove(&place(object));
        if of_run.get().is_empty() {
            of_run.remove();
        }
    }
}
