//! Structure, checked: who may use whom, that links resolve, and that no file has outgrown its room.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Which of our crates each may use. `e2e` is the harness and uses none.
const EDGES: &[(&str, &[&str])] = &[
    ("study", &[]),
    ("proto", &[]),
    ("algorithms", &["study"]),
    ("nas", &["algorithms", "study"]),
    ("suggest", &["algorithms", "nas", "proto", "study"]),
    ("controller-core", &["study"]),
    ("controller-kube", &["controller-core", "study"]),
    ("controller-store", &["controller-core", "study"]),
    ("artifacts", &["controller-core"]),
    ("sidecar", &["artifacts", "controller-core", "proto", "study"]),
    (
        "controller",
        &[
            "algorithms",
            "artifacts",
            "controller-core",
            "controller-kube",
            "controller-store",
            "nas",
            "proto",
            "sidecar",
            "study",
            "suggest",
        ],
    ),
    ("e2e", &[]),
];

/// Crates without a runtime, files, sockets, clock or ambient chance.
const PURE: &[&str] = &["study", "algorithms", "nas", "controller-core"];
/// What only one crate, or a few, may bring.
const BRINGERS: &[(&str, &[&str])] = &[
    ("sqlx", &["controller-store"]),
    ("kube", &["controller-kube"]),
    ("k8s-openapi", &["controller-kube"]),
    ("clap", &["controller"]),
    ("axum", &["controller"]),
    ("object_store", &["artifacts"]),
    ("ndarray", &["algorithms"]),
    ("argmin", &["algorithms"]),
];

fn git(args: &[&str]) -> String {
    let output = Command::new("git").args(args).current_dir(e2e::workspace()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Normal dependencies of each of our crates.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut metadata = Command::new(cargo);
    metadata.args(["metadata", "--format-version", "1", "--no-deps"]).current_dir(e2e::workspace());
    let metadata: Value = serde_json::from_slice(&metadata.output().unwrap().stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        all.filter(|dependency| dependency["kind"].is_null())
            .map(|dependency| text(&dependency["name"]))
            .collect()
    };
    metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (text(&package["name"]), of(package)))
        .collect()
}

#[test]
fn crates_use_only_whom_they_may() {
    let all = dependencies();
    let named: BTreeSet<&str> = EDGES.iter().map(|(name, _)| *name).collect();
    let there: BTreeSet<&str> = all.keys().map(String::as_str).collect();
    assert_eq!(named, there, "every crate has its edges written down");
    for (name, allowed) in EDGES {
        let ours: BTreeSet<&str> =
            all[*name].iter().map(String::as_str).filter(|name| named.contains(name)).collect();
        assert_eq!(ours, allowed.iter().copied().collect(), "{name}");
    }
    for (dependency, bringers) in BRINGERS {
        for (name, its) in &all {
            assert!(
                !its.contains(*dependency) || bringers.contains(&name.as_str()),
                "{name} brings {dependency}"
            );
        }
    }
}

#[test]
fn pure_crates_stay_pure() {
    let all = dependencies();
    let words =
        ["std::fs", "std::net", "std::process", "SystemTime::now", "Instant::now", "rand::rng", "thread_rng"];
    for name in PURE {
        for impure in ["tokio", "tonic", "hyper", "rustix", "proto"] {
            assert!(!all[*name].contains(impure), "{name} uses {impure}");
        }
    }
    for file in
        git(&["ls-files", "algorithms/src", "algorithms/study/src", "nas/src", "controller/core/src"]).lines()
    {
        let Ok(text) = std::fs::read_to_string(e2e::workspace().join(file)) else { continue };
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for word in words {
            assert!(!code.contains(word), "{file} says {word}");
        }
    }
}

#[test]
fn no_file_has_outgrown_its_room() {
    for file in git(&["ls-files", "*.rs", "*.py"]).lines() {
        if file.contains("/gen/") || file.contains("_proto/") {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(e2e::workspace().join(file)) else { continue };
        let lines = text.split("#[cfg(test)]").next().unwrap_or_default().lines().count();
        assert!(lines <= 600, "{file} has {lines} lines without its tests; split it by noun");
    }
}

#[test]
fn links_between_documents_resolve() {
    for file in git(&["ls-files", "*.md"]).lines() {
        let path = e2e::workspace().join(file);
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let link = link.split('#').next().unwrap_or_default();
            if link.is_empty() || link.contains("://") {
                continue;
            }
            assert!(path.parent().unwrap_or(Path::new("")).join(link).exists(), "{file} links to {link}");
        }
    }
}

#[test]
fn names_of_this_or_that_machine_are_in_no_file() {
    // Split, so that this file does not hold them itself.
    let words = [["../", "shared"].concat(), ["/wo", "rk/"].concat()];
    for file in git(&["ls-files"]).lines() {
        let Ok(text) = std::fs::read_to_string(e2e::workspace().join(file)) else { continue };
        for word in &words {
            assert!(!text.contains(word), "{file} says {word}");
        }
    }
}
