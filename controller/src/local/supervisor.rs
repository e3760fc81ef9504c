//! The supervisor of one run: an early branch of the same program, small, without a runtime, that outlives the
//! controller. It starts the process, waits for its end, a signal or the time-out, sees to it that nothing of it is
//! left, and writes `exit.json`.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use controller_core::run::Exit;
use controller_core::time::Timestamp;
use rustix::process::{Pid, Signal};

use super::files::{ExitFile, RunFolder, StartedFile, WaitingFile, now};
use super::identity::Identity;
use super::launch::{Launch, SlotsWanted};
use super::slots::{Held, Pool};
use family::{Ended, Family};
use signals::Signals;

mod family;
mod signals;
mod start;

/// The run is somebody else's.
const BUSY: u8 = 75;
/// The run's folder cannot be used.
const UNUSABLE: u8 = 74;
/// How often a supervisor that waits for slots looks whether some are free.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How often it looks closely, in case someone died with slots in hand.
const LOOK_CLOSELY_EVERY: Duration = Duration::from_secs(1);

/// Is this process a supervisor? Then does its work and returns its exit code. To be called before anything else.
pub(crate) fn branch() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != "--supervise" {
        return None;
    }
    Some(ExitCode::from(supervise(&args.next()?)))
}

/// Supervises the run in this folder to its end; for `-`, one run after the other that the controller names on standard
/// input. The exit code of the supervisor.
pub(super) fn supervise(folder: &OsStr) -> u8 {
    detach();
    let Ok(signals) = Signals::listen() else {
        return UNUSABLE;
    };
    if folder == "-" { serve(&signals) } else { one(Path::new(folder), &signals).0 }
}

/// Supervises runs as long as there is a controller that names some.
fn serve(signals: &Signals) -> u8 {
    let Ok(line) = std::io::stdin().as_fd().try_clone_to_owned() else {
        return UNUSABLE;
    };
    let mut line = UnixStream::from(line);
    let mut folder = Vec::new();
    loop {
        folder.clear();
        loop {
            if signals.wait_for(&line).end {
                return 0;
            }
            let mut buffer = [0; 4096];
            match line.read(&mut buffer) {
                Ok(0) => return 0,
                Ok(n) => folder.extend(&buffer[..n]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return UNUSABLE,
            }
            // The controller names one at a time, so that nothing follows the zero byte.
            if folder.pop_if(|last| *last == 0).is_some() {
                break;
            }
        }
        let (code, may_go_on) = one(Path::new(OsStr::from_bytes(&folder)), signals);
        // A controller that is gone has no ears; it will find the file.
        line.write_all(&[code]).ok();
        if !may_go_on {
            return code;
        }
    }
}

/// Supervises one run to its end: what is to be said of it, and whether another one may follow.
fn one(folder: &Path, signals: &Signals) -> (u8, bool) {
    let folder = RunFolder::new(folder);
    let _lock = match lock(&folder) {
        Ok(Some(lock)) => lock,
        Ok(None) => return (BUSY, true),
        Err(_) => return (UNUSABLE, true),
    };
    if folder.has_exit() || folder.has_started() {
        return (0, true);
    }
    let Ok(launch) = folder.launch() else {
        return (UNUSABLE, true);
    };
    let supervisor = Supervisor { folder, launch, signals };
    let end = supervisor.run();
    let told_to_end = matches!(end.exit, Exit::Lost { .. });
    let code = supervisor.write(&end);
    // With a process left that cannot be killed we are of no more use.
    (code, code == 0 && !told_to_end && !Family::has_any())
}

/// Leaves the terminal and the process group of the controller, and becomes the parent of orphans.
fn detach() {
    // Started as the leader of a group of its own, so that no Ctrl-C reaches it; a leader cannot begin a session.
    let parent = rustix::process::getppid();
    if rustix::process::getpgrp() == rustix::process::getpid() {
        parent
            .and_then(|parent| rustix::process::getpgid(Some(parent)).ok())
            .and_then(|group| rustix::process::setpgid(None, Some(group)).ok());
    }
    rustix::process::setsid().ok();
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).ok();
}

/// The lock of the run. Someone may hold it for a moment to see whether a supervisor lives, so it is tried for a while.
fn lock(folder: &RunFolder) -> io::Result<Option<File>> {
    for _ in 0..20 {
        if let Some(lock) = folder.lock()? {
            return Ok(Some(lock));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(None)
}

/// Why a run ends before it does so by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cause {
    TimedOut,
    Stopped,
    Outside,
}

struct Supervisor<'a> {
    folder: RunFolder,
    launch: Launch,
    signals: &'a Signals,
}

