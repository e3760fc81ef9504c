//! Showing a file as it grows.

use std::path::Path;

use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::oneshot;
use tracing::warn;

use crate::tail::{Growing, Pace};

/// Copies a file to `out` as it grows, until the run has ended and the file with it.
pub async fn mirror(path: &Path, mut out: impl AsyncWrite + Unpin, mut ended: oneshot::Receiver<()>) {
    let (mut file, mut pace, mut buffer, mut over) = (Growing::new(path), Pace::new(), Vec::new(), false);
    loop {
        let rewritten = file.is_rewritten().await;
        if let Err(error) = file.read(&mut buffer).await {
            warn!(%error, path = %path.display(), "what the program prints cannot be shown");
        }
        if !buffer.is_empty() {
            // Nobody may be looking.
            out.write_all(&buffer).await.ok();
            pace.reset();
            continue;
        }
        out.flush().await.ok();
        if rewritten || file.is_replaced().await {
            continue;
        }
        if over {
            return;
        }
        over = pace.wait(&mut ended).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everything_that_was_written_is_shown_by_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let (end, ended) = oneshot::channel();
        let mut shown = Vec::new();
        let write = async {
            std::fs::write(&path, "one\n").unwrap();
            tokio::task::yield_now().await;
            std::fs::write(&path, "one\ntwo\nthree").unwrap();
            end.send(()).unwrap();
        };
        tokio::join!(mirror(&path, &mut shown, ended), write);
        assert_eq!(String::from_utf8(shown).unwrap(), "one\ntwo\nthree");
    }
}
