//! Everything that must be there before a run can be started.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use controller_core::ports::ExecutorError;
use controller_core::process::{self, Process};
use controller_core::run::Run;

use super::capacity::Capacity;
use super::executor::LocalConfig;
use super::files::{RunFile, RunFolder};
use super::launch::{self, Launch, SlotsWanted, Surroundings};
use super::slots::{Wants, default_pool};

/// The folder of a run. Refuses names that are no names of files.
pub(super) fn folder_of(root: &Path, run: &Run) -> Result<RunFolder, ExecutorError> {
    for name in [&run.experiment, &run.trial] {
        if name.is_empty() || name.contains(['/', '\0']) || matches!(name.as_str(), "." | "..") {
            return Err(ExecutorError::Refused(format!("`{name}` cannot be the name of a folder")));
        }
    }
    Ok(RunFolder::new(
        root.join("trials").join(&run.experiment).join(&run.trial).join(run.id.attempt.to_string()),
    ))
}

/// The process that the manifest of a run asks for.
pub(super) fn process(run: &Run, folder: &RunFolder) -> Result<Process, ExecutorError> {
    let own = folder.metrics_path(&run.collector).display().to_string();
    let process = process::of_manifest(&run.manifest, &run.primary_container, &run.collector, &own);
    let mut process = process.map_err(|problems| {
        let problems = problems.into_iter().map(|problem| {
            let hint = problem.hint.map_or_else(String::new, |hint| format!(" ({hint})"));
            format!("{}: {}{hint}", problem.path, problem.message)
        });
        ExecutorError::Refused(problems.collect::<Vec<_>>().join("; "))
    })?;
    if let Some(shared) = &run.checkpoint_path {
        process::replace_path(&mut process, shared, &folder.checkpoint().display().to_string());
    }
    Ok(process)
}

/// The slots that a process asks for.
pub(super) fn wants(process: &Process) -> Wants {
    Wants { gpus: process.gpus.into(), cpu_milli: u64::from(process.cpus) * 1000, memory: process.memory }
}

/// How the process is started.
pub(super) fn launch(
    run: &Run,
    folder: &RunFolder,
    process: Process,
    config: &LocalConfig,
    slots: Option<(Wants, Capacity)>,
) -> Launch {
    let program_dir = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
    let around = Surroundings {
        server: config.server.as_deref(),
        grace: config.grace,
        program_dir: program_dir.as_deref(),
        metrics_port: wants_port(run).then(free_port).flatten(),
    };
    let slots = slots.map(|(wants, capacity)| SlotsWanted {
        wants,
        capacity,
        pool: config.slots.clone().unwrap_or_else(default_pool),
    });
    Launch { slots, ..launch::launch(run, folder, process, &around) }
}

/// Whether the run is scraped on a port that is ours to pick.
fn wants_port(run: &Run) -> bool {
    let http = run.collector.source.as_ref().and_then(|source| source.http_get.as_ref());
    let port = http.and_then(|http| http.port.as_ref());
    run.collector.kind() == "PrometheusMetric" && port.is_some_and(|port| *port == 0 || *port == "0")
}

/// A port that nobody listens on now.
fn free_port() -> Option<u16> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .ok()
        .map(|at| at.port())
}

/// The folders of a run; one for its metrics where they are read from files.
pub(super) fn folders(run: &Run, folder: &RunFolder) -> io::Result<()> {
    fs::create_dir_all(folder.path())?;
    let metrics = process::shared_path(&run.collector).map(|_| folder.metrics());
    for dir in [folder.model(), folder.checkpoint()].into_iter().chain(metrics) {
        match fs::create_dir(dir) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// `run.json` and `command.sh`, and room for `exit.json`.
pub(super) fn files(run: &Run, folder: &RunFolder, launch: Launch) -> io::Result<()> {
    folder.keep_room()?;
    launch::write_script(run, folder, &launch)?;
    folder.write_run(&RunFile { launch, run: run.clone() })
}
