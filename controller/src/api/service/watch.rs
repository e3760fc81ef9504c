//! What is known of what is served, and labels for it.

use controller_core::promotion::guard::bound;
use controller_core::promotion::{Breach, Counts, Deployment, Finding, Judged, Serving, Telemetry, Watched};

use super::error::{ApiError, Code};
use crate::api::Api;
use crate::api::types::{
    BreachView, FeedbackView, FindingView, LabelRequest, RefusedView, WatchView, WatchedView,
};
use crate::promote::{self, Taken, WatchError};

/// How many labels are taken in at a time.
const LABELS: usize = 10_000;

impl From<WatchError> for ApiError {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::Promote(error) => error.into(),
            error @ WatchError::Files(_) => Self::new(Code::Unavailable, error.to_string()),
        }
    }
}

/// The servers of a model that is served.
async fn serving(api: &Api, namespace: &str, model: &str) -> Result<Serving, ApiError> {
    let serving = api.world.promotions.serving(namespace, model).await?;
    serving.filter(|serving| !serving.deployments.is_empty()).ok_or_else(|| {
        ApiError::not_found(format!(
            "model `{model}` is not served in namespace `{namespace}`; `spec.promotion.serving` says how it is to be"
        ))
    })
}

/// Joins labels with the requests that were kept.
pub(crate) async fn feedback(
    api: &Api,
    namespace: &str,
    model: &str,
    labels: Vec<LabelRequest>,
) -> Result<FeedbackView, ApiError> {
    let serving = serving(api, namespace, model).await?;
    if !serving.deployments.iter().any(|deployment| deployment.spec.is_logged()) {
        let message = format!(
            "no request of model `{model}` is kept, so labels have nothing to be joined with; set `serving.watch.log`"
        );
        return Err(ApiError::new(Code::Conflict, message));
    }
    if labels.len() > LABELS {
        let message = format!("{} labels are too many at a time; send up to {LABELS}", labels.len());
        return Err(ApiError::invalid(message));
    }
    let labels = labels.into_iter().map(|label| (label.request_id, label.label)).collect();
    let Taken { joined, known, unknown, refused } = promote::feedback(&api.world, &serving, labels).await?;
    let refused = refused.into_iter().map(|(request_id, why)| RefusedView { request_id, why }).collect();
    Ok(FeedbackView { joined, known, unknown, refused })
}

/// What is known of a model's requests, those that have come by now among them.
pub(crate) async fn watch(api: &Api, namespace: &str, model: &str) -> Result<WatchView, ApiError> {
    let serving = serving(api, namespace, model).await?;
    let watched = promote::look(&api.world, &serving).await?;
    let counted = promote::counted(&api.world, &serving).await;
    let mut deployments: Vec<&Deployment> = serving.deployments.iter().collect();
    deployments.sort_by_key(|deployment| std::cmp::Reverse(deployment.weight));
    let server = |deployment: &&Deployment| view(deployment, &watched, counted.as_ref());
    Ok(WatchView {
        namespace: namespace.to_owned(),
        name: model.to_owned(),
        counted: counted.is_some(),
        servers: deployments.iter().map(server).collect(),
        breaches: watched.breaches.iter().map(breach_view).collect(),
        n_breaches: watched.n_breaches,
        calls: watched.calls.len() as u64,
        lost_calls: watched.lost_calls,
    })
}

fn view(deployment: &Deployment, watched: &Watched, counted: Option<&Telemetry>) -> WatchedView {
    let counts =
        counted.and_then(|counted| counted.counts.get(&deployment.name)).cloned().unwrap_or_default();
    let known = watched.versions.get(&deployment.name).cloned().unwrap_or_default();
    let millis = |counts: &Counts, percent| counts.class_within(percent).map(|class| bound(class) * 1000.0);
    let last = known.last.as_ref();
    let worst = last.map(|last: &Judged| last.worst.iter().map(finding_view).collect());
    WatchedView {
        server: deployment.name.clone(),
        version: deployment.version,
        weight: deployment.weight,
        requests: counts.requests,
        errors: counts.errors,
        p50_ms: millis(&counts, 50),
        p95_ms: millis(&counts, 95),
        kept: known.kept,
        labelled: known.labelled,
        quality: known.quality(),
        rows: known.gathered.rows,
        window: deployment.spec.watch.clone().unwrap_or_default().window(),
        drifted: last.map(|last| last.drifted),
        judged_at: last.map(|last| last.at.to_rfc3339()),
        worst: worst.unwrap_or_default(),
        problem: known.problem,
    }
}

fn finding_view(finding: &Finding) -> FindingView {
    let Finding { feature, test, statistic, p } = finding.clone();
    FindingView { feature, test, statistic, p }
}

fn breach_view(breach: &Breach) -> BreachView {
    let (server, detail, done) = (breach.version.clone(), breach.detail.clone(), breach.done.clone());
    BreachView { at: breach.at.to_rfc3339(), server, detail, done }
}
