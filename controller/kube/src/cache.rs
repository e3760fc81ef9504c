//! What the API server has of one kind, kept up to date by a watch.

use std::fmt::Debug;
use std::hash::Hash;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use controller_core::ports::ExecutorError;
use futures::StreamExt as _;
use kube::api::Api;
use kube::runtime::reflector::{Lookup, ObjectRef, Store, store::Writer};
use kube::runtime::watcher::{self, watcher};
use kube::runtime::{WatchStreamExt as _, watcher::Event};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tracing::warn;

use crate::answer::{self, Doing};

/// How long the first list may take.
const FIRST_LIST: Duration = Duration::from_secs(20);

/// Objects of one kind.
pub(crate) struct Cache<K>
where
    K: Resource + Lookup<DynamicType = <K as Resource>::DynamicType> + Clone + 'static,
    <K as Resource>::DynamicType: Eq + Hash + Clone,
{
    kind: <K as Resource>::DynamicType,
    store: Store<K>,
    /// Why the watch does not go on.
    trouble: Arc<Mutex<Option<String>>>,
}

impl<K> Cache<K>
where
    K: Resource + Lookup<DynamicType = <K as Resource>::DynamicType>,
    K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    <K as Resource>::DynamicType: Debug + Eq + Hash + Clone + Send + Sync,
{
    /// Begins to watch. `changed` is told of each event once it can be seen here.
    pub(crate) fn watch(
        tasks: &mut JoinSet<()>,
        api: Api<K>,
        kind: &<K as Resource>::DynamicType,
        labels: Option<&str>,
        changed: impl Fn(&Event<K>) + Send + 'static,
    ) -> Self {
        let writer = Writer::new(kind.clone());
        let store = writer.as_reader();
        let config =
            watcher::Config { label_selector: labels.map(str::to_owned), ..watcher::Config::default() };
        let trouble = Arc::new(Mutex::new(None));
        let doing = (<K as Resource>::group(kind).into_owned(), <K as Resource>::plural(kind).into_owned());
        tasks.spawn(keep(api, config, writer, doing, Arc::clone(&trouble), changed));
        Self { kind: kind.clone(), store, trouble }
    }

    /// Waits for the first whole list. If it does not come it is said why.
    pub(crate) async fn ready(&self) -> Result<(), ExecutorError> {
        if let Ok(Ok(())) = tokio::time::timeout(FIRST_LIST, self.store.wait_until_ready()).await {
            return Ok(());
        }
        let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let why = trouble.map(|why| format!(": {why}")).unwrap_or_default();
        let plural = <K as Resource>::plural(&self.kind);
        Err(ExecutorError::Unavailable(format!("the cluster does not list its {plural}{why}")))
    }

    /// An object.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new_with(name, self.kind.clone()).within(namespace))
    }

    /// Whether the watch has broken off, and what is here may be old.
    pub(crate) fn may_be_old(&self) -> bool {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<K>> {
        self.store.state()
    }

    /// What kind they are.
    pub(crate) fn kind(&self) -> &<K as Resource>::DynamicType {
        &self.kind
    }
}

async fn keep<K>(
    api: Api<K>,
    config: watcher::Config,
    mut writer: Writer<K>,
    (group, plural): (String, String),
    trouble: Arc<Mutex<Option<String>>>,
    changed: impl Fn(&Event<K>) + Send + 'static,
) where
    K: Resource + Lookup<DynamicType = <K as Resource>::DynamicType>,
    K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    <K as Resource>::DynamicType: Debug + Eq + Hash + Clone + Send + Sync,
{
    let doing = Doing { verb: "list\", \"watch", group: &group, plural: &plural };
    let mut events = pin!(watcher(api, config).default_backoff());
    while let Some(event) = events.next().await {
        let now = match event {
            Ok(mut event) => {
                if let Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) = &mut event {
                    // Half of an object, and of no use here.
                    object.managed_fields_mut().clear();
                }
                writer.apply_watcher_event(&event);
                changed(&event);
                if matches!(event, Event::Init) {
                    // A list is about to be asked for, which says nothing yet.
                    continue;
                }
                None
            }
            Err(error) => Some(said(&error, &doing)),
        };
        let mut before = trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(text) = now.as_ref().filter(|_| *before != now) {
            warn!(resources = plural, error = text, "a watch broke off and is taken up again");
        }
        *before = now;
    }
}

/// What a watch says when it breaks off.
fn said(error: &watcher::Error, doing: &Doing<'_>) -> String {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => answer::message(error, doing),
        other => other.to_string(),
    }
}
