//! HTTP/JSON under `/api/v1`, with its OpenAPI document, `/healthz` and `/metrics`.
//!
//! Experiments are addressed by name; their namespace is the query parameter `namespace`, `default` without one.

mod experiments;
mod extract;
mod misc;
mod models;
mod promotions;
mod schedules;
mod trials;
mod watch;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use tower::ServiceExt as _;
use utoipa::OpenApi;

use super::Api;
use super::service::{ApiError, Code};

/// Largest body that is taken in.
pub(crate) const MAX_BODY: usize = 16 << 20;

/// The description of the whole API.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Cairn",
        version = "1",
        description = "Experiments, trials and changes of a Cairn. Errors are `{error: {code, message, problems}}`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        experiments::submit,
        experiments::validate,
        experiments::list,
        experiments::get,
        experiments::delete,
        experiments::purge,
        experiments::edit_space,
        experiments::edit,
        experiments::stop,
        experiments::resume,
        experiments::explain,
        experiments::compare,
        experiments::failures,
        experiments::replay,
        experiments::export,
        experiments::events,
        experiments::changes,
        trials::list,
        trials::get,
        trials::best,
        trials::predicted_best,
        trials::architecture,
        trials::enqueue,
        trials::stop,
        trials::retry,
        trials::observations,
        trials::logs,
        trials::push,
        models::manifest,
        models::file,
        promotions::promote,
        promotions::list,
        promotions::get,
        promotions::approve,
        promotions::cancel,
        promotions::finish,
        promotions::models,
        promotions::model,
        promotions::rollback,
        promotions::stop,
        promotions::audit,
        watch::feedback,
        watch::watch,
        schedules::list,
        schedules::suspend,
        schedules::resume,
        schedules::run,
        misc::algorithms,
        misc::algorithm,
        misc::version,
        misc::gc,
        misc::healthz,
        misc::metrics,
        misc::openapi,
    )
)]
pub(crate) struct Document;

/// All of HTTP.
pub(crate) fn router(api: Api) -> Router {
    let experiments = Router::new()
        .route("/", get(experiments::list).post(experiments::submit))
        .route("/{name}", get(experiments::get).delete(experiments::delete).patch(experiments::edit))
        .route("/{name}/purge", post(experiments::purge))
        .route("/{name}/stop", post(experiments::stop))
        .route("/{name}/resume", post(experiments::resume))
        .route("/{name}/explain", get(experiments::explain))
        .route("/{name}/compare", get(experiments::compare))
        .route("/{name}/failures", get(experiments::failures))
        .route("/{name}/replay", post(experiments::replay))
        .route("/{name}/export", get(experiments::export))
        .route("/{name}/events", get(experiments::events))
        .route("/{name}/changes", get(experiments::changes))
        .route("/{name}/space", post(experiments::edit_space))
        .route("/{name}/best", get(trials::best))
        .route("/{name}/best/predicted", get(trials::predicted_best))
        .route("/{name}/architecture", get(trials::architecture))
        .route("/{name}/trials", get(trials::list).post(trials::enqueue))
        .route("/{name}/trials/{trial}", get(trials::get))
        .route("/{name}/trials/{trial}/stop", post(trials::stop))
        .route("/{name}/trials/{trial}/retry", post(trials::retry))
        .route("/{name}/trials/{trial}/observations", get(trials::observations))
        .route("/{name}/trials/{trial}/logs", get(trials::logs))
        .route("/{name}/trials/{trial}/model", get(models::manifest))
        .route("/{name}/trials/{trial}/model/files/{*path}", get(models::file));
    Router::new()
        .nest("/api/v1/experiments", experiments)
        .route("/api/v1/validate", post(experiments::validate))
        .route("/api/v1/trials/{name}/observations", post(trials::push))
        .route("/api/v1/promotions", get(promotions::list).post(promotions::promote))
        .route("/api/v1/promotions/{model}/{number}", get(promotions::get))
        .route("/api/v1/promotions/{model}/{number}/approve", post(promotions::approve))
        .route("/api/v1/promotions/{model}/{number}/cancel", post(promotions::cancel))
        .route("/api/v1/promotions/{model}/{number}/finish", post(promotions::finish))
        .route("/api/v1/models", get(promotions::models))
        .route("/api/v1/models/{model}", get(promotions::model))
        .route("/api/v1/models/{model}/rollback", post(promotions::rollback))
        .route("/api/v1/models/{model}/stop", post(promotions::stop))
        .route("/api/v1/models/{model}/feedback", post(watch::feedback))
        .route("/api/v1/models/{model}/watch", get(watch::watch))
        .route("/api/v1/schedules", get(schedules::list))
        .route("/api/v1/schedules/{name}/suspend", post(schedules::suspend))
        .route("/api/v1/schedules/{name}/resume", post(schedules::resume))
        .route("/api/v1/schedules/{name}/run", post(schedules::run))
        .route("/api/v1/audit", get(promotions::audit))
        .route("/api/v1/algorithms", get(misc::algorithms))
        .route("/api/v1/algorithms/{name}", get(misc::algorithm))
        .route("/api/v1/version", get(misc::version))
        .route("/api/v1/gc", post(misc::gc))
        .route("/api/v1/openapi.json", get(misc::openapi))
        .route("/healthz", get(misc::healthz))
        .route("/metrics", get(misc::metrics))
        .method_not_allowed_fallback(wrong_method)
        .fallback(unknown)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(api)
}

/// The largest body, in words.
pub(crate) fn largest_body() -> String {
    format!("{} MiB", MAX_BODY >> 20)
}

/// What the suggestion service alone says over HTTP.
pub(crate) fn search_router() -> Router {
    Router::new()
        .route("/api/v1/algorithms", get(misc::algorithms))
        .route("/api/v1/algorithms/{name}", get(misc::algorithm))
        .route("/api/v1/version", get(misc::version))
        .route("/healthz", get(async || "ok\n"))
        .method_not_allowed_fallback(wrong_method)
        .fallback(async |request: Request| {
            let path = request.uri().path();
            ApiError::not_found(format!(
                "there is nothing at {path}; `cairn suggest` serves searches over gRPC"
            ))
        })
}

/// HTTP and gRPC on one address: what says that it is gRPC goes there.
pub(crate) fn with_grpc(http: Router, grpc: Router) -> Router {
    async fn choose(State((http, grpc)): State<(Router, Router)>, request: Request) -> Response {
        let kind = request.headers().get(header::CONTENT_TYPE);
        let is_grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        match if is_grpc { grpc } else { http }.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
    Router::new().fallback(choose).with_state((http, grpc))
}

async fn unknown(request: Request) -> ApiError {
    let message =
        format!("there is nothing at {}; /api/v1/openapi.json lists what there is", request.uri().path());
    ApiError::not_found(message)
}

async fn wrong_method(request: Request) -> Response {
    let message = format!("{} cannot be done with {}", request.method(), request.uri().path());
    let error = ApiError::invalid(message);
    (StatusCode::METHOD_NOT_ALLOWED, axum::Json(error.body())).into_response()
}

impl axum::response::IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let status = match self.code {
            Code::Invalid => StatusCode::BAD_REQUEST,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::Conflict => StatusCode::CONFLICT,
            Code::Unauthorized => StatusCode::UNAUTHORIZED,
            Code::Forbidden => StatusCode::FORBIDDEN,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        (status, axum::Json(self.body())).into_response()
    }
}
