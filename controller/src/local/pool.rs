//! Supervisors at hand. One supervises one run at a time, and when that is over the next one, so that not every run
//! pays for the start of a program. It lives on its own while a run lasts, and ends with us in between.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream as StdStream;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};

/// Supervisors that wait for a run; more than this many are let go.
const IDLE_AT_MOST: usize = 32;

/// The supervisors that have nothing to do.
#[derive(Debug, Default)]
pub(super) struct Supervisors(Mutex<Vec<Supervisor>>);

/// A supervisor, and the line to it.
#[derive(Debug)]
pub(super) struct Supervisor {
    child: Child,
    line: UnixStream,
}

impl Supervisors {
    /// One that was handed this run: one that waits, or a new one.
    pub(super) async fn hand(&self, program: &[std::ffi::OsString], folder: &Path) -> io::Result<Supervisor> {
        loop {
            let idle = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut idle) = idle else { break };
            // One that was ended meanwhile is passed over.
            if idle.give(folder).await.is_ok() {
                return Ok(idle);
            }
        }
        let mut new = Supervisor::start(program)?;
        new.give(folder).await?;
        Ok(new)
    }

    /// Takes one back whose run is over.
    pub(super) fn keep(&self, supervisor: Supervisor) {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_AT_MOST {
            idle.push(supervisor);
        }
    }
}

impl Supervisor {
    fn start(program: &[std::ffi::OsString]) -> io::Result<Self> {
        let [program, args @ ..] = program else {
            return Err(io::Error::other("there is no program to supervise runs"));
        };
        let (ours, theirs) = StdStream::pair()?;
        ours.set_nonblocking(true)?;
        let mut command = Command::new(program);
        // A group of its own, so that a Ctrl-C at the terminal is not for it.
        command.args(args).args(["--supervise", "-"]).process_group(0);
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self { child: command.spawn()?, line: UnixStream::from_std(ours)? })
    }

    /// Hands it a run; names of folders end with a zero byte.
    async fn give(&mut self, folder: &Path) -> io::Result<()> {
        self.line.write_all(&[folder.as_os_str().as_bytes(), b"\0"].concat()).await
    }

    /// Waits for the end of the run: the code that it says, or nothing if it has died. May be dropped and called again.
    pub(super) async fn done(&mut self) -> Option<u8> {
        let mut code = [0];
        let n = self.line.read(&mut code).await.unwrap_or(0);
        if n == 0 {
            // It has no end but this one; what counts is that it is gone.
            self.child.wait().await.ok();
            return None;
        }
        Some(code[0])
    }

    /// Sends it a signal; whether it was there to get it. Its number is its own until we have seen its end.
    pub(super) fn signal(&self, signal: Signal) -> bool {
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        pid.is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok())
    }
}
