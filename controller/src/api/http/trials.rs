//! Trials over HTTP.

use std::convert::Infallible;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Body, Namespace, Params, Place, default_namespace};
use crate::api::Api;
use crate::api::service::{self, ApiError, TrialsQuery};
use crate::api::types::{
    Architecture, EnqueueRequest, ErrorBody, Observations, PredictedBest, PushRequest, Trial, Trials, Wished,
};

type Answer<T> = Result<Json<T>, ApiError>;
type Accepted = Result<(StatusCode, Json<Wished>), ApiError>;

/// Which trials.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Namespace of the experiment.
    #[serde(default = "default_namespace")]
    #[param(required = false, default = "default")]
    namespace: String,
    /// A condition such as `lr > 0.1 and state = Succeeded`.
    #[serde(rename = "where")]
    filter: Option<String>,
    /// Metrics or other fields, with commas between them: only trials than which no other is at least as good in the
    /// objective and all of these and better in one (the Pareto front), the best by the objective first. The smaller is the
    /// better, with a leading `-` the larger.
    front: Option<String>,
    /// `idx`, `value`, `ended`, another field, a parameter or a metric; with a leading `-` largest first.
    sort: Option<String>,
    /// How many to pass over.
    #[serde(default)]
    #[param(required = false, default = 0)]
    offset: u32,
    /// How many at most; 0: all.
    #[serde(default = "page")]
    #[param(required = false, default = 100)]
    limit: u32,
}

fn page() -> u32 {
    100
}

/// A page of trials.
#[utoipa::path(
    get, path = "/api/v1/experiments/{name}/trials", tag = "trials",
    params(("name" = String, Path, description = "experiment"), ListQuery),
    responses(
        (status = 200, body = Trials),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn list(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<ListQuery>,
) -> Answer<Trials> {
    let wanted = TrialsQuery {
        filter: query.filter,
        front: query.front,
        sort: query.sort,
        offset: query.offset.into(),
        limit: query.limit.into(),
    };
    Ok(Json(service::trials(&api, &query.namespace, &name, &wanted).await?))
}

/// One trial, by name or number.
#[utoipa::path(
    get, path = "/api/v1/experiments/{name}/trials/{trial}", tag = "trials",
    params(
        ("name" = String, Path, description = "experiment"),
        ("trial" = String, Path, description = "name or number"),
        Namespace
    ),
    responses(
        (status = 200, body = Trial),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn get(
    State(api): State<Api>,
    Place((name, trial)): Place<(String, String)>,
    Params(query): Params<Namespace>,
) -> Answer<Trial> {
    Ok(Json(service::trial(&api, &query.namespace, &name, &trial).await?))
}

/// The best trial so far.
#[utoipa::path(
    get, path = "/api/v1/experiments/{name}/best", tag = "trials",
    params(("name" = String, Path, description = "experiment"), Namespace),
    responses(
        (status = 200, body = Trial),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody, description = "no such experiment, or no trial with a value yet"),
    )
)]
pub(super) async fn best(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<Namespace>,
) -> Answer<Trial> {
    Ok(Json(service::best(&api, &query.namespace, &name).await?))
}

/// Whose architecture.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ArchitectureQuery {
    /// Namespace of the experiment.
    #[serde(default = "default_namespace")]
    #[param(required = false, default = "default")]
    namespace: String,
    /// A trial, by name or number; the best without one.
    trial: Option<String>,
}

/// The architecture of a trial, as graphs.
#[utoipa::path(
    get, path = "/api/v1/experiments/{name}/architecture", tag = "trials",
    params(("name" = String, Path, description = "experiment"), ArchitectureQuery),
    responses(
        (status = 200, body = Architecture),
        (status = 400, body = ErrorBody, description = "the trial is no architecture"),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn architecture(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<ArchitectureQuery>,
) -> Answer<Architecture> {
    Ok(Json(service::architecture(&api, &query.namespace, &name, query.trial.as_deref()).await?))
}

/// The trial that the algorithm believes the best: of the best expected objective, which noise misleads less than the
/// best value seen. Nulls where the algorithm has no model.
#[utoipa::path(
    get, path = "/api/v1/experiments/{name}/best/predicted", tag = "trials",
    params(("name" = String, Path, description = "experiment"), Namespace),
    responses(
        (status = 200, body = PredictedBest),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn predicted_best(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<Namespace>,
) -> Answer<PredictedBest> {
    Ok(Json(service::predicted_best(&api, &query.namespace, &name).await?))
}

/// Puts a point in the queue: it is tried next. Parameters that are left out are as in the best trial so far, else take
/// their defaults.
#[utoipa::path(
    post, path = "/api/v1/experiments/{name}/trials", tag = "trials",
    params(("name" = String, Path, description = "experiment"), Namespace), request_body = EnqueueRequest,
    responses(
        (status = 202, body = Wished),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn enqueue(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<Namespace>,
    Body(point): Body<EnqueueRequest>,
) -> Accepted {
    Ok((
        StatusCode::ACCEPTED,
        Json(service::enqueue(&api, &query.namespace, &name, &point.parameters).await?),
    ))
}

/// Ends a trial; it becomes Killed.
#[utoipa::path(
    post, path = "/api/v1/experiments/{name}/trials/{trial}/stop", tag = "trials",
    params(
        ("name" = String, Path, description = "experiment"),
        ("trial" = String, Path, description = "name or number"),
        Namespace
    ),
    responses(
        (status = 202, body = Wished),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "it has already ended"),
    )
)]
pub(super) async fn stop(
    State(api): State<Api>,
    Place((name, trial)): Place<(String, String)>,
    Params(query): Params<Namespace>,
) -> Accepted {
    Ok((StatusCode::ACCEPTED, Json(service::stop_trial(&api, &query.namespace, &name, &trial).await?)))
}

