//! Looking at what is served: reading the requests that the router has kept, comparing them with the profile of the trial,
//! joining labels with them, and doing what is wanted where they have drifted.
//!
//! What is known lies beside the log, so that any process may look, one at a time, and goes on where the last one ended.

mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use controller_core::ports::{ModelError, PromotionQuery, StoreError};
use controller_core::promotion::profile::{is_right, predictions};
use controller_core::promotion::{
    Breach, Deed, Deployment, Kept, Labelled, Profile, PromotionState, Serving, Telemetry, Watched,
};
use controller_core::spec::{OnBreach, WatchSpec};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::sync::watch;
use tracing::warn;

use super::ask::Asker;
use super::propose::rollback;
use super::servers::Servers;
use super::PromoteError;
use crate::router::Home;
use crate::world::World;
use files::Folder;

/// How often everything is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long somebody who is told of a breach may take to answer.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// Why what is served cannot be looked at now.
#[derive(Debug, Error)]
pub(crate) enum WatchError {
    /// The folder cannot be read or written.
    #[error("what was kept of the requests cannot be read or written: {0}")]
    Files(#[from] io::Error),
    /// What is wanted because of a breach cannot be written down.
    #[error(transparent)]
    Promote(#[from] PromoteError),
}

impl From<StoreError> for WatchError {
    fn from(error: StoreError) -> Self {
        Self::Promote(error.into())
    }
}

/// What has become of labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Joined {
    /// How many found their request.
    pub(crate) joined: u64,
    /// Ids of requests that have a label already.
    pub(crate) known: Vec<String>,
    /// Ids of requests that were not kept, or are kept no more.
    pub(crate) unknown: Vec<String>,
    /// Ids of requests that the label does not fit, and why.
    pub(crate) refused: Vec<(String, String)>,
}

/// Looks at everything that is served, again and again, until `shutdown` turns true.
pub(crate) async fn watch_all(world: &World, mut shutdown: watch::Receiver<bool>) {
    loop {
        match world.promotions.all_serving().await {
            Ok(all) => {
                for serving in all.iter().filter(|serving| serving.cluster == world.cluster) {
                    if is_watched(serving)
                        && let Err(error) = look(world, serving).await
                    {
                        warn!(%error, model = serving.model, "what is served cannot be looked at");
                    }
                }
            }
            Err(error) => warn!(%error, "what is served cannot be listed"),
        }
        tokio::select! {
            _ = shutdown.changed() => break,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

fn is_watched(serving: &Serving) -> bool {
    serving.deployments.iter().any(|deployment| deployment.spec.is_logged())
}

/// What is known of a model's requests.
pub(crate) fn known(home: &Home, serving: &Serving) -> io::Result<Watched> {
    folder(home, serving).known()
}

fn folder(home: &Home, serving: &Serving) -> Folder {
    Folder::new(home.log(&serving.namespace, &serving.model))
}

/// What the router has counted, if it says so now.
pub(crate) async fn counted(world: &World, serving: &Serving) -> Option<Telemetry> {
    Servers::new(world).telemetry(serving).await
}

/// Takes in what was kept since the last look, and does what is to be done about it; whoever comes while somebody else does
/// gets what was known before.
pub(crate) async fn look(world: &World, serving: &Serving) -> Result<Watched, WatchError> {
    let folder = folder(&world.home, serving);
    let Some(_lock) = folder.try_lock()? else { return Ok(folder.known()?) };
    let before = folder.known()?;
    let mut watched = before.clone();
    let (from, at) = (folder.clone(), (watched.part, watched.offset));
    let read = tokio::task::spawn_blocking(move || from.read(at.0, at.1)).await;
    let (kept, part, offset) = read.map_err(io::Error::other)??;
    (watched.part, watched.offset) = (part, offset);
    let mut profiles = BTreeMap::new();
    for kept in &kept {
        let Some(deployment) = serving.find(&kept.version) else { continue };
        let Some(spec) = &deployment.spec.watch else { continue };
        if !profiles.contains_key(&deployment.name) {
            profiles.insert(deployment.name.clone(), profile(world, deployment).await?);
        }
        watched.take(kept, &profiles[&deployment.name], spec);
    }
    if watched != before {
        // What is to be done is written down before it is.
        folder.keep(&watched)?;
    }
    let seen = watched.clone();
    for i in 0..watched.breaches.len() {
        if watched.breaches[i].done.is_empty() {
            watched.breaches[i].done = act(world, serving, &seen.breaches[i], &mut watched).await?;
        }
    }
    tell(world, &mut watched).await;
    if watched != seen {
        folder.keep(&watched)?;
    }
    Ok(watched)
}

/// The profile of what is served; or why there is none.
async fn profile(world: &World, deployment: &Deployment) -> Result<Result<Profile, String>, WatchError> {
    match world.models.describe(&deployment.artifact).await {
        Ok(description) => Ok(description.profile.map_or_else(
            || Err("its model.yaml names no `profile`, so nothing is compared".into()),
            |profile| Profile::read(&profile).map_err(|why| format!("its profile is wrong: {why}")),
        )),
        Err(ModelError::Changed(why)) => Ok(Err(why)),
        Err(error) => Err(PromoteError::from(error).into()),
    }
}

/// Does what is to be done about a breach; says what that was.
async fn act(
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
    };
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

/// Tells those who are to be told now.
async fn tell(world: &World, watched: &mut Watched) {
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

/// Joins labels with the requests that were kept. The first label of a request counts.
pub(crate) async fn feedback(
    world: &World,
    serving: &Serving,
    labels: Vec<(String, Value)>,
) -> Result<Joined, WatchError> {
    let folder = folder(&world.home, serving);
    let _lock = folder.lock().await?;
    let ids: BTreeSet<String> = labels.iter().map(|(id, _)| id.clone()).collect();
    let from = folder.clone();
    let read = move || -> io::Result<_> { Ok((from.find(&ids)?, from.labelled(&ids)?)) };
    let (found, mut known) = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
    let (mut joined, mut fresh) = (Joined::default(), Vec::new());
    let now = world.clock.now();
    for (id, label) in labels {
        let Some(kept) = found.get(&id) else {
            joined.unknown.push(id);
            continue;
        };
        if known.contains(&id) {
            joined.known.push(id);
            continue;
        }
        let spec = serving.find(&kept.version).and_then(|deployment| deployment.spec.watch.clone());
        match join(kept, &label, &spec.unwrap_or_default()) {
            Ok(labelled) => {
                known.insert(id);
                fresh.push(Labelled { at: now, ..labelled });
            }
            Err(why) => joined.refused.push((id, why)),
        }
    }
    joined.joined = fresh.len() as u64;
    if !fresh.is_empty() {
        let mut watched = folder.known()?;
        fresh.iter().for_each(|labelled| watched.label(labelled));
        folder.label(&fresh)?;
        folder.keep(&watched)?;
    }
    Ok(joined)
}

/// A label with what was predicted; why it does not fit, if it does not.
fn join(kept: &Kept, label: &Value, spec: &WatchSpec) -> Result<Labelled, String> {
    let predicted = predictions(&kept.outputs, spec.output.as_deref());
    let label = match label {
        Value::Array(rows) => rows.clone(),
        one => vec![one.clone()],
    };
    if predicted.is_empty() {
        let of = spec.output.as_ref().map_or_else(
            || "has no output with one value a row".to_owned(),
            |output| format!("has no output `{output}` with one value a row"),
        );
        return Err(format!("its answer (status {}) {of}", kept.status));
    }
    if predicted.len() != label.len() {
        return Err(format!("its answer has {} rows, the label {}", predicted.len(), label.len()));
    }
    let right = predicted.iter().zip(&label).filter(|(one, other)| is_right(one, other)).count() as u64;
    let (id, version) = (kept.id.clone(), kept.version.clone());
    Ok(Labelled { id, version, label, predicted, right, ..Labelled::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_compared_row_by_row_and_says_why_it_does_not_fit() {
        let outputs = json!([{"name": "digit", "shape": [2], "data": [3, 4]}]);
        let kept = Kept { id: "r".into(), status: 200, outputs, ..Kept::default() };
        let spec = WatchSpec::default();
        assert_eq!(join(&kept, &json!([3, 5]), &spec).unwrap().right, 1);
        assert_eq!(join(&kept, &json!(3), &spec).unwrap_err(), "its answer has 2 rows, the label 1");
        let spec = WatchSpec { output: Some("none".into()), ..spec };
        let why = join(&kept, &json!([3, 4]), &spec).unwrap_err();
        assert_eq!(why, "its answer (status 200) has no output `none` with one value a row");
    }
}
