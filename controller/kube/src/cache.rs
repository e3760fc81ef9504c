//! What the API server has of one kind, kept up to date by a watch.

use std::fmt::Debug;
use std::hash::Hash;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use kube::api::Api;
use kube::runtime::reflector::{Lookup, ObjectRef, Store, store::Writer};
use kube::runtime::watcher::{self, watcher};
use kube::runtime::{WatchStreamExt as _, watcher::Event};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;
use tracing::warn;

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
        tasks.spawn(keep(api, config, writer, changed));
        Self { kind: kind.clone(), store }
    }

    /// Waits for the first whole list; whether it has come.
    pub(crate) async fn is_ready(&self) -> bool {
        matches!(tokio::time::timeout(FIRST_LIST, self.store.wait_until_ready()).await, Ok(Ok(())))
    }

    /// An object.
    pub(crate) fn get(&self, namespace: &str, name: &str) -> Option<Arc<K>> {
        self.store.get(&ObjectRef::new_with(name, self.kind.clone()).within(namespace))
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
    changed: impl Fn(&Event<K>) + Send + 'static,
) where
    K: Resource + Lookup<DynamicType = <K as Resource>::DynamicType>,
    K: Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    <K as Resource>::DynamicType: Debug + Eq + Hash + Clone + Send + Sync,
{
    let mut events = pin!(watcher(api, config).default_backoff());
    let mut said = String::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(mut event) => {
                if let Event::Apply(object) | Event::InitApply(object) | Event::Delete(object) = &mut event {
                    // Half of an object, and of no use here.
                    object.managed_fields_mut().clear();
                }
                writer.apply_watcher_event(&event);
                changed(&event);
                said.clear();
            }
            Err(error) => {
                let text = error.to_string();
                if text != said {
                    warn!(error = text, "a watch broke off and is taken up again");
                    said = text;
                }
            }
        }
    }
}
