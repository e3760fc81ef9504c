//! What a cluster asks Cairn before it stores something, and what its pods say to it over TLS. Cairn looks at all
//! namespaces of a cluster of its own, so these stories have their turns.

use std::io::Write as _;
use std::process::{Output, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use e2e::{Cairn, Cluster, Running, until};
use serde_json::{Value, json};

use super::experiments::{command, conditions};

/// The node's own address, at which a program beside the cluster is reached by pods.
pub(super) const NODE: &str = "192.0.2.129";
/// Cairn's own namespace.
const HOME: &str = "cairn-system";
/// The image of the sidecar.
pub(super) const IMAGE: &str = "local/cairn-sidecar:1";

/// A turn.
pub(super) struct Story {
    pub(super) cluster: &'static Cluster,
    pub(super) cairn: Cairn,
    _turn: MutexGuard<'static, ()>,
}

impl Story {
    pub(super) fn begin() -> Option<Self> {
        static TURNS: Mutex<()> = Mutex::new(());
        static INSTALLED: OnceLock<()> = OnceLock::new();
        let turn = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
        let cluster = Cluster::of_one_cairn()?;
        INSTALLED.get_or_init(|| {
            Running::start(command(cluster, &["install", "--crds"])).end().ok();
            cluster.namespace(HOME);
            cluster.image_of(IMAGE, &e2e::cairn::binary().with_file_name("cairn-sidecar"));
        });
        // Each has a store of its own, which would be older than that of the one before.
        cluster.kubectl(&["delete", "lease", "cairn", "-n", HOME, "--ignore-not-found"]);
        Some(Self { cluster, cairn: Cairn::new(), _turn: turn })
    }

    /// Starts the server, and waits until the cluster asks it.
    pub(super) fn serve(&self) -> Running {
        let (hooks, observe) = (format!("{NODE}:8443"), format!("{NODE}:6790"));
        let (hooks_url, observe_url) = (format!("https://{hooks}"), format!("https://{observe}"));
        let doors = ["--webhook-listen", &hooks, "--webhook-url", &hooks_url];
        let sidecars =
            ["--sidecar-image", IMAGE, "--observe-listen", &observe, "--observe-url", &observe_url];
        let server = self.serve_with(&[&doors[..], &sidecars].concat());
        let tried = ["apply", "-n", "default", "--dry-run=server", "-f", "-"];
        until("the cluster asks it", || {
            let output = self.given(&tried, &broken());
            String::from_utf8_lossy(&output.stderr).contains("is not valid").then_some(())
        });
        server
    }

    /// Starts the server with these doors.
    pub(super) fn serve_with(&self, doors: &[&str]) -> Running {
        let dir = self.cairn.path().display().to_string();
        let args =
            ["serve", "--kubernetes", "--own-namespace", HOME, "--dir", &dir, "--listen", "127.0.0.1:0"];
        let mut run = command(self.cluster, &[&args[..], doors].concat());
        run.env("CAIRN_LOG", "info");
        let server = Running::start(run);
        server.said("serving on ");
        server
    }

    pub(super) fn get(&self, namespace: &str, what: &str) -> Value {
        serde_json::from_str(&self.cluster.kubectl(&["-n", namespace, "get", what, "-o", "json"])).unwrap()
    }

    /// Puts Cairn's kinds there again.
    pub(super) fn install(&self) {
        Running::start(command(self.cluster, &["install", "--crds"])).end().ok();
    }

    /// How many trials of an experiment run.
    pub(super) fn running(&self, namespace: &str, experiment: &str) -> u64 {
        let experiment = self.get(namespace, &format!("experiment/{experiment}"));
        experiment["status"]["trialsRunning"].as_u64().unwrap_or(0)
    }

    pub(super) fn given(&self, args: &[&str], input: &Value) -> Output {
        let mut kubectl = self.cluster.enter("kubectl");
        kubectl.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = kubectl.spawn().unwrap();
        // Not everything reads it.
        running.stdin.take().unwrap().write_all(input.to_string().as_bytes()).ok();
        running.wait_with_output().unwrap()
    }

    /// What kubectl says to standard error where it is refused.
    fn refused(&self, args: &[&str], input: &Value) -> String {
        let output = self.given(args, input);
        assert!(!output.status.success(), "it is refused: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    fn secret(&self, word: &str) -> String {
        let template = format!("go-template={{{{index .data {word:?} | base64decode}}}}");
        self.cluster.kubectl(&["-n", HOME, "get", "secret/cairn-certificates", "-o", &template])
    }
}

/// An experiment that is held, so that nothing runs.
fn experiment(name: &str) -> Value {
    json!({
        "apiVersion": "kubeflow.org/v1beta1",
        "kind": "Experiment",
        "metadata": {"name": name},
        "spec": {
            "suspend": true,
            "objective": {"type": "minimize", "objectiveMetricName": "loss"},
            "algorithm": {"algorithmName": "random"},
            "parameters": [{"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "1"}}],
            "maxTrialCount": 3,
            "trialTemplate": {
                "primaryContainerName": "main",
                "trialParameters": [{"name": "x", "reference": "x"}],
                "trialSpec": {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": {
                    "restartPolicy": "Never",
                    "containers": [{"name": "main", "image": "local/busybox:1", "command": ["sh", "-c", "echo loss=${trialParameters.x}"]}],
                }}}},
            },
        },
    })
}

/// One with mistakes of every sort.
pub(super) fn broken() -> Value {
    let mut broken = experiment("broken");
    let spaces = [json!({"min": "2", "max": "1"}), json!({"min": "low", "max": "1"})];
    for (name, space) in ["wide", "odd"].into_iter().zip(spaces) {
        let parameter = json!({"name": name, "parameterType": "double", "feasibleSpace": space});
        broken["spec"]["parameters"].as_array_mut().unwrap().push(parameter);
    }
    broken["spec"]["parameterConstraints"] = json!(["x <"]);
    broken["spec"]["maxTrialCount"] = json!(-1);
    broken["spec"]["algorithm"]["algorithmName"] = json!("nonsense");
    broken["spec"]["trialTemplate"]["trialParameters"][0]["reference"] = json!("y");
    broken
}

/// A kind that nobody has heard of.
pub(super) fn things() -> Value {
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "things.example.com"},
        "spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"kind": "Thing", "plural": "things", "singular": "thing", "listKind": "ThingList"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema}],
        },
    })
}

