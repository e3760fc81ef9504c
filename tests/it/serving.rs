//! From the champion of a model to a server that answers, and from one version to the next under requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

use e2e::http::{Answer, ask};
use e2e::{Cairn, until};
use serde_json::{Value, json};

/// The server of the quick start.
pub(crate) const OWN: &str = r#"
      template: custom
      process: {command: [digits, serve, "--port=${port}", "--model=${model.path}", "--name=${model.name}"]}"#;
/// A ladder that does not take long.
const LADDER: &str = r"
      canary: [25, 100]
      bake: 500ms
      minRequests: 60
      guards: [{errorRate: {worseBy: 0.01}}, {latencyP95: {worseBy: 400%}}]";

/// A search that trains one network and promotes it. `after` is done to what it has left.
pub(crate) fn experiment(name: &str, hidden: u32, after: &str, serving: &str) -> String {
    format!(
        r#"
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {{name: {name}}}
spec:
  objective: {{type: maximize, objectiveMetricName: accuracy}}
  algorithm: {{algorithmName: grid}}
  parameters:
    - {{name: hidden, parameterType: discrete, feasibleSpace: {{list: ["{hidden}"]}}}}
  parallelTrialCount: 1
  maxTrialCount: 1
  trialTemplate:
    trialParameters: [{{name: hidden, reference: hidden}}]
    trialSpec:
      apiVersion: cairn.dev/v1
      kind: Process
      command: [sh, -ec]
      args:
        - |
          digits --hidden=${{trialParameters.hidden}} --epochs=2
          cd $CAIRN_MODEL_DIR
          {after}
  promotion:
    model: digits
    serving:{serving}
"#
    )
}

/// A folder whose router takes any port.
pub(crate) fn prepared() -> Cairn {
    Cairn::new().with("USER", "ada").with("CAIRN_ROUTER", "127.0.0.1:0")
}

/// Searches, and promotes what was found.
pub(crate) fn run(cairn: &Cairn, name: &str, hidden: u32, after: &str, serving: &str) -> e2e::Output {
    let file = format!("{name}.yaml");
    cairn.write(&file, experiment(name, hidden, after, serving));
    cairn.run(["run", &file])
}

pub(crate) fn model(cairn: &Cairn) -> Value {
    cairn.run(["models", "get", "digits", "-o", "json"]).ok().json()
}

pub(crate) fn newest(cairn: &Cairn) -> Value {
    cairn.run(["promotion", "get", "digits", "-o", "json"]).ok().json()
}

/// Host and path of the model's address.
pub(crate) fn address(cairn: &Cairn) -> (String, String) {
    let url = model(cairn)["url"].as_str().expect("it is served").to_owned();
    let end = url[7..].find('/').unwrap() + 7;
    (url[..end].to_owned(), format!("{}/infer", &url[end..]))
}

/// A request for an image that is white but for the first pixels, which are this bright.
pub(crate) fn image(corner: f64) -> String {
    let mut pixels = [0.0; 64];
    pixels[..2].fill(corner);
    json!({"inputs": [{"name": "pixels", "datatype": "FP64", "shape": [1, 64], "data": pixels.to_vec()}]})
        .to_string()
}

pub(crate) fn infer((host, path): &(String, String), corner: f64) -> Answer {
    ask(host, "POST", path, &[("content-type", "application/json")], &image(corner))
}

/// Requests, one after the other, as long as this lives.
pub(crate) struct Traffic {
    stop: Arc<AtomicBool>,
    pub(crate) answered: Arc<AtomicU64>,
    failed: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Traffic {
    pub(crate) fn to(address: &(String, String), corner: f64) -> Self {
        let (stop, answered, failed) = (Arc::default(), Arc::default(), Arc::default());
        let mut traffic = Self { stop, answered, failed, threads: Vec::new() };
        for _ in 0..2 {
            let (stop, answered, failed) =
                (Arc::clone(&traffic.stop), Arc::clone(&traffic.answered), Arc::clone(&traffic.failed));
            let address = address.clone();
            traffic.threads.push(std::thread::spawn(move || {
                while !stop.load(Relaxed) {
                    let well = infer(&address, corner).status == 200;
                    (if well { &answered } else { &failed }).fetch_add(1, Relaxed);
                    std::thread::sleep(std::time::Duration::from_millis(4));
                }
            }));
        }
        traffic
    }

    /// Ends it: how many were answered, and how many failed.
    pub(crate) fn end(mut self) -> (u64, u64) {
        self.stop.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("every request has an answer");
        }
        (self.answered.load(Relaxed), self.failed.load(Relaxed))
    }
}

