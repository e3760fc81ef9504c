//! The trial's program: seeing its end, and bringing it about.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use controller_core::sidecar::{self as told, End, Task};
use rustix::process::Signal;
use study::Rule;
use tokio::signal::unix::Signal as Signals;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::LOOK_EVERY;
use crate::processes::{self, Process};
use crate::queue::Queue;

/// How long a program that has begun is looked for: it may be gone before we come.
const GONE: Duration = Duration::from_secs(5);
/// How long one is looked for that has left no trace. Containers begin in their order, so it has come before us.
const ABSENT: Duration = Duration::from_mins(10);
/// How long a program has to end that a rule has stopped.
const GRACE: Duration = Duration::from_mins(1);
/// What is kept of our own grace for reporting what is left.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The program of the pod.
pub(crate) struct Program {
    path: String,
    markers: Option<String>,
    end: End,
    waits_for_all: bool,
    grace: Duration,
    terminate: Signals,
    /// The controller wants its end, after this grace.
    stops: mpsc::Receiver<Duration>,
    main: Option<Process>,
    /// Since when there is none.
    absent: Instant,
    was_seen: bool,
    /// When it is killed, if it was told to end.
    kill_at: Option<Instant>,
    refused: bool,
    told: Told,
}

/// Whether the program was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Not,
    /// The controller wants it, or the whole pod is.
    FromOutside,
    /// A rule is met.
    ByRule,
}

/// How the program has ended, as far as it can be seen from beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// By itself, and well.
    Good,
    /// Otherwise, or because it was told to.
    Bad,
    /// Because a rule has stopped it: nobody goes on from there.
    Stopped,
    /// Its command is not wrapped, so that nothing says it.
    Unknown,
}

impl Program {
    pub(crate) fn new(task: &Task, terminate: Signals, stops: mpsc::Receiver<Duration>) -> Self {
        Self {
            path: task.path.clone(),
            markers: task.markers.clone(),
            end: task.end,
            waits_for_all: task.waits_for_all,
            grace: Duration::from_secs(task.grace),
            terminate,
            stops,
            main: None,
            absent: Instant::now(),
            was_seen: false,
            kill_at: None,
            refused: false,
            told: Told::Not,
        }
    }

    /// Until the program has ended, or we have to. One whose rules are met is stopped.
    pub(crate) async fn watch(&mut self, mut rules: mpsc::Receiver<Rule>, queue: &Queue) {
        let (mut until, mut over) = (None, false);
        loop {
            tokio::select! {
                Some(rule) = rules.recv() => {
                    info!(metric = rule.metric, "a rule is met: the program is stopped");
                    if !self.stop(Told::ByRule, GRACE) {
                        queue.met().await;
                    }
                }
                Some(grace) = self.stops.recv() => if self.kill_at.is_none() && !self.refused {
                    info!("the controller wants the program's end");
                    self.stop(Told::FromOutside, grace);
                },
                Some(()) = self.terminate.recv() => {
                    info!("told to end");
                    if self.end == End::Signal {
                        return;
                    }
                    // The whole pod is: its program too.
                    self.told = Told::FromOutside;
                    let left = self.grace.saturating_sub(LAST_WORDS).max(Duration::from_secs(1));
                    until.get_or_insert_with(|| Instant::now() + left);
                }
                () = sleep(LOOK_EVERY) => {}
            }
            let now = Instant::now();
            // It is looked for before we give up on it.
            over = over || (self.end != End::Signal && self.has_ended(now));
            let has_ended = over && !(self.waits_for_all && processes::others_run());
            if has_ended || until.is_some_and(|until| now >= until || !self.was_seen) {
                return;
            }
            if self.kill_at.is_some_and(|at| now >= at) {
                self.kill();
                self.kill_at = Some(now + LAST_WORDS);
            }
        }
    }

    /// What a person should know of how it went.
    pub(crate) fn note(&self) -> Option<String> {
        if self.refused {
            return Some("the sidecar may not stop the program; give both the same `runAsUser`".into());
        }
        let is_blind = self.end != End::Signal && !self.was_seen;
        is_blind.then(|| "no process of the program was seen".into())
    }

