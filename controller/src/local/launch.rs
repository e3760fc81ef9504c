//! How a run is started: what its supervisor needs to know, worked out by the controller.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use controller_core::process::{Process, quote};
use controller_core::run::Run;
use serde::{Deserialize, Serialize};

use super::capacity::Capacity;
use super::files::{RunFolder, write_new};
use super::slots::Wants;

/// Everything a supervisor needs to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Launch {
    /// Program and arguments.
    pub(super) argv: Vec<String>,
    /// Variables set beside the controller's own.
    pub(super) env: Vec<(String, String)>,
    /// Working directory, absolute.
    pub(super) cwd: PathBuf,
    /// How long it may run.
    pub(super) timeout_ms: Option<u64>,
    /// How long it has to end by itself when nobody says otherwise.
    pub(super) grace_ms: u64,
    /// Slots it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) slots: Option<SlotsWanted>,
}

/// Slots that are needed, and where to get them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SlotsWanted {
    pub(super) wants: Wants,
    pub(super) capacity: Capacity,
    pub(super) pool: PathBuf,
}

impl Launch {
    pub(super) fn timeout(&self) -> Option<Duration> {
        self.timeout_ms.map(Duration::from_millis)
    }

    pub(super) fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }

    /// The value that the process sees of a variable.
    pub(super) fn var(&self, name: &str) -> Option<String> {
        let own = self.env.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        own.or_else(|| std::env::var(name).ok())
    }
}

/// What the executor gives to all its runs.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) server: Option<&'a str>,
    pub(super) grace: Duration,
    pub(super) program_dir: Option<&'a Path>,
    pub(super) metrics_port: Option<u16>,
}

/// How `run` is started in `folder`. Slots are left to be filled in.
pub(super) fn launch(run: &Run, folder: &RunFolder, process: Process, around: &Surroundings<'_>) -> Launch {
    let base = run.base_dir.as_ref().map_or_else(|| folder.path().to_owned(), PathBuf::from);
    let cwd = process
        .working_dir
        .as_ref()
        .map_or_else(|| base.clone(), |cwd| base.join(cwd))
        .components()
        .collect();
    let mut launch = Launch {
        argv: process.argv,
        env: process.env,
        cwd,
        timeout_ms: process
            .timeout
            .map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1)),
        grace_ms: u64::try_from(around.grace.as_millis()).unwrap_or(u64::MAX),
        slots: None,
    };
    launch.env.extend(variables(run, folder, around.server));
    launch.env.extend(around.metrics_port.map(|port| ("CAIRN_METRICS_PORT".into(), port.to_string())));
    if let Some(dir) = around.program_dir {
        let path = launch.var("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
        launch.env.retain(|(key, _)| key != "PATH");
        launch.env.push(("PATH".into(), format!("{path}:{}", dir.display())));
    }
    launch
}

fn variables(run: &Run, folder: &RunFolder, server: Option<&str>) -> Vec<(String, String)> {
    let path = |path: &Path| path.display().to_string();
    let mut variables = vec![
        ("CAIRN_EXPERIMENT".into(), run.experiment.clone()),
        ("CAIRN_NAMESPACE".into(), run.namespace.clone()),
        ("CAIRN_TRIAL_NAME".into(), run.trial.clone()),
        ("CAIRN_ATTEMPT".into(), run.id.attempt.to_string()),
        ("KATIB_TRIAL_NAME".into(), run.trial.clone()),
        ("CAIRN_TRIAL_DIR".into(), path(folder.path())),
        ("CAIRN_MODEL_DIR".into(), path(&folder.model())),
        ("CAIRN_CHECKPOINT_DIR".into(), path(&folder.checkpoint())),
    ];
    variables.extend(server.map(|server| ("CAIRN_SERVER".into(), server.to_owned())));
    variables
}

/// Writes `command.sh`, by which a person runs it again by hand.
pub(super) fn write_script(run: &Run, folder: &RunFolder, launch: &Launch) -> io::Result<()> {
    let mut text = format!(
        "#!/bin/sh\n# Runs attempt {} of trial {} of experiment {} again, by hand.\nset -e\ncd {}\n",
        run.id.attempt,
        run.trial,
        run.experiment,
        quote(&launch.cwd.display().to_string())
    );
    for (key, value) in &launch.env {
        if is_variable_name(key) {
            writeln!(text, "export {key}={}", quote(value)).map_err(io::Error::other)?;
        }
    }
    let argv: Vec<String> = launch.argv.iter().map(|arg| quote(arg)).collect();
    writeln!(text, "exec {}", argv.join(" ")).map_err(io::Error::other)?;
    write_new(&folder.command_script(), text.as_bytes(), 0o755)
}

fn is_variable_name(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_a_shell_cannot_export_are_known() {
        assert!(is_variable_name("A_1"));
        assert!(!is_variable_name("1A") && !is_variable_name("a-b") && !is_variable_name(""));
    }
}
