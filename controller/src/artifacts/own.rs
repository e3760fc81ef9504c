//! Cairn's own store: a folder, of the controller's volume on a cluster, with a quota.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{fs, io};

use artifacts::{Files, Incoming};
use controller_core::ports::ArtifactError;

/// The store. Its bytes are counted once, and from then on as they come and go.
#[derive(Debug)]
pub(crate) struct Own {
    root: PathBuf,
    quota: Option<u64>,
    /// Bytes that are there or on their way; unknown after something was removed.
    used: Mutex<Option<u64>>,
}

impl Own {
    pub(super) fn new(root: PathBuf, quota: Option<u64>) -> Self {
        Self { root, quota, used: Mutex::new(None) }
    }

    /// Where it lies.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Something was removed, or did not come whole.
    pub(crate) fn has_changed(&self) {
        *self.lock() = None;
    }

    /// The files below a place.
    pub(crate) fn below(&self, place: &str) -> Files {
        Files::new(self.root.join(place))
    }

    /// Begins to take in a file below a place; `None` if it is there already.
    ///
    /// # Errors
    /// If there is no room for it.
    pub(crate) async fn take_in(
        &self,
        place: &str,
        key: &str,
        size: u64,
        sha256: &str,
    ) -> Result<Option<Incoming>, ArtifactError> {
        let incoming = self.below(place).take_in(key, size, sha256).await?;
        let Some(incoming) = incoming else { return Ok(None) };
        self.reserve(size - incoming.at()).await?;
        Ok(Some(incoming))
    }

    async fn reserve(&self, bytes: u64) -> Result<(), ArtifactError> {
        let Some(quota) = self.quota else { return Ok(()) };
        let known = *self.lock();
        let used = if let Some(used) = known {
            used
        } else {
            let root = self.root.clone();
            let counted = tokio::task::spawn_blocking(move || size(&root)).await;
            let counted = counted.map_err(io::Error::other).and_then(|counted| counted);
            counted
                .map_err(|error| ArtifactError::Unavailable(format!("{}: {error}", self.root.display())))?
        };
        let mut known = self.lock();
        let used = known.unwrap_or(used);
        if used.saturating_add(bytes) > quota {
            return Err(ArtifactError::Full(format!(
                "Cairn's own store holds {used} of {quota} bytes, and {bytes} more do not fit; keep fewer models with \
                 spec.artifacts.keep, name another store in spec.artifacts.store, or start Cairn with a larger \
                 --artifacts-quota"
            )));
        }
        *known = Some(used + bytes);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Option<u64>> {
        // Nothing is left half done under this lock.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Bytes of everything below a folder.
pub(crate) fn size(folder: &Path) -> io::Result<u64> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut bytes = 0;
    for entry in entries {
        let path = entry?.path();
        bytes += match fs::symlink_metadata(&path) {
            Ok(found) if found.is_dir() => size(&path)?,
            Ok(found) => found.len(),
            // It was removed meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(error),
        };
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_quota_is_kept_and_what_is_removed_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let own = Own::new(folder.path().join("own"), Some(10));
        // echo -n abcdef | sha256sum
        let abcdef = "bef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721";
        let mut first = own.take_in("ns/e/t/1", "model/a", 6, abcdef).await.unwrap().unwrap();
        let error = own.take_in("ns/e/t/2", "model/a", 6, abcdef).await.err().unwrap();
        let ArtifactError::Full(text) = &error else { panic!("{error:?}") };
        assert!(text.contains("holds 6 of 10 bytes") && text.contains("--artifacts-quota"), "{text}");
        first.write(b"abcdef").await.unwrap();
        first.finish().await.unwrap();
        assert!(own.take_in("ns/e/t/1", "model/a", 6, abcdef).await.unwrap().is_none(), "it is there");
        fs::remove_dir_all(folder.path().join("own/ns/e/t/1")).unwrap();
        own.has_changed();
        assert!(own.take_in("ns/e/t/2", "model/a", 6, abcdef).await.unwrap().is_some());
    }
}
