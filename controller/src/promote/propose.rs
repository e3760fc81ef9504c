//! Wanting a promotion: of a search that has succeeded, of a trial by hand, of an earlier version.

use std::collections::BTreeSet;

use controller_core::experiment::{ExperimentRecord, ExperimentStatus, Living};
use controller_core::promotion::{Candidate, Promotion, PromotionId, Version};
use controller_core::spec::{PromotionSpec, ServingSpec};
use controller_core::time::Timestamp;
use controller_core::trial::TrialRecord;

use super::PromoteError;
use crate::world::World;

/// Wants the promotion that each completed experiment asks for, once; `known` are those that need no second look.
pub(super) async fn all_completed(
    world: &World,
    known: &mut BTreeSet<PromotionId>,
) -> Result<(), PromoteError> {
    for living in world.store.experiments().await? {
        let Living { record, status } = &*living;
        let Some(id) = key(record, status).map(|key| PromotionId::of_key(&key)) else { continue };
        if record.cluster == world.cluster && known.insert(id) {
            of_completed(world, record, status).await?;
        }
    }
    Ok(())
}

/// The promotion that a completed experiment asks for; `None` if it asks for none or has not succeeded. The same end of
/// the same experiment is promoted once, however often this is called.
pub(crate) async fn of_completed(
    world: &World,
    record: &ExperimentRecord,
    status: &ExperimentStatus,
) -> Result<Option<Promotion>, PromoteError> {
    let (Some(key), Some(spec)) = (key(record, status), &record.spec.promotion) else { return Ok(None) };
    if let Some(there) = world.promotions.promotion(PromotionId::of_key(&key)).await? {
        return Ok(Some(there));
    }
    let best = match &status.best {
        Some(best) => world.store.trial(record.id, best.idx).await?,
        None => None,
    };
    let author = format!("experiment {}", record.name);
    let wanted = of_trial(world, record, best.as_ref(), spec.clone(), key, &author);
    Ok(Some(world.promotions.propose(&wanted).await?))
}

/// Wants the promotion of a trial, for a person.
pub(crate) async fn by_hand(
    world: &World,
    record: &ExperimentRecord,
    trial: &TrialRecord,
    spec: PromotionSpec,
    author: &str,
) -> Result<Promotion, PromoteError> {
    let key = format!("{}/{}/{}", record.uid, trial.idx.0, world.clock.now().0);
    Ok(world.promotions.propose(&of_trial(world, record, Some(trial), spec, key, author)).await?)
}

/// Wants to go back to an earlier version; once, however often that is said of the same time.
pub(crate) async fn rollback(
    world: &World,
    version: &Version,
    author: &str,
    at: Timestamp,
) -> Result<Promotion, PromoteError> {
    let key = format!("{}/{}/{}/{}", version.namespace, version.model, version.number, at.0);
    let wanted = Promotion {
        id: PromotionId::of_key(&key),
        key,
        cluster: world.cluster.clone(),
        namespace: version.namespace.clone(),
        model: version.model.clone(),
        author: author.to_owned(),
        created: world.clock.now(),
        spec: PromotionSpec {
            model: version.model.clone(),
            serving: version.serving.as_ref().map(ServingSpec::at_once),
            ..PromotionSpec::default()
        },
        candidate: version.candidate.clone(),
        back_to: Some(version.number),
        base_dir: version.base_dir.clone(),
        ..Promotion::default()
    };
    Ok(world.promotions.propose(&wanted).await?)
}

/// What makes the promotion of a completed experiment one and the same.
fn key(record: &ExperimentRecord, status: &ExperimentStatus) -> Option<String> {
    record.spec.promotion.as_ref()?;
    let completed = status.completed.filter(|_| status.is("Succeeded"))?;
    Some(format!("{}/{}", record.uid, completed.0))
}

fn of_trial(
    world: &World,
    record: &ExperimentRecord,
    trial: Option<&TrialRecord>,
    spec: PromotionSpec,
    key: String,
    author: &str,
) -> Promotion {
    let candidate = Candidate {
        experiment: record.name.clone(),
        experiment_uid: record.uid.clone(),
        spec_digest: record.spec_digest.clone(),
        seed: record.seed,
        ..trial.map(of_record).unwrap_or_default()
    };
    Promotion {
        id: PromotionId::of_key(&key),
        key,
        cluster: world.cluster.clone(),
        namespace: record.namespace.clone(),
        model: spec.model.clone(),
        author: author.to_owned(),
        created: world.clock.now(),
        spec,
        candidate,
        base_dir: record.base_dir.clone(),
        ..Promotion::default()
    }
}

fn of_record(trial: &TrialRecord) -> Candidate {
    Candidate {
        artifact: trial.model.clone().unwrap_or_default(),
        trial: trial.idx,
        trial_name: trial.name.clone(),
        assignments: trial.assignments.clone(),
        metrics: trial.observation.clone(),
        ..Candidate::default()
    }
}
