//! Which install of a cluster acts: the one whose namespace stands on the definition of Experiments, for as long as the
//! Lease there is renewed. Written with the version that was read, so of two that want it one gets it.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::ResourceExt as _;
use kube::api::{Api, Patch, PatchParams};
use kube::core::PartialObjectMeta;
use serde_json::json;
use tokio::time::Instant;

use super::Obstacle;
use super::decide::{self, Sight, Step};
use super::record::Record;
use crate::answer::{self, Doing};
use crate::client::Cluster;
use crate::names;
use crate::resources::Kind;

type Definition = PartialObjectMeta<CustomResourceDefinition>;

/// Makes this install the one that acts, if the one that does is no more.
pub(super) async fn make(cluster: &Cluster, sight: &mut Sight) -> Result<(), Obstacle> {
    let Some(definition) = read(cluster).await? else { return Ok(()) };
    let claimed = definition.annotations().get(names::INSTALL_ANNOTATION);
    let other = claimed.filter(|namespace| **namespace != cluster.home);
    if let Some(namespace) = other {
        let mut record = Record::of(cluster, namespace.clone());
        let seen = match record.read().await {
            // Who looks at one namespace need not be able to see what others do.
            Err(_) if cluster.namespace.is_some() => return Ok(()),
            seen => seen?,
        };
        let unchanged = sight.look(seen.as_ref(), Instant::now());
        if let Step::Wait { holder } = decide::step("", false, seen.as_ref(), unchanged, false) {
            return Err(Obstacle::Elsewhere { holder, place: record.place() });
        }
    }
    if cluster.namespace.is_some() || (claimed.is_some() && other.is_none()) {
        return Ok(());
    }
    write(cluster, &definition).await
}

/// Whether it still is this install, which leads.
pub(super) async fn keep(cluster: &Cluster) -> Result<(), Obstacle> {
    if cluster.namespace.is_some() {
        return Ok(());
    }
    let Some(definition) = read(cluster).await? else { return Ok(()) };
    match definition.annotations().get(names::INSTALL_ANNOTATION) {
        Some(namespace) if *namespace == cluster.home => Ok(()),
        // The definitions were made anew.
        None => write(cluster, &definition).await,
        Some(namespace) => {
            let place = Record::of(cluster, namespace.clone()).place();
            Err(Obstacle::Elsewhere { holder: "a Cairn".into(), place })
        }
    }
}

/// The definition; `None` for one that looks at a namespace and may not see it.
async fn read(cluster: &Cluster) -> Result<Option<Definition>, Obstacle> {
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    match api.get_metadata(&Kind::Experiment.definition_name()).await {
        Ok(definition) => Ok(Some(definition)),
        Err(error) if cluster.namespace.is_some() && answer::is_forbidden(&error) => Ok(None),
        Err(error) => Err(Obstacle::of(&error, &doing("get"))),
    }
}

async fn write(cluster: &Cluster, definition: &Definition) -> Result<(), Obstacle> {
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let patch = json!({"metadata": {
        "resourceVersion": definition.metadata.resource_version,
        "annotations": {names::INSTALL_ANNOTATION: cluster.home},
    }});
    let written = api
        .patch_metadata(&Kind::Experiment.definition_name(), &PatchParams::default(), &Patch::Merge(&patch))
        .await;
    written.map(drop).map_err(|error| Obstacle::of(&error, &doing("patch")))
}

fn doing(verb: &str) -> Doing<'_> {
    Doing { verb, group: "apiextensions.k8s.io", plural: "customresourcedefinitions" }
}
