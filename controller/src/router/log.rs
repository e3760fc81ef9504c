//! The requests that are kept with their answers: a queue that nobody waits for, and files that stay small.
//!
//! Of a request that is kept, body and answer are copied as they pass, each up to a limit; the copies of all that are under
//! way are bounded too. What does not fit is left out and counted. One thread writes: a folder for each model, in it
//! `N.jsonl`, numbered without gaps; a new one is begun when the last is full, and the oldest go.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use controller_core::promotion::Kept;
use controller_core::spec::LogSpec;
use controller_core::time::{Clock as _, Timestamp};
use serde_json::Value;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::table::Sampled;
use crate::router::Home;
use crate::world::SystemClock;

/// The longest body or answer that is kept.
pub(super) const LONGEST: usize = 256 << 10;
/// How many requests that are kept may be under way or wait to be written: with body and answer at most 32 MiB.
pub(super) const AT_ONCE: usize = 64;
/// Bytes after which a new part is begun.
const PART: u64 = 4 << 20;
/// Parts of a model that stay: 64 MiB.
const PARTS: u64 = 16;

/// Where requests go that are kept.
#[derive(Debug)]
pub(super) struct Log {
    queue: Sender<Entry>,
    room: Arc<Semaphore>,
    clock: SystemClock,
    /// Those that were written.
    pub(super) written: Arc<AtomicU64>,
    /// Those that were left out.
    pub(super) dropped: Arc<AtomicU64>,
}

/// A request that is kept, on its way.
#[derive(Debug)]
pub(super) struct Entry {
    sampled: Arc<Sampled>,
    kept: Kept,
    body: Tap,
    answer: Tap,
    log: Arc<Log>,
    permit: Option<OwnedSemaphorePermit>,
}

/// A copy of what passes.
#[derive(Clone, Debug, Default)]
pub(super) struct Tap(Arc<Mutex<Bytes>>);

#[derive(Debug, Default)]
struct Bytes {
    bytes: Vec<u8>,
    too_long: bool,
}

impl Tap {
    /// Copies a piece.
    pub(super) fn add(&self, piece: &[u8]) {
        let mut copy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if copy.bytes.len() + piece.len() > LONGEST {
            *copy = Bytes { bytes: Vec::new(), too_long: true };
        } else if !copy.too_long {
            copy.bytes.extend_from_slice(piece);
        }
    }

    /// All of it; `None` if it is too long.
    pub(super) fn bytes(&self) -> Option<Vec<u8>> {
        let copy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!copy.too_long).then(|| copy.bytes.clone())
    }

    /// All of it as JSON; `None` if it is too long, or none.
    fn json(&self) -> Option<Value> {
        let copy = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if copy.too_long { None } else { serde_json::from_slice(&copy.bytes).ok() }
    }
}

impl Log {
    /// The log, and what [`write()`] is to write.
    pub(super) fn new() -> (Arc<Self>, Receiver<Entry>) {
        let (queue, entries) = channel(AT_ONCE);
        let log = Self {
            queue,
            room: Arc::new(Semaphore::new(AT_ONCE)),
            clock: SystemClock::start(),
            written: Arc::default(),
            dropped: Arc::default(),
        };
        (Arc::new(log), entries)
    }

    /// Begins to keep a request, if there is room.
    pub(super) fn begin(self: &Arc<Self>, sampled: &Arc<Sampled>, id: &str) -> Option<Entry> {
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            self.dropped.fetch_add(1, Relaxed);
            return None;
        };
        Some(Entry {
            sampled: Arc::clone(sampled),
            kept: Kept { id: id.to_owned(), at: self.clock.now(), ..Kept::default() },
            body: Tap::default(),
            answer: Tap::default(),
            log: Arc::clone(self),
            permit: Some(permit),
        })
    }

    /// What the page for Prometheus says of it.
    pub(super) fn page(&self) -> String {
        let (written, dropped) = (self.written.load(Relaxed), self.dropped.load(Relaxed));
        format!(
            "# TYPE cairn_router_log_written_total counter\ncairn_router_log_written_total {written}\n\
             # TYPE cairn_router_log_dropped_total counter\ncairn_router_log_dropped_total {dropped}\n"
        )
    }
}

