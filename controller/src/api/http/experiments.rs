//! Experiments over HTTP.

use std::convert::Infallible;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use serde::Deserialize;
use utoipa::IntoParams;

use super::extract::{Body, Namespace, Params, Place, Text, default_namespace};
use crate::api::Api;
use crate::api::service::{self, ApiError};
use crate::api::types::{
    Budgets, Changes, Comparison, ErrorBody, Experiment, Experiments, Explanation, Failures, Purged, Replay,
    StopRequest, Submitted, Validation, Wished,
};

type Answer<T> = Result<Json<T>, ApiError>;

/// How a document is submitted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct SubmitQuery {
    /// Namespace of an experiment that names none.
    #[serde(default = "default_namespace")]
    #[param(required = false, default = "default")]
    namespace: String,
    /// Absolute folder on the server's machine that relative paths of trials start from.
    base_dir: Option<String>,
}

/// Submits an Experiment (YAML or JSON). The same name and spec again changes nothing, other budgets are an edit, and
/// anything else is a conflict that lists the difference.
#[utoipa::path(
    post, path = "/api/v1/experiments", tag = "experiments", params(SubmitQuery),
    request_body(content = serde_json::Value, content_type = "application/yaml", description = "the Experiment"),
    responses(
        (status = 201, body = Submitted, description = "created"),
        (status = 200, body = Submitted, description = "exists: unchanged, or edited"),
        (status = 400, body = ErrorBody, description = "not valid; every problem is listed"),
        (status = 409, body = ErrorBody, description = "the name exists with another spec"),
        (status = 503, body = ErrorBody, description = "the store or the suggestion service does not answer"),
    )
)]
pub(super) async fn submit(
    State(api): State<Api>,
    Params(query): Params<SubmitQuery>,
    Text(text): Text,
) -> Result<Response, ApiError> {
    if query.base_dir.as_ref().is_some_and(|dir| !dir.starts_with('/')) {
        return Err(ApiError::invalid("baseDir must be an absolute path"));
    }
    let submitted = service::submit(&api, &text, &query.namespace, query.base_dir).await?;
    let status = if submitted.outcome == "created" { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(submitted)).into_response())
}

/// Checks an Experiment (YAML or JSON) all the way to what this machine can run, and submits nothing.
#[utoipa::path(
    post, path = "/api/v1/validate", tag = "experiments", params(Namespace),
    request_body(content = serde_json::Value, content_type = "application/yaml", description = "the Experiment"),
    responses(
        (status = 200, body = Validation, description = "everything there is to say, valid or not"),
        (status = 400, body = ErrorBody, description = "not a text"),
        (status = 503, body = ErrorBody, description = "the suggestion service does not answer"),
    )
)]
pub(super) async fn validate(
    State(api): State<Api>,
    Params(query): Params<Namespace>,
    Text(text): Text,
) -> Answer<Validation> {
    Ok(Json(service::check(&api, &text, &query.namespace).await?.view()))
}

/// Whose experiments.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ListQuery {
    /// Only this namespace; all without one.
    namespace: Option<String>,
}

/// Living experiments, newest first.
#[utoipa::path(
    get, path = "/api/v1/experiments", tag = "experiments", params(ListQuery),
    responses(
        (status = 200, body = Experiments),
        (status = 400, body = ErrorBody),
        (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn list(State(api): State<Api>, Params(query): Params<ListQuery>) -> Answer<Experiments> {
    Ok(Json(service::list(&api, query.namespace.as_deref()).await?))
}

/// One experiment, as Katib's resource with a `cairn` block.
#[utoipa::path(
    get, path = "/api/v1/experiments/{name}", tag = "experiments",
    params(("name" = String, Path, description = "experiment"), Namespace),
    responses(
        (status = 200, body = Experiment),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn get(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<Namespace>,
) -> Answer<Experiment> {
    Ok(Json(service::get(&api, &query.namespace, &name).await?))
}

/// Searches in another space from now on: that of the Experiment sent, which may differ from what exists in its
/// parameters, constraints and queued points, and in its template where parameters come or go. What was found stays;
/// trials outside of the new space are not told to the algorithm.
#[utoipa::path(
    post, path = "/api/v1/experiments/{name}/space", tag = "experiments",
    params(("name" = String, Path, description = "experiment"), Namespace),
    request_body(content = serde_json::Value, content_type = "application/yaml", description = "the Experiment as it is to be"),
    responses(
        (status = 202, body = Wished),
        (status = 400, body = ErrorBody, description = "not valid, or more than the space differs; every problem is listed"),
        (status = 404, body = ErrorBody),
        (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn edit_space(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<Namespace>,
    Text(text): Text,
) -> Result<(StatusCode, Json<Wished>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(service::edit_space(&api, &query.namespace, &name, &text).await?)))
}

/// Ends everything of an experiment and forgets it, as a wish that its driver carries out.
#[utoipa::path(
    delete, path = "/api/v1/experiments/{name}", tag = "experiments",
    params(("name" = String, Path, description = "experiment"), Namespace),
    responses(
        (status = 202, body = Wished),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn delete(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<Namespace>,
) -> Result<(StatusCode, Json<Wished>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(service::delete(&api, &query.namespace, &name).await?)))
}

/// Erases the record of a deleted experiment, and the folders of its runs.
#[utoipa::path(
    post, path = "/api/v1/experiments/{name}/purge", tag = "experiments",
    params(("name" = String, Path, description = "experiment"), Namespace),
    responses(
        (status = 200, body = Purged),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 409, body = ErrorBody, description = "it lives, or runs of it have not ended"),
    )
)]
pub(super) async fn purge(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<Namespace>,
) -> Answer<Purged> {
    Ok(Json(service::purge(&api, &query.namespace, &name).await?))
}

