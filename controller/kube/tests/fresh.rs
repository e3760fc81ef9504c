//! The committed manifests are what the code makes, and what kustomize makes of them.

use std::path::Path;
use std::process::Command;

use controller_kube::install::{self, Install, Way};
use controller_kube::resources::{Kind, manifest};
use serde_json::Value;

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/manifests"))
}

/// A committed file is this, or is written so.
fn assert_fresh(file: &Path, fresh: &str) {
    if std::env::var_os("CAIRN_UPDATE").is_some() {
        std::fs::write(file, fresh).expect("it can be written");
    }
    let same = std::fs::read_to_string(file).is_ok_and(|text| text == fresh);
    let file = file.display();
    assert!(same, "{file} is not fresh: run `CAIRN_UPDATE=1 cargo test -p controller-kube`");
}

#[test]
fn the_definitions_are_fresh() {
    for kind in Kind::ALL {
        assert_fresh(&folder().join("crds").join(format!("{}.yaml", kind.plural())), &manifest(kind));
    }
}

/// What kustomize makes of a way to install; `None`, which is said, without a kubectl.
fn kustomized(way: Way) -> Option<Vec<Value>> {
    let kubectl = e2e::cluster::program("kubectl")?;
    let output =
        Command::new(kubectl).arg("kustomize").arg(folder().join(way.folder())).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let documents = controller_core::yaml::parse(&String::from_utf8_lossy(&output.stdout)).expect("YAML");
    Some(documents.into_iter().map(|document| document.value).collect())
}

#[test]
fn what_is_rendered_is_fresh() {
    for way in Way::ALL {
        let Some(mut objects) = kustomized(way) else { return };
        objects.retain(|object| object["kind"] != "CustomResourceDefinition");
        let hint = "# Generated; `CAIRN_UPDATE=1 cargo test -p controller-kube` writes it anew.";
        let text = format!("{hint}\n{}", install::stream(&objects));
        assert_fresh(&folder().join("rendered").join(format!("{}.yaml", way.folder())), &text);
    }
}

#[test]
fn kubectl_installs_what_cairn_installs() {
    for way in Way::ALL {
        let Some(mut theirs) = kustomized(way) else { return };
        let install = Install {
            way,
            namespace: install::NAMESPACE.into(),
            image: None,
            sidecar_image: None,
            postgres_image: None,
        };
        let mut ours = install::objects(&install).unwrap();
        let key = |object: &Value| format!("{}/{}", object["kind"], object["metadata"]["name"]);
        ours.sort_by_key(key);
        theirs.sort_by_key(key);
        let keys = |objects: &[Value]| objects.iter().map(key).collect::<Vec<_>>();
        assert_eq!(keys(&ours), keys(&theirs), "{way:?}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!(ours == theirs, "{way:?}: {} is another", key(ours));
        }
    }
}
