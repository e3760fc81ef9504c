//! Starting the process.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::Access;
use rustix::process::Pid;

use crate::local::launch::Launch;

/// Starts the process with its output in `output`; fails with a reason for people.
pub(super) fn start(launch: &Launch, output: &Path, gpus: &[String]) -> Result<Pid, String> {
    if !launch.cwd.is_dir() {
        let cwd = launch.cwd.display();
        return Err(format!("the working directory {cwd} does not exist; create it, or change `workingDir`"));
    }
    let name = launch.argv.first().ok_or("there is no command; set `command`")?;
    let program = find(name, launch)?;
    let log = OpenOptions::new().append(true).create(true).open(output);
    let log = log.and_then(|out| Ok((out.try_clone()?, out)));
    let (out, err) = log.map_err(|error| format!("cannot write {}: {error}", output.display()))?;
    let mut command = Command::new(&program);
    command.arg0(name).args(&launch.argv[1..]).current_dir(&launch.cwd).process_group(0);
    command.envs(launch.env.iter().map(|(key, value)| (key, value)));
    // Shells print this path as it is written, if it is plain.
    if launch.cwd.components().any(|part| part == Component::ParentDir) {
        command.env_remove("PWD");
    } else {
        command.env("PWD", &launch.cwd);
    }
    if !gpus.is_empty() {
        command.env("CUDA_VISIBLE_DEVICES", gpus.join(","));
        if launch.slots.as_ref().is_some_and(|slots| slots.capacity.by_index) {
            command.env("CUDA_DEVICE_ORDER", "PCI_BUS_ID");
        }
    }
    command.stdin(Stdio::null()).stdout(out).stderr(err);
    let child = command.spawn().map_err(|error| refusal(name, &program, &error))?;
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| format!("`{name}` has no process number"))
}

/// The file to execute: as a shell would find it, with the variables and the working directory of the process.
fn find(name: &str, launch: &Launch) -> Result<PathBuf, String> {
    if name.contains('/') {
        let path = launch.cwd.join(name);
        return check(name, &path).map(|()| path);
    }
    let path = launch.var("PATH").unwrap_or_default();
    let mut found = None;
    for dir in std::env::split_paths(&path) {
        let file = launch.cwd.join(dir).join(name);
        if file.is_file() {
            match check(name, &file) {
                Ok(()) => return Ok(file),
                Err(reason) => found = found.or(Some(reason)),
            }
        }
    }
    Err(found.unwrap_or_else(|| {
        let here = launch.cwd.join(name);
        if here.is_file() {
            format!("command `{name}` was not found in PATH; did you mean `./{name}`?")
        } else {
            format!("command `{name}` was not found in PATH; install it, or write its path")
        }
    }))
}

fn check(name: &str, path: &Path) -> Result<(), String> {
    match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(format!("command `{name}` was not found: there is no {}", path.display()))
        }
        Err(error) => Err(format!("command `{name}` cannot be looked at: {error}")),
        Ok(found) if found.is_dir() => Err(format!("command `{name}` is a folder; name the program in it")),
        Ok(_) if rustix::fs::access(path, Access::EXEC_OK).is_err() => Err(format!(
            "command `{name}` is not executable; run `chmod +x {}`, or call its interpreter with it",
            path.display()
        )),
        Ok(_) => Ok(()),
    }
}

/// Why the system would not execute a file that is there.
fn refusal(name: &str, program: &Path, error: &io::Error) -> String {
    let file = program.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!(
            "command `{name}` cannot be executed: the interpreter named in the first line of {file} is missing, or the \
             program is built for another system"
        ),
        io::ErrorKind::ArgumentListTooLong => {
            format!(
                "command `{name}` cannot be started: its arguments and environment are too long; pass them in a file"
            )
        }
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => format!(
            "command `{name}` cannot be executed: {file} is no program of this machine and has no `#!` line; add one, \
             such as `#!/bin/sh`"
        ),
        _ => format!("command `{name}` cannot be started: {error}"),
    }
}