/// An experiment of one trial, which is such a thing; it ends when somebody says so.
pub(super) fn of_things(name: &str) -> Value {
    let mut wanted = experiment(name);
    wanted["spec"]["suspend"] = json!(false);
    wanted["spec"]["maxTrialCount"] = json!(1);
    wanted["spec"]["parallelTrialCount"] = json!(1);
    let template = &mut wanted["spec"]["trialTemplate"];
    let condition = |kind: &str| format!("status.conditions.#(type==\"{kind}\")#|#(status==\"True\")#");
    template["successCondition"] = json!(condition("Done"));
    template["failureCondition"] = json!(condition("Failed"));
    template["trialSpec"] =
        json!({"apiVersion": "example.com/v1", "kind": "Thing", "spec": {"x": "${trialParameters.x}"}});
    wanted
}

#[test]
fn experiments_are_refused_filled_in_and_allowed_by_what_their_users_may() {
    let Some(story) = Story::begin() else { return };
    let _server = story.serve();
    let namespace = story.cluster.namespace("asked");
    let apply = ["apply", "-n", namespace, "-f", "-"];

    let said = story.refused(&apply, &broken());
    for part in [
        "BadRequest",
        "experiment `broken` is not valid",
        "spec.maxTrialCount: -1 must be above 0",
        "spec.algorithm: unknown algorithm `nonsense`",
        "spec.trialTemplate.trialParameters[0]: reference `y` is no parameter",
        "spec.parameters[1]: `wide`: min 2 is above max 1",
        "spec.parameters[2].feasibleSpace.min: `low` is no number",
        "spec.parameterConstraints[0]: ",
        "parameter `wide` reaches no trial",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }

    let mut good = experiment("good");
    let choices =
        json!({"name": "opt", "parameterType": "categorical", "feasibleSpace": {"distribution": ["a", "b"]}});
    good["spec"]["parameters"].as_array_mut().unwrap().push(choices);
    let parameter = json!({"name": "opt", "reference": "opt"});
    let template = &mut good["spec"]["trialTemplate"];
    template["trialParameters"].as_array_mut().unwrap().push(parameter);
    template["trialSpec"]["spec"]["template"]["spec"]["containers"][0]["env"] =
        json!([{"name": "OPT", "value": "${trialParameters.opt}"}]);
    story.cluster.apply_in(namespace, &good.to_string());
    let stored = story.get(namespace, "experiment/good");
    let spec = &stored["spec"];
    assert_eq!(spec["resumePolicy"], "Never");
    assert_eq!(spec["objective"]["metricStrategies"], json!([{"name": "loss", "value": "min"}]));
    assert_eq!(
        spec["parameters"][1]["feasibleSpace"],
        json!({"distribution": "uniform", "list": ["a", "b"]})
    );
    let requester = |resource: &Value| resource["metadata"]["annotations"]["cairn.dev/requested-by"].clone();
    let admin = requester(&stored);
    assert!(admin.is_string(), "{stored}");
    story.cluster.apply_in(namespace, &good.to_string());
    assert_eq!(story.get(namespace, "experiment/good")["metadata"]["generation"], 1, "again changes nothing");

    until("it is taken in", || {
        (!conditions(&story.get(namespace, "experiment/good")).is_empty()).then_some(())
    });
    let other = r#"{"spec": {"objective": {"objectiveMetricName": "other"}}}"#;
    let edit = ["-n", namespace, "patch", "experiment/good", "--type", "merge", "-p", other];
    let said = story.refused(&edit, &Value::Null);
    assert!(said.contains("BadRequest") && said.contains("spec.objective.objectiveMetricName"), "{said}");
    let forge = ["annotate", "experiment/good", "--overwrite", "cairn.dev/requested-by=root"];
    story.cluster.kubectl(&[&["-n", namespace], &forge[..]].concat());
    assert_eq!(
        requester(&story.get(namespace, "experiment/good")),
        admin,
        "who has asked is not to be changed"
    );

    let rights = |name: &str, resource: &str| {
        let role = ["create", "role", name, "--verb=get,create,patch", resource];
        story.cluster.kubectl(&[&["-n", namespace], &role[..]].concat());
        let role = format!("--role={name}");
        story.cluster.kubectl(&["-n", namespace, "create", "rolebinding", name, &role, "--user=alice"]);
    };
    rights("experimenter", "--resource=experiments.kubeflow.org");
    let as_alice = [&apply[..], &["--as=alice"]].concat();
    let said = story.refused(&as_alice, &experiment("hers"));
    let why = r#"user "alice" cannot create resource "jobs" in API group "batch" in the namespace "asked""#;
    assert!(said.contains(why) && said.contains("Forbidden"), "{said}");
    rights("worker", "--resource=jobs.batch");
    until("alice may", || {
        let mut kubectl = story.cluster.enter("kubectl");
        kubectl.args(["auth", "can-i", "create", "jobs", "-n", namespace, "--as=alice"]);
        kubectl.output().unwrap().status.success().then_some(())
    });
    story.cairn.write("hers.json", experiment("hers").to_string());
    let file = story.cairn.at("hers.json").display().to_string();
    story.cluster.kubectl(&["apply", "-n", namespace, "-f", &file, "--as=alice"]);
    assert_eq!(requester(&story.get(namespace, "experiment/hers")), "alice");
}

