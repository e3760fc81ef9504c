//! Who a process is, beyond its number, which the system gives to another one after its end.

use rustix::process::{Pid, Signal};
use serde::{Deserialize, Serialize};

/// A process of this machine, told apart from all others that ever had its number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    /// The boot of the machine that it belongs to.
    pub(crate) boot: String,
    /// Its number.
    pub(crate) pid: i32,
    /// When it began, in the system's own units.
    pub(crate) start: String,
}

impl Identity {
    /// The process with this number now; `None` if there is none.
    pub(crate) fn of(pid: Pid) -> Option<Self> {
        Some(Self { boot: boot()?, pid: pid.as_raw_nonzero().get(), start: start(pid)? })
    }

    /// Whether the machine was restarted since.
    pub(crate) fn is_of_earlier_boot(&self) -> bool {
        boot().is_some_and(|boot| boot != self.boot)
    }

    /// Whether the machine was not restarted since.
    pub(crate) fn is_of_this_boot(&self) -> bool {
        boot().is_some_and(|boot| boot == self.boot)
    }

    /// Its number, as long as it lives.
    pub(crate) fn alive(&self) -> Option<Pid> {
        let pid = Pid::from_raw(self.pid)?;
        (Self::of(pid)? == *self).then_some(pid)
    }

    /// Sends it a signal; whether it was there to get it.
    pub(crate) fn signal(&self, signal: Signal) -> bool {
        self.alive().is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok())
    }
}

#[cfg(target_os = "linux")]
fn boot() -> Option<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

#[cfg(target_os = "linux")]
fn start(pid: Pid) -> Option<String> {
    let stat = std::fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name in parentheses may hold anything, parentheses too.
    let after = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = String::from_utf8_lossy(&stat[after + 1..]).into_owned();
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    (!matches!(state, "Z" | "X")).then_some(())?;
    fields.nth(18).map(str::to_owned)
}

#[cfg(not(target_os = "linux"))]
fn boot() -> Option<String> {
    super::processes::output_of("sysctl", &["-n", "kern.boottime"])
}

#[cfg(not(target_os = "linux"))]
fn start(pid: Pid) -> Option<String> {
    let pid = pid.as_raw_nonzero().to_string();
    super::processes::output_of("ps", &["-o", "lstart=", "-p", &pid])
}
