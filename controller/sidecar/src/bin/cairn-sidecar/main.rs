//! `cairn-sidecar`: runs beside a trial's program in its pod, reads its metrics as they come, and reports them to the
//! controller. It is told everything by its environment (`controller_core::sidecar`), and ends well whatever becomes of
//! the program: how that has ended is for others to see.

mod door;
mod keep;
mod line;
mod processes;
mod program;
mod queue;
mod remote;

use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use controller_core::ports::{ArtifactError, Collected};
use controller_core::sidecar::{self as told, Fetch, Task};
use study::{Direction, Rule};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};
use tracing_subscriber::EnvFilter;

use door::Door;
use line::Line;
use program::Program;
use queue::Queue;

/// Why nothing could be collected.
#[derive(Debug, Error)]
enum Wrong {
    #[error("{0} is not set; a sidecar is put into a pod by Cairn's controller")]
    Unset(&'static str),
    #[error("{} makes no sense", told::TASK)]
    Task(#[source] serde_json::Error),
    #[error("{} makes no sense", told::SERVER)]
    Server(#[source] tonic::transport::Error),
    #[error("the system does not let us begin")]
    System(#[source] io::Error),
    #[error("the checkpoint that the program is to begin with cannot be fetched")]
    Checkpoint(#[source] ArtifactError),
}

/// What we say of ourselves stands in the same log as what we show of the program, and is told from it.
struct Own;

impl io::Write for Own {
    /// Takes whole lines.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        io::stderr().write_all(&[told::OWN_LINE.as_bytes(), line].concat())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn main() -> ExitCode {
    let filter = EnvFilter::try_from_env("CAIRN_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Own).with_ansi(false).init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.map_err(Wrong::System).and_then(|runtime| runtime.block_on(run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => {
            let cause = std::error::Error::source(&wrong).map(ToString::to_string).unwrap_or_default();
            error!(cause, "{wrong}");
            ExitCode::from(2)
        }
    }
}

async fn run() -> Result<(), Wrong> {
    if let Ok(text) = std::env::var(told::FETCH) {
        let task: Fetch = serde_json::from_str(&text).map_err(Wrong::Task)?;
        let door = way(task.authority.as_deref())?;
        keep::fetch(&task, &door).await.map_err(Wrong::Checkpoint)?;
        info!(run = %task.run, checkpoint = task.checkpoint.uri, "fetched");
        return Ok(());
    }
    let task: Task = serde_json::from_str(&variable(told::TASK)?).map_err(Wrong::Task)?;
    let door = way(task.authority.as_deref())?;
    let terminate = signal(SignalKind::terminate()).map_err(Wrong::System)?;
    let (stop, stops) = mpsc::channel(1);
    let queue = Queue::new(task.run, std::env::var(told::POD).ok().as_deref());
    let line = Line::new(door.clone(), &task, stop);
    info!(run = %task.run, trial = task.trial, collector = task.collector.kind(), "collecting");
    tokio::select! {
        never = line.keep(&queue) => match never {},
        () = collect(&task, &door, &queue, Program::new(&task, terminate, stops)) => {}
    }
    info!(run = %task.run, "everything is reported");
    Ok(())
}

fn variable(name: &'static str) -> Result<String, Wrong> {
    std::env::var(name).map_err(|_| Wrong::Unset(name))
}

/// The way to the controller, which is known by these authorities.
fn way(authority: Option<&str>) -> Result<Door, Wrong> {
    let token = std::env::var_os(told::TOKEN_FILE).map(PathBuf::from);
    Door::new(&variable(told::SERVER)?, token, authority).map_err(Wrong::Server)
}

/// Collects until the program has ended and everything of it is safe.
async fn collect(task: &Task, door: &Door, queue: &Queue, mut program: Program) {
    let (tell_ended, ended) = oneshot::channel();
    let (tell_shown, shown) = oneshot::channel();
    let (met, rules) = mpsc::channel(1);
    let target = target(task);
    let watching = async {
        program.watch(rules, queue).await;
        // Whoever does not listen has seen enough.
        tell_ended.send(()).ok();
        tell_shown.send(()).ok();
    };
    let showing = async {
        if task.collector.kind() == "StdOut" {
            sidecar::mirror(Path::new(&task.path), tokio::io::stdout(), shown).await;
        }
    };
    let collecting = async {
        if task.keeps_only {
            ended.await.ok();
            return Collected::default();
        }
        sidecar::collect(&target, queue, ended, met).await
    };
    let ((), (), mut collected) = tokio::join!(watching, showing, collecting);
    collected.notes.extend(program.note());
    let number = |rule: &Rule| task.rules.iter().position(|other| other == rule);
    let stopped_by = collected.stopped_by.as_ref().and_then(number);
    collected.left = keep::keep(task, door, program.outcome(), &mut collected.notes).await;
    queue.end(stopped_by.map(|number| number as u32), collected).await;
    queue.is_safe().await;
}

fn target(task: &Task) -> sidecar::Target {
    sidecar::Target {
        run: task.run,
        collector: task.collector.clone(),
        metrics: task.metrics.clone(),
        direction: if task.maximize { Direction::Maximize } else { Direction::Minimize },
        rules: task.rules.clone(),
        output: PathBuf::from(&task.path),
        path: PathBuf::from(&task.path),
        port: None,
        since: None,
    }
}

/// Time between looks at the program.
const LOOK_EVERY: Duration = Duration::from_millis(200);
