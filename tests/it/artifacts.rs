//! What trials leave: kept where the experiment says, as many as it says, and fetched again.

use std::path::{Path, PathBuf};

use e2e::{Bucket, Cairn};
use serde_json::Value;

/// Trials whose loss is their knob, one after the other, and which leave a model of a megabyte.
const EXPERIMENT: &str = r#"
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {name: leave}
spec:
  objective: {type: minimize, objectiveMetricName: loss}
  algorithm: {algorithmName: grid}
  parameters:
    - {name: x, parameterType: int, feasibleSpace: {min: "1", max: "5"}}
  parallelTrialCount: 1
  maxTrialCount: 5
  artifacts: ARTIFACTS
  trialTemplate:
    trialParameters: [{name: x, reference: x}]
    trialSpec:
      apiVersion: cairn.dev/v1
      kind: Process
      command: [sh, -c]
      args:
        - |
          cd $CAIRN_MODEL_DIR && mkdir -p d && head -c 1000000 /dev/zero > d/weights && echo ${trialParameters.x} > x
          echo 'format: onnx' > model.yaml; ln -s d/weights latest; echo loss=${trialParameters.x}
"#;

fn run(cairn: &Cairn, artifacts: &str) -> Vec<Value> {
    run_as(cairn, EXPERIMENT, artifacts)
}

fn run_as(cairn: &Cairn, experiment: &str, artifacts: &str) -> Vec<Value> {
    cairn.write("experiment.yaml", experiment.replace("ARTIFACTS", artifacts));
    cairn.run(["run", "experiment.yaml"]).ok();
    cairn.trials("leave")
}

/// The trial of a knob.
fn of<'a>(trials: &'a [Value], x: &str) -> &'a Value {
    trials.iter().find(|trial| trial["parameters"]["x"] == x).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = folder.read_dir() else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Downloads the model of a trial, and looks at it; how large its weights are.
fn download(cairn: &Cairn, trial: &Value, to: &str) -> u64 {
    let name = trial["name"].as_str().unwrap();
    let said = cairn.run(["trial", "model", "leave", name, "--to", to, "-o", "json"]).ok().json();
    assert_eq!((&said["digest"], &said["files"]), (&trial["model"]["digest"], &4.into()), "{said}");
    assert_eq!(cairn.read(format!("{to}/x")).unwrap().trim(), trial["parameters"]["x"].as_str().unwrap());
    cairn.at(format!("{to}/latest")).metadata().expect("a link that leads").len()
}

#[test]
fn the_best_models_stay_and_are_downloaded_whole() {
    let cairn = Cairn::new();
    let store = format!("file://{}", cairn.at("kept").display());
    let trials = run(&cairn, &format!("{{store: \"{store}\", keep: {{best: 2}}}}"));
    let (best, beaten) = (of(&trials, "1"), of(&trials, "5"));
    let name = best["name"].as_str().unwrap();
    assert_eq!(best["model"]["uri"], format!("{store}/default/leave/{name}/1/model"));
    assert_eq!((&best["model"]["format"], &best["model"]["bytes"]), (&"onnx".into(), &1_000_015.into()));
    // Two models with their manifests, and nothing of the others; nor a second time among the runs.
    assert_eq!(files(&cairn.at("kept")).len(), 8);
    assert!(files(&cairn.at(".cairn/trials")).iter().all(|file| !file.ends_with("weights")));
    assert_eq!(download(&cairn, best, "downloaded"), 1_000_000);
    let again = cairn.run(["trial", "model", "leave", name, "--to", "downloaded"]);
    assert!(again.code == Some(2) && again.stderr.contains("choose another folder"), "{again}");
    // That of a beaten trial is gone, which is said wherever one looks.
    assert!(beaten["model"]["removed"].is_string(), "{beaten}");
    let shown = cairn.run(["trial", "get", "leave", beaten["name"].as_str().unwrap()]).ok().stdout;
    assert!(shown.contains("removed at "), "{shown}");
    let gone = cairn.run(["trial", "model", "leave", beaten["name"].as_str().unwrap()]);
    assert!(gone.code != Some(0) && gone.stderr.contains("by spec.artifacts.keep"), "{gone}");
    let log = cairn.run(["watch", "leave", "--after", "0"]).ok().stdout;
    assert_eq!(log.matches("its model was removed").count(), 3, "{log}");
    // One byte of a file is another: nothing of it arrives.
    let weights = cairn.at(format!("kept/default/leave/{name}/1/model/d/weights"));
    let mut bytes = std::fs::read(&weights).unwrap();
    bytes[500_000] = 1;
    std::fs::write(&weights, bytes).unwrap();
    let damaged = cairn.run(["trial", "model", "leave", name, "--to", "damaged"]);
    assert!(damaged.code != Some(0) && !cairn.at("damaged").exists(), "{damaged}");
}

