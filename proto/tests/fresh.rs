//! The committed code is what the `.proto` files generate.

use std::path::Path;

#[test]
fn the_generated_code_is_fresh() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = [
        "cairn/v1/search.proto",
        "cairn/v1/observe.proto",
        "cairn/v1/artifacts.proto",
        "api/v1/beta1/api.proto",
    ];
    let descriptors = protox::compile(files, [root]).unwrap();
    let out = tempfile::tempdir().unwrap();
    tonic_prost_build::configure()
        .out_dir(out.path())
        .btree_map(".")
        .compile_fds(descriptors.clone())
        .unwrap();
    let bytes = protox::Compiler::new([root])
        .unwrap()
        .include_source_info(false)
        .include_imports(true)
        .open_files(files)
        .unwrap()
        .encode_file_descriptor_set();
    std::fs::write(out.path().join("descriptors.bin"), bytes).unwrap();
    for name in ["cairn.v1.rs", "api.v1.beta1.rs", "descriptors.bin"] {
        let committed = root.join("src/gen").join(name);
        let fresh = std::fs::read(out.path().join(name)).unwrap();
        if std::env::var_os("CAIRN_UPDATE").is_some() {
            std::fs::write(&committed, &fresh).unwrap();
        }
        let same = std::fs::read(&committed).is_ok_and(|bytes| bytes == fresh);
        assert!(same, "{name} is not fresh: run `CAIRN_UPDATE=1 cargo test -p proto`");
    }
}
