//! Promotions, models and the audit log.

use controller_core::ports::{ModelRecord, PromotionQuery};
use controller_core::promotion::rollout::finish_problem;
use controller_core::promotion::wish::approval_problem;
use controller_core::promotion::{
    Delivery, Promotion, PromotionState, PromotionWish, Queued, Version, audit,
};
use controller_core::spec::PromotionSpec;
use controller_core::time::Timestamp;
use controller_core::validate::model_problem;
use serde_json::Value;

use super::error::{ApiError, Code};
use super::experiments::find;
use super::serving;
use super::trials::find_trial;
use crate::api::Api;
use crate::api::types::{
    AuditLog, AuditView, ModelView, ModelsView, PromoteRequest, PromotionView, PromotionsView, RecordView,
    RollbackRequest, VersionView, WordRequest,
};
use crate::promote::{self, PromoteError};

impl From<PromoteError> for ApiError {
    fn from(error: PromoteError) -> Self {
        match error {
            PromoteError::Store(error) => error.into(),
            other => Self::new(Code::Unavailable, other.to_string()),
        }
    }
}

/// Wants the promotion of a trial.
pub(crate) async fn promote(
    api: &Api,
    namespace: &str,
    request: &PromoteRequest,
) -> Result<PromotionView, ApiError> {
    let record = find(api, namespace, &request.experiment).await?;
    let mut spec = match (&record.spec.promotion, &request.model) {
        (Some(spec), _) => spec.clone(),
        (None, Some(_)) => PromotionSpec::default(),
        (None, None) => {
            let message =
                format!("experiment `{}` has no `spec.promotion`; name the model it is for", record.name);
            return Err(ApiError::invalid(message));
        }
    };
    if let Some(model) = &request.model {
        spec.model.clone_from(model);
    }
    if let Some(problem) = model_problem(&spec.model) {
        return Err(ApiError::invalid(problem));
    }
    let trial = if let Some(trial) = &request.trial {
        find_trial(api, &record, trial).await?
    } else {
        let status = api.world.store.status(record.id).await?;
        let best = match status.best {
            Some(best) => api.world.store.trial(record.id, best.idx).await?,
            None => None,
        };
        best.ok_or_else(|| {
            ApiError::new(Code::Conflict, format!("experiment `{}` has no best trial yet", record.name))
        })?
    };
    let promotion = promote::by_hand(&api.world, &record, &trial, spec, &request.by).await?;
    api.world.wake.notify_waiters();
    Ok(promotion_view(&promotion))
}

/// Promotions of a namespace, of one model or of all, newest first.
pub(crate) async fn promotions(
    api: &Api,
    namespace: &str,
    model: Option<String>,
) -> Result<PromotionsView, ApiError> {
    let query = PromotionQuery { namespace: Some(namespace.to_owned()), model, open: false };
    let items = api.world.promotions.promotions(&query).await?;
    Ok(PromotionsView { items: items.iter().map(promotion_view).collect() })
}

/// One promotion.
pub(crate) async fn promotion(
    api: &Api,
    namespace: &str,
    model: &str,
    number: u64,
) -> Result<PromotionView, ApiError> {
    let promotion = one(api, namespace, model, number).await?;
    let heeding = !api.world.promotions.wishes_of_promotion(promotion.id).await?.is_empty();
    let records = api.world.outbox.records(namespace, model, number).await?;
    let records = records.iter().map(record_view).collect();
    Ok(PromotionView { heeding, records, ..promotion_view(&promotion) })
}

fn record_view(queued: &Queued) -> RecordView {
    let Delivery { standing, tries, error, at } = queued.delivery.clone();
    RecordView {
        target: queued.record.target.name(),
        state: standing.name().into(),
        at: (at != Timestamp::default()).then(|| at.to_rfc3339()),
        tries,
        error,
        queued: queued.waiting,
        oldest: queued.oldest.map(Timestamp::to_rfc3339),
    }
}

async fn one(api: &Api, namespace: &str, model: &str, number: u64) -> Result<Promotion, ApiError> {
    let query =
        PromotionQuery { namespace: Some(namespace.to_owned()), model: Some(model.to_owned()), open: false };
    let all = api.world.promotions.promotions(&query).await?;
    let newest = all.first().map(|promotion| promotion.number);
    all.into_iter().find(|promotion| promotion.number == number).ok_or_else(|| {
        ApiError::not_found(match newest {
            Some(newest) => format!("promotion {model}/{number} not found; the newest is {model}/{newest}"),
            None => format!(
                "promotion {model}/{number} not found: there is none of `{model}` in namespace `{namespace}`"
            ),
        })
    })
}

/// Agrees to a promotion.
pub(crate) async fn approve(
    api: &Api,
    namespace: &str,
    model: &str,
    number: u64,
    word: &WordRequest,
) -> Result<PromotionView, ApiError> {
    let promotion = one(api, namespace, model, number).await?;
    if word.by.is_empty() || word.digest.is_empty() {
        return Err(ApiError::invalid("an approval says by whom it is, and for which digest"));
    }
    if let Some(problem) = approval_problem(&promotion, &word.by, &word.digest) {
        return Err(ApiError::new(Code::Conflict, problem));
    }
    let (by, reason, digest) = (word.by.clone(), word.reason.clone(), word.digest.clone());
    wish(api, promotion, PromotionWish::Approve { by, reason, digest }).await
}