#[test]
fn a_model_that_is_too_large_fails_its_trial_in_one_line() {
    let cairn = Cairn::new();
    let trials = run(&cairn, "{maxBytes: 500Ki}");
    for trial in &trials {
        assert_eq!(trial["state"], "Failed");
        let message = trial["message"].as_str().unwrap();
        assert!(
            message
                .contains("CAIRN_MODEL_DIR holds 1000015 bytes, and spec.artifacts.maxBytes allows 512000"),
            "{message}"
        );
    }
}

#[test]
fn what_cannot_be_kept_so_is_refused_with_every_problem() {
    let cairn = Cairn::new();
    let wrong = "{store: models, keep: {best: 0}, maxBytes: much, secretRef: {name: k}}";
    cairn.write("experiment.yaml", EXPERIMENT.replace("ARTIFACTS", wrong));
    let refused = cairn.run(["run", "experiment.yaml"]);
    assert_eq!(refused.code, Some(2), "{refused}");
    for said in [
        "`models` is no store; write file:///folder",
        "keep.best (line 12): 0 must be above 0",
        "`much` is no number of bytes",
    ] {
        assert!(refused.stderr.contains(said), "{said}: {refused}");
    }
    cairn.write("experiment.yaml", EXPERIMENT.replace("ARTIFACTS", "{store: \"pvc://claim/x\"}"));
    let refused = cairn.run(["run", "experiment.yaml"]);
    assert!(refused.stderr.contains("volume claims are a cluster's"), "{refused}");
}

#[test]
fn a_bucket_keeps_models_and_lets_beaten_ones_go() {
    let bucket = Bucket::start().made();
    let cairn =
        bucket.variables().into_iter().fold(Cairn::new(), |cairn, (name, value)| cairn.with(name, value));
    // Large enough for several parts, of which none is as another.
    let large = EXPERIMENT.replace("head -c 1000000 /dev/zero", "seq 3000000 | head -c 20000000");
    let trials = run_as(&cairn, &large, "{store: \"s3://models/team\", keep: {best: 1}}");
    let best = of(&trials, "1");
    let name = best["name"].as_str().unwrap();
    let place = format!("team/default/leave/{name}/1/model");
    assert_eq!(best["model"]["uri"], format!("s3://models/{place}"));
    let keys = bucket.keys();
    assert!(keys.len() == 4 && keys.iter().all(|key| key.starts_with(&place)), "{keys:?}");
    assert_eq!(download(&cairn, best, "downloaded"), 20_000_000);
    // A bucket that is not there fails the trial with its name.
    let cairn =
        bucket.variables().into_iter().fold(Cairn::new(), |cairn, (name, value)| cairn.with(name, value));
    let trials = run(&cairn, "{store: \"s3://nowhere/x\"}");
    let message = trials[0]["message"].as_str().unwrap();
    assert!(message.contains("the model could not be kept: s3://nowhere/x/default"), "{message}");
}
