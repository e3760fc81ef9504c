//! Measuring a model: the step `evaluate` as a run, and what it printed.

use std::collections::BTreeMap;

use controller_core::ports::{Observation, ObservationQuery, StoreError};
use controller_core::promotion::plan::EVALUATE;
use controller_core::promotion::{Evaluated, Measurement, Promotion, Role, Version};
use controller_core::run::{Exit, Model, Run, RunEnd, RunId};
use controller_core::spec::{ArtifactsSpec, MetricsCollectorSpec, StepSpec};
use serde_json::Value;
use study::TrialIdx;

use super::data;
use crate::world::World;

/// The metric that holds the score of one example.
const SCORE: &str = "score";

/// The run that measures a model: number 0 is the candidate, behind it come the versions that were champion.
pub(super) fn run_id(promotion: &Promotion, role: Role, champion: Option<&Version>) -> RunId {
    let trial = match role {
        Role::Candidate => 0,
        Role::Champion => champion.map_or(1, |version| version.number),
    };
    let lost = promotion.lost.get(role.name()).copied().unwrap_or(0);
    RunId { experiment: promotion.id.of_runs(), trial: TrialIdx(trial), attempt: lost + 1 }
}

/// The step as it is run for a model that lies at `path`.
pub(super) fn run(promotion: &Promotion, role: Role, id: RunId, model: &Model, path: &str) -> Run {
    let step = promotion.spec.pipeline.as_ref().and_then(|pipeline| pipeline.step(EVALUATE));
    let mut manifest = step.map(StepSpec::manifest).unwrap_or_default();
    let data = data::path(promotion).map(|path| path.display().to_string()).unwrap_or_default();
    let words = [
        ("${model.path}", path),
        ("${model.uri}", &model.uri),
        ("${model.digest}", &model.digest),
        ("${data}", &data),
    ];
    fill(&mut manifest, &words);
    let name = format!("{}-{}", promotion.model, promotion.number);
    let gate = promotion.spec.gate.clone().unwrap_or_default();
    Run {
        id,
        namespace: promotion.namespace.clone(),
        experiment: format!("promotion-{name}"),
        experiment_uid: promotion.key.clone(),
        trial: format!("{name}-{EVALUATE}-{}", role.name()),
        manifest,
        primary_container: String::new(),
        primary_pod_labels: BTreeMap::new(),
        success_condition: String::new(),
        failure_condition: String::new(),
        retain: false,
        collector: MetricsCollectorSpec::default(),
        maximize: gate.is_maximize(),
        metrics: vec![gate.metric, SCORE.into()],
        rules: Vec::new(),
        base_dir: promotion.base_dir.clone(),
        start_from: None,
        keep_checkpoint: false,
        checkpoint_path: None,
        artifacts: ArtifactsSpec::default(),
        start: None,
    }
}

/// Puts texts in the place of their words, wherever those stand.
pub(super) fn fill(value: &mut Value, words: &[(&str, &str)]) {
    match value {
        Value::String(text) => {
            for (word, with) in words {
                if text.contains(word) {
                    *text = text.replace(word, with);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| fill(item, words)),
        Value::Object(map) => map.values_mut().for_each(|value| fill(value, words)),
        _ => {}
    }
}

/// What a run that has ended comes to.
pub(super) async fn of_end(
    world: &World,
    promotion: &Promotion,
    id: RunId,
    end: &RunEnd,
) -> Result<Evaluated, StoreError> {
    match &end.exit {
        Exit::Lost { reason } => return Ok(Evaluated::Lost(reason.clone())),
        Exit::Stopped => return Ok(Evaluated::Lost("it was stopped".into())),
        exit if !exit.is_success() => {
            let place = world.executor.place(&id).map(|place| format!("; see {place}")).unwrap_or_default();
            let said = if end.message.is_empty() { String::new() } else { format!(": {}", end.message) };
            return Ok(Evaluated::Failed(format!("{exit}{said}{place}")));
        }
        _ => {}
    }
    let query = ObservationQuery { trial: Some(id.trial), attempt: Some(id.attempt), ..Default::default() };
    let rows = world.store.observations(id.experiment, &query).await?;
    let metric = promotion.spec.gate.as_ref().map(|gate| gate.metric.clone()).unwrap_or_default();
    let of = |name: &str| {
        let rows = rows.iter().map(|Observation { row, .. }| row).filter(|row| *row.metric == *name);
        rows.map(|row| (row.step, row.value)).collect::<Vec<_>>()
    };
    let Some((_, value)) = of(&metric).last().copied() else {
        let why = format!("it ended well but printed no `{metric}=...`, which the gate judges by");
        return Ok(Evaluated::Failed(why));
    };
    let Some(value) = value.filter(|value| value.is_finite()) else {
        return Ok(Evaluated::Failed(format!("its `{metric}` is no finite number")));
    };
    let scores = of(SCORE).into_iter().filter_map(|(step, score)| Some((step, score?))).collect();
    Ok(Evaluated::Measured(Measurement { value, scores }))
}
