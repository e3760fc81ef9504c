//! What is known of what is served, over HTTP.

use axum::Json;
use axum::extract::State;

use super::extract::{Body, Namespace, Params, Place};
use crate::api::Api;
use crate::api::service::{self, ApiError};
use crate::api::types::{ErrorBody, FeedbackRequest, FeedbackView, WatchView};

/// Says what is true of requests that were answered, one or several.
#[utoipa::path(
    post, path = "/api/v1/models/{model}/feedback", tag = "promotions",
    params(("model" = String, Path, description = "model"), Namespace), request_body = FeedbackRequest,
    responses(
        (status = 200, body = FeedbackView),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody),
    )
)]
pub(super) async fn feedback(
    State(api): State<Api>,
    Place(model): Place<String>,
    Params(query): Params<Namespace>,
    Body(request): Body<FeedbackRequest>,
) -> Result<Json<FeedbackView>, ApiError> {
    let labels = match request {
        FeedbackRequest::One(label) => vec![label],
        FeedbackRequest::Several(labels) => labels,
    };
    Ok(Json(service::feedback(&api, &query.namespace, &model, labels).await?))
}

/// Requests, errors, latencies, quality and drift of each version that is served.
#[utoipa::path(
    get, path = "/api/v1/models/{model}/watch", tag = "promotions",
    params(("model" = String, Path, description = "model"), Namespace),
    responses(
        (status = 200, body = WatchView),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn watch(
    State(api): State<Api>,
    Place(model): Place<String>,
    Params(query): Params<Namespace>,
) -> Result<Json<WatchView>, ApiError> {
    Ok(Json(service::watch(&api, &query.namespace, &model).await?))
}
