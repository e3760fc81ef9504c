//! The service of an algorithm that has an image of somebody's own.

use std::fmt::Debug;

use controller_core::experiment::{ExperimentRecord, ExperimentStatus};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams, PostParams, Preconditions};
use kube::core::DynamicObject;
use kube::{Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{ReconcileError, Reconciler};
use crate::answer::{self, Doing};
use crate::katib_config::{objects, service_of};

impl Reconciler {
    /// Sees to it that the service is there while its experiment goes on, and is gone then. As with Katib one that is there is
    /// never changed; one that somebody took away is made anew when the driver waits for it.
    pub(super) async fn start_algorithm(
        &self,
        resource: &DynamicObject,
        record: &ExperimentRecord,
        status: &ExperimentStatus,
    ) -> Result<(), ReconcileError> {
        let Some(algorithm) = service_of(record) else { return Ok(()) };
        let config = self.katib_config.get();
        let Some(image) = config.algorithms.get(algorithm) else {
            if !status.is_completed() {
                let text = format!("katib-config names no image for its algorithm `{algorithm}`");
                self.say(resource, "NoAlgorithm", text);
            }
            return Ok(());
        };
        let (deployment, service) = objects(record, algorithm, image);
        let stays = record.spec.resume_policy.as_deref() == Some("LongRunning");
        if status.is_completed() && !stays {
            self.end(&deployment, record).await?;
            return self.end(&service, record).await;
        }
        self.begin(&service).await?;
        self.begin(&deployment).await
    }

    async fn begin<K: Object>(&self, object: &K) -> Result<(), ReconcileError> {
        match answer::within(self.api_of(object).create(&PostParams::default(), object)).await {
            Err(error) if !answer::is_conflict(&error) => Err(failed::<K>(&error, "create")),
            _ => Ok(()),
        }
    }

    /// Deletes what was made for the experiment.
    async fn end<K: Object>(&self, object: &K, record: &ExperimentRecord) -> Result<(), ReconcileError> {
        let (api, name) = (self.api_of(object), object.name_any());
        let found = answer::within(api.get_opt(&name)).await.map_err(|error| failed::<K>(&error, "get"))?;
        let is_own = |found: &K| found.owner_references().iter().any(|owner| owner.uid == record.uid);
        let Some(uid) = found.filter(is_own).and_then(|found| found.uid()) else { return Ok(()) };
        let it_alone = Preconditions { uid: Some(uid), ..Preconditions::default() };
        match answer::within(api.delete(&name, &DeleteParams::background().preconditions(it_alone))).await {
            Err(error) if !answer::is_not_found(&error) && !answer::is_conflict(&error) => {
                Err(failed::<K>(&error, "delete"))
            }
            _ => Ok(()),
        }
    }

    fn api_of<K: Object>(&self, object: &K) -> Api<K> {
        Api::namespaced(self.cluster.client.clone(), &object.namespace().unwrap_or_default())
    }
}

/// What a service consists of.
trait Object:
    Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Serialize
{
}

impl Object for Deployment {}
impl Object for Service {}

fn failed<K: Object>(error: &kube::Error, verb: &str) -> ReconcileError {
    let (group, plural) = (K::group(&()), K::plural(&()));
    ReconcileError::Cluster(answer::message(error, &Doing { verb, group: &group, plural: &plural }))
}