impl Entry {
    /// Where the body is copied to.
    pub(super) fn body(&self) -> Tap {
        self.body.clone()
    }

    /// Where the answer is copied to.
    pub(super) fn answer(&self) -> &Tap {
        &self.answer
    }

    /// The head of the answer is there.
    pub(super) fn answered(&mut self, version: &str, status: u16) {
        version.clone_into(&mut self.kept.version);
        self.kept.status = status;
        self.kept.ms = self.log.clock.now().since(self.kept.at).as_secs_f64() * 1000.0;
    }

    /// The answer has ended: it is written, unless there is no room for it.
    pub(super) fn end(self) {
        let log = Arc::clone(&self.log);
        if log.queue.try_send(self).is_err() {
            log.dropped.fetch_add(1, Relaxed);
        }
    }

    /// The line, without what is not to be written down; `None` if body or answer cannot be kept.
    fn line(&self) -> Option<Vec<u8>> {
        let redact = &self.sampled.log.redact;
        let part = |copy: &Tap, word: &str| {
            let mut all = copy.json()?;
            let mut part = all.get_mut(word).map(Value::take).unwrap_or_default();
            blacken(&mut part, redact);
            Some(part)
        };
        // The answer of a failure need not be JSON.
        let outputs = part(&self.answer, "outputs");
        let outputs = if self.kept.status >= 400 { outputs.unwrap_or_default() } else { outputs? };
        let kept = Kept { inputs: part(&self.body, "inputs")?, outputs, ..self.kept.clone() };
        let mut line = serde_json::to_vec(&kept).ok()?;
        line.push(b'\n');
        Some(line)
    }
}

/// Takes the data of tensors, and the values of fields, that have one of these names.
fn blacken(value: &mut Value, names: &[String]) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| blacken(item, names)),
        Value::Object(map) => {
            let is_named =
                map.get("name").and_then(Value::as_str).is_some_and(|name| names.iter().any(|n| n == name));
            for (key, value) in map.iter_mut() {
                if (is_named && key == "data") || names.contains(key) {
                    *value = Value::Null;
                } else {
                    blacken(value, names);
                }
            }
        }
        _ => {}
    }
}

/// Writes what comes until there is nobody left to send; blocks, and so wants a thread of its own.
pub(super) fn write(mut entries: Receiver<Entry>, home: &Home) {
    let mut files: BTreeMap<PathBuf, Parts> = BTreeMap::new();
    while let Some(mut entry) = entries.blocking_recv() {
        let log = Arc::clone(&entry.log);
        let count = if let Some(line) = entry.line() {
            let Sampled { namespace, model, log: spec } = &*entry.sampled;
            let dir = home.log(namespace, model);
            let parts = files.entry(dir.clone()).or_default();
            match parts.append(&dir, &line, spec, entry.kept.at) {
                Ok(()) => &log.written,
                Err(error) => {
                    tracing::warn!(%error, model, "a request cannot be kept");
                    files.remove(&dir);
                    &log.dropped
                }
            }
        } else {
            &log.dropped
        };
        count.fetch_add(1, Relaxed);
        // Whoever holds the entry holds its place.
        entry.permit = None;
    }
}

/// The parts of a model's log.
#[derive(Debug, Default)]
struct Parts {
    last: Option<Part>,
}

/// The part that is written.
#[derive(Debug)]
struct Part {
    file: File,
    bytes: u64,
    begun: Timestamp,
}

impl Parts {
    fn append(&mut self, dir: &Path, line: &[u8], spec: &LogSpec, now: Timestamp) -> io::Result<()> {
        // Of what is kept long enough, the last part is a small share.
        let is_over = |part: &Part| part.bytes >= PART || part.begun.plus(spec.keeps() / 8) <= now;
        if self.last.as_ref().is_none_or(is_over) {
            fs::create_dir_all(dir)?;
            // A router that was killed may have left half a line at the end of its last part.
            let number = part_numbers(dir)?.last().map_or(0, |last| last + 1);
            let file = File::options().create_new(true).append(true).open(part_path(dir, number))?;
            self.last = Some(Part { file, bytes: 0, begun: now });
            forget(dir, number, spec.keeps(), now)?;
        }
        if let Some(part) = &mut self.last {
            part.file.write_all(line)?;
            part.bytes += line.len() as u64;
        }
        Ok(())
    }
}

