//! TensorFlow event files in a folder: all of them, as they grow and as new ones come.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use controller_core::metrics::event_file::EventFileParser;
use tokio::sync::oneshot;

use crate::collect::Target;
use crate::sender::Sender;
use crate::tail::{Growing, Pace};

/// Reads all event files below the folder until the run has ended.
pub(crate) async fn folder(target: &Target, mut ended: oneshot::Receiver<()>, sender: &mut Sender<'_>) {
    let mut files: BTreeMap<PathBuf, (Growing, EventFileParser)> = BTreeMap::new();
    let (mut pace, mut buffer, mut over) = (Pace::new(), Vec::new(), false);
    loop {
        for path in event_files(&target.path).await {
            files.entry(path.clone()).or_insert_with(|| {
                let source = path.strip_prefix(&target.path).unwrap_or(&path).display().to_string();
                let folder = path.parent().unwrap_or(&target.path).display().to_string();
                (Growing::new(&path), EventFileParser::new(source, &folder, &target.metrics))
            });
        }
        let mut any = false;
        for (path, (file, parser)) in &mut files {
            loop {
                if let Err(error) = file.read(&mut buffer).await {
                    sender.note(vec![format!("{}: {error}", path.display())]);
                    break;
                }
                if buffer.is_empty() {
                    break;
                }
                any = true;
                sender.send(parser.push(&buffer)).await;
                sender.note(parser.take_notes());
            }
        }
        if any {
            pace.reset();
            continue;
        }
        if over {
            return;
        }
        over = pace.wait(&mut ended).await;
    }
}

/// Every file below a folder whose name holds `tfevents`.
async fn event_files(folder: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(folder) = folders.pop() {
        let Ok(mut entries) = tokio::fs::read_dir(&folder).await else {
            continue;
        };
        while let Ok(Some(entry)) = entries.next_entry().await {
            match entry.file_type().await {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) if entry.file_name().to_string_lossy().contains("tfevents") => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found
}
