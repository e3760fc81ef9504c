//! Every store keeps, gives back, goes on after a failure, and notices damage.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use controller_core::artifacts::StoreUri;
use controller_core::ports::{ArtifactError, ArtifactSink, ArtifactSource, ArtifactStore, Blob, Pieces};

use crate::{Files, Folder, fetch, file, forget, manifest, open, send};

fn model(root: &Path) {
    fs::create_dir_all(root.join("d")).unwrap();
    fs::write(root.join("d/weights"), vec![7; 700_000]).unwrap();
    fs::write(root.join("ümlaut é"), "").unwrap();
    std::os::unix::fs::symlink("d/weights", root.join("latest")).unwrap();
}

/// What a store has to do.
async fn contract(store: &dyn ArtifactStore, scratch: &Path) {
    let source = scratch.join("source");
    model(&source);
    let sealed = Folder::of_model(&source, None).seal().unwrap().unwrap();
    assert!(matches!(manifest(store, "model", None).await, Err(ArtifactError::NotFound(_))));
    for _ in 0..2 {
        send(store, "model", &source, &sealed).await.unwrap();
    }
    let digest = sealed.digest();
    let found = manifest(store, "model", Some(&digest)).await.unwrap();
    assert_eq!(found, sealed);
    assert!(matches!(manifest(store, "model", Some("ab")).await, Err(ArtifactError::Damaged(_))));
    let to = scratch.join("fetched");
    fetch(store, "model", &found, &to).await.unwrap();
    assert_eq!(Folder::of_model(&to, None).seal().unwrap().unwrap().digest(), digest);
    for _ in 0..2 {
        forget(store, "model").await.unwrap();
    }
    assert!(matches!(manifest(store, "model", None).await, Err(ArtifactError::NotFound(_))));
    assert!(matches!(file(store, "model", &found.files[0]).await.err(), Some(ArtifactError::NotFound(_))));
}

#[tokio::test]
async fn a_folder_is_a_store() {
    let scratch = tempfile::tempdir().unwrap();
    let place = StoreUri::of_folder(&scratch.path().join("store/ns/e/t/1").display().to_string());
    contract(&*open(&place, None).unwrap(), scratch.path()).await;
    let left = fs::read_dir(scratch.path().join("store")).unwrap().count();
    assert_eq!(left, 1, "folders of experiments stay, those of runs go");
}

/// A store that dies at the n-th file.
struct Dies(Files, AtomicUsize);

#[async_trait]
impl ArtifactSource for Dies {
    async fn get(&self, key: &str) -> Result<Pieces, ArtifactError> {
        self.0.get(key).await
    }
}

#[async_trait]
impl ArtifactSink for Dies {
    async fn put(&self, key: &str, blob: &Blob<'_>) -> Result<(), ArtifactError> {
        match self.1.fetch_sub(1, Ordering::Relaxed) {
            0 => Err(ArtifactError::Unavailable("gone".into())),
            _ => self.0.put(key, blob).await,
        }
    }
}

#[async_trait]
impl ArtifactStore for Dies {
    async fn remove(&self, keys: &[&str]) -> Result<(), ArtifactError> {
        self.0.remove(keys).await
    }
}

#[tokio::test]
async fn between_files_and_manifest_there_is_nothing_to_read() {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("source");
    model(&source);
    let sealed = Folder::of_model(&source, None).seal().unwrap().unwrap();
    for survived in 0..=2 {
        let files = Files::new(scratch.path().join(format!("store{survived}")));
        let store = Dies(files.clone(), AtomicUsize::new(survived));
        assert!(send(&store, "model", &source, &sealed).await.is_err());
        assert!(
            matches!(manifest(&files, "model", None).await, Err(ArtifactError::NotFound(_))),
            "{survived}"
        );
        send(&files, "model", &source, &sealed).await.unwrap();
        assert_eq!(manifest(&files, "model", Some(&sealed.digest())).await.unwrap(), sealed);
    }
}

#[tokio::test]
async fn a_damaged_file_is_noticed_and_nothing_of_it_arrives() {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("source");
    model(&source);
    let sealed = Folder::of_model(&source, None).seal().unwrap().unwrap();
    let store = Files::new(scratch.path().join("store"));
    send(&store, "model", &source, &sealed).await.unwrap();
    let kept = scratch.path().join("store/model/d/weights");
    let mut bytes = fs::read(&kept).unwrap();
    bytes[300_000] ^= 1;
    fs::write(&kept, bytes).unwrap();
    let to = scratch.path().join("fetched");
    let error = fetch(&store, "model", &sealed, &to).await.unwrap_err();
    assert!(matches!(&error, ArtifactError::Damaged(text) if text.contains("d/weights")), "{error}");
    assert!(!to.exists());
    // It is mended by sending it again.
    send(&store, "model", &source, &sealed).await.unwrap();
    fetch(&store, "model", &sealed, &to).await.unwrap();
}

#[tokio::test]
async fn what_has_broken_off_goes_on_where_it_was() {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("source");
    model(&source);
    let sealed = Folder::of_model(&source, None).seal().unwrap().unwrap();
    let entry = sealed.files.iter().find(|entry| entry.path == "d/weights").unwrap();
    let store = Files::new(scratch.path().join("store"));
    let mut incoming = store.take_in("model/d/weights", entry.size, &entry.sha256).await.unwrap().unwrap();
    incoming.write(&vec![7; 400_000]).await.unwrap();
    drop(incoming);
    // A write of tokio's is done in the background, and waited for by the next look alone.
    let at = loop {
        let incoming = store.take_in("model/d/weights", entry.size, &entry.sha256).await.unwrap().unwrap();
        if incoming.at() == 400_000 {
            break incoming;
        }
    };
    let mut incoming = at;
    incoming.write(&vec![7; 300_000]).await.unwrap();
    assert!(incoming.is_whole());
    incoming.finish().await.unwrap();
    assert!(store.take_in("model/d/weights", entry.size, &entry.sha256).await.unwrap().is_none());
    // Another file of the same name begins anew, and one that is not what was said does not stay.
    let mut wrong = store.take_in("model/d/weights", 3, &entry.sha256).await.unwrap().unwrap();
    assert_eq!(wrong.at(), 0);
    wrong.write(b"abc").await.unwrap();
    assert!(matches!(wrong.finish().await, Err(ArtifactError::Damaged(_))));
}

#[tokio::test]
async fn a_disk_that_is_full_is_told_in_one_line_with_a_way_out() {
    let scratch = tempfile::tempdir().unwrap();
    let source = scratch.path().join("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("w"), "1").unwrap();
    let sealed = Folder::of_model(&source, None).seal().unwrap().unwrap();
    // Whatever is written there finds no room.
    let store = scratch.path().join("store/model");
    fs::create_dir_all(&store).unwrap();
    let part = format!(".w.{}.part", &sealed.files[0].sha256[..16]);
    std::os::unix::fs::symlink("/dev/full", store.join(part)).unwrap();
    let error = send(&Files::new(scratch.path().join("store")), "model", &source, &sealed).await.unwrap_err();
    let ArtifactError::Full(text) = &error else { panic!("{error:?}") };
    assert!(text.contains("No space left") && text.contains("spec.artifacts.keep"), "{text}");
}
