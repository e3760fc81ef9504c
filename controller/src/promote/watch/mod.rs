//! Looking at what is served: reading the requests that the router has kept, comparing them with the profile of the trial,
//! joining labels with them, and doing what is wanted where they have drifted.
//!
//! What is known lies beside the log, so that any process may look, one at a time, and goes on where the last one ended.

mod act;
mod files;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use controller_core::ports::{ModelError, StoreError};
use controller_core::promotion::profile::{is_right, predictions};
use controller_core::promotion::{Deployment, Kept, Labelled, Profile, Serving, Telemetry, Watched};
use controller_core::spec::WatchSpec;
use serde_json::Value;
use thiserror::Error;
use tokio::sync::watch;
use tracing::warn;

use super::PromoteError;
use super::servers::Servers;
use crate::router::Home;
use crate::world::World;
use act::{act, tell};
use files::Folder;

/// How often everything is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

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
pub(crate) struct Taken {
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

/// Joins labels with the requests that were kept. The first label of a request counts.
pub(crate) async fn feedback(
    world: &World,
    serving: &Serving,
    labels: Vec<(String, Value)>,
) -> Result<Taken, WatchError> {
    let folder = folder(&world.home, serving);
    let _lock = folder.lock().await?;
    let ids: BTreeSet<String> = labels.iter().map(|(id, _)| id.clone()).collect();
    let from = folder.clone();
    let read = move || -> io::Result<_> { Ok((from.find(&ids)?, from.labelled(&ids)?)) };
    let (found, mut known) = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
    let (mut joined, mut fresh) = (Taken::default(), Vec::new());
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
    use serde_json::json;

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
