//! Telling the API server of the webhooks, again and again. Only the Cairn that leads does: another install would send the
//! cluster to its own.

use std::future::pending;
use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::{
    MutatingWebhookConfiguration, ValidatingWebhookConfiguration,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::core::ClusterResourceScope;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::sync::watch;
use tracing::{info, warn};

use super::configuration::{CONFIGURATION, Hooks, configurations};
use crate::answer::{self, Doing};
use crate::certificates::Issued;
use crate::client::{Cluster, MANAGER};
use crate::lease::Standing;
use crate::resources::Kind;

/// How often it is told though nothing has changed: somebody may have.
const AGAIN: Duration = Duration::from_mins(5);
/// How long after a failure it is tried again.
const BACK_OFF: Duration = Duration::from_secs(5);

/// Writes the configurations once this Cairn leads, and again when there are other authorities to trust. Goes on for ever.
pub async fn register(
    cluster: Cluster,
    hooks: Hooks,
    mut issued: watch::Receiver<Issued>,
    standing: watch::Receiver<Standing>,
) {
    led(standing).await;
    let mut said = None;
    loop {
        let authorities = issued.borrow_and_update().authorities.clone();
        let wait = match write(&cluster.client, &hooks, &authorities).await {
            Ok(()) => {
                if said.take().is_none_or(|said| said != "ok") {
                    info!(configuration = CONFIGURATION, "the cluster asks our webhooks");
                }
                said = Some("ok".to_owned());
                AGAIN
            }
            Err(error) => {
                if said.as_ref() != Some(&error) {
                    warn!(error, "the cluster cannot be told of our webhooks");
                }
                said = Some(error);
                BACK_OFF
            }
        };
        tokio::select! {
            changed = issued.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Takes back, once this Cairn leads, what one before it has told of webhooks that nobody answers now: no Experiment could be
/// stored. Goes on for ever.
pub async fn withdraw(cluster: Cluster, standing: watch::Receiver<Standing>) {
    led(standing).await;
    let gone = tokio::join!(
        delete::<ValidatingWebhookConfiguration>(&cluster.client),
        delete::<MutatingWebhookConfiguration>(&cluster.client),
    );
    match gone {
        (Ok(false), Ok(false)) => {}
        (Ok(_), Ok(_)) => info!(configuration = CONFIGURATION, "the cluster asks no webhooks any more"),
        (Err(error), _) | (_, Err(error)) => warn!(
            error,
            "webhooks of a Cairn before may be left, and then no Experiment can be stored: \
             `kubectl delete validatingwebhookconfiguration,mutatingwebhookconfiguration {CONFIGURATION}` takes them away"
        ),
    }
    pending::<()>().await;
}

/// Waits until this Cairn leads. One that does no more ends altogether.
async fn led(mut standing: watch::Receiver<Standing>) {
    if standing.wait_for(|standing| matches!(standing, Standing::Leads(_))).await.is_err() {
        pending::<()>().await;
    }
}

async fn write(client: &Client, hooks: &Hooks, authorities: &str) -> Result<(), String> {
    let owner = owner(client).await?;
    let [mut validating, mut mutating] = configurations(hooks, authorities);
    for configuration in [&mut validating, &mut mutating] {
        configuration["metadata"]["ownerReferences"] = json!([owner]);
    }
    apply::<ValidatingWebhookConfiguration>(client, &validating).await?;
    apply::<MutatingWebhookConfiguration>(client, &mutating).await
}

/// The definition of Experiments: with it the configurations go, and an uninstall leaves nothing that is asked in vain.
async fn owner(client: &Client) -> Result<Value, String> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let found = answer::within(api.get_metadata(&Kind::Experiment.definition_name())).await;
    let doing = Doing { verb: "get", group: "apiextensions.k8s.io", plural: "customresourcedefinitions" };
    let metadata = found.map_err(|error| answer::message(&error, &doing))?.metadata;
    Ok(json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "name": metadata.name,
        "uid": metadata.uid,
    }))
}

async fn apply<K>(client: &Client, configuration: &Value) -> Result<(), String>
where
    K: Resource<Scope = ClusterResourceScope, DynamicType = ()>,
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    let api: Api<K> = Api::all(client.clone());
    let params = PatchParams::apply(MANAGER).force();
    let applied = answer::within(api.patch(CONFIGURATION, &params, &Patch::Apply(configuration))).await;
    let (group, plural) = (K::group(&()), K::plural(&()));
    let doing = Doing { verb: "create\", \"patch", group: &group, plural: &plural };
    applied.map(|_| ()).map_err(|error| answer::message(&error, &doing))
}

/// Deletes one; whether it was there.
async fn delete<K>(client: &Client) -> Result<bool, String>
where
    K: Resource<Scope = ClusterResourceScope, DynamicType = ()>,
    K: Clone + std::fmt::Debug + DeserializeOwned,
{
    let api: Api<K> = Api::all(client.clone());
    match answer::within(api.delete(CONFIGURATION, &DeleteParams::default())).await {
        Ok(_) => Ok(true),
        Err(error) if answer::is_not_found(&error) => Ok(false),
        Err(error) => {
            let (group, plural) = (K::group(&()), K::plural(&()));
            Err(answer::message(&error, &Doing { verb: "delete", group: &group, plural: &plural }))
        }
    }
}
