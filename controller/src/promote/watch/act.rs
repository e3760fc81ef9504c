//! What is done about a breach: an entry in the audit log, what is wanted in `onBreach`, and calls of the webhook.

use std::time::Duration;

use controller_core::document::{ExperimentDocument, Metadata};
use controller_core::experiment::{Birth, Hold, begin};
use controller_core::ports::{PromotionQuery, StoreError};
use controller_core::promotion::{Breach, Deed, Deployment, PromotionState, Serving, Watched};
use controller_core::schedule::Cause;
use controller_core::spec::{ExperimentSpec, OnBreach};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tracing::warn;

use super::WatchError;
use crate::promote::ask::Asker;
use crate::promote::propose::rollback;
use crate::world::World;

/// How long somebody who is told of a breach may take to answer.
const TOLD_WITHIN: Duration = Duration::from_secs(2);
/// How much of an Experiment's name goes into that of its copy, which has up to 40 characters.
const LONGEST_STEM: usize = 29;

/// Does what is to be done about a breach; says what that was.
pub(super) async fn act(
    world: &World,
    serving: &Serving,
    breach: &Breach,
    watched: &mut Watched,
) -> Result<String, WatchError> {
    let Some(deployment) = serving.find(&breach.version) else {
        return Ok("nothing, since its server is gone".into());
    };
    let spec = deployment.spec.watch.clone().unwrap_or_default();
    let done = match spec.on_breach().unwrap_or(OnBreach::Alert) {
        OnBreach::Alert => "alert".to_owned(),
        OnBreach::Rollback => go_back(world, serving, deployment, breach).await?,
        OnBreach::Start(name) => start(world, serving, &name, breach).await?,
    };
    let done =
        std::iter::once(done).chain(ask_schedules(world, serving).await?).collect::<Vec<_>>().join("; ");
    let deed = Deed {
        at: world.clock.now(),
        actor: "cairn".into(),
        namespace: serving.namespace.clone(),
        model: serving.model.clone(),
        promotion: deployment.promotion,
        deed: "drifted".into(),
        detail: format!("{}; {done}", breach.detail),
    };
    world.promotions.note(&deed).await?;
    warn!(model = serving.model, server = breach.version, detail = breach.detail, done, "drift");
    if let Some(url) = &spec.webhook {
        let body = json!({
            "event": "drift",
            "namespace": serving.namespace,
            "model": serving.model,
            "server": breach.version,
            "version": deployment.version,
            "at": breach.at.to_rfc3339(),
            "detail": breach.detail,
            "features": breach.worst,
            "done": done,
        });
        watched.call(url, body, world.clock.now());
    }
    Ok(done)
}

/// Wants the version that was champion before the one that has drifted.
async fn go_back(
    world: &World,
    serving: &Serving,
    deployment: &Deployment,
    breach: &Breach,
) -> Result<String, WatchError> {
    let (namespace, model) = (&serving.namespace, &serving.model);
    let champion = world.promotions.champion(namespace, model).await?;
    let Some(champion) = champion.filter(|champion| deployment.version == Some(champion.number)) else {
        return Ok("no rollback, since it is not the champion".into());
    };
    let query =
        PromotionQuery { namespace: Some(namespace.clone()), model: Some(model.clone()), open: false };
    let promotions = world.promotions.promotions(&query).await?;
    if promotions.iter().any(|promotion| !promotion.state.is_final()) {
        return Ok("no rollback, since a promotion is under way".into());
    }
    let made_it = promotions.iter().find(|promotion| {
        promotion.state == PromotionState::Succeeded && promotion.version == Some(champion.number)
    });
    let versions = world.promotions.versions(namespace, model).await?;
    // What was gone back to already is no worse than what it was gone back from.
    let before = made_it.filter(|made_it| made_it.back_to.is_none()).and_then(|made_it| made_it.replaced);
    let Some(version) = versions.iter().find(|version| Some(version.number) == before) else {
        return Ok("no rollback, since there is no version to go back to".into());
    };
    rollback(world, version, "cairn, for drift", breach.at).await?;
    world.wake.notify_waiters();
    Ok(format!("rollback to version {}", version.number))
}

/// Asks the schedules that heed drift and promote into this model for a run each; which they are.
async fn ask_schedules(world: &World, serving: &Serving) -> Result<Vec<String>, StoreError> {
    let mut asked = Vec::new();
    for living in world.store.experiments().await? {
        let record = &living.record;
        let heeds = record.spec.schedule.as_ref().is_some_and(|schedule| schedule.on_drift == Some(true));
        let model = record.spec.promotion.as_ref().map(|promotion| &promotion.model);
        let is_its = record.namespace == serving.namespace && model == Some(&serving.model);
        if heeds && is_its && living.status.hold != Hold::Deleting {
            world.schedules.ask_for_run(record.id, Cause::Drift).await?;
            asked.push(format!("schedule `{}` asked for a run", record.name));
        }
    }
    Ok(asked)
}

/// Submits a copy of an Experiment, once for each breach; of one that is a schedule, asks for a run.
async fn start(world: &World, serving: &Serving, name: &str, breach: &Breach) -> Result<String, WatchError> {
    let Some(old) = world.store.experiment(&serving.namespace, name).await? else {
        return Ok(format!("nothing started, since there is no experiment `{name}`"));
    };
    if old.spec.schedule.is_some() {
        world.schedules.ask_for_run(old.id, Cause::Drift).await?;
        return Ok(format!("schedule `{name}` asked for a run"));
    }
    // A name says when, and stays one with that.
    let stem: String = old.name.chars().take(LONGEST_STEM).collect();
    let metadata = Metadata {
        name: format!("{stem}-{}", breach.at.0 / 1_000_000),
        namespace: old.namespace.clone(),
        labels: old.labels.clone(),
        annotations: old.annotations.clone(),
    };
    let spec = ExperimentSpec { suspend: None, ..old.spec.clone() };
    let document = ExperimentDocument { metadata: metadata.clone(), spec, ..ExperimentDocument::default() };
    let key = format!("drift/{}/{}/{}/{}", old.uid, serving.model, breach.version, breach.at.0);
    let hash: [u8; 32] = Sha256::new().chain_update(key).finalize().into();
    let birth = Birth {
        uid: hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect(),
        cluster: old.cluster.clone(),
        base_dir: old.base_dir.clone(),
        at: world.clock.now(),
    };
    let (record, status, event) = begin(&document, birth);
    match world.store.create_experiment(&record, &status, &[event]).await {
        Ok(()) | Err(StoreError::AlreadyExists { .. }) => {
            world.wake.notify_waiters();
            Ok(format!("experiment `{}` started", metadata.name))
        }
        Err(error) => Err(error.into()),
    }
}

/// Tells those who are to be told now.
pub(super) async fn tell(world: &World, watched: &mut Watched) {
    let asker = Asker::new();
    // From the last on, since one that is over goes.
    for i in (0..watched.calls.len()).rev() {
        let call = watched.calls[i].clone();
        if call.next > world.clock.now() {
            continue;
        }
        let answer = asker.post(&call.url, &call.body, TOLD_WITHIN).await;
        let why = match &answer {
            Ok((status, _)) if status.is_success() => None,
            Ok((status, _)) => Some(format!("status {status}")),
            Err(why) => Some(why.clone()),
        };
        if let Some(why) = &why {
            warn!(url = call.url, why, tries = call.tries + 1, "a webhook does not take a breach");
        }
        watched.called(i, why.is_none(), world.clock.now());
    }
}
