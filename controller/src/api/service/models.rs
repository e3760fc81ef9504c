//! The models that trials have left.

use controller_core::artifacts::Manifest;
use controller_core::ports::{ArtifactError, Pieces};
use controller_core::run::Model;

use super::error::{ApiError, Code};
use super::experiments::find;
use super::trials::find_trial;
use crate::api::Api;

/// The manifest of a trial's model: its SHA-256 is the model's digest.
pub(crate) async fn model_manifest(
    api: &Api,
    namespace: &str,
    name: &str,
    trial: &str,
) -> Result<Manifest, ApiError> {
    let model = of_trial(api, namespace, name, trial).await?;
    Ok(api.world.artifacts.manifest(&model).await?)
}

/// The bytes of a file of a trial's model.
pub(crate) async fn model_file(
    api: &Api,
    namespace: &str,
    name: &str,
    trial: &str,
    path: &str,
) -> Result<Pieces, ApiError> {
    let model = of_trial(api, namespace, name, trial).await?;
    let manifest = api.world.artifacts.manifest(&model).await?;
    let entry = manifest.files.iter().find(|entry| entry.path == path && entry.link.is_none());
    let entry = entry
        .ok_or_else(|| ApiError::not_found(format!("the model of trial `{trial}` has no file `{path}`")))?;
    Ok(api.world.artifacts.file(&model, entry).await?)
}

async fn of_trial(api: &Api, namespace: &str, name: &str, trial: &str) -> Result<Model, ApiError> {
    let record = find(api, namespace, name).await?;
    let trial = find_trial(api, &record, trial).await?;
    let Some(model) = trial.model else {
        let message = if trial.state.is_final() {
            format!("trial `{}` left nothing in CAIRN_MODEL_DIR", trial.name)
        } else {
            format!(
                "trial `{}` is {}, and has a model once it has ended well",
                trial.name,
                trial.state.name()
            )
        };
        return Err(ApiError::not_found(message));
    };
    if let Some(removed) = model.removed {
        let at = removed.to_rfc3339_micros();
        let message = format!(
            "the model of trial `{}` was removed at {at}: better ones are kept, by spec.artifacts.keep",
            trial.name
        );
        return Err(ApiError::not_found(message));
    }
    if model.elsewhere {
        let message = format!(
            "the program of trial `{}` has stored its model itself; fetch it from {}",
            trial.name, model.uri
        );
        return Err(ApiError::new(Code::Conflict, message));
    }
    Ok(model)
}

impl From<ArtifactError> for ApiError {
    fn from(error: ArtifactError) -> Self {
        let code = match &error {
            ArtifactError::NotFound(_) => Code::NotFound,
            ArtifactError::Refused(_) => Code::Conflict,
            ArtifactError::Unavailable(_) | ArtifactError::Full(_) => Code::Unavailable,
            ArtifactError::Damaged(_) => Code::Internal,
        };
        Self::new(code, error.to_string())
    }
}
