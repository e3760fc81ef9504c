//! The processes of the pod, as `/proc` shows them where containers share them.

use std::fs;
use std::io;

use rustix::process::{Pid, Signal, kill_process};

/// A process. Its number may be another's later; its number and start may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    started: u64,
}

/// What `/proc/PID/stat` says of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stat {
    is_over: bool,
    parent: i32,
    started: u64,
}

/// A process with its place in the tree.
#[derive(Clone, Debug)]
struct Row {
    process: Process,
    parent: i32,
    command: Vec<u8>,
}

/// The shell of the wrapped program, known by what it writes at its end; else the first program of the pod that no
/// other has started.
pub(crate) fn program(marking: Option<&str>) -> Option<Process> {
    main_of(&all(), marking, own())
}

/// Whether a program of another container runs.
pub(crate) fn others_run() -> bool {
    any_other(&all(), own())
}

fn own() -> i32 {
    i32::try_from(std::process::id()).unwrap_or(0)
}

fn any_other(rows: &[Row], own: i32) -> bool {
    rows.iter().any(|row| row.process.pid != own && is_container_s(row))
}

/// Whether it is the first of a container: no other has started it. Number 1 holds the pod; what has no command is the
/// system's.
fn is_container_s(row: &Row) -> bool {
    row.parent == 0 && row.process.pid != 1 && !row.command.is_empty()
}

impl Process {
    /// Whether it is still there.
    pub(crate) fn is_alive(self) -> bool {
        stat(self.pid).is_some_and(|stat| stat.started == self.started && !stat.is_over)
    }

    /// Sends it a signal. One that is gone needs none.
    pub(crate) fn signal(self, signal: Signal) -> io::Result<()> {
        let pid = Pid::from_raw(self.pid).filter(|_| self.is_alive());
        match pid.map(|pid| kill_process(pid, signal)) {
            None | Some(Ok(()) | Err(rustix::io::Errno::SRCH)) => Ok(()),
            Some(Err(error)) => Err(error.into()),
        }
    }

    /// What it has started itself.
    pub(crate) fn children(self) -> Vec<Self> {
        let rows = all();
        children_of(&rows, self).collect()
    }

    /// What it has started, and what that has started.
    pub(crate) fn descendants(self) -> Vec<Self> {
        let rows = all();
        let (mut found, mut next): (Vec<Self>, Vec<Self>) = (Vec::new(), children_of(&rows, self).collect());
        while let Some(process) = next.pop() {
            next.extend(children_of(&rows, process));
            found.push(process);
        }
        found
    }
}

fn children_of(rows: &[Row], of: Process) -> impl Iterator<Item = Process> {
    rows.iter().filter(move |row| row.parent == of.pid).map(|row| row.process)
}

fn all() -> Vec<Row> {
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let row = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let stat = stat(pid).filter(|stat| !stat.is_over)?;
        // The arguments, each with a NUL behind it.
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        Some(Row { process: Process { pid, started: stat.started }, parent: stat.parent, command })
    };
    pids.filter_map(row).collect()
}

fn main_of(rows: &[Row], marking: Option<&str>, own: i32) -> Option<Process> {
    let others = rows.iter().filter(|row| row.process.pid != own);
    let found: Vec<&Row> = match marking {
        Some(text) => {
            let marks = |row: &Row| row.command.windows(text.len()).any(|part| part == text.as_bytes());
            let all: Vec<&Row> = others.filter(|row| marks(row)).collect();
            // A shell that has forked looks the same twice.
            let forked = |row: &Row| all.iter().any(|other| other.process.pid == row.parent);
            all.iter().copied().filter(|row| !forked(row)).collect()
        }
        None => others.filter(|row| is_container_s(row)).collect(),
    };
    found.iter().min_by_key(|row| (row.process.started, row.process.pid)).map(|row| row.process)
}

fn stat(pid: i32) -> Option<Stat> {
    parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name of a process stands in parentheses and may hold anything.
fn parse(text: &str) -> Option<Stat> {
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    // The start is field 22; two have been taken behind the first two.
    let started = fields.nth(17)?.parse().ok()?;
    Some(Stat { is_over: matches!(state, "Z" | "X"), parent, started })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(pid: i32, parent: i32, started: u64, command: &str) -> Row {
        Row { process: Process { pid, started }, parent, command: command.into() }
    }

    #[test]
    fn a_wrapped_program_is_known_by_its_end_and_not_by_what_it_has_forked() {
        let body = "sh\0-c\0a | b && echo completed > /d/$$.pid\0";
        let rows = [
            row(1, 0, 1, "/pause\0"),
            row(7, 0, 5, "envoy\0"),
            row(9, 0, 6, body),
            row(12, 9, 7, body),
            row(13, 9, 7, "b\0"),
            row(20, 0, 9, "cairn-sidecar\0"),
        ];
        let found = |marking| main_of(&rows, marking, 20).map(|process| process.pid);
        assert_eq!(found(Some("echo completed > /d")), Some(9));
        assert_eq!(found(Some("echo completed > /other")), None);
        assert_eq!(found(None), Some(7), "the first that nobody has started");
        assert_eq!(children_of(&rows, rows[2].process).count(), 2);
        assert!(any_other(&rows, 20), "the program and a proxy");
        assert!(!any_other(&[rows[0].clone(), rows[3].clone(), rows[5].clone()], 20));
    }

    #[test]
    fn the_name_of_a_process_may_hold_anything() {
        let fields = "S 3 1 1 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 12345 0 0";
        let stat = parse(&format!("42 (a) b (c) {fields}"));
        assert_eq!(stat, Some(Stat { is_over: false, parent: 3, started: 12_345 }));
        assert_eq!(parse("42 (a"), None);
    }
}
