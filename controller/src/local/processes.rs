//! The processes of a run, also those that tried to get away.

use std::collections::BTreeSet;
use std::path::Path;

use rustix::process::{Pid, Signal};

/// A living process.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    pub(super) name: String,
}

impl Row {
    /// Sends it a signal; one that has just ended is passed over.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(pid) = Pid::from_raw(self.pid) {
            rustix::process::kill_process(pid, signal).ok();
        }
    }

    /// For people: its name and number.
    pub(super) fn show(&self) -> String {
        format!("{} (pid {})", self.name, self.pid)
    }
}

/// What this process has started, directly or not, that is still there.
///
/// Whoever lost its parent is our child on Linux, where supervisors are subreapers. Elsewhere only the processes of
/// `group` are found.
pub(super) fn descendants(group: Pid) -> Vec<Row> {
    let rows = table();
    if !cfg!(target_os = "linux") {
        let group = group.as_raw_nonzero().get();
        return rows.into_iter().filter(|row| row.group == group).collect();
    }
    let mut family = BTreeSet::from([rustix::process::getpid().as_raw_nonzero().get()]);
    let mut found = Vec::new();
    loop {
        let more: Vec<&Row> =
            rows.iter().filter(|row| family.contains(&row.parent) && !family.contains(&row.pid)).collect();
        if more.is_empty() {
            return found;
        }
        for row in more {
            family.insert(row.pid);
            found.push(row.clone());
        }
    }
}

/// Everything left of a run whose supervisor is gone: by the folder of the run in the environment, and by session or
/// process group, where those are known to be its own still.
pub(super) fn leftovers(folder: &Path, session: Option<i32>, group: Option<i32>) -> Vec<Row> {
    let me = rustix::process::getpid().as_raw_nonzero().get();
    let mark = [b"CAIRN_TRIAL_DIR=", folder.as_os_str().as_encoded_bytes()].concat();
    let is_own =
        |row: &Row| Some(row.session) == session || Some(row.group) == group || has_mark(row.pid, &mark);
    table().into_iter().filter(|row| row.pid != me && is_own(row)).collect()
}

#[cfg(target_os = "linux")]
fn has_mark(pid: i32, mark: &[u8]) -> bool {
    std::fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environ| environ.split(|&byte| byte == 0).any(|entry| entry == mark))
}

#[cfg(not(target_os = "linux"))]
fn has_mark(_pid: i32, _mark: &[u8]) -> bool {
    false
}

/// All living processes; those that have ended and are not reaped yet are left out.
#[cfg(target_os = "linux")]
fn table() -> Vec<Row> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).filter_map(row).collect()
}

#[cfg(target_os = "linux")]
fn row(pid: i32) -> Option<Row> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let open = stat.iter().position(|&byte| byte == b'(')?;
    let close = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = String::from_utf8_lossy(&stat[close + 1..]).into_owned();
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    let mut number = || fields.next()?.parse::<i32>().ok();
    let name = String::from_utf8_lossy(&stat[open + 1..close]).into_owned();
    Some(Row { pid, parent: number()?, group: number()?, session: number()?, name })
}

#[cfg(not(target_os = "linux"))]
fn table() -> Vec<Row> {
    let rows = output_of("ps", &["-axo", "pid=,ppid=,pgid=,sess=,stat=,comm="]).unwrap_or_default();
    rows.lines().filter_map(row_of_ps).collect()
}

#[cfg(not(target_os = "linux"))]
fn row_of_ps(line: &str) -> Option<Row> {
    let mut fields = line.split_ascii_whitespace();
    let mut number = || fields.next().map(|text| text.parse::<i32>().unwrap_or(0));
    let (pid, parent, group, session) = (number()?, number()?, number()?, number()?);
    let state = fields.next()?;
    let name = fields.collect::<Vec<_>>().join(" ");
    (!state.starts_with('Z')).then_some(Row { pid, parent, group, session, name })
}

/// What a program of the system prints; `None` if it fails.
#[cfg(not(target_os = "linux"))]
pub(super) fn output_of(program: &str, args: &[&str]) -> Option<String> {
    let output = std::process::Command::new(program).args(args).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
