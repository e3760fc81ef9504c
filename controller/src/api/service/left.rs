//! Letting go what the trials of deleted experiments have left in stores.

use std::collections::BTreeSet;

use controller_core::experiment::ExperimentRecord;
use controller_core::ports::{ArtifactError, TrialQuery};
use controller_core::run::Model;
use controller_core::spec::ArtifactsSpec;

use super::error::ApiError;
use crate::api::Api;

/// Removes the models and checkpoints of a deleted experiment, except those that versions are made of. What this server
/// cannot remove is said, a line each.
///
/// # Errors
/// If a store does not answer; it may be done again.
pub(super) async fn forget(
    api: &Api,
    record: &ExperimentRecord,
    versions: &[Model],
) -> Result<Vec<String>, ApiError> {
    let is_version = |uri: &str| versions.iter().any(|model| model.uri == uri);
    let store = &api.world.store;
    let mut uris = BTreeSet::new();
    for trial in store.trials(record.id, &TrialQuery::default()).await?.items {
        let model = trial.model.filter(|model| !model.elsewhere && model.removed.is_none());
        uris.extend(model.map(|model| model.uri).filter(|uri| !is_version(uri)));
        let key = format!("{}/{}/{}", record.namespace, record.name, trial.name);
        if versions.iter().all(|model| !model.uri.contains(&format!("/{key}/"))) {
            // What has come in part only stands in no record.
            api.world.artifacts.forget_below(&key).await?;
        }
    }
    // Sidecars alone send checkpoints.
    if !api.world.cluster.is_empty() {
        for run in store.runs(record.id, None).await? {
            let left = store.collected(run.id).await?.unwrap_or_default().left;
            uris.extend(left.checkpoint.map(|checkpoint| checkpoint.uri));
        }
    }
    let has_other_keys = record.spec.artifacts.as_ref().and_then(ArtifactsSpec::secret).is_some();
    let mut beyond = Vec::new();
    for uri in uris {
        let gone = if has_other_keys {
            Err(ArtifactError::Refused(
                "the keys of its store are in a Secret that this server does not read".into(),
            ))
        } else {
            api.world.artifacts.forget_at(&uri).await
        };
        match gone {
            Err(ArtifactError::Refused(why)) => beyond.push((uri, why)),
            gone => gone?,
        }
    }
    let Some((first, why)) = beyond.first() else { return Ok(Vec::new()) };
    Ok(vec![format!(
        "what trials left where this server cannot remove it: {}, such as {first}: {why}",
        beyond.len()
    )])
}
