//! What belongs to no experiment: algorithms, version, health, counters, tidying, and the description of the API.

use std::time::Duration;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use controller_kube::Standing;
use serde::Deserialize;
use tokio::sync::watch;
use utoipa::{IntoParams, OpenApi as _};

use super::Document;
use super::extract::{Params, Place};
use crate::api::Api;
use crate::api::service::{self, ApiError};
use crate::api::types::{AlgorithmView, Algorithms, Collected, ErrorBody, Version};
use crate::config;

/// All algorithms with what each can do.
#[utoipa::path(get, path = "/api/v1/algorithms", tag = "about", responses((status = 200, body = Algorithms)))]
pub(super) async fn algorithms() -> Json<Algorithms> {
    Json(service::algorithms())
}

/// One algorithm.
#[utoipa::path(
    get, path = "/api/v1/algorithms/{name}", tag = "about",
    params(("name" = String, Path, description = "algorithm")),
    responses((status = 200, body = AlgorithmView), (status = 404, body = ErrorBody), (status = 400, body = ErrorBody))
)]
pub(super) async fn algorithm(Place(name): Place<String>) -> Result<Json<AlgorithmView>, ApiError> {
    Ok(Json(service::algorithm(&name)?))
}

/// Which Cairn this is.
#[utoipa::path(get, path = "/api/v1/version", tag = "about", responses((status = 200, body = Version)))]
pub(super) async fn version() -> Json<Version> {
    Json(config::version())
}

/// How much to tidy.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct GcQuery {
    /// Seconds that a folder must have been left alone.
    #[serde(default)]
    #[param(required = false, default = 0, format = "uint32", maximum = 4_294_967_295_u32)]
    older_than_seconds: u32,
    /// Whether to count only.
    #[serde(default)]
    #[param(required = false, default = false)]
    dry_run: bool,
}

/// Erases deleted experiments and removes folders of runs that nobody knows any more.
#[utoipa::path(
    post, path = "/api/v1/gc", tag = "about", params(GcQuery),
    responses(
        (status = 200, body = Collected),
        (status = 400, body = ErrorBody),
        (status = 500, body = ErrorBody),
        (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn gc(
    State(api): State<Api>,
    Params(query): Params<GcQuery>,
) -> Result<Json<Collected>, ApiError> {
    let older = Duration::from_secs(query.older_than_seconds.into());
    Ok(Json(service::gc(&api, older, query.dry_run).await?))
}

/// Whether the store answers; and, where several act upon one cluster, whether this one does.
#[utoipa::path(
    get, path = "/healthz", tag = "about",
    responses((status = 200, body = String, content_type = "text/plain"), (status = 503, body = ErrorBody))
)]
pub(super) async fn healthz(
    State(api): State<Api>,
    standing: Option<Extension<watch::Receiver<Standing>>>,
) -> Result<String, ApiError> {
    api.world.store.ping().await?;
    Ok(match standing.map(|Extension(standing)| standing.borrow().clone()) {
        Some(Standing::StandsBy(why)) => format!("ok; {why}\n"),
        Some(Standing::Leads(name)) => format!("ok; {name} leads\n"),
        None => "ok\n".to_owned(),
    })
}

/// Counters for Prometheus.
#[utoipa::path(
    get, path = "/metrics", tag = "about",
    responses((status = 200, body = String, content_type = "text/plain"), (status = 503, body = ErrorBody))
)]
pub(super) async fn metrics(State(api): State<Api>) -> Result<Response, ApiError> {
    let text = service::exposition(&api).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

/// This description.
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "about", responses((status = 200, body = Object)))]
pub(super) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}
