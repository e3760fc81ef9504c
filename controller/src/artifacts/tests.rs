//! Models of folders, read again before they are used.

use std::fs;
use std::path::Path;

use artifacts::Folder;
use controller_core::artifacts::{MODEL, StoreUri, manifest_of};
use controller_core::ports::Models as _;
use controller_core::run::Model;

use super::Artifacts;

/// Seals a model in a folder of a run.
fn sealed(run: &Path) -> Model {
    let folder = run.join(MODEL);
    fs::create_dir_all(folder.join("sub")).unwrap();
    fs::write(folder.join("weights"), "12345").unwrap();
    fs::write(folder.join("sub/model.yaml"), "format: custom").unwrap();
    let manifest = Folder::of_model(&folder, None).seal().unwrap().unwrap();
    fs::write(run.join(manifest_of(MODEL)), manifest.text()).unwrap();
    let uri = StoreUri::of_folder(&folder.display().to_string()).to_string();
    Model { uri, digest: manifest.digest(), bytes: manifest.bytes(), ..Model::default() }
}

#[tokio::test]
async fn a_model_that_was_changed_since_is_told_by_its_file() {
    let root = tempfile::tempdir().unwrap();
    let run = root.path().join("a run/ü#1");
    let model = sealed(&run);
    let artifacts = Artifacts::new(root.path(), None, false);
    let why = async |model: &Model| match artifacts.verify(model).await {
        Ok(place) => place,
        Err(error) => error.to_string(),
    };
    let folder = run.join(MODEL);
    assert_eq!(why(&model).await, folder.display().to_string());
    fs::write(folder.join("weights"), "12346").unwrap();
    assert!(why(&model).await.contains("weights has changed"), "{}", why(&model).await);
    fs::write(folder.join("weights"), "12345").unwrap();
    fs::write(folder.join("more"), "").unwrap();
    assert!(why(&model).await.contains("more was added"), "{}", why(&model).await);
    fs::remove_file(folder.join("more")).unwrap();
    fs::remove_file(folder.join("sub/model.yaml")).unwrap();
    assert!(why(&model).await.contains("sub/model.yaml is gone"), "{}", why(&model).await);
    let other = Model { digest: "00".into(), ..model.clone() };
    assert!(why(&other).await.contains("and 00 was recorded"), "{}", why(&other).await);
    fs::remove_file(run.join(manifest_of(MODEL))).unwrap();
    assert!(why(&model).await.contains("model.manifest.json"), "{}", why(&model).await);
}

#[tokio::test]
async fn what_lies_elsewhere_is_refused_by_its_place() {
    let root = tempfile::tempdir().unwrap();
    let model = sealed(root.path());
    for (elsewhere, model, wanted) in [
        (true, model.clone(), "a folder of another machine"),
        (false, Model { elsewhere: true, ..model.clone() }, "its program has stored"),
        (false, Model { uri: "http://x/y".into(), ..model.clone() }, "is no store"),
        (false, Model { uri: "pvc://claim/x".into(), ..model }, "mount it yourself"),
    ] {
        let error = Artifacts::new(root.path(), None, elsewhere).verify(&model).await.unwrap_err();
        assert!(error.to_string().contains(wanted), "{error}");
    }
}
