//! Watching one run from its start to its end.

use std::sync::Arc;
use std::time::Duration;

use controller_core::ports::Collected;
use controller_core::run::{Checkpoint, Exit, Run, RunEnd, RunPhase, RunStatus};
use rustix::process::Signal;
use study::Rule;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tracing::debug;

use super::artifacts::{self, Unkept};
use super::checkpoints;
use super::collect::Signals;
use super::executor::{OVERTIME, Shared};
use super::files::{ExitFile, RunFolder, StopFile, now};
use super::logs::last_line;
use super::pool::Supervisor;
use super::processes::leftovers;

/// How often the files of a run are looked at while something is awaited that only they say.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long what a vanished supervisor left is hunted.
const HUNT: Duration = Duration::from_secs(5);

/// Watches one run.
pub(super) struct Watcher {
    pub(super) shared: Arc<Shared>,
    pub(super) run: Run,
    pub(super) folder: RunFolder,
    pub(super) say: watch::Sender<RunPhase>,
    pub(super) orders: watch::Receiver<Option<StopFile>>,
    /// Whether its supervisor is to be started.
    pub(super) begin: bool,
}

/// How far an order to stop has come.
#[derive(Default)]
struct Stopping {
    stop: Option<StopFile>,
    /// Whether the supervisor has been told.
    told: bool,
    /// When patience with the supervisor ends.
    until: Option<Instant>,
}

impl Watcher {
    /// Watches the run until its end is said.
    pub(super) async fn watch(mut self) {
        let (tell_ended, ended) = oneshot::channel();
        let (stop, rules) = mpsc::channel(1);
        let (shared, run, folder) = (Arc::clone(&self.shared), self.run.clone(), self.folder.clone());
        let collecting = shared.collect.collect(&run, &folder, Signals { ended, stop });
        let supervising = async {
            let exit = self.supervise(rules).await;
            // A collector that has given up does not listen.
            tell_ended.send(()).ok();
            exit
        };
        let (exit, collected) = tokio::join!(supervising, collecting);
        let end = self.conclude(exit, collected).await;
        self.publish(RunPhase::Ended(end));
    }

    fn publish(&self, phase: RunPhase) {
        let status = RunStatus { run: self.run.id, phase: phase.clone() };
        self.say.send_replace(phase);
        // Nobody may be listening.
        self.shared.changes.send(status).ok();
    }

    /// Until no process of the run is left.
    async fn supervise(&mut self, mut rules: mpsc::Receiver<Rule>) -> ExitFile {
        let mut own = None;
        if self.begin {
            match self.start().await {
                Ok(started) => own = Some(started),
                Err(error) => return self.not_supervised(&error),
            }
        }
        let mut stopping = Stopping::default();
        let mut code = None;
        let mut running = false;
        loop {
            let look = own.is_none() || !running || stopping.until.is_some();
            let ordered = tokio::select! {
                said = done(&mut own) => {
                    code = said;
                    let freed = own.take();
                    if said == Some(0) && let Some(free) = freed {
                        self.shared.supervisors.keep(free);
                        break;
                    }
                    None
                }
                rule = rules.recv(), if !rules.is_closed() || !rules.is_empty() => rule.map(|rule| {
                    StopFile { grace_ms: self.shared.config.grace.as_millis() as u64, rule: Some(rule) }
                }),
                Ok(()) = self.orders.changed() => self.orders.borrow_and_update().clone(),
                () = tokio::time::sleep(LOOK_EVERY), if look => None,
            };
            if own.is_none() && !self.folder.is_supervised() {
                break;
            }
            if !running {
                running = self.look();
            }
            if let Some(stop) = ordered {
                stopping.order(stop, &self.folder);
            }
            stopping.tell(own.as_ref(), &self.folder);
        }
        match self.folder.exit() {
            Some(exit) => exit,
            None => self.settle(code, stopping.stop.is_some()).await,
        }
    }

    async fn start(&self) -> std::io::Result<Supervisor> {
        self.shared.supervisors.hand(&self.shared.config.supervisor, self.folder.path()).await
    }

    /// How a run ended whose supervisor is gone without a word.
    async fn settle(&self, code: Option<u8>, asked: bool) -> ExitFile {
        let folder = self.folder.clone();
        // What we have started ourselves has ended this moment, so that its numbers are no one else's yet.
        let just_now = self.begin;
        let settled = tokio::task::spawn_blocking(move || settle(&folder, code, asked, just_now)).await;
        settled.unwrap_or_else(|error| lost(&self.folder, format!("its end could not be read: {error}")))
    }

    fn not_supervised(&self, error: &std::io::Error) -> ExitFile {
        let reason = format!("its supervisor cannot be started: {error}");
        ExitFile { exit: Exit::NotStarted { reason }, ..lost(&self.folder, String::new()) }
    }

    /// Looks whether the run has started, or what it waits for.
    fn look(&self) -> bool {
        if let Some(file) = self.folder.started() {
            self.publish(RunPhase::Running { since: file.started, slots: file.slots });
            return true;
        }
        if let Some(waiting) = self.folder.waiting() {
            let phase = RunPhase::Waiting { reason: waiting.reason };
            if *self.say.borrow() != phase {
                self.publish(phase);
            }
        }
        false
    }