/// Changes budgets; what is left out stays.
#[utoipa::path(
    patch, path = "/api/v1/experiments/{name}", tag = "experiments",
    params(("name" = String, Path, description = "experiment"), Namespace), request_body = Budgets,
    responses(
        (status = 202, body = Wished),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn edit(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<Namespace>,
    Body(budgets): Body<Budgets>,
) -> Result<(StatusCode, Json<Wished>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(service::edit(&api, &query.namespace, &name, &budgets).await?)))
}

/// Holds an experiment: running trials finish, or with `now` end and get another attempt later.
#[utoipa::path(
    post, path = "/api/v1/experiments/{name}/stop", tag = "experiments",
    params(("name" = String, Path, description = "experiment"), Namespace), request_body = StopRequest,
    responses(
        (status = 202, body = Wished),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn stop(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<Namespace>,
    Body(stop): Body<StopRequest>,
) -> Result<(StatusCode, Json<Wished>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(service::stop(&api, &query.namespace, &name, stop.now).await?)))
}

/// Lets a held experiment go on.
#[utoipa::path(
    post, path = "/api/v1/experiments/{name}/resume", tag = "experiments",
    params(("name" = String, Path, description = "experiment"), Namespace),
    responses(
        (status = 202, body = Wished),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn resume(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<Namespace>,
) -> Result<(StatusCode, Json<Wished>), ApiError> {
    Ok((StatusCode::ACCEPTED, Json(service::resume(&api, &query.namespace, &name).await?)))
}

/// What to explain.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ExplainQuery {
    /// Namespace of the experiment.
    #[serde(default = "default_namespace")]
    #[param(required = false, default = "default")]
    namespace: String,
    /// A trial (name or number) or a path such as `spec.maxTrialCount`; without one, why nothing happens.
    subject: Option<String>,
}

/// Explains a trial, a field, or why nothing happens.
#[utoipa::path(
    get, path = "/api/v1/experiments/{name}/explain", tag = "experiments",
    params(("name" = String, Path, description = "experiment"), ExplainQuery),
    responses(
        (status = 200, body = Explanation),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn explain(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<ExplainQuery>,
) -> Answer<Explanation> {
    Ok(Json(service::explain(&api, &query.namespace, &name, query.subject.as_deref()).await?))
}

/// What to compare.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct CompareQuery {
    /// Namespace of the experiment.
    #[serde(default = "default_namespace")]
    #[param(required = false, default = "default")]
    namespace: String,
    /// Trials by name or number, separated by commas.
    trials: String,
}

/// Trials side by side.
#[utoipa::path(
    get, path = "/api/v1/experiments/{name}/compare", tag = "experiments",
    params(("name" = String, Path, description = "experiment"), CompareQuery),
    responses(
        (status = 200, body = Comparison),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn compare(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<CompareQuery>,
) -> Answer<Comparison> {
    let trials: Vec<String> =
        query.trials.split(',').map(str::trim).filter(|trial| !trial.is_empty()).map(str::to_owned).collect();
    Ok(Json(service::compare(&api, &query.namespace, &name, &trials).await?))
}

/// Failed trials grouped by cause.
#[utoipa::path(
    get, path = "/api/v1/experiments/{name}/failures", tag = "experiments",
    params(("name" = String, Path, description = "experiment"), Namespace),
    responses(
        (status = 200, body = Failures),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn failures(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<Namespace>,
) -> Answer<Failures> {
    Ok(Json(service::failures(&api, &query.namespace, &name).await?))
}

/// Asks the recorded questions again and says whether the suggestions are the same.
#[utoipa::path(
    post, path = "/api/v1/experiments/{name}/replay", tag = "experiments",
    params(("name" = String, Path, description = "experiment"), Namespace),
    responses(
        (status = 200, body = Replay),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
        (status = 503, body = ErrorBody),
    )
)]
pub(super) async fn replay(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<Namespace>,
) -> Answer<Replay> {
    Ok(Json(service::replay(&api, &query.namespace, &name).await?))
}

