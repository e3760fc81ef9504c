//! Reading a file while it is written.

use std::io::{self, SeekFrom};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use controller_core::metrics::LineParser;
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::sync::oneshot;

use crate::sender::Sender;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;
/// Bytes by which a file is recognised.
const LAST: usize = 64;
/// Waits while nothing comes: first and longest.
const IDLE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(200));

/// How long to wait before looking again: longer while nothing comes.
pub(crate) struct Pace(Duration);

impl Pace {
    pub(crate) fn new() -> Self {
        Self(IDLE.0)
    }

    /// Something came.
    pub(crate) fn reset(&mut self) {
        self.0 = IDLE.0;
    }

    /// Waits, or returns true at once when the run has ended.
    pub(crate) async fn wait(&mut self, ended: &mut oneshot::Receiver<()>) -> bool {
        let over = tokio::select! {
            _ = ended => true,
            () = tokio::time::sleep(self.0) => false,
        };
        self.0 = (self.0 * 2).min(IDLE.1);
        over
    }
}

/// A file read from its start, as it grows, and again when it is cut or replaced.
pub(crate) struct Growing {
    path: PathBuf,
    open: Option<(File, u64)>,
    position: u64,
    /// The last bytes before the position, by which a file that was written anew is known.
    last: Vec<u8>,
    /// How often the file was replaced by another.
    pub(crate) generation: u32,
}

impl Growing {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), open: None, position: 0, last: Vec::new(), generation: 0 }
    }

    /// The next bytes; empty if there are none now.
    pub(crate) async fn read(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        buffer.clear();
        if self.open.is_none() {
            match File::open(&self.path).await {
                Ok(file) => {
                    let inode = file.metadata().await?.ino();
                    self.open = Some((file, inode));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if let Some((file, _)) = &mut self.open {
            let read = file.take(CHUNK as u64).read_to_end(buffer).await?;
            self.position += read as u64;
            self.last.extend_from_slice(&buffer[read.saturating_sub(LAST)..]);
            self.last.drain(..self.last.len().saturating_sub(LAST));
        }
        Ok(())
    }

    /// Whether the file was cut or written anew since it was read; then it is read from its start.
    pub(crate) async fn is_rewritten(&mut self) -> bool {
        let Some((file, _)) = &mut self.open else {
            return false;
        };
        let rewritten = !still_there(file, self.position, &self.last).await;
        if rewritten {
            self.begin_anew();
        }
        rewritten
    }

    /// Whether another file has taken the place of this one, which was read to its end; then that is read.
    pub(crate) async fn is_replaced(&mut self) -> bool {
        let Some((_, inode)) = &self.open else {
            return false;
        };
        let replaced = tokio::fs::metadata(&self.path).await.is_ok_and(|now| now.ino() != *inode);
        if replaced {
            self.begin_anew();
        }
        replaced
    }

    fn begin_anew(&mut self) {
        *self = Self { generation: self.generation + 1, ..Self::new(&self.path) };
    }
}

/// Whether a file holds these bytes before a position, where it is read on.
async fn still_there(file: &mut File, position: u64, last: &[u8]) -> bool {
    let (mut found, length) = (Vec::with_capacity(last.len()), last.len() as u64);
    let look = async {
        file.seek(SeekFrom::Start(position - length)).await?;
        file.take(length).read_to_end(&mut found).await?;
        file.seek(SeekFrom::Start(position)).await
    };
    match look.await {
        Ok(_) => found == last,
        // Reading on will say so.
        Err(_) => true,
    }
}

/// Reads lines until the run has ended and the file with it.
pub(crate) async fn lines(
    path: &Path,
    source: &str,
    mut parser: LineParser,
    mut ended: oneshot::Receiver<()>,
    sender: &mut Sender<'_>,
) {
    let (mut file, mut pace, mut buffer) = (Growing::new(path), Pace::new(), Vec::new());
    let mut over = false;
    loop {
        let rewritten = file.is_rewritten().await;
        if !rewritten && let Err(error) = file.read(&mut buffer).await {
            sender.note(vec![format!("{}: {error}", path.display())]);
            if over {
                break;
            }
        }
        if !rewritten && !buffer.is_empty() {
            pace.reset();
            sender.send(parser.push(&buffer)).await;
            sender.note(parser.take_notes());
            continue;
        }
        if rewritten || file.is_replaced().await {
            sender.send(parser.finish()).await;
            let name = format!("{source}~{}", file.generation);
            sender.note(vec![format!("{}: the file was cut or replaced and is read anew", path.display())]);
            parser = parser.anew(name);
            continue;
        }
        if over {
            break;
        }
        over = pace.wait(&mut ended).await;
    }
    sender.send(parser.finish()).await;
    sender.note(parser.take_notes());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of a file until nothing comes; a `|` where it began anew.
    async fn read_on(file: &mut Growing) -> String {
        let (mut text, mut buffer) = (String::new(), Vec::new());
        loop {
            if file.is_rewritten().await {
                text.push('|');
            }
            file.read(&mut buffer).await.unwrap();
            text.push_str(std::str::from_utf8(&buffer).unwrap());
            if buffer.is_empty() {
                if !file.is_replaced().await {
                    return text;
                }
                text.push('|');
            }
        }
    }

    #[tokio::test]
    async fn a_file_is_known_to_be_another_by_its_last_bytes_and_its_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let mut file = Growing::new(&path);
        assert_eq!(read_on(&mut file).await, "");
        for (text, wanted) in [
            ("one\n", "one\n"),
            ("one\ntwo\n", "two\n"),
            // Longer, as long, shorter.
            ("three and four\n", "|three and four\n"),
            ("three and five\n", "|three and five\n"),
            ("six\n", "|six\n"),
        ] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read_on(&mut file).await, wanted);
        }
        // What was written to the old file before another took its place is not lost.
        std::fs::write(&path, "six\nseven\n").unwrap();
        std::fs::rename(&path, folder.path().join("old")).unwrap();
        std::fs::write(&path, "six\neight\n").unwrap();
        assert_eq!(read_on(&mut file).await, "seven\n|six\neight\n");
    }
}
