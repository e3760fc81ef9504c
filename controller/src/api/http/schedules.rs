//! Schedules over HTTP.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Body, Namespace, Params, Place};
use crate::api::Api;
use crate::api::service::{self, ApiError};
use crate::api::types::{ErrorBody, RunRequest, ScheduleView, SchedulesView};

/// Which schedules.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Only of this namespace.
    namespace: Option<String>,
}

/// Scheduled experiments, by namespace and name.
#[utoipa::path(
    get, path = "/api/v1/schedules", tag = "schedules", params(Which),
    responses((status = 200, body = SchedulesView), (status = 400, body = ErrorBody))
)]
pub(super) async fn list(
    State(api): State<Api>,
    Params(query): Params<Which>,
) -> Result<Json<SchedulesView>, ApiError> {
    Ok(Json(service::schedules(&api, query.namespace.as_deref()).await?))
}

/// Lets nothing of a schedule begin by itself.
#[utoipa::path(
    post, path = "/api/v1/schedules/{name}/suspend", tag = "schedules",
    params(("name" = String, Path, description = "scheduled experiment"), Namespace),
    responses(
        (status = 200, body = ScheduleView),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "it has no schedule"),
    )
)]
pub(super) async fn suspend(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<Namespace>,
) -> Result<Json<ScheduleView>, ApiError> {
    Ok(Json(service::suspend_schedule(&api, &query.namespace, &name, true).await?))
}

/// Lets a schedule go on; of the times that went by meanwhile the newest is made up for, within its deadline.
#[utoipa::path(
    post, path = "/api/v1/schedules/{name}/resume", tag = "schedules",
    params(("name" = String, Path, description = "scheduled experiment"), Namespace),
    responses(
        (status = 200, body = ScheduleView),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "it has no schedule"),
    )
)]
pub(super) async fn resume(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<Namespace>,
) -> Result<Json<ScheduleView>, ApiError> {
    Ok(Json(service::suspend_schedule(&api, &query.namespace, &name, false).await?))
}

/// Asks for a run of a schedule now; made by whoever serves, as its concurrency allows.
#[utoipa::path(
    post, path = "/api/v1/schedules/{name}/run", tag = "schedules", request_body = RunRequest,
    params(("name" = String, Path, description = "scheduled experiment"), Namespace),
    responses(
        (status = 202, body = ScheduleView),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "it has no schedule, or drift begins none of its runs"),
    )
)]
pub(super) async fn run(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<Namespace>,
    Body(request): Body<RunRequest>,
) -> Result<(StatusCode, Json<ScheduleView>), ApiError> {
    let asked = service::ask_for_run(&api, &query.namespace, &name, request.cause.as_deref()).await?;
    Ok((StatusCode::ACCEPTED, Json(asked)))
}