/// How to export.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ExportQuery {
    /// Namespace of the experiment.
    #[serde(default = "default_namespace")]
    #[param(required = false, default = "default")]
    namespace: String,
    /// `csv` or `json`.
    #[serde(default = "csv")]
    #[param(required = false, default = "csv", pattern = "^(csv|json)$")]
    format: String,
    /// Every value of every trial: as CSV in place of the trials, as JSON beside them.
    #[serde(default)]
    #[param(required = false, default = false)]
    observations: bool,
}

fn csv() -> String {
    "csv".into()
}

/// All trials as CSV, or the experiment with all trials as JSON.
#[utoipa::path(
    get, path = "/api/v1/experiments/{name}/export", tag = "experiments",
    params(("name" = String, Path, description = "experiment"), ExportQuery),
    responses(
        (status = 200, description = "the export", content((String = "text/csv"), (Object = "application/json"))),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn export(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<ExportQuery>,
) -> Result<Response, ApiError> {
    match query.format.as_str() {
        "csv" => {
            let text = if query.observations {
                service::observations_csv(&api, &query.namespace, &name).await?
            } else {
                service::csv(&api, &query.namespace, &name).await?
            };
            Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], text).into_response())
        }
        "json" => {
            Ok(Json(service::json(&api, &query.namespace, &name, query.observations).await?).into_response())
        }
        other => Err(ApiError::invalid(format!("format `{other}` is neither csv nor json"))),
    }
}

/// Changes as server-sent events; `Last-Event-ID` (or `after`) is the number of the last one seen.
#[utoipa::path(
    get, path = "/api/v1/experiments/{name}/events", tag = "experiments",
    params(
        ("name" = String, Path, description = "experiment"),
        ChangesQuery,
        ("Last-Event-ID" = Option<u64>, Header, description = "number of the last change seen")
    ),
    responses(
        (status = 200, body = String, content_type = "text/event-stream",
         description = "one event a change: `id` its number, `event` its kind, `data` a Change as JSON"),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn events(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<ChangesQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let after =
        match headers.get("last-event-id").map(|id| id.to_str().ok().and_then(|id| id.trim().parse().ok())) {
            None => query.after,
            Some(Some(seen)) => seen,
            Some(None) => return Err(ApiError::invalid("Last-Event-ID must be the number of a change")),
        };
    let changes = service::follow(&api, &query.namespace, &name, after).await?;
    let events = changes.map(|change| {
        let data = serde_json::to_string(&change).unwrap_or_default();
        Ok::<_, Infallible>(Event::default().id(change.seq.to_string()).event(change.kind).data(data))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()).into_response())
}

/// Which changes.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct ChangesQuery {
    /// Namespace of the experiment.
    #[serde(default = "default_namespace")]
    #[param(required = false, default = "default")]
    namespace: String,
    /// Number of the last change seen.
    #[serde(default)]
    #[param(required = false, default = 0)]
    after: u64,
    /// How many at most (not for the stream).
    #[serde(default = "thousand")]
    #[param(required = false, default = 1000)]
    limit: u64,
}

fn thousand() -> u64 {
    1000
}

/// Changes there are by now, a page at a time.
#[utoipa::path(
    get, path = "/api/v1/experiments/{name}/changes", tag = "experiments",
    params(("name" = String, Path, description = "experiment"), ChangesQuery),
    responses(
        (status = 200, body = Changes),
        (status = 400, body = ErrorBody),
        (status = 404, body = ErrorBody),
    )
)]
pub(super) async fn changes(
    State(api): State<Api>,
    Place(name): Place<String>,
    Params(query): Params<ChangesQuery>,
) -> Answer<Changes> {
    let limit = query.limit.clamp(1, 10_000);
    let items = service::changes(&api, &query.namespace, &name, query.after, limit).await?;
    Ok(Json(Changes { items }))
}
