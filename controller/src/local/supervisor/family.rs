//! The process and its descendants.

use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions};

use super::signals::Signals;
use crate::local::processes::descendants;

/// How long descendants may stay behind when the primary process has ended, before they are told to end.
const LINGER: Duration = Duration::from_millis(100);
/// How long they have then, before they are killed.
const LEAK_GRACE: Duration = Duration::from_millis(500);
/// After this long we give up on processes that cannot be killed, such as those stuck in the kernel.
const UNKILLABLE: Duration = Duration::from_secs(30);

/// How the primary process ended.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ended {
    /// With this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

/// The primary process, which leads its own process group, and its descendants.
#[derive(Debug)]
pub(super) struct Family {
    primary: Pid,
    others: bool,
}

impl Family {
    pub(super) fn new(primary: Pid) -> Self {
        Self { primary, others: true }
    }

    pub(super) fn primary(&self) -> Pid {
        self.primary
    }

    /// Whether this process has any child, ended or not.
    pub(super) fn has_any() -> bool {
        !matches!(rustix::process::wait(WaitOptions::NOHANG), Err(rustix::io::Errno::CHILD))
    }

    /// Reaps whoever has ended; the end of the primary process if that is among them.
    pub(super) fn reap(&mut self) -> Option<Ended> {
        let mut ended = None;
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.primary => {
                    let code = status.exit_status().map(Ended::Code);
                    ended = code.or_else(|| status.terminating_signal().map(Ended::Signal)).or(ended);
                }
                Ok(Some(_)) | Err(rustix::io::Errno::INTR) => {}
                Ok(None) => {
                    self.others = true;
                    return ended;
                }
                Err(_) => {
                    self.others = false;
                    return ended;
                }
            }
        }
    }

    /// Kills the process and all its descendants.
    pub(super) fn kill(&self) {
        rustix::process::kill_process_group(self.primary, Signal::KILL).ok();
        for row in descendants(self.primary) {
            row.signal(Signal::KILL);
        }
    }

    /// Sees to it that no descendant is left once the primary process has ended: those told by a stop or a time-out
    /// have until `kill_at`, others a moment. Returns who had to be told or killed.
    pub(super) fn clear(&mut self, signals: &Signals, kill_at: Option<Instant>) -> Vec<String> {
        if self.is_alone_within(signals, kill_at.map_or_else(|| Instant::now() + LINGER, |_| Instant::now()))
        {
            return Vec::new();
        }
        let found = descendants(self.primary);
        for row in &found {
            row.signal(Signal::TERM);
        }
        let grace = Instant::now() + LEAK_GRACE;
        if !self.is_alone_within(signals, kill_at.unwrap_or(grace)) {
            let give_up = Instant::now() + UNKILLABLE;
            loop {
                self.kill();
                let alone = self.is_alone_within(signals, Instant::now() + Duration::from_millis(5));
                if alone || Instant::now() >= give_up {
                    break;
                }
            }
        }
        found.iter().map(super::super::processes::Row::show).collect()
    }

    /// Waits until nobody is left, at most until then.
    fn is_alone_within(&mut self, signals: &Signals, until: Instant) -> bool {
        loop {
            self.reap();
            if !self.has_others() {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            let look =
                if cfg!(target_os = "linux") { until } else { Instant::now() + Duration::from_millis(10) };
            signals.wait(Some(look.min(until)));
        }
    }

    /// On Linux every descendant whose parent has ended is our child; elsewhere only its group can be asked.
    fn has_others(&self) -> bool {
        if cfg!(target_os = "linux") {
            self.others
        } else {
            rustix::process::test_kill_process_group(self.primary).is_ok()
        }
    }
}