    async fn conclude(&self, file: ExitFile, collected: Collected) -> RunEnd {
        let mut notes = collected.notes;
        let mut exit = file.exit;
        let mut model = None;
        if exit.is_success() {
            // Most runs leave nothing, and that is seen at once.
            let kept = if artifacts::are_none(&self.folder) {
                Ok(artifacts::Kept::default())
            } else {
                artifacts::keep(&self.run, &self.folder).await
            };
            match kept {
                Ok(kept) => {
                    model = kept.model;
                    notes.extend(kept.note);
                }
                // What it has measured counts all the same.
                Err(Unkept::NoRoom(why)) => notes.push(format!("its model is not kept: {why}")),
                Err(Unkept::Unfit(reason)) => exit = Exit::BadOutput { reason },
            }
        }
        let checkpoint = self.keep_checkpoint(&mut exit, &mut notes).await;
        if !file.leaked.is_empty() {
            notes.push(format!("left processes behind, which were killed: {}", file.leaked.join(", ")));
        }
        if !exit.is_success() {
            notes.extend(last_line(&self.folder.output()));
        }
        let by_stop = self.folder.stop().filter(|_| exit == Exit::Stopped).and_then(|stop| stop.rule);
        RunEnd {
            exit,
            started: file.started,
            ended: file.ended,
            slots: file.slots,
            stopped_by: collected.stopped_by.or(by_stop),
            message: notes.join("; "),
            model,
            checkpoint,
        }
    }

    /// Seals the checkpoint of a run that has ended well or was stopped, if it is to be kept. One that cannot be is none of a
    /// run that is complete without.
    async fn keep_checkpoint(&self, exit: &mut Exit, notes: &mut Vec<String>) -> Option<Checkpoint> {
        if !self.run.keep_checkpoint || !(exit.is_success() || *exit == Exit::Stopped) {
            return None;
        }
        let (run, folder) = (self.run.id, self.folder.clone());
        let sealed = tokio::task::spawn_blocking(move || checkpoints::seal(run, &folder)).await;
        match sealed.unwrap_or_else(|error| Err(Unkept::Unfit(error.to_string()))) {
            Ok(checkpoint) => return checkpoint,
            Err(error) if exit.is_success() => notes.push(format!("its checkpoint cannot be kept: {error}")),
            Err(error) => {
                *exit = Exit::BadOutput { reason: format!("its checkpoint cannot be kept: {error}") }
            }
        }
        None
    }
}

impl Stopping {
    /// Takes in an order, and writes it down before anybody is told.
    fn order(&mut self, stop: StopFile, folder: &RunFolder) {
        let rule = self.stop.take().and_then(|earlier| earlier.rule);
        let stop = StopFile { rule: rule.or(stop.rule), ..stop };
        if let Err(error) = folder.write_stop(&stop) {
            debug!(%error, "a stop could not be written down");
        }
        let until = Instant::now() + stop.grace().min(Duration::from_hours(24)) + OVERTIME;
        self.until = Some(self.until.map_or(until, |earlier| earlier.min(until)));
        self.stop = Some(stop);
        self.told = false;
    }

    /// Tells the supervisor, if that is to be done and it can be found.
    fn tell(&mut self, own: Option<&Supervisor>, folder: &RunFolder) {
        let overdue = self.until.is_some_and(|until| Instant::now() >= until);
        if self.stop.is_none() || (self.told && !overdue) {
            return;
        }
        let signal = if overdue { Signal::KILL } else { Signal::USR1 };
        self.told = if let Some(own) = own {
            own.signal(signal)
        } else {
            let started = folder.started().map(|file| file.supervisor);
            let supervisor = started.or_else(|| folder.waiting().map(|file| file.supervisor));
            // It may have gone on to another run, which is not meant.
            supervisor.is_some_and(|supervisor| folder.is_supervised() && supervisor.signal(signal))
        };
    }
}

/// The code that our own supervisor says once the run is over; never, if there is none.
async fn done(own: &mut Option<Supervisor>) -> Option<u8> {
    match own {
        Some(own) => own.done().await,
        None => std::future::pending().await,
    }
}

/// Speaks for a supervisor that is gone without a word, once nothing of the run is left.
fn settle(folder: &RunFolder, code: Option<u8>, asked: bool, just_now: bool) -> ExitFile {
    hunt(folder, just_now);
    let started = folder.started();
    let restarted = started.as_ref().is_some_and(|file| file.supervisor.is_of_earlier_boot());
    let file = if asked || folder.stop().is_some() {
        ExitFile { exit: Exit::Stopped, ..lost(folder, String::new()) }
    } else if restarted {
        lost(folder, "the machine was restarted while it ran".into())
    } else if let (Some(code), None) = (code, started) {
        let reason = format!(
            "its supervisor could not begin (code {code}); is {} on a disk that is full or cannot be written?",
            folder.path().display()
        );
        ExitFile { exit: Exit::NotStarted { reason }, ..lost(folder, String::new()) }
    } else {
        lost(folder, "its supervisor vanished, killed by someone else or for lack of memory".into())
    };
    // If it cannot be written the next controller comes to the same end.
    folder.write_exit(&file).ok();
    file
}

fn lost(folder: &RunFolder, reason: String) -> ExitFile {
    let started = folder.started();
    ExitFile {
        exit: Exit::Lost { reason },
        started: started.as_ref().map(|file| file.started),
        ended: now(),
        slots: started.map_or_else(Vec::new, |file| file.slots),
        leaked: Vec::new(),
    }
}

/// Kills every process of a run that has no supervisor any more.
fn hunt(folder: &RunFolder, just_now: bool) {
    let started = folder.started().filter(|_| just_now);
    let (session, group) =
        started.map_or((None, None), |file| (Some(file.supervisor.pid), Some(file.child.pid)));
    let until = std::time::Instant::now() + HUNT;
    while std::time::Instant::now() < until {
        let rows = leftovers(folder.path(), session, group);
        if rows.is_empty() {
            return;
        }
        for row in rows {
            row.signal(Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