#[test]
fn certificates_that_have_ended_or_are_gone_are_made_anew() {
    let Some(story) = Story::begin() else { return };
    let namespace = story.cluster.namespace("certified");
    let asked = |when: &str| {
        let said = story.refused(&["apply", "-n", namespace, "-f", "-"], &broken());
        assert!(said.contains("experiment `broken` is not valid"), "{when}: {said}");
    };
    let mut server = story.serve();
    asked("at first");
    let (authority, serving) = (story.secret("ca.crt"), story.secret("tls.crt"));

    server.kill();
    let key = rcgen::KeyPair::from_pem(&story.secret("ca.key")).unwrap();
    let issuer = rcgen::Issuer::from_ca_cert_pem(&authority, key).unwrap();
    let mut params = rcgen::CertificateParams::new(vec![NODE.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(2020, 4, 1);
    let key = rcgen::KeyPair::generate().unwrap();
    let expired = params.signed_by(&key, &issuer).unwrap().pem();
    let patch = json!({"stringData": {"tls.crt": expired, "tls.key": key.serialize_pem()}}).to_string();
    let secret = ["patch", "secret/cairn-certificates", "--type", "merge", "-p", &patch];
    story.cluster.kubectl(&[&["-n", HOME], &secret[..]].concat());
    let mut server = story.serve();
    asked("with one that had ended");
    assert_eq!(story.secret("ca.crt"), authority, "its authority is good for long");
    assert!(![expired, serving.clone()].contains(&story.secret("tls.crt")));

    server.kill();
    let again = story.serve();
    asked("after a restart");
    drop(again);
    story.cluster.kubectl(&["-n", HOME, "delete", "secret/cairn-certificates"]);
    let mut server = story.serve();
    asked("with another authority");
    assert_ne!(story.secret("ca.crt"), authority);

    // One that answers none takes back what was told; and all of it goes with the definitions.
    let hooks = ["get", "validatingwebhookconfiguration/cairn.dev", "mutatingwebhookconfiguration/cairn.dev"];
    let owner = "jsonpath={.items[*].metadata.ownerReferences[*].name}";
    let owners = story.cluster.kubectl(&[&hooks[..], &["-o", owner]].concat());
    assert_eq!(owners, "experiments.kubeflow.org experiments.kubeflow.org");
    server.kill();
    let server = story.serve_with(&[]);
    let said = server.said("the cluster asks no webhooks any more");
    assert!(said.contains("cairn.dev"), "{said}");
    let left = story.cluster.kubectl(&[&hooks[..], &["--ignore-not-found"]].concat());
    assert_eq!(left, "");
}
