//! What the cluster warns of objects that get no pods, such as that a quota is full.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, ListParams};
use tokio::time::Instant;

use super::{Place, lock};
use crate::answer;
use crate::client::Cluster;

/// How old a list may be: a server has no index of events and reads all of a namespace for each list, so there is one for
/// all runs that wait.
const FRESH: Duration = Duration::from_secs(5);

/// Warnings by namespace.
pub(super) struct Warnings {
    cluster: Cluster,
    namespaces: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Listed>>>>,
}

/// The newest warning about each object, by uid.
#[derive(Default)]
struct Listed {
    at: Option<Instant>,
    newest: HashMap<String, String>,
}

impl Warnings {
    pub(super) fn new(cluster: Cluster) -> Self {
        Self { cluster, namespaces: Mutex::default() }
    }

    /// The newest warning about an object.
    pub(super) async fn newest(&self, place: &Place) -> Option<String> {
        let listed = Arc::clone(lock(&self.namespaces).entry(place.namespace.clone()).or_default());
        let mut listed = listed.lock().await;
        if listed.at.is_none_or(|at| at.elapsed() > FRESH) {
            if let Ok(newest) = self.list(&place.namespace).await {
                listed.newest = newest;
            }
            listed.at = Some(Instant::now());
        }
        listed.newest.get(&place.uid).cloned()
    }

    async fn list(&self, namespace: &str) -> Result<HashMap<String, String>, kube::Error> {
        let events: Api<Event> = Api::namespaced(self.cluster.client.clone(), namespace);
        let params = ListParams::default().fields("type=Warning");
        let mut events = answer::within(events.list(&params)).await?.items;
        events.sort_by_key(|event| event.last_timestamp.clone().map(|time| time.0));
        let told = |event: Event| {
            let text = format!("{}: {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default());
            Some((event.involved_object.uid?, text))
        };
        Ok(events.into_iter().filter_map(told).collect())
    }
}
