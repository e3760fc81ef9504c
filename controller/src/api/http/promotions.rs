//! Promotions, models and the audit log over HTTP.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Body, Namespace, Params, Place, default_namespace};
use crate::api::Api;
use crate::api::service::{self, ApiError};
use crate::api::types::{
    AuditLog, ErrorBody, ModelView, ModelsView, PromoteRequest, PromotionView, PromotionsView,
    RollbackRequest, WordRequest,
};

type Answer<T> = Result<Json<T>, ApiError>;
type Accepted = Result<(StatusCode, Json<PromotionView>), ApiError>;

/// Which promotions.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Which {
    /// Namespace of the models.
    #[serde(default = "default_namespace")]
    #[param(required = false, default = "default")]
    namespace: String,
    /// Only of this model.
    model: Option<String>,
}

/// Which models.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct WhichModels {
    /// Only of this namespace.
    namespace: Option<String>,
}

/// Wants the promotion of a trial; carried out by whoever drives.
#[utoipa::path(
    post, path = "/api/v1/promotions", tag = "promotions", params(Namespace), request_body = PromoteRequest,
    responses(
        (status = 202, body = PromotionView),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody),
    )
)]
pub(super) async fn promote(
    State(api): State<Api>,
    Params(query): Params<Namespace>,
    Body(request): Body<PromoteRequest>,
) -> Accepted {
    Ok((StatusCode::ACCEPTED, Json(service::promote(&api, &query.namespace, &request).await?)))
}

/// Promotions, newest first.
#[utoipa::path(
    get, path = "/api/v1/promotions", tag = "promotions", params(Which),
    responses((status = 200, body = PromotionsView), (status = 400, body = ErrorBody))
)]
pub(super) async fn list(State(api): State<Api>, Params(query): Params<Which>) -> Answer<PromotionsView> {
    Ok(Json(service::promotions(&api, &query.namespace, query.model).await?))
}

/// One promotion.
#[utoipa::path(
    get, path = "/api/v1/promotions/{model}/{number}", tag = "promotions",
    params(
        ("model" = String, Path, description = "model"),
        ("number" = u32, Path, description = "number of the promotion"),
        Namespace
    ),
    responses(
        (status = 200, body = PromotionView),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn get(
    State(api): State<Api>,
    Place((model, number)): Place<(String, u32)>,
    Params(query): Params<Namespace>,
) -> Answer<PromotionView> {
    Ok(Json(service::promotion(&api, &query.namespace, &model, number.into()).await?))
}

/// Agrees to a promotion that waits for it.
#[utoipa::path(
    post, path = "/api/v1/promotions/{model}/{number}/approve", tag = "promotions",
    params(
        ("model" = String, Path, description = "model"),
        ("number" = u32, Path, description = "number of the promotion"),
        Namespace
    ),
    request_body = WordRequest,
    responses(
        (status = 202, body = PromotionView),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody),
    )
)]
pub(super) async fn approve(
    State(api): State<Api>,
    Place((model, number)): Place<(String, u32)>,
    Params(query): Params<Namespace>,
    Body(word): Body<WordRequest>,
) -> Accepted {
    let promotion = service::approve(&api, &query.namespace, &model, number.into(), &word).await?;
    Ok((StatusCode::ACCEPTED, Json(promotion)))
}

/// Ends a promotion.
#[utoipa::path(
    post, path = "/api/v1/promotions/{model}/{number}/cancel", tag = "promotions",
    params(
        ("model" = String, Path, description = "model"),
        ("number" = u32, Path, description = "number of the promotion"),
        Namespace
    ),
    request_body = WordRequest,
    responses(
        (status = 202, body = PromotionView),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody),
    )
)]
pub(super) async fn cancel(
    State(api): State<Api>,
    Place((model, number)): Place<(String, u32)>,
    Params(query): Params<Namespace>,
    Body(word): Body<WordRequest>,
) -> Accepted {
    let promotion = service::cancel(&api, &query.namespace, &model, number.into(), &word).await?;
    Ok((StatusCode::ACCEPTED, Json(promotion)))
}

/// Gives the candidate of a promotion all requests now.
#[utoipa::path(
    post, path = "/api/v1/promotions/{model}/{number}/finish", tag = "promotions",
    params(
        ("model" = String, Path, description = "model"),
        ("number" = u32, Path, description = "number of the promotion"),
        Namespace
    ),
    request_body = WordRequest,
    responses(
        (status = 202, body = PromotionView),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody),
    )
)]
pub(super) async fn finish(
    State(api): State<Api>,
    Place((model, number)): Place<(String, u32)>,
    Params(query): Params<Namespace>,
    Body(word): Body<WordRequest>,
) -> Accepted {
    let promotion = service::finish(&api, &query.namespace, &model, number.into(), &word).await?;
    Ok((StatusCode::ACCEPTED, Json(promotion)))
}

/// Models with their versions.
#[utoipa::path(
    get, path = "/api/v1/models", tag = "promotions", params(WhichModels),
    responses((status = 200, body = ModelsView), (status = 400, body = ErrorBody))
)]
pub(super) async fn models(State(api): State<Api>, Params(query): Params<WhichModels>) -> Answer<ModelsView> {
    Ok(Json(service::models(&api, query.namespace.as_deref()).await?))
}

/// One model with its versions.
#[utoipa::path(
    get, path = "/api/v1/models/{model}", tag = "promotions",
    params(("model" = String, Path, description = "model"), Namespace),
    responses(
        (status = 200, body = ModelView),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn model(
    State(api): State<Api>,
    Place(model): Place<String>,
    Params(query): Params<Namespace>,
) -> Answer<ModelView> {
    Ok(Json(service::model(&api, &query.namespace, &model).await?))
}

/// Wants an earlier version back.
#[utoipa::path(
    post, path = "/api/v1/models/{model}/rollback", tag = "promotions",
    params(("model" = String, Path, description = "model"), Namespace), request_body = RollbackRequest,
    responses(
        (status = 202, body = PromotionView),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody),
    )
)]
pub(super) async fn rollback(
    State(api): State<Api>,
    Place(model): Place<String>,
    Params(query): Params<Namespace>,
    Body(request): Body<RollbackRequest>,
) -> Accepted {
    let promotion = service::rollback(&api, &query.namespace, &model, &request).await?;
    Ok((StatusCode::ACCEPTED, Json(promotion)))
}

/// Ends the servers of a model, once their last requests have ended; its champion stays.
#[utoipa::path(
    post, path = "/api/v1/models/{model}/stop", tag = "promotions",
    params(("model" = String, Path, description = "model"), Namespace), request_body = WordRequest,
    responses(
        (status = 200, body = ModelView),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody),
    )
)]
pub(super) async fn stop(
    State(api): State<Api>,
    Place(model): Place<String>,
    Params(query): Params<Namespace>,
    Body(word): Body<WordRequest>,
) -> Answer<ModelView> {
    Ok(Json(service::stop_model(&api, &query.namespace, &model, &word).await?))
}

/// Everything that was done to models, and whether the log is whole.
#[utoipa::path(get, path = "/api/v1/audit", tag = "promotions", responses((status = 200, body = AuditLog)))]
pub(super) async fn audit(State(api): State<Api>) -> Answer<AuditLog> {
    Ok(Json(service::audit_log(&api).await?))
}