/// How many servers and routers were ever started: a folder each.
pub(crate) fn started(cairn: &Cairn, whose: &str) -> usize {
    let attempts = |dir: std::fs::DirEntry| {
        let entries = std::fs::read_dir(dir.path()).into_iter().flatten().flatten();
        entries.filter(|entry| entry.path().join("started.json").exists()).count()
    };
    let all = std::fs::read_dir(cairn.at(".cairn/trials").join(whose)).into_iter().flatten().flatten();
    all.map(attempts).sum()
}

#[test]
fn a_winner_is_served_and_the_next_takes_over_its_requests_one_share_after_the_other() {
    let cairn = prepared();
    let first = run(&cairn, "first", 8, "", &format!("{OWN}{LADDER}")).ok();
    assert!(first.stdout.contains("version 1 is the champion"), "{first}");
    assert!(first.stdout.contains("it answers the sample as expected: 11 values"), "{first}");
    let address = address(&cairn);
    let answer = infer(&address, 0.0);
    assert_eq!(
        (answer.status, answer.json()["outputs"][1]["name"].as_str()),
        (200, Some("digit")),
        "{answer:?}"
    );
    let unknown = ask(&address.0, "GET", "/v2/models/letters", &[], "");
    assert_eq!((unknown.status, unknown.body.contains("no model is served")), (404, true), "{unknown:?}");
    // The second, under requests of which none fails.
    let traffic = Traffic::to(&address, 0.0);
    let second = run(&cairn, "second", 24, "", &format!("{OWN}{LADDER}")).ok();
    assert!(second.stdout.contains("version 2 is the champion in place of version 1"), "{second}");
    assert!(second.stderr.contains("25 % of the requests go to it"), "{second}");
    assert_eq!(address, self::address(&cairn), "the address stays");
    let servers = model(&cairn)["servers"].clone();
    assert_eq!((&servers[0]["weight"], &servers[0]["version"]), (&json!(100), &json!(2)), "{servers}");
    assert!(servers[1]["warmUntil"].is_string(), "{servers}");
    // Back without a start, since the first is still warm.
    let back = cairn.run(["promotion", "rollback", "digits"]).ok();
    assert!(back.stdout.contains("version 1 is the champion in place of version 2"), "{back}");
    assert_eq!(started(&cairn, "serving-default-digits"), 2);
    let (answered, failed) = traffic.end();
    assert!(answered > 100 && failed == 0, "{answered} answered, {failed} failed");
    let lineage = cairn.run(["lineage", "digits"]).ok();
    assert!(lineage.stdout.contains("served: 25, 100 % from"), "{lineage}");
    let shown = cairn.run(["models", "get", "digits"]).ok();
    assert!(shown.stdout.contains("/v2/models/digits/infer") && shown.stdout.contains("100 %"), "{shown}");
    let page = ask(&address.0, "GET", "/metrics", &[], "").body;
    assert!(page.contains("cairn_router_requests_total{namespace=\"default\",model=\"digits\""), "{page}");
}

