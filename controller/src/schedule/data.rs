//! Looking at data from the outside: names, sizes and times of change.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use controller_core::experiment::{ExperimentId, ExperimentRecord};
use controller_core::spec::ScheduleSpec;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use tracing::warn;

/// What the last looks have found.
#[derive(Default)]
pub(super) struct Looks {
    last: BTreeMap<ExperimentId, Look>,
}

struct Look {
    at: Instant,
    /// Digest, as it was then.
    found: Option<String>,
    /// Digest, if it was the same twice: nobody is writing.
    still: Option<String>,
}

impl Looks {
    /// Digest of the data of a schedule once it holds still from one look to the next, which are `every` apart; `None`
    /// while it changes, is not there, or none is to be looked at.
    pub(super) async fn look(
        &mut self,
        template: &ExperimentRecord,
        spec: &ScheduleSpec,
        every: Duration,
    ) -> Option<String> {
        let data = spec.on_new_data.as_ref()?;
        if let Some(last) = self.last.get(&template.id).filter(|last| last.at.elapsed() < every) {
            return last.still.clone();
        }
        let path = Path::new(template.base_dir.as_deref().unwrap_or_default()).join(&data.path);
        let found = tokio::task::spawn_blocking(move || digest(&path)).await;
        let found = found.unwrap_or_else(|broken| Err(io::Error::other(broken)));
        let before = self.last.remove(&template.id).map(|last| last.found);
        if let (Err(error), true) = (&found, before != Some(None)) {
            warn!(%error, schedule = template.name, path = data.path, "the data of a schedule cannot be looked at");
        }
        let found = found.ok();
        let still = found.clone().filter(|found| before.flatten().as_ref() == Some(found));
        self.last.insert(template.id, Look { at: Instant::now(), found, still: still.clone() });
        still
    }
}

/// Digest of the names, sizes and times of change of a file, or of all files below a folder. Links are not followed below it.
fn digest(path: &Path) -> io::Result<String> {
    let mut entries = Vec::new();
    let top = fs::metadata(path)?;
    if top.is_dir() {
        below(path, path, &mut entries)?;
    } else {
        entries.push((PathBuf::new(), top));
    }
    entries.sort_by(|one, other| one.0.cmp(&other.0));
    let mut sum = Sha256::new();
    for (name, about) in entries {
        sum.update(name.as_os_str().as_encoded_bytes());
        sum.update([0]);
        for number in [about.size() as i64, about.mtime(), about.mtime_nsec()] {
            sum.update(number.to_le_bytes());
        }
    }
    Ok(sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn below(root: &Path, folder: &Path, entries: &mut Vec<(PathBuf, Metadata)>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        let path = entry.path();
        if about.is_dir() {
            below(root, &path, entries)?;
        } else {
            entries.push((path.strip_prefix(root).unwrap_or(&path).to_owned(), about));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_changes_with_names_sizes_and_times_and_with_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        fs::create_dir(path.join("sub")).unwrap();
        fs::write(path.join("sub/a"), "1").unwrap();
        let first = digest(path).unwrap();
        assert_eq!(digest(path).unwrap(), first);
        fs::rename(path.join("sub/a"), path.join("sub/b")).unwrap();
        let renamed = digest(path).unwrap();
        fs::write(path.join("sub/b"), "12").unwrap();
        let longer = digest(path).unwrap();
        assert!(first != renamed && renamed != longer && digest(&path.join("sub/b")).unwrap() != longer);
        assert!(digest(&path.join("nothing")).is_err());
    }
}
