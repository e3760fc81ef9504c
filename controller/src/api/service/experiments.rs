//! Experiments: looking at them, and wishing something of them.

use std::sync::Arc;

use controller_core::experiment::{ExperimentRecord, Living};
use controller_core::ports::Wish;
use controller_core::report::Problem;
use controller_core::{duration, validate};

use super::error::{ApiError, Code};
use super::schedules::refuse_template;
use super::{search, view};
use crate::api::Api;
use crate::api::types::{Budgets, Experiment, Experiments, Wished, called};

/// The record of a living experiment.
pub(crate) async fn find(api: &Api, namespace: &str, name: &str) -> Result<ExperimentRecord, ApiError> {
    if let Some(record) = api.world.store.experiment(namespace, name).await? {
        return Ok(record);
    }
    let known = api.world.store.experiments().await?;
    let known = known.iter().map(|living| &living.record);
    let hint = match known.clone().find(|record| record.name == name) {
        Some(elsewhere) => format!("there is `{}`", called(&elsewhere.namespace, name)),
        None => names(known.filter(|record| record.namespace == namespace)),
    };
    Err(ApiError::not_found(format!("experiment `{name}` not found in namespace `{namespace}`; {hint}")))
}

/// Which experiments there are, in a few words.
fn names<'a>(known: impl Iterator<Item = &'a ExperimentRecord>) -> String {
    const TOLD: usize = 10;
    let names: Vec<&str> = known.map(|record| &*record.name).collect();
    let told = names.iter().take(TOLD).copied().collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "there are none".to_owned(),
        n if n > TOLD => format!("there are {told} and {} more", n - TOLD),
        _ => format!("there are {told}"),
    }
}

/// All experiments of a namespace, or of all, newest first.
pub(crate) async fn list(api: &Api, namespace: Option<&str>) -> Result<Experiments, ApiError> {
    let all = api.world.store.experiments().await?;
    let is_wanted =
        |living: &&Arc<Living>| namespace.is_none_or(|namespace| living.record.namespace == namespace);
    let brief = |living: &Arc<Living>| view::brief(&living.record, &living.status);
    Ok(Experiments { items: all.iter().filter(is_wanted).map(brief).collect() })
}

/// One experiment.
pub(crate) async fn get(api: &Api, namespace: &str, name: &str) -> Result<Experiment, ApiError> {
    let record = find(api, namespace, name).await?;
    view::full(api, &record).await
}

/// Writes down a wish for whoever drives the experiment.
pub(super) async fn wish(api: &Api, record: &ExperimentRecord, wish: Wish) -> Result<Wished, ApiError> {
    if let Some(way) = by_resource(record, &wish) {
        let message = format!("experiment `{}` is a resource of a cluster; {way}", record.name);
        return Err(ApiError::new(Code::Conflict, message));
    }
    let wish_no = api.world.store.wish(record.id, &wish, api.world.clock.now()).await?;
    api.world.wake.notify_waiters();
    Ok(Wished { wish_no, driven_by: api.world.store.holder(record.id).await? })
}

/// How something is wished in an experiment's resource, where that is the only place for it.
fn by_resource(record: &ExperimentRecord, wish: &Wish) -> Option<String> {
    let resource = format!("experiment {} -n {}", record.name, record.namespace);
    let suspend = |is: bool| {
        format!("`kubectl patch {resource} --type=merge -p '{{\"spec\":{{\"suspend\":{is}}}}}'` does that")
    };
    let way = match wish {
        Wish::Stop { .. } => suspend(true),
        Wish::Resume => suspend(false),
        Wish::Delete => format!("{} does that", way_to_delete(record)),
        Wish::Edit { .. } | Wish::Lift { .. } => format!("`kubectl edit {resource}` does that"),
        Wish::EditSpace { .. } => "its space cannot be edited".into(),
        Wish::Enqueue { .. } | Wish::StopTrial { .. } | Wish::StopEarly { .. } | Wish::RetryTrial { .. } => {
            return None;
        }
    };
    (!record.cluster.is_empty()).then_some(way)
}

/// The command that deletes an experiment.
pub(super) fn way_to_delete(record: &ExperimentRecord) -> String {
    if record.cluster.is_empty() {
        return format!("`cairn delete {}`", called(&record.namespace, &record.name));
    }
    format!("`kubectl delete experiment {} -n {}`", record.name, record.namespace)
}

/// Holds an experiment; with `now`, running trials end too.
pub(crate) async fn stop(api: &Api, namespace: &str, name: &str, now: bool) -> Result<Wished, ApiError> {
    let record = find(api, namespace, name).await?;
    refuse_template(&record)?;
    wish(api, &record, Wish::Stop { now }).await
}

/// Lets a held experiment go on.
pub(crate) async fn resume(api: &Api, namespace: &str, name: &str) -> Result<Wished, ApiError> {
    let record = find(api, namespace, name).await?;
    refuse_template(&record)?;
    wish(api, &record, Wish::Resume).await
}

/// Ends everything and forgets the experiment.
pub(crate) async fn delete(api: &Api, namespace: &str, name: &str) -> Result<Wished, ApiError> {
    let record = find(api, namespace, name).await?;
    wish(api, &record, Wish::Delete).await
}

