//! The ConfigMap, as it was last seen.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::Api;
use tracing::{info, warn};

use super::parse::KatibConfig;
use crate::answer::{self, Doing};
use crate::client::Cluster;

/// Its name, and the key of its text.
const NAME: &str = "katib-config";
const KEY: &str = "katib-config.yaml";
/// How often it is looked at.
const EVERY: Duration = Duration::from_secs(5);

/// What `katib-config` says. Clones are one.
#[derive(Clone, Debug, Default)]
pub struct KatibConfigs(Arc<RwLock<Arc<KatibConfig>>>);

impl KatibConfigs {
    /// What it says now.
    pub fn get(&self) -> Arc<KatibConfig> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Looks at it in Cairn's own namespace, again and again. Goes on for ever.
    pub async fn keep(self, cluster: Cluster) {
        let api: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), &cluster.home);
        let mut failed = None;
        loop {
            match answer::within(api.get_opt(NAME)).await {
                Ok(map) => {
                    failed = None;
                    let text = map.and_then(|map| map.data).and_then(|mut data| data.remove(KEY));
                    self.set(text.as_deref().unwrap_or_default());
                }
                Err(error) => {
                    let doing = Doing { verb: "get", group: "", plural: "configmaps" };
                    let error = answer::message(&error, &doing);
                    if failed.as_ref() != Some(&error) {
                        warn!(error, "the ConfigMap {NAME} cannot be read; what it last said goes on");
                    }
                    failed = Some(error);
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    fn set(&self, text: &str) {
        let config = KatibConfig::parse(text);
        if config == *self.get() {
            return;
        }
        info!(algorithms = ?config.algorithms.keys().collect::<Vec<_>>(), "the ConfigMap {NAME} was read");
        for what in &config.said {
            warn!("{NAME}: {what}");
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }
}

impl PartialEq for KatibConfigs {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}
