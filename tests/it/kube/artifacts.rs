//! What trials of a cluster leave: kept by their sidecars, and fetched again when their pods are gone.

use std::collections::BTreeMap;
use std::path::Path;

use e2e::{Bucket, Output, Running, until};
use serde_json::{Value, json};

use super::experiments::command;
use super::sidecars::{NODE, Watched, experiment, pod, stdout};

/// Leaves a model of two megabytes.
const LEAVE: &str = "(cd $CAIRN_MODEL_DIR; echo \"format: onnx\" > model.yaml; mkdir d; \
                     head -c 2000000 /dev/zero > d/w; echo loss=$X)";

/// Runs a command against the server of a story.
pub(super) fn ask(watched: &Watched, args: &[&str]) -> Output {
    let url = format!("http://{}", watched.address);
    let token = watched.story.cairn.at("token").display().to_string();
    let rest = ["-n", watched.story.namespace, "--server", &url, "--token-file", &token];
    Running::start(command(watched.story.cluster, &[args, &rest].concat())).end()
}

/// Downloads the model of an experiment's best trial, and looks at it; the model as it is shown.
fn download(watched: &Watched, experiment: &str) -> Value {
    let best = ask(watched, &["best", experiment, "-o", "json"]).ok().json();
    let (name, to) = (best["name"].as_str().unwrap(), watched.story.cairn.at(experiment));
    let folder = to.display().to_string();
    // The client compares every file with the manifest, and that with the digest.
    ask(watched, &["trial", "model", experiment, name, "--to", &folder]).ok();
    assert_eq!(to.join("d/w").metadata().unwrap().len(), 2_000_000);
    best["model"].clone()
}

/// Whether there is any file below a folder.
fn has_files(folder: &Path) -> bool {
    let paths = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    paths.into_iter().any(|path| !path.is_dir() || has_files(&path))
}