#[test]
fn a_candidate_that_fails_under_requests_is_sent_back() {
    let cairn = prepared();
    run(&cairn, "first", 8, "", &format!("{OWN}{LADDER}")).ok();
    let address = address(&cairn);
    // Its sample is answered as ever; only images with a dark corner overflow.
    let poison = r#"sed -i 's/"first":\[[^,]*,[^,]*/"first":[1e308,1e308/' network.json"#;
    let traffic = Traffic::to(&address, 16.0);
    let bad = run(&cairn, "bad", 24, poison, &format!("{OWN}{LADDER}"));
    assert_eq!(bad.code, Some(3), "{bad}");
    let promotion = newest(&cairn);
    assert_eq!(promotion["state"], "rolledBack", "{promotion}");
    assert!(promotion["message"].as_str().unwrap().starts_with("errorRate: "), "{promotion}");
    let (answered, failed) = traffic.end();
    assert!(failed > 0 && answered > failed, "{answered} answered, {failed} failed");
    let model = model(&cairn);
    assert_eq!((&model["champion"], model["servers"].as_array().unwrap().len()), (&json!(1), 1), "{model}");
    assert_eq!(infer(&address, 16.0).status, 200);
    let audit = cairn.run(["audit", "list"]).ok();
    assert!(audit.stdout.contains("rollingBack") && audit.stdout.contains("rolledBack"), "{audit}");
}

#[test]
fn requests_are_answered_while_the_controller_is_killed_and_nothing_is_done_twice() {
    let cairn = prepared();
    let (mut server, url) = cairn.serve(&[]);
    let submit = |name: &str, hidden: u32, serving: &str| {
        let file = format!("{name}.yaml");
        cairn.write(&file, experiment(name, hidden, "", serving));
        cairn.run(["submit", &file, "--server", &url]).ok();
    };
    let slow = LADDER.replace("minRequests: 60", "minRequests: 400");
    submit("first", 8, &format!("{OWN}{slow}"));
    until("it is served", || {
        let model = cairn.run(["models", "get", "digits", "-o", "json"]);
        (model.code == Some(0)).then_some(())
    });
    let address = address(&cairn);
    let traffic = Traffic::to(&address, 0.0);
    submit("second", 24, &format!("{OWN}{slow}"));
    until("it gets requests", || {
        let promotion = newest(&cairn);
        (promotion["rollout"]["requests"].as_u64() > Some(0)).then_some(())
    });
    server.kill();
    let before = traffic.answered.load(Relaxed);
    until("requests go on", || (traffic.answered.load(Relaxed) > before + 50).then_some(()));
    let promotion = newest(&cairn);
    assert_eq!(
        (&promotion["state"], &promotion["waitsFor"]),
        (&json!("waiting"), &json!("bake")),
        "{promotion}"
    );
    let (_again, _) = cairn.serve(&[]);
    until("it is the champion", || (model(&cairn)["champion"] == 2).then_some(()));
    let (answered, failed) = traffic.end();
    assert!(answered > 400 && failed == 0, "{answered} answered, {failed} failed");
    assert_eq!((started(&cairn, "serving-default-digits"), started(&cairn, "router")), (2, 1));
    assert_eq!(newest(&cairn)["number"], 2);
    // A server that dies is started again, and so is the router.
    for whose in ["serving-default-digits", "router"] {
        let before = started(&cairn, whose);
        kill_newest(&cairn, whose);
        until("another has begun", || (started(&cairn, whose) > before).then_some(()));
        until("requests are answered", || {
            let reached = std::net::TcpStream::connect(&address.0[7..]).is_ok();
            (reached && infer(&address, 0.0).status == 200).then_some(())
        });
    }
}

#[test]
fn a_promotion_that_waits_for_its_turn_hears_what_is_wished() {
    let cairn = prepared();
    let (_server, url) = cairn.serve(&[]);
    let long = LADDER.replace("bake: 500ms", "bake: 10m");
    let state = |number: u32| {
        let shown = cairn.run(["promotion", "get", &format!("digits/{number}"), "-o", "json"]);
        if shown.code == Some(0) { shown.json()["state"].clone() } else { Value::Null }
    };
    for (number, name, is) in [(1, "first", "succeeded"), (2, "second", "waiting"), (3, "third", "waiting")] {
        let file = format!("{name}.yaml");
        cairn.write(&file, experiment(name, 8 * number, "", &format!("{OWN}{long}")));
        cairn.run(["submit", &file, "--server", &url]).ok();
        until("it is as far", || (state(number) == is).then_some(()));
    }
    // The second bakes, and has the lease of the model.
    cairn.run(["promotion", "cancel", "digits/3", "--reason", "not now"]).ok();
    until("the third is cancelled", || (state(3) == "cancelled").then_some(()));
    assert_eq!(state(2), "waiting");
    cairn.run(["promotion", "cancel", "digits/2", "--reason", "nor this"]).ok();
    until("the second is sent back", || (state(2) == "rolledBack").then_some(()));
}

