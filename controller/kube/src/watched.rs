//! The custom resources of a cluster, as its watches have them, and which of them have changed.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use controller_core::ports::ExecutorError;
use kube::ResourceExt as _;
use kube::core::DynamicObject;
use kube::runtime::watcher::Event;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::cache::Cache;
use crate::client::Cluster;
use crate::resources::Kind;

/// Experiments, Trials and Suggestions.
pub struct Watched {
    pub(crate) experiments: Cache<DynamicObject>,
    pub(crate) trials: Cache<DynamicObject>,
    pub(crate) suggestions: Cache<DynamicObject>,
    pub(crate) changes: Arc<Changes>,
    _tasks: JoinSet<()>,
}

impl Watched {
    /// Begins to watch.
    pub fn open(cluster: &Cluster) -> Self {
        let changes = Arc::new(Changes::default());
        let mut tasks = JoinSet::new();
        let mut watch = |kind: Kind| {
            let (resource, changes) = (kind.resource(), Arc::clone(&changes));
            Cache::watch(&mut tasks, cluster.all(&resource), &resource, None, move |event| match event {
                Event::Apply(object) | Event::Delete(object) => changes.add(Changed::of(kind, object)),
                Event::InitDone => changes.add_all(),
                Event::Init | Event::InitApply(_) => {}
            })
        };
        let (experiments, trials, suggestions) =
            (watch(Kind::Experiment), watch(Kind::Trial), watch(Kind::Suggestion));
        Self { experiments, trials, suggestions, changes, _tasks: tasks }
    }

    /// The objects of a kind.
    pub(crate) fn of(&self, kind: Kind) -> &Cache<DynamicObject> {
        match kind {
            Kind::Experiment => &self.experiments,
            Kind::Trial => &self.trials,
            Kind::Suggestion => &self.suggestions,
        }
    }

    /// Waits for all three to be listed once. If they are not it is said why.
    pub(crate) async fn ready(&self) -> Result<(), ExecutorError> {
        for kind in Kind::ALL {
            self.of(kind).ready().await?;
        }
        Ok(())
    }
}

/// A resource that has changed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Changed {
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Changed {
    pub(crate) fn of(kind: Kind, object: &DynamicObject) -> Self {
        Self { kind, namespace: object.namespace().unwrap_or_default(), name: object.name_any() }
    }
}

/// What has changed since it was last asked for.
#[derive(Default)]
pub(crate) struct Changes {
    since: Mutex<Since>,
    bell: Notify,
}

/// Changes of a while.
#[derive(Debug, Default)]
pub(crate) struct Since {
    /// Anything may have changed.
    pub(crate) all: bool,
    pub(crate) some: BTreeSet<Changed>,
}

impl Since {
    /// Whether a resource may have changed.
    pub(crate) fn has(&self, changed: &Changed) -> bool {
        self.all || self.some.contains(changed)
    }
}

impl Changes {
    pub(crate) fn add(&self, changed: Changed) {
        self.put_off(changed);
        self.bell.notify_one();
    }

    /// Adds what is looked at with the next that comes, or in a while.
    pub(crate) fn put_off(&self, changed: Changed) {
        self.since().some.insert(changed);
    }

    fn add_all(&self) {
        self.since().all = true;
        self.bell.notify_one();
    }

    /// What there was, which is taken away.
    pub(crate) fn take(&self) -> Since {
        std::mem::take(&mut *self.since())
    }

    /// Waits for the next.
    pub(crate) async fn come(&self) {
        self.bell.notified().await;
    }

    fn since(&self) -> MutexGuard<'_, Since> {
        self.since.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
