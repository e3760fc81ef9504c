//! What trials have left, as this process reaches it: stores of others, and Cairn's own (`own`).

mod description;
mod own;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, PoisonError};

use artifacts::Folder;
use async_trait::async_trait;
use controller_core::artifacts::{Entry, MODEL, Manifest, Scheme, StoreUri};
use controller_core::ports::{ArtifactError, ArtifactStore, Description, ModelError, Models, Pieces};
use controller_core::run::Model;
use tokio::sync::Mutex;

pub(crate) use own::{Own, size};

/// Reaches stores. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Artifacts {
    own: Arc<Own>,
    /// Where models of buckets are put to be read by programs of this machine, by their digests.
    fetched: PathBuf,
    /// By their digests, so that two who want the same do not fetch it twice.
    fetching: Arc<std::sync::Mutex<HashMap<String, Arc<Mutex<()>>>>>,
    /// Whether trials run elsewhere, so that folders of this machine are none of theirs.
    is_elsewhere: bool,
}

impl Artifacts {
    /// With Cairn's own store in this folder, of at most so many bytes. `is_elsewhere`: trials run on a cluster.
    pub(crate) fn new(dir: &Path, quota: Option<u64>, is_elsewhere: bool) -> Self {
        let own = Arc::new(Own::new(dir.join("artifacts"), quota));
        Self { own, fetched: dir.join("fetched"), fetching: Arc::default(), is_elsewhere }
    }

    /// Cairn's own store.
    pub(crate) fn own(&self) -> &Arc<Own> {
        &self.own
    }

    /// Where models of buckets are put.
    pub(crate) fn fetched(&self) -> &Path {
        &self.fetched
    }

    /// The store with a sealed folder, and the folder's name there.
    fn open(&self, uri: &str) -> Result<(Arc<dyn ArtifactStore>, String), ArtifactError> {
        let wrong = |why: String| ArtifactError::Refused(format!("{uri} cannot be read: {why}"));
        let place = StoreUri::parse(uri).map_err(wrong)?;
        if self.is_elsewhere && place.scheme == Scheme::File {
            return Err(wrong("it is a folder of another machine".into()));
        }
        let (store, name) = place.split().ok_or_else(|| wrong("it names no folder".into()))?;
        Ok((artifacts::open(&store, Some(self.own.root()))?, name.to_owned()))
    }

    fn open_model(&self, model: &Model) -> Result<(Arc<dyn ArtifactStore>, String), ArtifactError> {
        if model.elsewhere {
            let text = format!("its program has stored {} itself; fetch it there", model.uri);
            return Err(ArtifactError::Refused(text));
        }
        self.open(&model.uri)
    }

    /// The manifest of a model.
    pub(crate) async fn manifest(&self, model: &Model) -> Result<Manifest, ArtifactError> {
        let (store, name) = self.open_model(model)?;
        artifacts::manifest(&*store, &name, Some(&model.digest)).await
    }

    /// The bytes of a file of a model.
    pub(crate) async fn file(&self, model: &Model, entry: &Entry) -> Result<Pieces, ArtifactError> {
        let (store, name) = self.open_model(model)?;
        artifacts::file(&*store, &name, entry).await
    }

    /// Removes the files of a model. One that is gone is gone; one that its program has stored itself is left alone.
    pub(crate) async fn forget(&self, model: &Model) -> Result<(), ArtifactError> {
        if model.elsewhere { Ok(()) } else { self.forget_at(&model.uri).await }
    }

    /// Removes whatever lies below a key of Cairn's own store.
    pub(crate) async fn forget_below(&self, key: &str) -> Result<(), ArtifactError> {
        let (above, name) = key.rsplit_once('/').unwrap_or(("", key));
        self.own.below(above).remove(&[name]).await?;
        self.own.has_changed();
        Ok(())
    }

    /// Removes the files of a sealed folder.
    pub(crate) async fn forget_at(&self, uri: &str) -> Result<(), ArtifactError> {
        let (store, name) = self.open(uri)?;
        artifacts::forget(&*store, &name).await?;
        self.own.has_changed();
        Ok(())
    }

    /// The folder of a sealed model on this machine, which is fetched if it lies elsewhere.
    async fn folder(&self, model: &Model) -> Result<(PathBuf, Manifest), ArtifactError> {
        let (store, name) = self.open_model(model)?;
        let manifest = artifacts::manifest(&*store, &name, Some(&model.digest)).await?;
        let place = StoreUri::parse(&model.uri).map_err(ArtifactError::Refused)?;
        if let Some(folder) = self.here(&place) {
            return Ok((folder, manifest));
        }
        let folder = self.fetched.join(&model.digest).join(MODEL);
        let one = Arc::clone(self.fetching().entry(model.digest.clone()).or_default());
        let _one = one.lock().await;
        if !folder.exists() {
            artifacts::fetch(&*store, &name, &manifest, &folder).await?;
        }
        Ok((folder, manifest))
    }

    fn fetching(&self) -> MutexGuard<'_, HashMap<String, Arc<Mutex<()>>>> {
        // Nothing is left half done under this lock.
        self.fetching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a place of a store lies on this machine, if it does.
    fn here(&self, place: &StoreUri) -> Option<PathBuf> {
        match place.scheme {
            Scheme::File => Some(Path::new("/").join(&place.path)),
            Scheme::Cairn => Some(self.own.root().join(&place.path)),
            _ => None,
        }
    }
}

#[async_trait]
impl Models for Artifacts {
    async fn verify(&self, model: &Model) -> Result<String, ModelError> {
        let (folder, manifest) = self.folder(model).await.map_err(|error| told(model, error))?;
        let place = folder.display().to_string();
        let compared =
            tokio::task::spawn_blocking(move || Folder::of_model(&folder, None).compare(&manifest)).await;
        let compared = compared.map_err(|error| ModelError::Unreadable(error.to_string()))?;
        compared.map_err(|why| ModelError::Changed(format!("the model {} {why}", model.uri)))?;
        Ok(place)
    }

    async fn describe(&self, model: &Model) -> Result<Description, ModelError> {
        let (folder, _) = self.folder(model).await.map_err(|error| told(model, error))?;
        let read = tokio::task::spawn_blocking(move || description::read(&folder)).await;
        read.map_err(|error| ModelError::Unreadable(error.to_string()))?
    }
}

fn told(model: &Model, error: ArtifactError) -> ModelError {
    match error {
        ArtifactError::Unavailable(why) | ArtifactError::Full(why) => ModelError::Unreadable(why),
        error => ModelError::Changed(format!("the model {} cannot be used: {error}", model.uri)),
    }
}