/// Kills the process of the newest run that is there.
fn kill_newest(cairn: &Cairn, whose: &str) {
    let main = model(cairn)["servers"][0]["name"].as_str().unwrap().to_owned();
    let folder = cairn.at(".cairn/trials").join(whose).join(if whose == "router" { "router" } else { &main });
    let runs = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let newest = runs.filter(|path| !path.join("exit.json").exists() && path.join("started.json").exists());
    let newest = newest.max().unwrap().join("started.json");
    let started: Value = serde_json::from_slice(&std::fs::read(newest).unwrap()).unwrap();
    let pid = i32::try_from(started["child"]["pid"].as_i64().unwrap()).unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn servers_that_are_not_ready_or_answer_wrongly_get_no_request() {
    let cairn = prepared();
    run(&cairn, "first", 8, "", &format!("{OWN}{LADDER}")).ok();
    let address = address(&cairn);
    let custom = |script: &str| {
        format!(
            "\n      template: custom\n      readyWithin: 2s\n      process: {{command: [sh, -c, '{script}', x, '${{port}}', '${{model.path}}']}}"
        )
    };
    let told = |name: &str, after: &str, serving: &str, wanted: &str| {
        let output = run(&cairn, name, 24, after, serving);
        assert_eq!(output.code, Some(3), "{output}");
        let promotion = newest(&cairn);
        assert_eq!(promotion["state"], "failed", "{promotion}");
        assert!(promotion["message"].as_str().unwrap().contains(wanted), "{promotion}");
    };
    let never = custom("echo loading $2; exec sleep 600");
    told("never", "", &never, "its server was not ready within 2.0s; it said last: loading /");
    told(
        "dies",
        "",
        &custom("echo no memory; exit 3"),
        "its server has ended: exit code 3; it said last: no memory",
    );
    let wrong = r#"sed -i 's/"INT64","shape":\[1\],"data":\[/&4/' expected.json"#;
    told("wrong", wrong, OWN, "its server answers the sample wrongly: output `digit` has");
    let model = model(&cairn);
    assert_eq!((&model["champion"], model["servers"].as_array().unwrap().len()), (&json!(1), 1), "{model}");
    assert_eq!(infer(&address, 0.0).status, 200);
}

/// A copy of each request until sixty were compared.
const SHADOW: &str = r"
      mode: shadow
      minRequests: 60
      guards: [{errorRate: {worseBy: 0.01}}, {disagreement: {worseBy: 0.05}}]";

#[test]
fn a_shadow_answers_to_nobody_and_is_promoted_only_if_it_agrees() {
    let cairn = prepared();
    run(&cairn, "first", 8, "", &format!("{OWN}{SHADOW}")).ok();
    let address = address(&cairn);
    let first = infer(&address, 0.0).header("x-cairn-version").unwrap().to_owned();
    let traffic = Traffic::to(&address, 0.0);
    // Another network has other probabilities, and no request but copies ever.
    let other = run(&cairn, "other", 24, "", &format!("{OWN}{SHADOW}"));
    assert_eq!(other.code, Some(3), "{other}");
    let audit = cairn.run(["audit", "list"]).ok();
    assert!(audit.stdout.contains("it gets a copy of each request"), "{audit}");
    let promotion = newest(&cairn);
    assert_eq!((&promotion["state"], &promotion["rollout"]["weight"]), (&json!("failed"), &json!(0)));
    assert!(promotion["message"].as_str().unwrap().starts_with("disagreement: 100.00 %"), "{promotion}");
    assert_eq!(infer(&address, 0.0).header("x-cairn-version"), Some(first.as_str()));
    let page = ask(&address.0, "GET", "/metrics", &[], "").body;
    let name = promotion["rollout"]["server"].as_str().unwrap();
    let line = |what: &str| {
        let labels = format!("{{namespace=\"default\",model=\"digits\",version=\"{name}\"}} ");
        let found = page.lines().find_map(|line| line.strip_prefix(&format!("{what}{labels}")));
        found.and_then(|value| value.parse::<u64>().ok())
    };
    assert!(line("cairn_router_shadow_compared_total") > Some(0), "{page}");
    assert!(line("cairn_router_requests_total").unwrap_or(0) == 0, "{page}");
    // The same network under another digest agrees.
    let same = run(&cairn, "same", 8, "echo same > note.txt", &format!("{OWN}{SHADOW}")).ok();
    assert!(same.stdout.contains("version 2 is the champion in place of version 1"), "{same}");
    let rollout = newest(&cairn)["rollout"].clone();
    assert!(rollout["compared"].as_u64() >= Some(60) && rollout["disagreed"] == 0, "{rollout}");
    let (answered, failed) = traffic.end();
    assert!(answered > 100 && failed == 0, "{answered} answered, {failed} failed");
}

#[test]
fn all_requests_move_at_once_and_back_if_the_new_version_fails_more_than_the_old_has() {
    let cairn = prepared();
    let blue = "\n      mode: blueGreen\n      bake: 500ms\n      minRequests: 60\n      guards: [{errorRate: {worseBy: 0.01}}]";
    run(&cairn, "first", 8, "", &format!("{OWN}{blue}")).ok();
    let address = address(&cairn);
    let traffic = Traffic::to(&address, 16.0);
    let second = run(&cairn, "second", 24, "", &format!("{OWN}{blue}")).ok();
    assert!(second.stderr.contains("100 % of the requests go to it, for at least"), "{second}");
    assert!(second.stdout.contains("version 2 is the champion in place of version 1"), "{second}");
    assert!(model(&cairn)["servers"][1]["warmUntil"].is_string(), "the version before stays warm");
    assert_eq!(traffic.failed.load(Relaxed), 0);
    let poison = r#"sed -i 's/"first":\[[^,]*,[^,]*/"first":[1e308,1e308/' network.json"#;
    let bad = run(&cairn, "bad", 16, poison, &format!("{OWN}{blue}"));
    assert_eq!(bad.code, Some(3), "{bad}");
    let promotion = newest(&cairn);
    assert_eq!(promotion["state"], "rolledBack", "{promotion}");
    assert!(promotion["message"].as_str().unwrap().starts_with("errorRate: "), "{promotion}");
    assert_eq!((model(&cairn)["champion"].clone(), infer(&address, 16.0).status), (json!(2), 200));
    traffic.end();
}

#[test]
fn a_split_stands_for_each_user_until_a_person_ends_it() {
    let cairn = prepared();
    let ab = "\n      mode: ab\n      share: 50\n      sticky: x-user\n      guards: [{errorRate: {worseBy: 0.01}}]";
    run(&cairn, "first", 8, "", &format!("{OWN}{ab}")).ok();
    let address = address(&cairn);
    cairn.write("second.yaml", experiment("second", 24, "", &format!("{OWN}{ab}")));
    let second = cairn.start(["run", "second.yaml"]);
    until("it gets requests", || (newest(&cairn)["rollout"]["phase"] == "canary").then_some(()));
    let of_user = |user: usize| {
        let user = format!("user-{user}");
        let headers = [("content-type", "application/json"), ("x-user", user.as_str())];
        let answer = ask(&address.0, "POST", &address.1, &headers, &image(0.0));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.header("x-cairn-version").unwrap().to_owned()
    };
    let split = || (0..40).map(of_user).collect::<Vec<_>>();
    until("both answer", || {
        let versions = split();
        versions.iter().any(|version| *version != versions[0]).then_some(())
    });
    // In the round before, the router may have heard of the split after its first users.
    let versions = split();
    assert!(versions.iter().any(|version| *version != versions[0]), "{versions:?}");
    assert_eq!(versions, split(), "every user stays with their version");
    let promotion = newest(&cairn);
    assert_eq!((&promotion["state"], &promotion["waitsFor"]), (&json!("waiting"), &json!("bake")));
    let finished = cairn.run(["promotion", "finish", "digits", "--reason", "it sells more"]).ok();
    assert!(finished.stdout.contains("version 2 is the champion in place of version 1"), "{finished}");
    second.end().ok();
    assert!(split().iter().all(|version| *version == of_user(0)), "all go to the new version");
    let audit = cairn.run(["audit", "list"]).ok();
    assert!(audit.stdout.contains("finished") && audit.stdout.contains("it sells more"), "{audit}");
    let again = cairn.run(["promotion", "finish", "digits"]);
    assert!(again.code != Some(0) && again.stderr.contains("is succeeded already"), "{again}");
}

#[test]
fn a_model_that_is_stopped_says_so_and_is_served_again_at_the_same_address() {
    let cairn = prepared();
    run(&cairn, "first", 8, "", OWN).ok();
    let address = address(&cairn);
    let stopped = cairn.run(["models", "stop", "digits", "--reason", "closed"]).ok();
    assert!(stopped.stderr.contains("version 1 stays its champion"), "{stopped}");
    let answer = infer(&address, 0.0);
    assert_eq!(answer.status, 503, "{answer:?}");
    assert!(answer.body.contains("no version of model `digits` is served now"), "{answer:?}");
    let shown = model(&cairn);
    assert_eq!((&shown["champion"], shown["url"].is_null()), (&json!(1), true), "{shown}");
    assert_eq!((&shown["servers"], shown["versions"][0]["served"][0]["to"].is_string()), (&json!([]), true));
    let again = cairn.run(["models", "stop", "digits"]);
    assert!(again.code != Some(0) && again.stderr.contains("model `digits` is not served"), "{again}");
    let started = cairn.run(["models", "start", "digits"]).ok();
    assert!(started.stdout.contains("version 1 is the champion"), "{started}");
    assert_eq!((address.clone(), infer(&address, 0.0).status), (self::address(&cairn), 200));
    cairn.run(["models", "stop", "digits"]).ok();
    run(&cairn, "second", 24, "", OWN).ok();
    assert_eq!((model(&cairn)["champion"].clone(), infer(&address, 0.0).status), (json!(2), 200));
    let audit = cairn.run(["audit", "list"]).ok();
    assert!(audit.stdout.contains("stopped") && audit.stdout.contains("closed"), "{audit}");
}

/// Trains a classifier of scikit-learn, and leaves what MLServer wants.
const SKLEARN: &str = r#"
import json, os, joblib
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
pixels, digits = load_digits(return_X_y=True)
model = LogisticRegression(C=float(os.environ["STRENGTH"]), max_iter=200).fit(pixels[:1000], digits[:1000])
print(f"accuracy={model.score(pixels[1000:], digits[1000:])}")
folder = os.environ["CAIRN_MODEL_DIR"]
joblib.dump(model, f"{folder}/model.joblib")
def write(name, value):
    with open(f"{folder}/{name}", "w") as file:
        file.write(value if isinstance(value, str) else json.dumps(value))
data = {"name": "x", "shape": [2, 64], "datatype": "FP64", "data": pixels[:2].ravel().tolist()}
write("sample.json", {"inputs": [data]})
answer = {"name": "predict", "shape": [2], "datatype": "INT64", "data": model.predict(pixels[:2]).tolist()}
write("expected.json", {"outputs": [answer]})
write("model.yaml", "format: sklearn\nsample: sample.json\nexpected: expected.json\n")
"#;

#[test]
fn mlserver_serves_what_scikit_learn_has_left() {
    let cairn = prepared().with_python(&e2e::python::with("serving"));
    cairn.write("train.py", SKLEARN);
    let serving = "\n      template: mlserver\n      readyWithin: 2m";
    let text = experiment("sklearn", 1, "", serving)
        .replace("digits --hidden=${trialParameters.hidden} --epochs=2", "python3 train.py")
        .replace(
            "      command: [sh, -ec]",
            "      env: {STRENGTH: \"${trialParameters.hidden}\"}\n      command: [sh, -ec]",
        );
    cairn.write("sklearn.yaml", text);
    let output = cairn.start(["run", "sklearn.yaml"]).end_within(std::time::Duration::from_mins(4)).ok();
    assert!(output.stdout.contains("it answers the sample as expected: 2 values"), "{output}");
    assert!(output.stdout.contains("model.joblib is a pickle"), "{output}");
    let address = address(&cairn);
    let answer = infer(&address, 0.0);
    assert_eq!((answer.status, &answer.json()["model_name"]), (200, &json!("digits")), "{answer:?}");
    // The same over gRPC, at the same address.
    let called = crate::router::python(&cairn, CALLS, &address.0[7..]);
    let (version, rest) = called.split_once(' ').unwrap();
    assert_eq!(answer.header("x-cairn-version"), Some(version), "{called}");
    assert_eq!(
        rest,
        "digits predict\nTrue True\nNOT_FOUND no model `letters` is served in namespace `default`\n"
    );
}

/// Asks about a white image over gRPC, then for a model that is not there.
const CALLS: &str = r#"
import sys, grpc
from mlserver.grpc import dataplane_pb2 as pb, dataplane_pb2_grpc as dataplane
stub = dataplane.GRPCInferenceServiceStub(grpc.insecure_channel(sys.argv[1]))
contents = pb.InferTensorContents(fp64_contents=[0.0] * 64)
image = pb.ModelInferRequest.InferInputTensor(name="x", datatype="FP64", shape=[1, 64], contents=contents)
answer, call = stub.ModelInfer.with_call(pb.ModelInferRequest(model_name="digits", inputs=[image]), timeout=30)
print(dict(call.initial_metadata())["x-cairn-version"], answer.model_name, answer.outputs[0].name)
ready = stub.ModelReady(pb.ModelReadyRequest(name="digits"), timeout=30).ready
print(ready, stub.ServerLive(pb.ServerLiveRequest(), timeout=30).live)
try:
    stub.ModelInfer(pb.ModelInferRequest(model_name="letters", inputs=[image]), timeout=30)
except grpc.RpcError as error:
    print(error.code().name, error.details())
"#;

#[test]
fn what_is_wrong_with_serving_is_said_at_once() {
    let cairn = Cairn::new();
    let serving = r"
      template: torch
      canary: [5, 5, 50]
      bake: soon
      sticky: 'no header'
      guards: [{errorRate: {}}, {latencyP95: {worseBy: 0.2}}, {quality: {worseBy: 0.1}}, {}]";
    cairn.write("wrong.yaml", experiment("wrong", 8, "", serving));
    let output = cairn.run(["validate", "wrong.yaml"]);
    assert_eq!(output.code, Some(2), "{output}");
    for word in [
        "`torch` is no server",
        "every share has to be larger than the one before",
        "`soon` is no duration",
        "`no header` is no name of a header",
        "spec.promotion.serving.guards[0].errorRate.worseBy",
        "0.2 says no share of the champion's latency",
        "labels have no requests to be joined with",
        "a guard is one of errorRate, latencyP95, quality and disagreement",
    ] {
        assert!(output.stderr.contains(word), "{word}: {output}");
    }
    for (serving, words) in [
        ("mode: green", vec!["`green` is no mode", "canary, shadow, blueGreen, ab"]),
        ("mode: ab\n      share: 100", vec!["between 1 and 99 percent", "which requests are of one user"]),
        (
            "mode: shadow\n      share: 5",
            vec!["it belongs to the mode `ab` alone", "how many copies are enough"],
        ),
        (
            "mode: blueGreen\n      canary: [5, 100]\n      guards: [{disagreement: {worseBy: 0.1}}]",
            vec![
                "`canary` and `shadow` alone",
                "how long they look on",
                "no copies whose answers could be compared",
            ],
        ),
    ] {
        let serving = format!("{OWN}\n      {serving}");
        cairn.write("mode.yaml", experiment("mode", 8, "", &serving));
        let output = cairn.run(["validate", "mode.yaml"]);
        for word in words {
            assert!(output.stderr.contains(word), "{word}: {output}");
        }
    }
    let custom = "\n      template: custom\n      process: {command: [./serve]}\n      canary: [5, 50]";
    cairn.write("custom.yaml", experiment("custom", 8, "", custom));
    let output = cairn.run(["validate", "custom.yaml"]);
    for word in ["which port to serve on", "which model to serve", "it does not end at 100"] {
        assert!(output.stderr.contains(word), "{word}: {output}");
    }
}