    /// How it has ended.
    pub(crate) fn outcome(&self) -> Outcome {
        match self.told {
            Told::Not => {}
            Told::FromOutside => return Outcome::Bad,
            Told::ByRule => return Outcome::Stopped,
        }
        match &self.markers {
            None => Outcome::Unknown,
            Some(folder) if has_completed(folder) => Outcome::Good,
            Some(_) => Outcome::Bad,
        }
    }

    fn has_ended(&mut self, now: Instant) -> bool {
        let Some(main) = self.main else {
            self.find();
            let is_gone = match self.end {
                End::Processes => self.has_left_a_trace(),
                End::Restarts => self.markers.as_deref().is_some_and(has_completed),
                End::Signal => false,
            };
            let patience = if is_gone { GONE } else { ABSENT };
            return self.main.is_none() && now.duration_since(self.absent) > patience;
        };
        if main.is_alive() {
            return false;
        }
        (self.main, self.kill_at, self.absent) = (None, None, now);
        // One that has not ended well may begin again.
        self.end != End::Restarts || self.marker(main) == Some(told::COMPLETED.into())
    }

    fn find(&mut self) {
        let marking = self.markers.as_deref().map(told::marking);
        self.main = processes::program(marking.as_deref());
        self.was_seen |= self.main.is_some();
    }

    fn marker(&self, main: Process) -> Option<String> {
        let path = told::marker(self.markers.as_deref()?, main.pid);
        Some(fs::read_to_string(path).ok()?.trim().to_owned())
    }

    /// Whether there is anything that only the program can have written.
    fn has_left_a_trace(&self) -> bool {
        let folder = self.markers.as_deref().map(fs::read_dir);
        let marked = folder.is_some_and(|entries| entries.into_iter().flatten().flatten().count() > 0);
        marked || (!self.path.is_empty() && Path::new(&self.path).is_file())
    }

    /// Tells the program to end: a wrapped one by its marker, so that its shell says that all is well. False if that is
    /// not ours to do.
    fn stop(&mut self, by: Told, grace: Duration) -> bool {
        if self.main.is_none() {
            self.find();
        }
        let Some(main) = self.main else { return false };
        let told = self.mark(main).and_then(|()| {
            let children = if self.markers.is_some() { main.children() } else { Vec::new() };
            let targets = if children.is_empty() { vec![main] } else { children };
            targets.into_iter().try_for_each(|process| process.signal(Signal::TERM))
        });
        if let Err(error) = told {
            warn!(%error, "the program cannot be told to end");
            self.refused = true;
            return false;
        }
        self.kill_at = Some(Instant::now() + grace);
        self.told = by;
        true
    }

    fn mark(&self, main: Process) -> io::Result<()> {
        let Some(folder) = &self.markers else { return Ok(()) };
        let path = told::marker(folder, main.pid);
        fs::write(&path, format!("{}\n", told::EARLY_STOPPED))?;
        // The shell writes it again, as another user perhaps.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666))
    }

    /// Kills what the program has started, then what is left of it.
    fn kill(&self) {
        let Some(main) = self.main else { return };
        let mut targets = main.descendants();
        if targets.is_empty() || self.markers.is_none() {
            targets.push(main);
        }
        for process in targets {
            if let Err(error) = process.signal(Signal::KILL) {
                warn!(%error, pid = process.pid, "a process cannot be killed");
            }
        }
    }
}

/// Whether a marker says that the program has ended well.
fn has_completed(folder: &str) -> bool {
    let is_marker = |entry: &fs::DirEntry| entry.path().extension().is_some_and(|end| end == "pid");
    let says_so = |text: String| text.trim() == told::COMPLETED;
    let mut markers = fs::read_dir(folder).into_iter().flatten().flatten().filter(is_marker);
    markers.any(|marker| fs::read_to_string(marker.path()).is_ok_and(says_so))
}
