//! GPUs, CPUs and memory of this machine, shared by all Cairns of one user.
//!
//! A pool is a folder: `queue/N` is a request that waits, `held/N` one that was granted. Each is a small file whose file
//! lock its supervisor holds, so the death of a supervisor frees what it held. Whoever looks or changes holds the lock
//! of `allocator` while it does so.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::capacity::Capacity;

/// What a run asks for. Zero is nothing asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wants {
    /// Whole devices.
    pub(crate) gpus: u64,
    /// Thousandths of a CPU.
    pub(crate) cpu_milli: u64,
    /// Bytes.
    pub(crate) memory: u64,
}

impl Wants {
    /// Whether nothing is asked for.
    pub(crate) fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// A request as its file says it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Request {
    wants: Wants,
    /// Devices that were granted.
    gpus: Vec<String>,
    /// Whose, for people.
    who: String,
}

/// What nobody holds.
#[derive(Clone, Debug)]
struct Free {
    gpus: Vec<String>,
    cpu_milli: u64,
    memory: u64,
}

impl Free {
    fn fits(&self, wants: &Wants) -> bool {
        self.gpus.len() as u64 >= wants.gpus
            && self.cpu_milli >= wants.cpu_milli
            && self.memory >= wants.memory
    }

    fn without(mut self, request: &Request) -> Self {
        self.gpus.retain(|gpu| !request.gpus.contains(gpu));
        self.cpu_milli = self.cpu_milli.saturating_sub(request.wants.cpu_milli);
        self.memory = self.memory.saturating_sub(request.wants.memory);
        self
    }

    /// What an earlier request leaves to later ones: if it fits it will be granted; if it lacks GPUs it holds up those
    /// that want GPUs too; if it lacks something else it holds up all.
    fn after_earlier(mut self, wants: &Wants) -> Self {
        if self.fits(wants) {
            self.gpus.drain(..wants.gpus as usize);
            self.cpu_milli -= wants.cpu_milli;
            self.memory -= wants.memory;
        } else if wants.gpus > self.gpus.len() as u64 {
            self.gpus.clear();
        } else {
            self.gpus.drain(..wants.gpus as usize);
            self.cpu_milli = 0;
            self.memory = 0;
        }
        self
    }
}

/// The folder of requests.
#[derive(Debug)]
pub(super) struct Pool {
    dir: PathBuf,
}

/// A request that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    pool: Pool,
    capacity: Capacity,
    request: Request,
    number: u64,
    file: Option<File>,
    seen: Option<SystemTime>,
}

/// Slots that are held until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    /// Devices.
    pub(super) gpus: Vec<String>,
    /// Names of the slots: `gpu-0`, one `cpu-N` for each CPU begun, `mem-N` with mebibytes.
    pub(super) names: Vec<String>,
    path: PathBuf,
    _lock: File,
}

impl Drop for Held {
    fn drop(&mut self) {
        // What cannot be removed is seen to be free by its lock.
        fs::remove_file(&self.path).ok();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.file.is_some() {
            fs::remove_file(self.pool.queued(self.number)).ok();
        }
    }
}

/// The pool of this user: under `$XDG_RUNTIME_DIR`, or under `/tmp`.
pub(super) fn default_pool() -> PathBuf {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|dir| dir.is_absolute() && dir.is_dir());
    let own = runtime.map_or_else(
        || PathBuf::from(format!("/tmp/cairn-{}", rustix::process::geteuid().as_raw())),
        |dir| dir.join("cairn"),
    );
    own.join("slots")
}

impl Pool {
    /// Opens the pool, creating what is missing. Fails if its parent folder is open to others.
    pub(super) fn open(dir: &Path) -> io::Result<Self> {
        let own = dir.parent().unwrap_or(dir);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(own)?;
        let found = fs::symlink_metadata(own)?;
        if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o022 != 0
        {
            let text = format!("{} must be a folder of your own that others cannot write to", own.display());
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
        }
        for name in ["queue", "held"] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir.join(name))?;
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// Enters a request at the end of the queue.
    pub(super) fn queue(self, wants: Wants, capacity: Capacity, who: &str) -> io::Result<Waiting> {
        let mut allocator = self.allocator()?;
        let mut text = String::new();
        allocator.read_to_string(&mut text)?;
        let number = text.trim().parse::<u64>().unwrap_or(0) + 1;
        allocator.rewind()?;
        allocator.write_all(format!("{number:020}\n").as_bytes())?;
        let request = Request { wants, gpus: Vec::new(), who: who.to_owned() };
        let file = create_locked(&self.queued(number), &request)?;
        Ok(Waiting { pool: self, capacity, request, number, file: Some(file), seen: None })
    }