/// Makes a program one that the profile `restricted` lets in, of a user of its own.
fn restrict(experiment: &mut Value) {
    pod(experiment)["securityContext"] =
        json!({"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}});
    pod(experiment)["containers"][0]["securityContext"] =
        json!({"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}});
}

#[test]
fn a_model_outlives_its_pod_and_a_trial_goes_on_at_its_checkpoint() {
    let Some(watched) = Watched::begin("artifacts", 7707) else { return };
    let label = "pod-security.kubernetes.io/enforce=restricted";
    watched.story.kubectl(&["label", "namespace", watched.story.namespace, label]);
    let server = watched.serve_with(&["--artifacts", "cairn://", "--artifacts-quota", "3Mi"]);
    let mut story = experiment("model", 1, &stdout(), LEAVE);
    restrict(&mut story);
    story["spec"]["promotion"] = json!({"model": "digits"});
    watched.apply(&story);
    // It begins once, and what it has by then its next attempt finds.
    let script = "(if cat $CAIRN_CHECKPOINT_DIR/d/step; then echo loss=1; else mkdir $CAIRN_CHECKPOINT_DIR/d; \
                  echo 41 > $CAIRN_CHECKPOINT_DIR/d/step; echo loss=9; sleep 300; fi)";
    let mut goes_on = experiment("goes-on", 1, &stdout(), script);
    restrict(&mut goes_on);
    pod(&mut goes_on)["terminationGracePeriodSeconds"] = json!(15);
    watched.apply(&goes_on);
    // It is told to end, and has a word to say.
    let script = "sh -c 'trap \"echo 7 > $CAIRN_CHECKPOINT_DIR/step; exit 0\" TERM; echo loss=3; \
                  while :; do sleep 0.1; done'";
    let mut told = experiment("told", 1, &stdout(), script);
    restrict(&mut told);
    watched.apply(&told);

    let has_reported = |name: &str| {
        until("it has reported", || (!watched.rows(name).is_empty()).then_some(()));
        watched.story.items("trials").iter().find_map(|trial| {
            let name_of = trial["metadata"]["name"].as_str()?;
            name_of.starts_with(&format!("{name}-")).then(|| name_of.to_owned())
        })
    };
    let trial = has_reported("told").unwrap();
    // The cluster says that it runs a moment after its sidecar has.
    let of_told = format!("job-name={trial}");
    watched.story.kubectl(&["wait", "--for=condition=Ready", "pod", "-l", &of_told, "--timeout=120s"]);
    ask(&watched, &["trial", "stop", "told", &trial]).ok();
    has_reported("goes-on");
    watched.story.kubectl(&["delete", "job", "-l", "katib.kubeflow.org/experiment=goes-on", "--wait=false"]);

    watched.story.until_is("model", "Succeeded");
    let of_model = format!("job-name={}", has_reported("model").unwrap());
    watched.story.kubectl(&["wait", "--for=delete", "pod", "-l", &of_model, "--timeout=120s"]);
    let model = download(&watched, "model");
    let uri = model["uri"].as_str().unwrap();
    assert!(uri.starts_with("cairn:///artifacts/model/model-") && uri.ends_with("/1/model"), "{uri}");
    assert_eq!((&model["bytes"], &model["format"]), (&json!(2_000_013), &json!("onnx")));
    let name =
        ask(&watched, &["best", "model", "-o", "json"]).ok().json()["name"].as_str().unwrap().to_owned();
    let explained = ask(&watched, &["explain", "model", &name]).ok().stdout;
    assert!(explained.contains("its model of 2000013 bytes took "), "{explained}");
    // The controller reads it, though no pod is left, and makes it a version.
    let champion = until("it is the champion", || {
        let shown = ask(&watched, &["models", "get", "digits", "-o", "json"]);
        shown.stdout.contains(model["digest"].as_str()?).then_some(shown.stdout)
    });
    assert!(champion.contains("\"champion\""), "{champion}");

    watched.story.until_is("goes-on", "Succeeded");
    let best = ask(&watched, &["best", "goes-on", "-o", "json"]).ok().json();
    assert_eq!((&best["value"], &best["attempt"]), (&json!(1.0), &json!(2)), "{best} {}", server.stderr());

    // What it has written once it was told is kept before its pod is gone.
    let stopped = until("it is stopped", || {
        let trial = ask(&watched, &["trial", "get", "told", &trial, "-o", "json"]).ok().json();
        (trial["state"] == "Killed").then_some(trial)
    });
    assert_eq!(stopped["attempt"], 1, "{stopped}");
    let explained = ask(&watched, &["explain", "told", &trial]).ok().stdout;
    assert!(explained.contains("its checkpoint of 2 bytes took "), "{explained} {}", server.stderr());
    // Nobody goes on from there any more.
    let kept = |name: &str| has_files(&watched.story.cairn.at(format!("artifacts/artifacts/{name}")));
    until("checkpoints of ended trials are gone", || (!kept("told") && !kept("goes-on")).then_some(()));

    // There is no room for another.
    let mut beyond = experiment("beyond", 1, &stdout(), LEAVE);
    restrict(&mut beyond);
    watched.apply(&beyond);
    watched.story.until_is("beyond", "Failed");
    let trials = ask(&watched, &["trials", "beyond", "-o", "json"]).ok().json();
    let message = trials["items"][0]["message"].as_str().unwrap();
    assert!(
        message.contains("Cairn's own store holds ") && message.contains("of 3145728 bytes"),
        "{message}"
    );
}

#[test]
fn the_keys_of_a_bucket_are_in_a_secret_and_not_among_the_program_s_variables() {
    let Some(watched) = Watched::begin("artifacts-bucket", 7708) else { return };
    let cluster = watched.story.cluster;
    let bucket = Bucket::start_with(|python| cluster.enter(python), NODE, 7709);
    // As whoever runs the bucket does.
    let make = "import sys, urllib.request as u; u.urlopen(u.Request(sys.argv[1] + '/models', method='PUT'))";
    let python = e2e::python::with("bucket");
    assert!(cluster.enter(&python).args(["-c", make, &bucket.url]).status().unwrap().success());
    let variables = bucket.variables();
    let literals: Vec<String> =
        variables.iter().map(|(name, value)| format!("--from-literal={name}={value}")).collect();
    let literals = literals.iter().map(String::as_str);
    watched
        .story
        .kubectl(&["create", "secret", "generic", "keys"].into_iter().chain(literals).collect::<Vec<_>>());
    // The server fetches with an identity of its own.
    let server = watched.serve_as(&[], &variables);
    let script = LEAVE.replace("echo loss=$X", "test -z \"$AWS_ACCESS_KEY_ID\" && echo loss=$X");
    let mut story = experiment("bucket", 1, &stdout(), &script);
    story["spec"]["artifacts"] = json!({"store": "s3://models/team", "secretRef": {"name": "keys"}});
    watched.apply(&story);
    let done = watched.story.until_is("bucket", "Succeeded");
    assert_eq!(done["status"]["trialsSucceeded"], 1, "{}", server.stderr());
    let model = download(&watched, "bucket");
    assert!(
        model["uri"].as_str().unwrap().starts_with("s3://models/team/artifacts-bucket/bucket/"),
        "{model}"
    );
}

#[test]
fn who_waits_frees_its_pod_and_the_best_go_on_from_their_checkpoints() {
    let Some(watched) = Watched::begin("artifacts-asha", 7710) else { return };
    let server = watched.serve_with(&["--artifacts", "cairn://"]);
    // Nine epochs; told to end, it finishes the one that it is in.
    let script = "sh -c 'trap stop=1 TERM; e=0; D=$CAIRN_CHECKPOINT_DIR; test -e $D/e && read e < $D/e; \
                  while [ $e -lt 9 ]; do e=$((e+1)); sleep 0.4; echo \"epoch=$e loss=$X\"; echo $e > $D/e; \
                  test -z \"$stop\" || exit 0; done'";
    let mut story = experiment("asha", 4, &stdout(), script);
    restrict(&mut story);
    story["spec"]["parallelTrialCount"] = json!(2);
    story["spec"]["earlyStopping"] = json!({"algorithmName": "asha", "algorithmSettings": [
        {"name": "r_l", "value": "9"}, {"name": "r_min", "value": "3"}, {"name": "form", "value": "promote"},
    ]});
    watched.apply(&story);
    watched.story.until_is("asha", "Succeeded");
    let trials = ask(&watched, &["trials", "asha", "-o", "json"]).ok().json();
    let went_on = |trial: &Value| trial["attempt"].as_u64() > Some(1) && trial["state"] == "Succeeded";
    assert!(trials["items"].as_array().unwrap().iter().any(went_on), "{trials} {}", server.stderr());
    // Each trial has a loss of its own, and every epoch of it was run once.
    let mut epochs: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for (_, step, loss) in watched.rows("asha") {
        epochs.entry(loss).or_default().push(step);
    }
    assert_eq!(epochs.len(), 4, "{epochs:?}");
    for ran in epochs.values_mut() {
        ran.sort_unstable();
        assert!(ran.iter().copied().eq(1..=ran.len() as i64), "{epochs:?}");
    }
    assert!(epochs.values().any(|ran| ran.len() == 9), "{epochs:?}");
}

/// As Katib's own example has it: every trial is told the same path. There each finds what its parent has left, whose pod
/// is gone.
#[test]
fn the_children_of_a_population_find_the_checkpoints_of_their_parents() {
    let Some(watched) = Watched::begin("artifacts-pbt", 7712) else { return };
    let server = watched.serve_with(&["--artifacts", "cairn://"]);
    let script = "(cd /opt/katib/data; echo loss=$(cat x || echo 9); echo $X > x)";
    let mut story = experiment("pbt", 12, &stdout(), script);
    restrict(&mut story);
    story["spec"]["parallelTrialCount"] = json!(3);
    story["spec"]["resumePolicy"] = json!("FromVolume");
    story["spec"]["algorithm"] = json!({"algorithmName": "pbt", "algorithmSettings": [
        {"name": "suggestion_trial_dir", "value": "/opt/katib/data"}, {"name": "n_population", "value": "5"},
        {"name": "truncation_threshold", "value": "0.4"},
    ]});
    story["spec"]["parameters"][0]["feasibleSpace"]["step"] = json!("0.001");
    watched.apply(&story);
    watched.story.until_is("pbt", "Succeeded");
    let trials = ask(&watched, &["trials", "pbt", "-o", "json"]).ok().json();
    let trials = trials["items"].as_array().unwrap();
    let of = |idx: &Value| trials.iter().find(|trial| trial["idx"] == *idx).unwrap();
    let mut children = 0;
    for trial in trials {
        assert_eq!(trial["state"], "Succeeded", "{trial} {}", server.stderr());
        let parent = &trial["parent"];
        let found = if parent.is_null() { "9" } else { of(parent)["parameters"]["x"].as_str().unwrap() };
        assert_eq!(trial["value"].as_f64(), found.parse().ok(), "{trial} of {trials:?}");
        children += usize::from(!parent.is_null());
    }
    assert_eq!((trials.len(), children), (12, 7), "all but the first turns");
    let left = watched.story.cairn.at(format!("artifacts/{}/pbt", watched.story.namespace));
    until("only the newest turns of the five members keep checkpoints, and the best trial", || {
        let trials = std::fs::read_dir(&left).into_iter().flatten().flatten();
        let kept = trials.filter(|trial| has_files(&trial.path())).count();
        (5..=6).contains(&kept).then_some(())
    });
}
