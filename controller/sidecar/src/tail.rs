//! Reading a file while it is written.

use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use controller_core::metrics::LineParser;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;
use tokio::sync::oneshot;

use crate::sender::Sender;

/// Bytes read at once.
const CHUNK: usize = 1 << 20;
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
    /// How often the file was replaced by another.
    pub(crate) generation: u32,
}

impl Growing {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), open: None, position: 0, generation: 0 }
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
        }
        Ok(())
    }

    /// Whether the file was cut or replaced since it was opened; then it is read anew.
    pub(crate) async fn is_replaced(&mut self) -> bool {
        let Some((_, inode)) = &self.open else {
            return false;
        };
        let replaced = match tokio::fs::metadata(&self.path).await {
            Ok(now) => now.ino() != *inode || now.len() < self.position,
            Err(_) => false,
        };
        if replaced {
            self.open = None;
            self.position = 0;
            self.generation += 1;
        }
        replaced
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
        if let Err(error) = file.read(&mut buffer).await {
            sender.note(vec![format!("{}: {error}", path.display())]);
            if over {
                break;
            }
        }
        if !buffer.is_empty() {
            pace.reset();
            sender.send(parser.push(&buffer)).await;
            sender.note(parser.take_notes());
            continue;
        }
        if file.is_replaced().await {
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
