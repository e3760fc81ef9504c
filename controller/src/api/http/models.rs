//! Models of trials over HTTP.

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use futures::TryStreamExt as _;
use tracing::warn;

use super::extract::{Namespace, Params, Place};
use crate::api::Api;
use crate::api::service::{self, ApiError};
use crate::api::types::ErrorBody;

/// The manifest of a trial's model, which names its files: the SHA-256 of this very answer is the model's digest.
#[utoipa::path(
    get, path = "/api/v1/experiments/{name}/trials/{trial}/model", tag = "trials",
    params(
        ("name" = String, Path, description = "experiment"),
        ("trial" = String, Path, description = "name or number"),
        Namespace
    ),
    responses(
        (status = 200, body = String, content_type = "application/json"),
        (status = 404, body = ErrorBody, description = "it left none, or it was removed"),
        (status = 409, body = ErrorBody, description = "it is kept where this server does not reach it"),
    )
)]
pub(super) async fn manifest(
    State(api): State<Api>,
    Place((name, trial)): Place<(String, String)>,
    Params(query): Params<Namespace>,
) -> Result<Response, ApiError> {
    let manifest = service::model_manifest(&api, &query.namespace, &name, &trial).await?;
    Ok(([(header::CONTENT_TYPE, "application/json")], manifest.text()).into_response())
}

/// The bytes of a file of a trial's model. What turns out not to be as its manifest says breaks off.
#[utoipa::path(
    get, path = "/api/v1/experiments/{name}/trials/{trial}/model/files/{path}", tag = "trials",
    params(
        ("name" = String, Path, description = "experiment"),
        ("trial" = String, Path, description = "name or number"),
        ("path" = String, Path, description = "path as in the manifest"),
        Namespace
    ),
    responses(
        (status = 200, body = String, content_type = "application/octet-stream"),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "it is kept where this server does not reach it"),
    )
)]
pub(super) async fn file(
    State(api): State<Api>,
    Place((name, trial, path)): Place<(String, String, String)>,
    Params(query): Params<Namespace>,
) -> Result<Response, ApiError> {
    let pieces = service::model_file(&api, &query.namespace, &name, &trial, &path).await?;
    let pieces = pieces.inspect_err(|error| warn!(%error, "the file of a model breaks off"));
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], Body::from_stream(pieces)).into_response())
}