/// Ends a promotion.
pub(crate) async fn cancel(
    api: &Api,
    namespace: &str,
    model: &str,
    number: u64,
    word: &WordRequest,
) -> Result<PromotionView, ApiError> {
    let promotion = one(api, namespace, model, number).await?;
    if promotion.state.is_final() {
        let message = format!("promotion {} is {} already", promotion.name(), promotion.state.name());
        return Err(ApiError::new(Code::Conflict, message));
    }
    let wished = PromotionWish::Cancel { by: word.by.clone(), reason: word.reason.clone() };
    wish(api, promotion, wished).await
}

/// Gives the candidate of a promotion all requests now.
pub(crate) async fn finish(
    api: &Api,
    namespace: &str,
    model: &str,
    number: u64,
    word: &WordRequest,
) -> Result<PromotionView, ApiError> {
    let promotion = one(api, namespace, model, number).await?;
    if let Some(problem) = finish_problem(&promotion) {
        return Err(ApiError::new(Code::Conflict, problem));
    }
    let wished = PromotionWish::Finish { by: word.by.clone(), reason: word.reason.clone() };
    wish(api, promotion, wished).await
}

async fn wish(api: &Api, promotion: Promotion, wish: PromotionWish) -> Result<PromotionView, ApiError> {
    api.world.promotions.wish_of_promotion(promotion.id, &wish, api.world.clock.now()).await?;
    api.world.wake.notify_waiters();
    Ok(PromotionView { heeding: true, ..promotion_view(&promotion) })
}

/// Models of a namespace, or of all, with their versions.
pub(crate) async fn models(api: &Api, namespace: Option<&str>) -> Result<ModelsView, ApiError> {
    let mut items = Vec::new();
    for record in api.world.promotions.models().await? {
        if namespace.is_none_or(|namespace| namespace == record.namespace) {
            items.push(model_view(api, &record).await?);
        }
    }
    Ok(ModelsView { items })
}

/// One model with its versions.
pub(crate) async fn model(api: &Api, namespace: &str, name: &str) -> Result<ModelView, ApiError> {
    let models = api.world.promotions.models().await?;
    let found = models.iter().find(|record| record.namespace == namespace && record.name == name);
    let Some(record) = found else {
        let message = format!(
            "model `{name}` has no version in namespace `{namespace}`; `cairn promote EXPERIMENT --model {name}` makes the \
             first"
        );
        return Err(ApiError::not_found(message));
    };
    model_view(api, record).await
}

async fn model_view(api: &Api, record: &ModelRecord) -> Result<ModelView, ApiError> {
    let versions = api.world.promotions.versions(&record.namespace, &record.name).await?;
    let serving = api.world.promotions.serving(&record.namespace, &record.name).await?.unwrap_or_default();
    let view = |version: &Version| VersionView {
        served: serving::served(&serving, version.digest()),
        ..version_view(version, record.champion)
    };
    Ok(ModelView {
        namespace: record.namespace.clone(),
        name: record.name.clone(),
        champion: record.champion,
        since: record.since.to_rfc3339(),
        url: serving::url(&serving, &api.world.home),
        servers: serving::servers(&serving),
        versions: versions.iter().map(view).collect(),
    })
}

/// Wants to go back to an earlier version.
pub(crate) async fn rollback(
    api: &Api,
    namespace: &str,
    name: &str,
    request: &RollbackRequest,
) -> Result<PromotionView, ApiError> {
    let model = model(api, namespace, name).await?;
    let to = match request.to {
        Some(to) => u64::from(to),
        None => before(api, namespace, &model).await?,
    };
    let versions = api.world.promotions.versions(namespace, name).await?;
    let Some(version) = versions.iter().find(|version| version.number == to) else {
        let known: Vec<String> = versions.iter().map(|version| version.number.to_string()).collect();
        let message = format!("model `{name}` has no version {to}; it has {}", known.join(", "));
        return Err(ApiError::not_found(message));
    };
    let is_served = model.servers.iter().any(|server| server.weight > 0);
    if version.number == model.champion && (is_served || version.serving.is_none()) {
        let message = format!("version {to} is the champion of `{name}` already");
        return Err(ApiError::new(Code::Conflict, message));
    }
    let promotion = promote::rollback(&api.world, version, &request.by, api.world.clock.now()).await?;
    api.world.wake.notify_waiters();
    Ok(promotion_view(&promotion))
}