    fn queued(&self, number: u64) -> PathBuf {
        self.dir.join("queue").join(format!("{number:020}"))
    }

    /// The lock under which everything here happens. Held for well under a millisecond.
    fn allocator(&self) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(self.dir.join("allocator"))?;
        loop {
            match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(file),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Requests of living supervisors, in the order of their numbers. Those of dead ones are removed.
    fn requests(&self, kind: &str, but: Option<u64>) -> io::Result<Vec<(u64, Request)>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.dir.join(kind))? {
            let path = entry?.path();
            let number = path.file_name().and_then(|name| name.to_str()?.parse().ok());
            let Some(number) = number.filter(|number| Some(*number) != but) else {
                continue;
            };
            if let Some(request) = living(&path) {
                found.push((number, request));
            }
        }
        found.sort_unstable_by_key(|(number, _)| *number);
        Ok(found)
    }
}

impl Waiting {
    /// Whether something has changed since the last try.
    pub(super) fn has_news(&mut self) -> bool {
        let changed = fs::metadata(self.pool.dir.join("held")).and_then(|found| found.modified()).ok();
        let news = self.seen.is_none() || changed != self.seen;
        self.seen = changed;
        news
    }

    /// The slots, or why there are none yet.
    pub(super) fn attempt(&mut self) -> io::Result<Result<Held, String>> {
        let _allocator = self.pool.allocator()?;
        let held = self.pool.requests("held", None)?;
        let free = Free {
            gpus: self.capacity.gpus.clone(),
            cpu_milli: self.capacity.cpu_milli,
            memory: self.capacity.memory,
        };
        let free = held.iter().fold(free, |free, (_, request)| free.without(request));
        let earlier = self.pool.requests("queue", Some(self.number))?;
        let earlier: Vec<_> = earlier.iter().take_while(|(number, _)| *number < self.number).collect();
        let left = earlier.iter().fold(free.clone(), |free, (_, request)| free.after_earlier(&request.wants));
        let wants = self.request.wants;
        if !left.fits(&wants) {
            return Ok(Err(self.reason(&free, earlier.len(), &held)));
        }
        // An earlier request that waits for a lack of CPUs may have reserved devices; `left` has what it did not.
        self.request.gpus = left.gpus[..wants.gpus as usize].to_vec();
        self.grant().map(Ok)
    }

    fn grant(&mut self) -> io::Result<Held> {
        let Some(mut file) = self.file.take() else {
            return Err(io::Error::other("granted before"));
        };
        write_request(&mut file, &self.request)?;
        let path = self.pool.dir.join("held").join(format!("{:020}", self.number));
        fs::rename(self.pool.queued(self.number), &path)?;
        let gpus = self.request.gpus.clone();
        Ok(Held { names: names(&gpus, &self.request.wants), gpus, path, _lock: file })
    }

    fn reason(&self, free: &Free, ahead: usize, held: &[(u64, Request)]) -> String {
        let wants = &self.request.wants;
        let mut parts = Vec::new();
        if wants.gpus > 0 {
            let plural = if wants.gpus == 1 { "" } else { "s" };
            let (free, all) = (free.gpus.len(), self.capacity.gpus.len());
            parts.push(format!("wants {} GPU{plural}; {free} of {all} free", wants.gpus));
        }
        if wants.cpu_milli > 0 {
            let [wanted, free, all] = [wants.cpu_milli, free.cpu_milli, self.capacity.cpu_milli].map(cpus);
            parts.push(format!("wants {wanted} CPU; {free} of {all} free"));
        }
        if wants.memory > 0 {
            let [wanted, free, all] = [wants.memory, free.memory, self.capacity.memory].map(gibibytes);
            parts.push(format!("wants {wanted} Gi of memory; {free} of {all} Gi free"));
        }
        if ahead > 0 {
            parts.push(format!("{ahead} ahead in the queue"));
        } else if let Some((_, holder)) = held.first() {
            parts.push(format!("held by {}", holder.who));
        }
        parts.join(", ")
    }
}

fn names(gpus: &[String], wants: &Wants) -> Vec<String> {
    let gpus = gpus.iter().map(|gpu| format!("gpu-{gpu}"));
    let cpus = (1..=wants.cpu_milli.div_ceil(1000)).map(|number| format!("cpu-{number}"));
    let memory = (wants.memory > 0).then(|| format!("mem-{}Mi", wants.memory.div_ceil(1 << 20)));
    gpus.chain(cpus).chain(memory).collect()
}

