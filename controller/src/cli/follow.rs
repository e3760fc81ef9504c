//! Following an experiment to its end: driving it, or watching others do so, and telling how it ended.

use std::time::Duration;

use anyhow::Context as _;
use controller_core::experiment::ExperimentStatus;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;

use super::best;
use super::connect::Connection;
use super::exit::Exit;
use super::output::{self, number, talk};
use super::progress::Progress;
use crate::api::client::ClientError;
use crate::api::service;
use crate::api::types::{Experiment, Failures, StopRequest, Trial, Wished};
use crate::driver::{self, DriverError};
use crate::promote;

/// How often the progress is drawn.
const DRAW: Duration = Duration::from_millis(250);
/// Most groups of failures told.
const MAX_GROUPS: usize = 3;

/// Follows an experiment until nothing happens any more without a wish, and tells how it stands. In this process it is
/// driven; at a server it is watched.
pub(super) async fn to_the_end(connection: &Connection, name: &str) -> anyhow::Result<Exit> {
    let path = connection.path(name, "");
    let mut driven = drive(connection, name).await?;
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let mut draw = tokio::time::interval(DRAW);
    let mut progress = Progress::start();
    let mut asked = 0;
    loop {
        tokio::select! {
            Some(result) = driven.join_next() => {
                progress.finish();
                result.context("the driver broke off")??;
                break;
            }
            _ = draw.tick() => {
                let now: Experiment = match connection.client.get(&path).await {
                    // The driver waits for its store, and says so.
                    Err(ClientError::Refused(detail)) if detail.code == "unavailable" => continue,
                    other => other?,
                };
                progress.show(&now);
                if connection.engine.is_none() && at_rest(&now) {
                    progress.finish();
                    break;
                }
            }
            _ = interrupts.recv() => {
                asked += 1;
                if !stop(connection, name, asked, &progress).await? {
                    return Ok(Exit::Stopped);
                }
            }
            _ = terminations.recv() => {
                asked = asked.max(1) + 1;
                if !stop(connection, name, asked, &progress).await? {
                    return Ok(Exit::Stopped);
                }
            }
        }
    }
    finish(connection, name).await
}

/// Tells how an experiment stands, and sees to what becomes of its winner.
pub(super) async fn finish(connection: &Connection, name: &str) -> anyhow::Result<Exit> {
    let exit = result(connection, name).await?;
    promotion(connection, name, exit).await
}

/// Carries out the promotion that a completed experiment asks for, where that is for this process to do.
async fn promotion(connection: &Connection, name: &str, exit: Exit) -> anyhow::Result<Exit> {
    let Some(engine) = &connection.engine else { return Ok(exit) };
    let world = &engine.api.world;
    let Some(record) = world.store.experiment(&connection.namespace, name).await? else { return Ok(exit) };
    let status = world.store.status(record.id).await?;
    match promote::of_completed(world, &record, &status).await? {
        Some(promotion) => super::promote::follow(connection, service::promotion_view(&promotion)).await,
        None => Ok(exit),
    }
}

/// Drives the experiment, if that is for this process to do: as a task of its own, so that whatever else is waited for
/// does not hold it up, least of all while it has the store in hand.
async fn drive(
    connection: &Connection,
    name: &str,
) -> anyhow::Result<JoinSet<Result<ExperimentStatus, DriverError>>> {
    let mut driven = JoinSet::new();
    if let Some(engine) = &connection.engine {
        let world = engine.api.world.clone();
        if let Some(record) = world.store.experiment(&connection.namespace, name).await? {
            driven.spawn(async move { driver::drive(&world, record.id).await });
        }
    }
    Ok(driven)
}

/// Carries out a person's wish to stop; whether to wait for what becomes of it.
async fn stop(
    connection: &Connection,
    name: &str,
    asked: u32,
    progress: &Progress,
) -> Result<bool, ClientError> {
    if connection.engine.is_none() {
        let called = connection.called(name);
        progress
            .say(&format!("experiment `{name}` goes on at the server; `cairn stop {called}` would hold it"));
        return Ok(false);
    }
    let text = match asked {
        1 => "stopping: running trials finish, no new ones begin (once more ends them now)",
        2 => "stopping now: running trials end, and get another attempt later",
        _ => return Ok(false),
    };
    progress.say(text);
    let path = connection.path(name, "/stop");
    connection.client.post::<Wished>(&path, &StopRequest { now: asked > 1 }).await?;
    Ok(true)
}

/// Whether an experiment has succeeded or failed.
pub(super) fn is_completed(experiment: &Experiment) -> bool {
    matches!(experiment.cairn.state.as_str(), "Succeeded" | "Failed")
}

fn at_rest(experiment: &Experiment) -> bool {
    let idle = experiment.cairn.counters.running == 0;
    idle && (is_completed(experiment) || experiment.cairn.state == "Stopped")
}

/// What the state of an experiment means as an exit code.
pub(super) fn exit_of(experiment: &Experiment) -> Exit {
    match experiment.cairn.state.as_str() {
        "Succeeded" => Exit::Done,
        "Failed" => Exit::ExperimentFailed,
        _ => Exit::Stopped,
    }
}

/// Tells how an experiment stands: its best trial as data, the rest as talk.
async fn result(connection: &Connection, name: &str) -> anyhow::Result<Exit> {
    let experiment: Experiment = match connection.client.get(&connection.path(name, "")).await {
        Err(ClientError::Refused(detail)) if detail.code == "not_found" => {
            talk(&format!("experiment `{name}` was deleted"));
            return Ok(Exit::Stopped);
        }
        other => other?,
    };
    let cairn = &experiment.cairn;
    failures(connection, name).await?;
    let exit = exit_of(&experiment);
    let verb = match exit {
        Exit::Done => "has succeeded",
        Exit::ExperimentFailed => "has failed",
        _ => "is held",
    };
    talk(&format!("experiment `{name}` {verb}: {}", cairn.message));
    match connection.client.get::<Trial>(&connection.path(name, "/best")).await {
        Ok(trial) => {
            talk(&format!(
                "best {} {} in {} trials:",
                cairn.objective,
                number(cairn.best_value),
                cairn.counters.total
            ));
            output::write(connection.format, &trial, best::table)?;
        }
        Err(ClientError::Refused(detail)) if detail.code == "not_found" => talk(&detail.message),
        Err(error) => return Err(error.into()),
    }
    let called = connection.called(name);
    let sort = if cairn.direction == "maximize" { "-value" } else { "value" };
    talk(&format!(
        "look on with: cairn trials {called} --sort {sort}; cairn explain {called}; cairn export {called}"
    ));
    if exit == Exit::Stopped {
        talk(&format!("the same command, or `cairn resume {called}`, goes on"));
    }
    Ok(exit)
}

/// Tells the largest groups of trials that failed alike.
async fn failures(connection: &Connection, name: &str) -> Result<(), ClientError> {
    let failures: Failures = connection.client.get(&connection.path(name, "/failures")).await?;
    for group in failures.groups.iter().take(MAX_GROUPS) {
        let pattern = if group.pattern.is_empty() { String::new() } else { format!(", {}", group.pattern) };
        let trial = group.trials.first().map_or("", String::as_str);
        talk(&format!("{} of {} failed alike: {}{pattern}", group.count, group.of, group.cause));
        talk(&format!("  see: cairn logs {} {trial}", connection.called(name)));
    }
    if failures.groups.len() > MAX_GROUPS {
        talk(&format!(
            "  and {} more causes: cairn trials {} --where 'state = Failed'",
            failures.groups.len() - MAX_GROUPS,
            connection.called(name)
        ));
    }
    Ok(())
}