/// Ends the servers of a model; its champion stays.
pub(crate) async fn stop_model(
    api: &Api,
    namespace: &str,
    name: &str,
    word: &WordRequest,
) -> Result<ModelView, ApiError> {
    let found = model(api, namespace, name).await?;
    if found.servers.is_empty() {
        return Err(ApiError::new(Code::Conflict, format!("model `{name}` is not served")));
    }
    let query =
        PromotionQuery { namespace: Some(namespace.to_owned()), model: Some(name.to_owned()), open: true };
    let open = api.world.promotions.promotions(&query).await?;
    if let Some(promotion) = open.iter().find(|promotion| promotion.is_serving()) {
        let message = format!(
            "promotion {0} moves the requests of `{name}`; `cairn promotion cancel {0}` ends it",
            promotion.name()
        );
        return Err(ApiError::new(Code::Conflict, message));
    }
    if !promote::stop(&api.world, namespace, name, &word.by, &word.reason).await? {
        let message = format!("a promotion of `{name}` is under way; try again when it has ended or waits");
        return Err(ApiError::new(Code::Conflict, message));
    }
    model(api, namespace, name).await
}

/// The version that was champion before the one that is.
async fn before(api: &Api, namespace: &str, model: &ModelView) -> Result<u64, ApiError> {
    let query = PromotionQuery {
        namespace: Some(namespace.to_owned()),
        model: Some(model.name.clone()),
        open: false,
    };
    let made_it = |promotion: &&Promotion| {
        promotion.state == PromotionState::Succeeded
            && promotion.version == Some(model.champion)
            // One that only was served again has replaced none.
            && promotion.replaced.is_some()
    };
    let promotions = api.world.promotions.promotions(&query).await?;
    promotions.iter().find(made_it).and_then(|promotion| promotion.replaced).ok_or_else(|| {
        let message = format!(
            "there is nothing to go back to: version {} of `{}` is the first that was champion",
            model.champion, model.name
        );
        ApiError::new(Code::Conflict, message)
    })
}

/// The audit log of all models, and whether its chain is whole.
pub(crate) async fn audit_log(api: &Api) -> Result<AuditLog, ApiError> {
    let entries = api.world.promotions.audit(0).await?;
    let problem = audit::verify(&entries).err().map(|tampered| tampered.to_string());
    let items = entries
        .into_iter()
        .map(|entry| AuditView {
            seq: entry.seq,
            at: entry.deed.at.to_rfc3339(),
            actor: entry.deed.actor,
            promotion: format!("{}/{}", entry.deed.model, entry.deed.promotion),
            namespace: entry.deed.namespace,
            deed: entry.deed.deed,
            detail: entry.deed.detail,
            hash: entry.hash,
        })
        .collect();
    Ok(AuditLog { items, problem })
}

/// A promotion as it travels.
pub(crate) fn promotion_view(promotion: &Promotion) -> PromotionView {
    let candidate = &promotion.candidate;
    PromotionView {
        name: promotion.name(),
        namespace: promotion.namespace.clone(),
        model: promotion.model.clone(),
        number: promotion.number,
        state: promotion.state.name().into(),
        waits_for: promotion.waits_for().map(|what| what.name().into()),
        stage: promotion.stage.name().into(),
        message: promotion.message.clone(),
        ended: promotion.state.is_final(),
        heeding: false,
        author: promotion.author.clone(),
        created: promotion.created.to_rfc3339(),
        ended_at: promotion.ended.map(Timestamp::to_rfc3339),
        experiment: candidate.experiment.clone(),
        trial: candidate.trial_name.clone(),
        digest: candidate.artifact.digest.clone(),
        uri: candidate.artifact.uri.clone(),
        back_to: promotion.back_to,
        version: promotion.version,
        replaced: promotion.replaced,
        evidence: evidence(promotion),
        approval: promotion.approval.as_ref().and_then(|approval| serde_json::to_value(approval).ok()),
        rollout: serving::rollout(promotion),
        records: Vec::new(),
    }
}

/// What speaks for it, without the scores of single examples.
fn evidence(promotion: &Promotion) -> Value {
    let mut evidence = promotion.evidence.clone();
    for measurement in [&mut evidence.candidate, &mut evidence.champion].into_iter().flatten() {
        measurement.scores.clear();
    }
    serde_json::to_value(evidence).unwrap_or_default()
}

fn version_view(version: &Version, champion: u64) -> VersionView {
    let candidate = &version.candidate;
    VersionView {
        number: version.number,
        champion: version.number == champion,
        digest: version.digest().to_owned(),
        uri: candidate.artifact.uri.clone(),
        format: candidate.artifact.format.clone(),
        bytes: candidate.artifact.bytes,
        experiment: candidate.experiment.clone(),
        experiment_uid: candidate.experiment_uid.clone(),
        spec_digest: candidate.spec_digest.clone(),
        seed: candidate.seed,
        trial: candidate.trial_name.clone(),
        parameters: candidate.assignments.iter().cloned().collect(),
        metrics: candidate.metrics.iter().map(|m| (m.name.clone(), m.latest.clone())).collect(),
        promotion: version.promotion,
        author: version.author.clone(),
        approved_by: version.approval.as_ref().map(|approval| approval.by.clone()),
        approval_reason: version.approval.as_ref().map(|approval| approval.reason.clone()),
        metric: version.metric.clone(),
        value: version.evidence.candidate.as_ref().map(|measurement| measurement.value),
        data: version.evidence.data.clone(),
        against: version.evidence.against,
        at: version.at.to_rfc3339(),
        served: Vec::new(),
    }
}
