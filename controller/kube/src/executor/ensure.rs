//! Making the object of a run.

use std::sync::Arc;
use std::time::Duration;

use controller_core::ports::ExecutorError;
use controller_core::run::Run;
use kube::ResourceExt as _;
use kube::api::PostParams;
use kube::core::DynamicObject;
use tokio::time::{Instant, sleep};

use super::of_runs::OfRuns;
use super::{Place, Shared, kinds};
use crate::answer::{self, Doing};
use crate::job::{self, Existing};

/// How long is waited for the Trial of a new run, which somebody else writes.
const TRIAL: Duration = Duration::from_secs(5);

/// Sees to it that the object of a run is there, and tends it.
pub(super) async fn ensure(shared: &Arc<Shared>, run: &Run) -> Result<(), ExecutorError> {
    let trial = trial_uid(shared, run).await?;
    let run = &started(shared, run).await?;
    let object = job::object(run, &trial, &shared.settings)
        .map_err(|error| ExecutorError::Refused(answer::chain(&error)))?;
    let types = object.types.clone().unwrap_or_default();
    // It was there when the experiment was taken in, and may come back.
    let objects = shared.kinds.of(&types.api_version, &types.kind).await.map_err(may_pass)?;
    let api = shared.cluster.api(objects.kind(), &run.namespace);
    let doing = Doing { verb: "create", group: &objects.kind().group, plural: &objects.kind().plural };
    match answer::within(api.create(&PostParams::default(), &object)).await {
        Ok(made) => {
            shared.tend(run.id, Arc::new(made), &objects);
            Ok(())
        }
        Err(error) if answer::is_conflict(&error) => {
            let there = answer::within(api.get_opt(&run.trial)).await;
            match there.map_err(|error| answer::refusal(&error, &Doing { verb: "get", ..doing }))? {
                Some(there) => existing(shared, run, &trial, there, &objects).await,
                None => Err(ExecutorError::Unavailable(answer::message(&error, &doing))),
            }
        }
        Err(error) if answer::is_no_kind(&error) => {
            Err(ExecutorError::Unavailable(kinds::unknown(&types.api_version, &types.kind)))
        }
        Err(error) => Err(answer::refusal(&error, &doing)),
    }
}

/// The run with the checkpoint that it starts from as it lies in its store.
async fn started(shared: &Shared, run: &Run) -> Result<Run, ExecutorError> {
    let Some(checkpoint) = &run.start_from else { return Ok(run.clone()) };
    let collected = shared.store.collected(checkpoint.run).await;
    let collected = collected.map_err(|error| ExecutorError::Unavailable(error.to_string()))?;
    let left = collected.and_then(|collected| collected.left.checkpoint);
    match left.filter(|left| left.digest == checkpoint.digest) {
        Some(left) => Ok(Run { start: Some(left), ..run.clone() }),
        None => Err(ExecutorError::Refused(format!("the checkpoint of run {} is gone", checkpoint.run))),
    }
}

/// The same, of what may be otherwise later.
fn may_pass(error: ExecutorError) -> ExecutorError {
    let (ExecutorError::Refused(why) | ExecutorError::Unavailable(why)) = error;
    ExecutorError::Unavailable(why)
}

/// What to do about an object that has the run's name already.
async fn existing(
    shared: &Arc<Shared>,
    run: &Run,
    trial: &str,
    there: DynamicObject,
    objects: &Arc<OfRuns<DynamicObject>>,
) -> Result<(), ExecutorError> {
    let kind = &objects.kind().kind;
    let orphaned = there.owner_references().iter().any(|owner| {
        owner.controller == Some(true)
            && owner.kind == "Trial"
            && owner.name == run.trial
            && owner.uid != trial
    });
    match job::existing(&there, run, trial) {
        Existing::This => {
            shared.tend(run.id, Arc::new(there), objects);
            Ok(())
        }
        Existing::Attempt(other) => {
            let place = Place {
                objects: Arc::clone(objects),
                namespace: run.namespace.clone(),
                name: run.trial.clone(),
                uid: there.uid().unwrap_or_default(),
            };
            shared.delete(&place).await?;
            let text = format!("attempt {} of the trial is still there", other.attempt);
            Err(ExecutorError::Unavailable(text))
        }
        Existing::Foreign(_) if orphaned || there.metadata.deletion_timestamp.is_some() => {
            let text = format!("a {kind} of its name is still being deleted");
            Err(ExecutorError::Unavailable(text))
        }
        Existing::Foreign(whose) => Err(ExecutorError::Refused(format!(
            "a {kind} `{}` is there already and belongs to {whose}; it is left alone",
            run.trial
        ))),
    }
}

/// The uid of the run's Trial.
async fn trial_uid(shared: &Shared, run: &Run) -> Result<String, ExecutorError> {
    shared.watched.ready().await?;
    let begun = Instant::now();
    loop {
        let trial = shared.watched.trials.get(&run.namespace, &run.trial);
        let living = trial.filter(|trial| trial.metadata.deletion_timestamp.is_none());
        if let Some(uid) = living.and_then(|trial| trial.uid()) {
            return Ok(uid);
        }
        let experiment = shared.watched.experiments.get(&run.namespace, &run.experiment);
        if experiment.is_none_or(|it| it.metadata.uid.as_deref() != Some(&run.experiment_uid)) {
            return Err(ExecutorError::Refused("its Experiment is gone".into()));
        }
        if begun.elapsed() > TRIAL {
            return Err(ExecutorError::Unavailable("its Trial is not there yet".into()));
        }
        sleep(Duration::from_millis(20)).await;
    }
}
