//! Running scheduled experiments again: look at what there is, ask [`controller_core::schedule`] what comes next, write
//! it down, do it.
//!
//! The lease of the template says who decides. A run is written down before it is made and is known by its number, so
//! whoever comes after a crash makes the one that is missing and no other.

mod data;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use controller_core::duration;
use controller_core::experiment::{ExperimentId, ExperimentRecord, Hold, Living, begin, id_of};
use controller_core::ports::{Lease, StoreError, Wish};
use controller_core::schedule::{
    Decision, End, Pending, RunView, ScheduleState, Timetable, View, birth, decide, document, number,
    template_of,
};
use controller_core::spec::ScheduleSpec;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::world::World;
use data::Looks;

/// How often schedules are looked at.
const TICK: Duration = Duration::from_millis(500);
/// How often data is looked at where the spec says nothing.
const CHECK: Duration = Duration::from_mins(1);

/// Makes the runs of all schedules as they fall due, until `shutdown` turns true.
pub(crate) async fn schedule_all(world: &World, mut shutdown: watch::Receiver<bool>) {
    let mut looks = Looks::default();
    loop {
        if let Err(error) = pass(world, &mut looks).await {
            warn!(%error, "schedules cannot be looked at");
        }
        tokio::select! {
            _ = shutdown.changed() => break,
            () = tokio::time::sleep(TICK) => {}
        }
    }
}

/// The runs of a template that are not being deleted, as its schedule sees them.
pub(crate) fn runs(experiments: &[Arc<Living>], template: &ExperimentRecord) -> Vec<RunView> {
    let run = |living: &Arc<Living>| {
        let Living { record, status } = &**living;
        let n = number(template, record).filter(|_| status.hold != Hold::Deleting)?;
        let end = match (status.is("Succeeded"), status.is("Failed")) {
            (true, _) => Some(End::Succeeded),
            (_, true) => Some(End::Failed),
            _ => None,
        };
        let winner = status.best.as_ref().filter(|best| !best.assignments.is_empty());
        let winner = winner.map(|best| best.assignments.iter().cloned().collect());
        Some(RunView { n, name: record.name.clone(), end, winner })
    };
    experiments.iter().filter_map(run).collect()
}

async fn pass(world: &World, looks: &mut Looks) -> Result<(), StoreError> {
    let experiments = world.store.experiments().await?;
    let ours: Vec<_> = experiments.iter().filter(|living| living.record.cluster == world.cluster).collect();
    for living in &ours {
        let Some(spec) = &living.record.spec.schedule else { continue };
        if living.status.hold != Hold::Deleting
            && let Err(error) = tend(world, &experiments, &living.record, spec, looks).await
        {
            warn!(%error, schedule = living.record.name, "a schedule cannot be looked at");
        }
    }
    let templates: BTreeSet<&str> = ours.iter().map(|living| &*living.record.uid).collect();
    for living in &ours {
        if template_of(&living.record).is_some_and(|template| !templates.contains(template)) {
            remove(world, &living.record, "its schedule is deleted").await?;
        }
    }
    Ok(())
}

async fn tend(
    world: &World,
    experiments: &[Arc<Living>],
    template: &ExperimentRecord,
    spec: &ScheduleSpec,
    looks: &mut Looks,
) -> Result<(), StoreError> {
    // What cannot be understood was refused when it was submitted.
    let Ok(times) = Timetable::of(spec) else { return Ok(()) };
    let scheduled = world.schedules.schedule(template.id).await?;
    let data = looks.look(template, spec, spec_check(spec)).await;
    let view = View { scheduled, runs: runs(experiments, template), data };
    let Decision { state, removals } = decide(spec, &times, world.wall.now(), &view);
    for removal in removals {
        let of_name = |living: &&Arc<Living>| {
            number(template, &living.record).is_some() && living.record.name == removal.name
        };
        if let Some(living) = experiments.iter().find(of_name) {
            remove(world, &living.record, removal.why).await?;
        }
    }
    if view.scheduled.state.as_ref() == Some(&state) && state.pending.is_none() {
        return Ok(());
    }
    // Whoever drives the template just now, such as to delete it, is waited for.
    let Some(lease) = world.store.acquire(template.id, &world.holder).await? else { return Ok(()) };
    let done = lead(world, &lease, template, &times, view).await;
    world.store.release(&lease).await?;
    done
}

fn spec_check(spec: &ScheduleSpec) -> Duration {
    let check = spec.on_new_data.as_ref().and_then(|data| duration::parse(data.check.as_deref()?));
    check.unwrap_or(CHECK)
}

/// Decides as the only one to do so, writes it down, and makes the run that is pending.
async fn lead(
    world: &World,
    lease: &Lease,
    template: &ExperimentRecord,
    times: &Timetable,
    view: View,
) -> Result<(), StoreError> {
    let Some(spec) = &template.spec.schedule else { return Ok(()) };
    let experiments = world.store.experiments().await?;
    let scheduled = world.schedules.schedule(template.id).await?;
    let view = View { scheduled, runs: runs(&experiments, template), ..view };
    let Decision { mut state, .. } = decide(spec, times, world.wall.now(), &view);
    if view.scheduled.state.as_ref() != Some(&state) {
        world.schedules.keep_schedule(lease, &state).await?;
    }
    let Some(pending) = state.pending.clone() else { return Ok(()) };
    if make(world, template, &pending).await? {
        state.pending = None;
    } else {
        state = ScheduleState { n_runs: state.n_runs + 1, ..state };
        state.pending = Some(Pending { n: state.n_runs, ..pending });
    }
    world.schedules.keep_schedule(lease, &state).await
}

/// Makes a run, unless it has been made; whether it is there. It is not where its name is taken by something else.
async fn make(world: &World, template: &ExperimentRecord, run: &Pending) -> Result<bool, StoreError> {
    let birth = birth(template, run.n, world.clock.now());
    let id: ExperimentId = id_of(&birth);
    if world.store.experiment_by_id(id).await?.is_some() {
        return Ok(true);
    }
    let (record, status, event) = begin(&document(template, run), birth);
    match world.store.create_experiment(&record, &status, &[event]).await {
        Ok(()) => {
            info!(experiment = record.name, cause = run.cause.word(), "a run is made by its schedule");
            world.wake.notify_waiters();
            Ok(true)
        }
        Err(StoreError::AlreadyExists { name, .. }) => {
            warn!(name, "the name of a run is taken by another experiment; the run gets the next number");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Wishes that a run goes, once.
async fn remove(world: &World, run: &ExperimentRecord, why: &str) -> Result<(), StoreError> {
    let open = world.store.open_wishes(run.id).await?;
    if open.iter().any(|stored| stored.wish == Wish::Delete) {
        return Ok(());
    }
    world.store.wish(run.id, &Wish::Delete, world.clock.now()).await?;
    info!(experiment = run.name, why, "a run is deleted by its schedule");
    world.wake.notify_waiters();
    Ok(())
}