/// Numbers of the parts in a folder, ascending; none where there is no folder.
pub(crate) fn part_numbers(dir: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let number = |name: String| name.strip_suffix(".jsonl")?.parse().ok();
    let mut numbers: Vec<u64> =
        entries.flatten().filter_map(|entry| number(entry.file_name().into_string().ok()?)).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The file of a part.
pub(crate) fn part_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number}.jsonl"))
}

/// Removes the parts before the last that are too many, or whose newest request is too old.
fn forget(dir: &Path, last: u64, keeps: Duration, now: Timestamp) -> io::Result<()> {
    for number in part_numbers(dir)?.into_iter().filter(|number| *number < last) {
        let path = part_path(dir, number);
        let written =
            fs::metadata(&path)?.modified()?.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let old = Timestamp(0).plus(written).plus(keeps) < now;
        if old || number + PARTS <= last {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(log: &Arc<Log>, spec: LogSpec, body: &str, answer: &str) -> Entry {
        let sampled = Sampled { namespace: "default".into(), model: "digits".into(), log: spec };
        let mut entry = log.begin(&Arc::new(sampled), "r-1").unwrap();
        entry.body().add(body.as_bytes());
        entry.answered("abc", 200);
        entry.answer().add(answer.as_bytes());
        entry
    }

    const BODY: &str = r#"{"inputs": [{"name": "x", "data": [1]}, {"name": "name", "data": ["ada"]}]}"#;

    #[test]
    fn what_is_redacted_is_never_written() {
        let (log, entries) = Log::new();
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path(), None);
        let spec = LogSpec { redact: vec!["name".into()], ..LogSpec::default() };
        entry(&log, spec, BODY, r#"{"outputs": [{"name": "y", "data": [2]}]}"#).end();
        let (written, dropped) = (Arc::clone(&log.written), Arc::clone(&log.dropped));
        drop(log);
        write(entries, &home);
        assert_eq!((written.load(Relaxed), dropped.load(Relaxed)), (1, 0));
        let text = fs::read_to_string(part_path(&home.log("default", "digits"), 0)).unwrap();
        assert!(!text.contains("ada"), "{text}");
        let kept: Kept = serde_json::from_str(&text).unwrap();
        assert_eq!((kept.version.as_str(), &kept.outputs[0]["data"]), ("abc", &json!([2])));
    }

    #[test]
    fn what_is_too_large_or_too_much_is_left_out_and_counted() {
        let (log, entries) = Log::new();
        let folder = tempfile::tempdir().unwrap();
        entry(&log, LogSpec::default(), &"x".repeat(LONGEST + 1), "{}").end();
        let many: Vec<_> = (0..AT_ONCE).map(|_| log.begin(&sampled(), "r")).collect();
        assert_eq!(many.iter().filter(|entry| entry.is_some()).count(), AT_ONCE - 1);
        drop(many);
        let dropped = Arc::clone(&log.dropped);
        drop(log);
        write(entries, &Home::new(folder.path(), None));
        assert_eq!(dropped.load(Relaxed), 2);
    }

    fn sampled() -> Arc<Sampled> {
        Arc::new(Sampled { namespace: String::new(), model: String::new(), log: LogSpec::default() })
    }

    #[test]
    fn old_parts_go_when_a_new_one_begins() {
        let dir = tempfile::tempdir().unwrap();
        for number in 0..20 {
            fs::write(part_path(dir.path(), number), "").unwrap();
        }
        let spec = LogSpec::default();
        Parts::default().append(dir.path(), b"{}\n", &spec, Timestamp(0)).unwrap();
        assert_eq!(part_numbers(dir.path()).unwrap(), (5..=20).collect::<Vec<_>>());
        let later = SystemClock::start().now().plus(spec.keeps() * 2);
        Parts::default().append(dir.path(), b"{}\n", &spec, later).unwrap();
        assert_eq!(part_numbers(dir.path()).unwrap(), [21]);
    }
}