/// Thousandths as a number of CPUs.
pub(super) fn cpus(milli: u64) -> String {
    format!("{}", milli as f64 / 1000.0)
}

/// Bytes as a number of gibibytes with at most one digit after the point.
pub(super) fn gibibytes(bytes: u64) -> String {
    format!("{}", (bytes as f64 / f64::from(1 << 30) * 10.0).round() / 10.0)
}

fn create_locked(path: &Path, request: &Request) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    let mut file = options.open(path)?;
    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    write_request(&mut file, request)?;
    Ok(file)
}

fn write_request(file: &mut File, request: &Request) -> io::Result<()> {
    let text = serde_json::to_vec(request).map_err(io::Error::other)?;
    file.rewind()?;
    file.write_all(&text)?;
    file.set_len(text.len() as u64)
}

/// The request in a file whose owner lives; the file of a dead one is removed.
fn living(path: &Path) -> Option<Request> {
    let mut file = File::open(path).ok()?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        fs::remove_file(path).ok();
        return None;
    }
    let mut text = Vec::new();
    file.read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Devices named more than once in a list count once.
pub(super) fn distinct(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.into_iter().filter(|name| seen.insert(name.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(gpus: &[&str], cpus: u64) -> Capacity {
        let gpus = gpus.iter().map(ToString::to_string).collect();
        Capacity { gpus, by_index: false, cpu_milli: cpus * 1000, memory: 1 << 34 }
    }

    fn enter(dir: &Path, wants: Wants, machine: &Capacity) -> Waiting {
        Pool::open(dir).unwrap().queue(wants, machine.clone(), "someone").unwrap()
    }

    fn gpus(gpus: u64) -> Wants {
        Wants { gpus, ..Wants::default() }
    }

    fn cpu_milli(cpu_milli: u64) -> Wants {
        Wants { cpu_milli, ..Wants::default() }
    }

    #[test]
    fn devices_go_round_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("own/slots");
        let machine = machine(&["0", "1"], 2);
        let first = enter(&dir, gpus(1), &machine).attempt().unwrap().unwrap();
        let second = enter(&dir, gpus(1), &machine).attempt().unwrap().unwrap();
        assert_eq!((first.gpus.clone(), second.gpus.clone()), (vec!["0".into()], vec!["1".into()]));
        let mut third = enter(&dir, gpus(1), &machine);
        assert_eq!(third.attempt().unwrap().unwrap_err(), "wants 1 GPU; 0 of 2 free, held by someone");
        drop(first);
        assert!(third.has_news());
        assert_eq!(third.attempt().unwrap().unwrap().names, ["gpu-0"]);
    }

    #[test]
    fn requests_are_granted_in_order_and_cpu_requests_do_not_wait_behind_gpus() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("own/slots");
        let machine = machine(&["0", "1"], 2);
        let one = enter(&dir, gpus(1), &machine).attempt().unwrap().unwrap();
        let mut both = enter(&dir, gpus(2), &machine);
        assert!(both.attempt().unwrap().is_err());
        let mut late = enter(&dir, gpus(1), &machine);
        assert!(late.attempt().unwrap().unwrap_err().contains("1 ahead"));
        let held = enter(&dir, cpu_milli(1500), &machine).attempt().unwrap().unwrap();
        assert_eq!(held.names, ["cpu-1", "cpu-2"]);
        drop(one);
        assert!(late.attempt().unwrap().is_err(), "the earlier one comes first");
        let both = both.attempt().unwrap().unwrap();
        assert_eq!(both.gpus.len(), 2);
        drop(both);
        assert!(late.attempt().unwrap().is_ok());
    }

    #[test]
    fn the_file_of_a_dead_holder_counts_for_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("own/slots");
        let machine = machine(&["0"], 1);
        Pool::open(&dir).unwrap();
        let request = Request { wants: gpus(1), gpus: vec!["0".into()], who: "a dead one".into() };
        drop(create_locked(&dir.join("held/00000000000000000007"), &request).unwrap());
        assert!(enter(&dir, gpus(1), &machine).attempt().unwrap().is_ok());
        assert!(!dir.join("held/00000000000000000007").exists());
    }

    #[test]
    fn a_pool_that_others_can_write_to_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("own");
        fs::create_dir(&own).unwrap();
        fs::set_permissions(&own, fs::Permissions::from_mode(0o777)).unwrap();
        let error = Pool::open(&own.join("slots")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied);
    }
}
