//! Searches for architectures as Katib's users run them: their Experiments, with the trainer of the examples as the image.

use std::process::Command;

use serde_json::Value;

use super::artifacts::ask;
use super::sidecars::Watched;

const IMAGE: &str = "local/nas-train:1";

/// Applies an example of a search, with an image that the cluster has.
fn apply(watched: &Watched, file: &str) {
    let path = e2e::workspace().join("tests/examples/nas").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let local = text.replace("registry.example.com/nas-train:1", IMAGE);
    assert_ne!(local, text, "its image is replaced");
    // Two networks are enough here.
    watched.story.apply(&local.replace("maxTrialCount: 4", "maxTrialCount: 2"));
}

/// How often the model of a best trial is right, once it has been fetched from where it is kept.
fn accuracy_of_kept(watched: &Watched, experiment: &str, best: &Value) -> f64 {
    let uri = best["model"]["uri"].as_str().unwrap_or_else(|| panic!("a model is kept: {best}"));
    assert!(uri.starts_with(&format!("cairn:///nas/{experiment}/")), "{uri}");
    let (name, folder) = (best["name"].as_str().unwrap(), watched.story.cairn.at(experiment));
    let to = folder.display().to_string();
    ask(watched, &["trial", "model", experiment, name, "--to", &to]).ok();
    let trainer = e2e::cairn::binary().with_file_name("nas-train");
    let output = Command::new(trainer).arg("--model").arg(folder).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, accuracy) = text.trim().split_once("Test-Accuracy=").unwrap_or_else(|| panic!("{output:?}"));
    accuracy.parse().unwrap()
}

#[test]
fn katib_s_searches_run_in_pods_and_what_they_find_is_drawn_and_kept() {
    let Some(watched) = Watched::begin("nas", 7711) else { return };
    let trainer = e2e::cairn::binary().with_file_name("nas-train");
    watched.story.cluster.trial_image_of(IMAGE, &trainer);
    let server = watched.serve_with(&["--artifacts", "cairn://"]);
    apply(&watched, "enas.yaml");
    apply(&watched, "darts.yaml");

    let enas = watched.story.until_is("enas", "Succeeded");
    assert_eq!(enas["status"]["trialsSucceeded"], 2, "{enas} {}", server.stderr());
    let optimal = &enas["status"]["currentOptimalTrial"];
    assert_eq!(optimal["parameterAssignments"][0]["name"], "architecture", "{optimal}");
    let best = ask(&watched, &["best", "enas", "-o", "json"]).ok().json();
    let shown = ask(&watched, &["nas", "show", "enas"]).ok();
    assert!(shown.stdout.contains("\nnetwork\n  input\n  1 "), "{shown}");
    // Guessing is right in a tenth; nothing says which networks are drawn.
    assert!(accuracy_of_kept(&watched, "enas", &best) > 0.2, "{best}");

    let darts = watched.story.until_is("darts", "Succeeded");
    let metric = &darts["status"]["currentOptimalTrial"]["observation"]["metrics"][0];
    let genotype = metric["latest"].as_str().unwrap();
    assert!(genotype.starts_with("Genotype(normal=[[('"), "{darts} {}", server.stderr());
    let best = ask(&watched, &["best", "darts", "-o", "json"]).ok().json();
    let shown = ask(&watched, &["nas", "show", "darts"]).ok();
    assert!(shown.stdout.contains("\nnormal\n  input 0\n") && shown.stdout.contains("\nreduce\n"), "{shown}");
    assert!(accuracy_of_kept(&watched, "darts", &best) > 0.5, "{best}");
}