/// Changes budgets, checked as the whole spec would be with them.
pub(crate) async fn edit(
    api: &Api,
    namespace: &str,
    name: &str,
    budgets: &Budgets,
) -> Result<Wished, ApiError> {
    let record = find(api, namespace, name).await?;
    let mut spec = record.spec.clone();
    spec.max_trial_count = budgets.max_trial_count.or(spec.max_trial_count);
    spec.parallel_trial_count = budgets.parallel_trial_count.or(spec.parallel_trial_count);
    spec.max_failed_trial_count = budgets.max_failed_trial_count.or(spec.max_failed_trial_count);
    spec.max_duration = budgets.max_duration.clone().or(spec.max_duration);
    spec.max_gpu_hours = budgets.max_gpu_hours.or(spec.max_gpu_hours);
    spec.max_cost = budgets.max_cost.or(spec.max_cost);
    let mut problems = Vec::new();
    if budgets.max_duration.as_deref().is_some_and(|text| duration::parse(text).is_none()) {
        problems.push(Problem::new("maxDuration", "is no duration such as `2h30m`"));
    }
    let mut document = controller_core::document::ExperimentDocument {
        api_version: "kubeflow.org/v1beta1".into(),
        kind: "Experiment".into(),
        metadata: controller_core::document::Metadata {
            name: record.name.clone(),
            namespace: record.namespace.clone(),
            ..Default::default()
        },
        spec,
    };
    problems.extend(validate::document(&mut document).errors);
    if budgets_of(&document.spec) == budgets_of(&record.spec) && problems.is_empty() {
        return Err(ApiError::invalid("these budgets are the ones it has; nothing to change"));
    }
    if !problems.is_empty() {
        return Err(ApiError::invalid("these budgets are not valid").with(problems));
    }
    let edit = Wish::Edit {
        max_trial_count: budgets.max_trial_count,
        parallel_trial_count: budgets.parallel_trial_count,
        max_failed_trial_count: budgets.max_failed_trial_count,
        max_duration: budgets.max_duration.clone(),
        max_gpu_hours: budgets.max_gpu_hours,
        max_cost: budgets.max_cost,
    };
    wish(api, &record, edit).await
}

fn budgets_of(spec: &controller_core::spec::ExperimentSpec) -> impl PartialEq {
    (
        spec.max_trial_count,
        spec.parallel_trial_count,
        spec.max_failed_trial_count,
        spec.max_duration.clone(),
        spec.max_gpu_hours,
        spec.max_cost,
    )
}

/// Puts a point in the queue; parameters that are left out are as in the best trial so far, else take their defaults.
pub(crate) async fn enqueue(
    api: &Api,
    namespace: &str,
    name: &str,
    point: &std::collections::BTreeMap<String, String>,
) -> Result<Wished, ApiError> {
    let record = find(api, namespace, name).await?;
    refuse_template(&record)?;
    let study = search::study(&record)?;
    let best = api.world.store.status(record.id).await?.best;
    let mut point = point.clone();
    for (name, value) in best.iter().flat_map(|best| &best.assignments) {
        point.entry(name.clone()).or_insert_with(|| value.clone());
    }
    for parameter in &record.spec.parameters {
        if let Some(default) = &parameter.default_value {
            point.entry(parameter.name.clone()).or_insert_with(|| default.clone());
        }
    }
    let texts: Vec<(&str, &str)> = point.iter().map(|(name, value)| (&**name, &**value)).collect();
    let problems = validate::point_problems(&study.space, texts.iter().copied());
    if !problems.is_empty() {
        let problems = problems.into_iter().map(|message| Problem::new("parameters", message)).collect();
        return Err(ApiError::invalid("this point is not in the search space").with(problems));
    }
    let assignments = study.space.texts(&study.space.deactivate(study.space.parse(texts)));
    refuse_if_over(api, &record).await?;
    wish(api, &record, Wish::Enqueue { assignments }).await
}

/// Ends one trial.
pub(crate) async fn stop_trial(
    api: &Api,
    namespace: &str,
    name: &str,
    trial: &str,
) -> Result<Wished, ApiError> {
    let record = find(api, namespace, name).await?;
    let trial = super::trials::find_trial(api, &record, trial).await?;
    if trial.state.is_final() {
        let message = format!("trial `{}` has already ended: {}", trial.name, trial.state.name());
        return Err(ApiError::new(Code::Conflict, message));
    }
    wish(api, &record, Wish::StopTrial { trial: trial.idx }).await
}

/// Evaluates a trial's point once more, as a new trial.
pub(crate) async fn retry_trial(
    api: &Api,
    namespace: &str,
    name: &str,
    trial: &str,
) -> Result<Wished, ApiError> {
    let record = find(api, namespace, name).await?;
    let trial = super::trials::find_trial(api, &record, trial).await?;
    refuse_if_over(api, &record).await?;
    wish(api, &record, Wish::RetryTrial { trial: trial.idx }).await
}

/// An experiment that is over takes no points, unless more budget is already wished for.
async fn refuse_if_over(api: &Api, record: &ExperimentRecord) -> Result<(), ApiError> {
    if !api.world.store.status(record.id).await?.is_completed() {
        return Ok(());
    }
    let open = api.world.store.open_wishes(record.id).await?;
    if open
        .iter()
        .any(|stored| matches!(stored.wish, Wish::Edit { .. } | Wish::Lift { .. } | Wish::EditSpace { .. }))
    {
        return Ok(());
    }
    let message = format!(
        "experiment `{}` is over; give it more budget first: `cairn edit {} --max-trial-count N`",
        record.name,
        called(&record.namespace, &record.name)
    );
    Err(ApiError::new(Code::Conflict, message))
}
