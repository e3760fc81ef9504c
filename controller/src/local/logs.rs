//! What a run has printed.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use controller_core::run::RunPhase;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio::sync::watch;

/// Bytes at most in one piece.
const PIECE: usize = 64 * 1024;
/// How often a file that is followed is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

struct Tail {
    path: PathBuf,
    file: Option<File>,
    from: u64,
    /// How far the run is, if it is followed.
    phase: Option<watch::Receiver<RunPhase>>,
}

/// The file from a byte on; with `phase` until the run has ended.
pub(super) fn tail(
    path: PathBuf,
    from: u64,
    phase: Option<watch::Receiver<RunPhase>>,
) -> BoxStream<'static, Bytes> {
    let tail = Tail { path, file: None, from, phase };
    stream::unfold(tail, |mut tail| async move { Some((tail.next().await?, tail)) }).boxed()
}

impl Tail {
    /// The next piece; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            // Asked before reading: what was written before the end is read in this round.
            let ended = self.phase.as_ref().is_none_or(|phase| matches!(*phase.borrow(), RunPhase::Ended(_)));
            if let Some(piece) = self.read().await {
                return Some(piece);
            }
            if ended {
                return None;
            }
            // An executor that is gone says nothing any more.
            let phase = self.phase.as_mut()?;
            if let Ok(Err(_)) = tokio::time::timeout(LOOK_EVERY, phase.changed()).await {
                self.phase = None;
            }
        }
    }

    async fn read(&mut self) -> Option<Bytes> {
        if self.file.is_none() {
            let mut file = File::open(&self.path).await.ok()?;
            file.seek(SeekFrom::Start(self.from)).await.ok()?;
            self.file = Some(file);
        }
        let mut buffer = BytesMut::with_capacity(PIECE);
        let n = self.file.as_mut()?.read_buf(&mut buffer).await.ok()?;
        (n > 0).then(|| buffer.freeze())
    }
}

/// The last line that is not blank, shortened; `None` if there is none.
pub(super) fn last_line(path: &Path) -> Option<String> {
    let mut file = std::fs::File::open(path).ok()?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(4096))).ok()?;
    let mut text = Vec::new();
    file.take(4096).read_to_end(&mut text).ok()?;
    let text = String::from_utf8_lossy(&text);
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().filter(|c| !c.is_control()).take(300).collect())
}
