//! The folder of a model whose requests are kept: parts of the log, which the router writes; `labels.jsonl`, and `watched.json`
//! with what is known. Whoever changes the last two holds `lock`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use controller_core::promotion::{Kept, Labelled, Watched};
use rustix::fs::FlockOperation;
use rustix::io::Errno;

use crate::router::{part_numbers, part_path, replace};

/// How much of the log is read at a time.
const AT_ONCE: u64 = 8 << 20;
/// Bytes of labels after which a new file is begun; the one before stays.
const LABELS: u64 = 16 << 20;
/// How long the lock is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The folder.
#[derive(Clone, Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self(dir)
    }

    /// The lock, if nobody has it.
    pub(super) fn try_lock(&self) -> io::Result<Option<File>> {
        fs::create_dir_all(&self.0)?;
        let file = File::options().create(true).append(true).open(self.0.join("lock"))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The lock, as soon as nobody has it.
    pub(super) async fn lock(&self) -> io::Result<File> {
        let tried = async {
            loop {
                if let Some(lock) = self.try_lock()? {
                    return Ok(lock);
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let late = || Err(io::Error::new(io::ErrorKind::TimedOut, "somebody else holds what is watched"));
        tokio::time::timeout(PATIENCE, tried).await.unwrap_or_else(|_| late())
    }

    /// What is known; nothing, at first.
    pub(super) fn known(&self) -> io::Result<Watched> {
        match fs::read(self.0.join("watched.json")) {
            Ok(text) => Ok(serde_json::from_slice(&text)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Watched::default()),
            Err(error) => Err(error),
        }
    }

    /// Writes down what is known.
    pub(super) fn keep(&self, watched: &Watched) -> io::Result<()> {
        replace(&self.0.join("watched.json"), &serde_json::to_vec(watched)?)
    }

    /// The requests that were kept since the last look, and from where to read next.
    pub(super) fn read(&self, mut part: u64, mut offset: u64) -> io::Result<(Vec<Kept>, u64, u64)> {
        let (mut found, mut bytes) = (Vec::new(), 0);
        // A part that has one behind it is whole, so the list comes first.
        let numbers = part_numbers(&self.0)?;
        let begin = part;
        for number in numbers.into_iter().filter(|number| *number >= begin) {
            if number > part {
                (part, offset) = (number, 0);
            }
            let text = read_from(&part_path(&self.0, number), offset)?;
            // Half a line is still being written, or was never finished.
            let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            found.extend(lines(&text[..whole]));
            offset += whole as u64;
            bytes += text.len() as u64;
            if bytes >= AT_ONCE {
                break;
            }
        }
        Ok((found, part, offset))
    }

    /// The requests of these ids that are still there.
    pub(super) fn find(&self, ids: &BTreeSet<String>) -> io::Result<BTreeMap<String, Kept>> {
        let mut found = BTreeMap::new();
        for number in part_numbers(&self.0)? {
            let text = fs::read(part_path(&self.0, number))?;
            found.extend(
                lines(&text).filter(|kept: &Kept| ids.contains(&kept.id)).map(|kept| (kept.id.clone(), kept)),
            );
        }
        Ok(found)
    }

    /// Those of these ids that have a label.
    pub(super) fn labelled(&self, ids: &BTreeSet<String>) -> io::Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        for name in ["labels.old.jsonl", "labels.jsonl"] {
            let text = match fs::read(self.0.join(name)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                text => text?,
            };
            found.extend(lines(&text).map(|label: Labelled| label.id).filter(|id| ids.contains(id)));
        }
        Ok(found)
    }

    /// Writes down labels.
    pub(super) fn label(&self, labels: &[Labelled]) -> io::Result<()> {
        let path = self.0.join("labels.jsonl");
        if fs::metadata(&path).is_ok_and(|there| there.len() > LABELS) {
            fs::rename(&path, self.0.join("labels.old.jsonl"))?;
        }
        let mut text = Vec::new();
        for label in labels {
            serde_json::to_writer(&mut text, label)?;
            text.push(b'\n');
        }
        File::options().create(true).append(true).open(path)?.write_all(&text)
    }
}

fn read_from(path: &Path, offset: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut text = Vec::new();
    file.take(AT_ONCE).read_to_end(&mut text)?;
    Ok(text)
}

/// The lines that can be read; one that a crash has left unfinished cannot.
fn lines<T: serde::de::DeserializeOwned>(text: &[u8]) -> impl Iterator<Item = T> {
    text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_is_read_once_across_parts_and_half_a_line_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().to_owned());
        assert_eq!(folder.read(0, 0).unwrap(), (vec![], 0, 0));
        let write = |number: u64, text: &str| fs::write(part_path(dir.path(), number), text).unwrap();
        write(3, "{\"id\":\"a\"}\n{\"id\":");
        let ids = |found: &[Kept]| found.iter().map(|kept| kept.id.clone()).collect::<Vec<_>>();
        let (found, part, offset) = folder.read(0, 0).unwrap();
        assert_eq!((ids(&found), part, offset), (vec!["a".into()], 3, 11));
        write(3, "{\"id\":\"a\"}\n{\"id\":\"b\"}\n");
        write(4, "{\"id\":\"c\"}\n");
        let (found, part, offset) = folder.read(part, offset).unwrap();
        assert_eq!((ids(&found), part, offset), (vec!["b".into(), "c".into()], 4, 11));
        assert_eq!(folder.read(part, offset).unwrap(), (vec![], 4, 11));
        let found = folder.find(&BTreeSet::from(["b".to_owned(), "z".to_owned()])).unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["b"]);
    }

    #[test]
    fn what_is_known_and_labelled_stays_and_one_at_a_time_changes_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::new(dir.path().to_owned());
        let lock = folder.try_lock().unwrap();
        assert!(lock.is_some() && folder.try_lock().unwrap().is_none());
        let watched = Watched { part: 7, ..Watched::default() };
        folder.keep(&watched).unwrap();
        assert_eq!(folder.known().unwrap(), watched);
        folder.label(&[Labelled { id: "a".into(), ..Labelled::default() }]).unwrap();
        let ids = BTreeSet::from(["a".to_owned(), "b".to_owned()]);
        assert_eq!(folder.labelled(&ids).unwrap(), BTreeSet::from(["a".to_owned()]));
    }
}