/// Evaluates a trial's point once more, as a new trial.
#[utoipa::path(
    post, path = "/api/v1/experiments/{name}/trials/{trial}/retry", tag = "trials",
    params(
        ("name" = String, Path, description = "experiment"),
        ("trial" = String, Path, description = "name or number"),
        Namespace
    ),
    responses(
        (status = 202, body = Wished),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn retry(
    State(api): State<Api>,
    Place((name, trial)): Place<(String, String)>,
    Params(query): Params<Namespace>,
) -> Accepted {
    Ok((StatusCode::ACCEPTED, Json(service::retry_trial(&api, &query.namespace, &name, &trial).await?)))
}

/// Which observations.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ObservationsQuery {
    /// Namespace of the experiment.
    #[serde(default = "default_namespace")]
    #[param(required = false, default = "default")]
    namespace: String,
    /// Only this metric.
    metric: Option<String>,
    /// How many at most; 0: all.
    #[serde(default)]
    #[param(required = false, default = 0)]
    limit: u32,
}

/// What was measured of a trial, in the order of writing.
#[utoipa::path(
    get, path = "/api/v1/experiments/{name}/trials/{trial}/observations", tag = "trials",
    params(
        ("name" = String, Path, description = "experiment"),
        ("trial" = String, Path, description = "name or number"),
        ObservationsQuery
    ),
    responses(
        (status = 200, body = Observations),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn observations(
    State(api): State<Api>,
    Place((name, trial)): Place<(String, String)>,
    Params(query): Params<ObservationsQuery>,
) -> Answer<Observations> {
    let metric = query.metric.as_deref();
    let found =
        service::observations(&api, &query.namespace, &name, &trial, metric, query.limit.into()).await?;
    Ok(Json(found))
}

/// Which part of a log.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct LogsQuery {
    /// Namespace of the experiment.
    #[serde(default = "default_namespace")]
    #[param(required = false, default = "default")]
    namespace: String,
    /// Attempt, from 1; the newest without one.
    attempt: Option<u32>,
    /// First byte.
    #[serde(default)]
    #[param(required = false, default = 0)]
    from: u64,
    /// Whether to go on until the run has ended.
    #[serde(default)]
    #[param(required = false, default = false)]
    follow: bool,
}

/// What a trial has printed.
#[utoipa::path(
    get, path = "/api/v1/experiments/{name}/trials/{trial}/logs", tag = "trials",
    params(
        ("name" = String, Path, description = "experiment"),
        ("trial" = String, Path, description = "name or number"),
        LogsQuery
    ),
    responses(
        (status = 200, body = String, content_type = "text/plain"),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn logs(
    State(api): State<Api>,
    Place((name, trial)): Place<(String, String)>,
    Params(query): Params<LogsQuery>,
) -> Result<Response, ApiError> {
    let LogsQuery { namespace, attempt, from, follow } = query;
    let bytes = service::logs(&api, &namespace, &name, &trial, attempt, from, follow).await?;
    let body = axum::body::Body::from_stream(bytes.map(Ok::<_, Infallible>));
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], body).into_response())
}

/// Keeps values that a running trial reports of itself. Safe once answered; sending the same numbers again adds nothing.
#[utoipa::path(
    post, path = "/api/v1/trials/{name}/observations", tag = "trials",
    params(("name" = String, Path, description = "trial, as in CAIRN_TRIAL_NAME")), request_body = PushRequest,
    responses(
        (status = 204, description = "kept"),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "the trial is not running"),
    )
)]
pub(super) async fn push(
    State(api): State<Api>,
    Place(name): Place<String>,
    Body(request): Body<PushRequest>,
) -> Result<StatusCode, ApiError> {
    service::push(&api, &name, &request).await?;
    Ok(StatusCode::NO_CONTENT)
}
