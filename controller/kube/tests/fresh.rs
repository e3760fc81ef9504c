//! The committed manifests are what the code makes.

use std::path::Path;

use controller_kube::resources::{Kind, manifest};

#[test]
fn the_definitions_are_fresh() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("manifests/crds");
    for kind in Kind::ALL {
        let (committed, fresh) = (folder.join(format!("{}.yaml", kind.plural())), manifest(kind));
        if std::env::var_os("CAIRN_UPDATE").is_some() {
            std::fs::write(&committed, &fresh).unwrap();
        }
        let same = std::fs::read_to_string(&committed).is_ok_and(|text| text == fresh);
        assert!(same, "{} is not fresh: run `CAIRN_UPDATE=1 cargo test -p controller-kube`", kind.plural());
    }
}