impl Supervisor<'_> {
    fn run(&self) -> ExitFile {
        if self.folder.stop().is_some() {
            return unborn(Exit::Stopped);
        }
        let held = match self.launch.slots.as_ref().map(|wanted| self.take(wanted)).transpose() {
            Ok(held) => held,
            Err(exit) => return unborn(exit),
        };
        let started = now();
        let gpus = held.as_ref().map_or(&[][..], |held| &held.gpus);
        let slots = held.as_ref().map_or_else(Vec::new, |held| held.names.clone());
        match start::start(&self.launch, &self.folder.output(), gpus) {
            Ok(child) => self.attend(Family::new(child), started, slots),
            Err(reason) => ExitFile { slots, ..unborn(Exit::NotStarted { reason }) },
        }
    }

    /// Waits for slots. Fails with the end of the run.
    fn take(&self, wanted: &SlotsWanted) -> Result<Held, Exit> {
        let who = self.folder.path().display().to_string();
        let no_pool = |error: io::Error| Exit::NotStarted {
            reason: format!("cannot take slots in {}: {error}", wanted.pool.display()),
        };
        let pool = Pool::open(&wanted.pool).map_err(no_pool)?;
        let mut waiting = pool.queue(wanted.wants, wanted.capacity.clone(), &who).map_err(no_pool)?;
        let mut said = String::new();
        let mut closely = Instant::now();
        // A change within the same tick of the file system's clock is seen by looking once more.
        let mut again = false;
        loop {
            let news = waiting.has_news();
            if news || again || Instant::now() >= closely {
                again = news;
                closely = Instant::now() + LOOK_CLOSELY_EVERY;
                match waiting.attempt().map_err(no_pool)? {
                    Ok(held) => return Ok(held),
                    Err(reason) => self.say_waiting(&mut said, reason),
                }
            }
            let woken = self.signals.wait(Some(Instant::now() + LOOK_EVERY));
            if (woken.look || woken.end) && self.folder.stop().is_some() {
                return Err(Exit::Stopped);
            }
            if woken.end {
                return Err(lost_to_outside());
            }
        }
    }

    fn say_waiting(&self, said: &mut String, reason: String) {
        if *said == reason {
            return;
        }
        if let Some(supervisor) = Identity::of(rustix::process::getpid()) {
            // Only for people; without it the run waits just as well.
            self.folder.write_waiting(&WaitingFile { supervisor, reason: reason.clone() }).ok();
        }
        *said = reason;
    }

    /// Stays with the process until nothing of it is left.
    fn attend(&self, mut family: Family, started: Timestamp, slots: Vec<String>) -> ExitFile {
        let begun = Instant::now();
        self.say_started(&family, started, &slots);
        let (ended, cause, kill_at) = self.await_end(&mut family, begun);
        let at = now();
        let left = family.clear(self.signals, kill_at);
        // Who is told to end by time-out or stop has not leaked.
        let leaked = if cause.is_none() { left } else { Vec::new() };
        let exit = match (cause, ended) {
            (Some(Cause::TimedOut), _) => {
                Exit::TimedOut { seconds: self.launch.timeout_ms.unwrap_or_default().div_ceil(1000) }
            }
            (Some(Cause::Stopped), _) => Exit::Stopped,
            (Some(Cause::Outside), _) => lost_to_outside(),
            (None, Ended::Code(code)) => Exit::Code { code },
            (None, Ended::Signal(signal)) => Exit::Signal { signal },
        };
        ExitFile { exit, started: Some(started), ended: at, slots, leaked }
    }

    fn say_started(&self, family: &Family, started: Timestamp, slots: &[String]) {
        let Some(supervisor) = Identity::of(rustix::process::getpid()) else {
            return;
        };
        // A child that ended this moment is a zombie and has no start any more.
        let child = Identity::of(family.primary()).unwrap_or_else(|| Identity {
            pid: family.primary().as_raw_nonzero().get(),
            start: String::new(),
            ..supervisor.clone()
        });
        let file = StartedFile { supervisor, child, started, slots: slots.to_vec() };
        // Without it an end is still told; a supervisor killed now is found out by its folder's name in the environment.
        self.folder.write_started(&file).ok();
    }

    /// Until the primary process has ended: how, why if not by itself, and when what is left of it must be gone.
    fn await_end(&self, family: &mut Family, begun: Instant) -> (Ended, Option<Cause>, Option<Instant>) {
        let timeout_at = self.launch.timeout().and_then(|timeout| begun.checked_add(timeout));
        let mut cause = None;
        let mut kill_at: Option<Instant> = None;
        loop {
            if let Some(ended) = family.reap() {
                return (ended, cause, kill_at);
            }
            let until = if cause.is_none() { timeout_at } else { kill_at };
            let woken = self.signals.wait(until);
            if let Some(ended) = family.reap() {
                return (ended, cause, kill_at);
            }
            let instant = Instant::now();
            let wish = if woken.look || woken.end { self.folder.stop() } else { None };
            if wish.is_some() || woken.end {
                cause = cause.or(Some(if wish.is_some() { Cause::Stopped } else { Cause::Outside }));
                let grace = wish.map_or(self.launch.grace(), |wish| wish.grace());
                let at = instant + grace.min(Duration::from_hours(24));
                kill_at = Some(kill_at.map_or(at, |earlier| earlier.min(at)));
                signal_group(family.primary(), Signal::TERM);
            } else if cause.is_none() && timeout_at.is_some_and(|at| instant >= at) {
                cause = Some(Cause::TimedOut);
                kill_at = Some(instant + self.launch.grace().min(Duration::from_hours(24)));
                signal_group(family.primary(), Signal::TERM);
            }
            if kill_at.is_some_and(|at| Instant::now() >= at) {
                family.kill();
                // Whoever was born meanwhile is killed the next time round.
                kill_at = Some(Instant::now() + Duration::from_millis(10));
            }
        }
    }

    /// Writes `exit.json`. A full disk is waited for, since the end of a run must not be lost.
    fn write(&self, end: &ExitFile) -> u8 {
        loop {
            match self.folder.write_exit(end) {
                Ok(()) => return 0,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return UNUSABLE,
                Err(_) => {}
            }
            if self.signals.wait(Some(Instant::now() + Duration::from_millis(500))).end {
                return UNUSABLE;
            }
        }
    }
}

fn signal_group(leader: Pid, signal: Signal) {
    rustix::process::kill_process_group(leader, signal).ok();
}

fn unborn(exit: Exit) -> ExitFile {
    ExitFile { exit, started: None, ended: now(), slots: Vec::new(), leaked: Vec::new() }
}

fn lost_to_outside() -> Exit {
    Exit::Lost {
        reason: "its supervisor was told to end by someone else, such as a shutdown of the machine".into(),
    }
}
