//! From records to what the suggestion service and the executor are given.

use controller_core::experiment::ExperimentRecord;
use controller_core::plan::Snapshot;
use controller_core::render::{self, TrialMeta};
use controller_core::run::Run;
use controller_core::trial::TrialRecord;
use study::Study;

use super::DriverError;

/// The study of a stored experiment.
pub(super) fn study(record: &ExperimentRecord) -> Result<Study, DriverError> {
    let (study, _) = controller_core::study::of_spec(&record.spec, &record.name, record.seed);
    study.map_err(|problems| DriverError::Spec {
        name: record.name.clone(),
        problem: problems.iter().map(|p| format!("{}: {}", p.path, p.message)).collect::<Vec<_>>().join("; "),
    })
}

/// The newest attempt of a trial, rendered; or why it cannot be.
pub(super) fn run(snapshot: &Snapshot, trial: &TrialRecord) -> Result<Run, String> {
    let record = &snapshot.record;
    let objective = record.spec.objective();
    let meta = TrialMeta { name: &trial.name, namespace: &record.namespace };
    let manifest =
        render::render(&record.spec, &trial.assignments, meta).map_err(|error| error.to_string())?;
    let template = record.spec.trial_template.clone().unwrap_or_default();
    Ok(Run {
        id: snapshot.run_id(trial),
        namespace: record.namespace.clone(),
        experiment: record.name.clone(),
        experiment_uid: record.uid.clone(),
        trial: trial.name.clone(),
        manifest,
        primary_container: template.primary_container_name,
        primary_pod_labels: template.primary_pod_labels,
        success_condition: template.success_condition,
        failure_condition: template.failure_condition,
        retain: template.retain,
        collector: record.spec.collector(),
        metrics: objective.metrics(),
        maximize: objective.is_maximize(),
        rules: trial.rules.clone(),
        base_dir: record.base_dir.clone(),
        start_from: snapshot.start_from(trial).cloned(),
        keep_checkpoint: snapshot.keeps_checkpoints,
        checkpoint_path: record.spec.checkpoint_path().map(str::to_owned),
        artifacts: record.spec.artifacts.clone().unwrap_or_default(),
        start: None,
    })
}
