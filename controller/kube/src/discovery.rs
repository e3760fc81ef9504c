//! Kinds by their names, as the API server knows them, and who owns what.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use controller_core::ports::ExecutorError;
use futures::future::BoxFuture;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt as _;
use kube::core::{ApiResource, DynamicObject, GroupVersion, GroupVersionKind};
use kube::discovery::{Scope, pinned_kind};
use thiserror::Error;

use crate::answer::{self, Doing};
use crate::client::Cluster;

/// How far above an object its owners are looked for.
const DEPTH: usize = 6;

/// The API server does not say, and may later.
#[derive(Debug, Error)]
#[error("{0}")]
pub(crate) struct Silent(String);

impl From<Silent> for ExecutorError {
    fn from(silent: Silent) -> Self {
        Self::Unavailable(silent.0)
    }
}

/// A kind that the cluster knows.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) resource: ApiResource,
    pub(crate) is_namespaced: bool,
}

/// Asks the cluster, each thing once.
pub(crate) struct Discovery {
    cluster: Cluster,
    known: Mutex<HashMap<GroupVersionKind, Known>>,
}

impl Discovery {
    pub(crate) fn new(cluster: Cluster) -> Self {
        Self { cluster, known: Mutex::default() }
    }

    pub(crate) fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// A kind; `None` if the cluster knows none of its name.
    pub(crate) async fn of(&self, api_version: &str, kind: &str) -> Result<Option<Known>, Silent> {
        let Ok(version) = api_version.parse::<GroupVersion>() else { return Ok(None) };
        let wanted = version.with_kind(kind);
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = known().get(&wanted) {
            return Ok(Some(found.clone()));
        }
        match answer::within(pinned_kind(&self.cluster.client, &wanted)).await {
            Ok((resource, capabilities)) => {
                let found = Known { resource, is_namespaced: capabilities.scope == Scope::Namespaced };
                known().insert(wanted, found.clone());
                Ok(Some(found))
            }
            Err(kube::Error::Discovery(_)) => Ok(None),
            Err(error) if answer::is_not_found(&error) => Ok(None),
            Err(error) => {
                let doing = Doing { verb: "get", group: &wanted.group, plural: kind };
                Err(Silent(answer::message(&error, &doing)))
            }
        }
    }

    /// The nearest object above another for which this holds: one that owns it, or that owns its owner, and so on.
    pub(crate) async fn above(
        &self,
        owned: &[OwnerReference],
        namespace: &str,
        is_it: &(dyn Fn(&DynamicObject) -> bool + Sync),
    ) -> Result<Option<DynamicObject>, Silent> {
        self.climb(owned, namespace, is_it, DEPTH).await
    }

    fn climb<'a>(
        &'a self,
        owned: &'a [OwnerReference],
        namespace: &'a str,
        is_it: &'a (dyn Fn(&DynamicObject) -> bool + Sync),
        depth: usize,
    ) -> BoxFuture<'a, Result<Option<DynamicObject>, Silent>> {
        Box::pin(async move {
            for owner in owned.iter().filter(|_| depth > 0) {
                let Some(owner) = self.owner(owner, namespace).await? else { continue };
                if is_it(&owner) {
                    return Ok(Some(owner));
                }
                let found = self.climb(owner.owner_references(), namespace, is_it, depth - 1).await?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            Ok(None)
        })
    }

    /// An owner, if it is still the same.
    async fn owner(&self, owner: &OwnerReference, namespace: &str) -> Result<Option<DynamicObject>, Silent> {
        let Some(Known { resource, .. }) = self.of(&owner.api_version, &owner.kind).await? else {
            return Ok(None);
        };
        let api = self.cluster.api(&resource, namespace);
        let found = answer::within(api.get_opt(&owner.name)).await.map_err(|error| {
            let doing = Doing { verb: "get", group: &resource.group, plural: &resource.plural };
            Silent(answer::message(&error, &doing))
        })?;
        Ok(found.filter(|found| found.metadata.uid.as_deref() == Some(&owner.uid)))
    }
}
