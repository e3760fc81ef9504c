//! Experiments that are applied with kubectl and run to their end in a real cluster, with `cairn serve` beside it.

use std::sync::OnceLock;

use e2e::{Cairn, Cluster, Running, until};
use serde_json::Value;

/// A namespace of the cluster, and a Cairn that looks at it alone.
pub(super) struct Story {
    pub(super) cluster: &'static Cluster,
    pub(super) cairn: Cairn,
    pub(super) namespace: &'static str,
}

impl Story {
    /// `None`, which is said, where no cluster can run.
    pub(super) fn begin(namespace: &'static str) -> Option<Self> {
        static INSTALLED: OnceLock<()> = OnceLock::new();
        let cluster = Cluster::shared()?;
        INSTALLED.get_or_init(|| {
            let install = Running::start(command(cluster, &["install", "--crds"]));
            assert!(
                install
                    .end()
                    .ok()
                    .stderr
                    .contains("installed customresourcedefinitions/experiments.kubeflow.org")
            );
        });
        cluster.namespace(namespace);
        Some(Self { cluster, cairn: Cairn::new(), namespace })
    }

    /// Starts the server, and waits until it serves.
    pub(super) fn serve(&self) -> Running {
        self.serve_with(&[])
    }

    pub(super) fn serve_with(&self, more: &[&str]) -> Running {
        let dir = self.cairn.path().display().to_string();
        let args = ["serve", "--kubernetes", "--watch-namespace", self.namespace, "--dir", &dir];
        let args = [&args[..], &["--listen", "127.0.0.1:0"], more].concat();
        let server = Running::start(command(self.cluster, &args));
        server.said("serving on ");
        server
    }

    pub(super) fn apply(&self, manifest: &str) {
        self.cluster.apply_in(self.namespace, manifest);
    }

    pub(super) fn kubectl(&self, args: &[&str]) -> String {
        self.cluster.kubectl(&[&["-n", self.namespace], args].concat())
    }

    pub(super) fn get(&self, what: &str) -> Value {
        serde_json::from_str(&self.kubectl(&["get", what, "-o", "json"])).unwrap()
    }

    pub(super) fn items(&self, what: &str) -> Vec<Value> {
        self.get(what)["items"].as_array().unwrap().clone()
    }

    /// Waits until the last condition of an experiment is this; the experiment.
    pub(super) fn until_is(&self, name: &str, condition: &str) -> Value {
        until(&format!("{name} is {condition}"), || {
            let experiment = self.get(&format!("experiment/{name}"));
            (conditions(&experiment).last()?.0 == condition).then_some(experiment)
        })
    }

    /// Resource versions of everything that Cairn writes.
    fn versions(&self) -> Vec<String> {
        let path =
            "jsonpath={range .items[*]}{.kind}/{.metadata.name}={.metadata.resourceVersion}{\"\\n\"}{end}";
        let text = self.kubectl(&["get", "experiments,trials,suggestions,jobs", "-o", path]);
        text.lines().map(str::to_owned).collect()
    }
}

pub(super) fn command(cluster: &Cluster, args: &[&str]) -> std::process::Command {
    let mut command = cluster.enter(e2e::cairn::binary());
    command.args(args);
    command
}

pub(super) fn conditions(resource: &Value) -> Vec<(String, String)> {
    let word = |condition: &Value, word: &str| condition[word].as_str().unwrap_or_default().to_owned();
    let list = resource["status"]["conditions"].as_array().cloned().unwrap_or_default();
    list.iter().map(|condition| (word(condition, "type"), word(condition, "status"))).collect()
}

pub(super) fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

/// An experiment whose trials run a script, which finds `x` in a variable.
pub(super) fn experiment(name: &str, trials: u32, parallel: u32, script: &str) -> String {
    format!(
        r#"
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {{name: {name}, labels: {{team: a}}}}
spec:
  seed: 7
  objective: {{type: minimize, objectiveMetricName: loss}}
  algorithm: {{algorithmName: random}}
  parameters: [{{name: x, parameterType: double, feasibleSpace: {{min: "0", max: "1"}}}}]
  parallelTrialCount: {parallel}
  maxTrialCount: {trials}
  trialTemplate:
    primaryContainerName: main
    trialParameters: [{{name: x, reference: x}}]
    trialSpec:
      apiVersion: batch/v1
      kind: Job
      spec:
        backoffLimit: 0
        template:
          spec:
            restartPolicy: Never
            terminationGracePeriodSeconds: 1
            containers:
            - name: main
              image: local/busybox:1
              env: [{{name: X, value: "${{trialParameters.x}}"}}]
              command: [sh, -c]
              args: ['{script}']
"#
    )
}

#[test]
fn an_experiment_runs_to_its_end_and_a_restart_writes_nothing() {
    let Some(story) = Story::begin("whole") else { return };
    let mut server = story.serve();
    story.apply(&experiment("first", 4, 2, "echo step=1 loss=9; echo step=2 loss=$X"));
    let done = story.until_is("first", "Succeeded");
    assert_eq!(conditions(&done), pairs(&[("Created", "True"), ("Running", "False"), ("Succeeded", "True")]));
    assert_eq!(done["status"]["conditions"][2]["reason"], "ExperimentMaxTrialsReached");
    assert_eq!(done["status"]["trialsSucceeded"], 4);

    let trials = story.items("trials");
    let loss = |trial: &Value| {
        let metric = &trial["status"]["observation"]["metrics"][0];
        assert_eq!((metric["name"].as_str(), metric["max"].as_str()), (Some("loss"), Some("9")));
        let x = trial["spec"]["parameterAssignments"][0]["value"].as_str().unwrap();
        assert_eq!(metric["latest"].as_str(), Some(x), "the last line is read too");
        x.parse::<f64>().unwrap()
    };
    let best = trials.iter().min_by(|a, b| loss(a).total_cmp(&loss(b))).unwrap();
    let optimal = &done["status"]["currentOptimalTrial"];
    assert_eq!(optimal["bestTrialName"], best["metadata"]["name"]);
    for trial in &trials {
        assert_eq!(
            conditions(trial),
            pairs(&[("Created", "True"), ("Running", "False"), ("Succeeded", "True")])
        );
        assert_eq!(trial["metadata"]["labels"]["katib.kubeflow.org/experiment"], "first");
        assert_eq!(trial["metadata"]["labels"]["team"], "a");
    }
    let suggestion = story.get("suggestion/first");
    assert_eq!(suggestion["status"]["suggestionCount"], 4);
    assert_eq!(suggestion["spec"]["requests"], 4);
    let table = story.kubectl(&["get", "experiments"]);
    assert!(table.contains("TYPE") && table.contains("Succeeded") && table.contains("True"), "{table}");
    until("Jobs are gone, as nobody wants to keep them", || story.items("jobs").is_empty().then_some(()));

    let versions = story.versions();
    server.kill();
    let again = story.serve();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(story.versions(), versions, "{}", again.stderr());
}

#[test]
fn a_controller_that_is_killed_loses_nothing_and_runs_nothing_twice() {
    let Some(story) = Story::begin("killed") else { return };
    let mut server = story.serve();
    let script = "i=0; while [ $i -lt 8 ]; do echo step=$i loss=$X; i=$((i+1)); sleep 0.5; done";
    story.apply(&experiment("story", 4, 2, script));
    for ended in [0, 1, 2] {
        until("some trials have ended", || {
            let experiment = story.get("experiment/story");
            let counted = |word: &str| experiment["status"][word].as_u64().unwrap_or(0);
            (counted("trialsSucceeded") >= ended && counted("trialsRunning") > 0).then_some(())
        });
        server.kill();
        std::thread::sleep(std::time::Duration::from_secs(1));
        server = story.serve();
    }
    let done = story.until_is("story", "Succeeded");
    assert_eq!(done["status"]["trialsSucceeded"], 4, "{}", server.stderr());
    let created = story.kubectl(&[
        "get",
        "events",
        "-o",
        "jsonpath={range .items[*]}{.reason} {.involvedObject.kind}{\"\\n\"}{end}",
    ]);
    let pods = created.lines().filter(|line| *line == "SuccessfulCreate Job").count();
    assert_eq!(pods, 4, "each trial had one pod: {created}");
    drop(server);
    let dir = story.cairn.path().display().to_string();
    for trial in story.items("trials") {
        let name = trial["metadata"]["name"].as_str().unwrap();
        let args = ["export", "story", "-n", story.namespace, "--dir", &dir, "--observations"];
        let rows = story.cairn.run(args).ok().stdout;
        let rows: Vec<&str> = rows.lines().filter(|line| line.contains(name)).collect();
        assert_eq!(rows.len(), 8, "nothing is lost or doubled: {rows:#?}");
    }
}

#[test]
fn what_is_not_valid_fails_with_every_problem() {
    let Some(story) = Story::begin("invalid") else { return };
    let _server = story.serve();
    story.apply(&experiment("bad", 2, 4, "true").replace("kind: Job", "kind: Jib"));
    let failed = story.until_is("bad", "Failed");
    let message = failed["status"]["conditions"][1]["message"].as_str().unwrap();
    for part in
        ["spec.parallelTrialCount: 4 is above maxTrialCount 2", "successCondition", "failureCondition"]
    {
        assert!(message.contains(part), "{message}");
    }
    until("an event says it too", || {
        let events = story.kubectl(&["get", "events", "-o", "jsonpath={.items[*].reason}"]);
        events.contains("NotValid").then_some(())
    });

    let unknown = experiment("unknown", 4, 2, "true").replace("kind: Job", "kind: Nonsense");
    let conditions = "    successCondition: status.done\n    failureCondition: status.failed\n    trialSpec:";
    story.apply(&unknown.replace("    trialSpec:", conditions));
    let failed = story.until_is("unknown", "Failed");
    let message = failed["status"]["conditions"][1]["message"].as_str().unwrap();
    assert!(message.contains("the cluster knows no kind `Nonsense` of `batch/v1`"), "{message}");

    let file = experiment("file", 4, 2, "true")
        .replace("  trialTemplate:", "  metricsCollectorSpec: {collector: {kind: File}}\n  trialTemplate:");
    story.apply(&file);
    let failed = story.until_is("file", "Failed");
    let message = failed["status"]["conditions"][1]["message"].as_str().unwrap();
    assert!(message.contains("`File` needs a sidecar"), "{message}");

    // Put right, it is taken in.
    story.apply(&experiment("bad", 1, 1, "echo loss=$X"));
    story.until_is("bad", "Succeeded");
}

/// A script that runs until it is told to end.
const UNTIL_TOLD: &str = "echo step=0 loss=$X; while sleep 0.2; do echo waiting; done";

/// The trial that runs, and its Job's uid.
pub(super) fn running(story: &Story) -> (String, String) {
    until("a trial runs", || {
        let trials = story.items("trials");
        let trial =
            trials.iter().find(|trial| conditions(trial).last().is_some_and(|last| last.0 == "Running"))?;
        let name = trial["metadata"]["name"].as_str()?.to_owned();
        let jobs = story.items("jobs");
        let job = jobs.iter().find(|job| job["metadata"]["name"] == *name)?;
        Some((name, job["metadata"]["uid"].as_str()?.to_owned()))
    })
}

#[test]
fn what_is_deleted_by_hand_is_run_again_under_its_name() {
    let Some(story) = Story::begin("hands") else { return };
    let _server = story.serve();
    story.apply(&experiment("story", 1, 1, UNTIL_TOLD));
    let (trial, first) = running(&story);
    let assignments = story.get(&format!("trial/{trial}"))["spec"]["parameterAssignments"].clone();
    let another = |what: &str, than: &str| {
        until(what, || {
            let job = story.items("jobs").into_iter().find(|job| job["metadata"]["name"] == *trial)?;
            let uid = job["metadata"]["uid"].as_str()?.to_owned();
            (uid != than && job["metadata"]["deletionTimestamp"].is_null()).then_some((uid, job))
        })
    };
    let attempt = |job: &Value| {
        let run = job["metadata"]["annotations"]["cairn.dev/run"].as_str().unwrap().to_owned();
        run.rsplit('/').next().unwrap().to_owned()
    };

    story.kubectl(&["delete", "job", &trial]);
    let (second, job) = another("another Job", &first);
    assert_eq!(attempt(&job), "2");

    story.kubectl(&["delete", "trial", &trial]);
    let (_, job) = another("a third Job", &second);
    assert_eq!(attempt(&job), "3");
    let again = story.get(&format!("trial/{trial}"));
    assert_eq!(again["spec"]["parameterAssignments"], assignments);

    // What is edited is written back.
    story.kubectl(&[
        "patch",
        "trial",
        &trial,
        "--type=merge",
        "-p",
        r#"{"spec": {"parameterAssignments": []}}"#,
    ]);
    until("it is written back", || {
        (story.get(&format!("trial/{trial}"))["spec"]["parameterAssignments"] == assignments).then_some(())
    });

    // A person ends a trial as Katib's users do.
    let killed = r#"{"status": {"conditions": [{"type": "Killed", "status": "True", "reason": "Me", "message": ""}]}}"#;
    story.kubectl(&["patch", "trial", &trial, "--subresource=status", "--type=merge", "-p", killed]);
    let done = story.until_is("story", "Succeeded");
    assert_eq!(done["status"]["trialsKilled"], 1);
    until("its Job is gone", || story.items("jobs").is_empty().then_some(()));
}

#[test]
fn a_deleted_experiment_leaves_nothing_and_its_name_is_free() {
    let Some(story) = Story::begin("deleted") else { return };
    let mut server = story.serve();
    story.apply(&experiment("story", 4, 2, UNTIL_TOLD));
    let (first, _) = running(&story);
    story.kubectl(&["delete", "experiment", "story"]);
    let gone = || {
        let left = story.kubectl(&["get", "experiments,trials,suggestions,jobs,pods", "-o", "name"]);
        left.is_empty().then_some(())
    };
    until("everything is gone", gone);

    // Another of the same name is another; and one that is deleted while nobody looks is found to be gone.
    story.apply(&experiment("story", 4, 2, UNTIL_TOLD));
    let (second, _) = running(&story);
    assert_ne!(first, second);
    let url = server.said("serving on ");
    let purge = ["purge", "story", "-n", story.namespace, "-o", "json", "--server"];
    // The first is on record, the second lives.
    let purged = Running::start(command(story.cluster, &[&purge[..], &[&url]].concat())).end().ok();
    assert!(purged.stderr.contains("left: the living experiment `story`"), "{purged}");
    let refused = Running::start(command(story.cluster, &[&purge[..], &[&url]].concat())).end();
    assert!(
        refused.stderr.contains("`kubectl delete experiment story -n deleted` deletes it first"),
        "{refused}"
    );
    server.kill();
    story.kubectl(&["delete", "experiment", "story"]);
    until("everything is gone", gone);
    let server = story.serve();
    let dir = story.cairn.path().display().to_string();
    until("its record is archived", || {
        let list = story.cairn.run(["list", "-n", story.namespace, "--dir", &dir, "-o", "json"]).ok().json();
        list["items"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
    assert!(gone().is_some(), "{}", server.stderr());
    let url = server.said("serving on ");
    let purged = Running::start(command(story.cluster, &[&purge[..], &[&url]].concat())).end().ok().json();
    assert_eq!(purged["experiments"], 1, "{purged}");
}

#[test]
fn budgets_are_edited_and_a_halt_is_wished_in_the_resource() {
    let Some(story) = Story::begin("edited") else { return };
    let _server = story.serve();
    let manifest = experiment("story", 2, 1, "echo loss=$X")
        .replace("  seed: 7\n", "  seed: 7\n  resumePolicy: LongRunning\n");
    story.apply(&manifest);
    story.until_is("story", "Succeeded");
    story.apply(&manifest.replace("maxTrialCount: 2", "maxTrialCount: 3"));
    let done = until("it was taken up again", || {
        let experiment = story.get("experiment/story");
        let list = conditions(&experiment);
        (experiment["status"]["trialsSucceeded"] == 3 && list.last()?.0 == "Succeeded").then_some(experiment)
    });
    let kinds: Vec<String> = conditions(&done).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["Created", "Restarting", "Running", "Succeeded"]);

    story.apply(&experiment("held", 4, 1, "sleep 1; echo loss=$X"));
    running(&story);
    story.kubectl(&["patch", "experiment", "held", "--type=merge", "-p", r#"{"spec": {"suspend": true}}"#]);
    let held = until("it is held", || {
        let experiment = story.get("experiment/held");
        let counted = experiment["status"]["trialsRunning"].is_null();
        (counted && conditions(&experiment).contains(&("Running".into(), "False".into())))
            .then_some(experiment)
    });
    assert!(held["status"]["trials"].as_u64().unwrap() < 4);
    story.kubectl(&["patch", "experiment", "held", "--type=merge", "-p", r#"{"spec": {"suspend": false}}"#]);
    story.until_is("held", "Succeeded");
}

#[test]
fn a_job_that_fails_says_why_and_one_that_is_retained_stays() {
    let Some(story) = Story::begin("endings") else { return };
    let mut server = story.serve();
    story.apply(
        &experiment("fails", 2, 1, "echo loss=$X; exit 3")
            .replace("  seed: 7\n", "  maxFailedTrialCount: 1\n"),
    );
    story.until_is("fails", "Failed");
    let trial = story.items("trials").remove(0);
    let condition = trial["status"]["conditions"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(condition["reason"], "TrialFailed. Job reason: BackoffLimitExceeded");
    let message = condition["message"].as_str().unwrap();
    assert!(message.ends_with("container `main`: exit code 3"), "{message}");

    let kept = experiment("kept", 1, 1, "echo nothing")
        .replace("  trialTemplate:\n", "  trialTemplate:\n    retain: true\n");
    story.apply(&kept);
    let done = story.until_is("kept", "Succeeded");
    assert_eq!(done["status"]["trialMetricsUnavailable"], 1);
    let job = until("its Job is marked", || {
        let job = story.items("jobs").pop()?;
        (job["metadata"]["annotations"]["cairn.dev/retained"] == "true").then_some(job)
    });
    assert_eq!(job["status"]["succeeded"], 1);
    let versions = story.versions();
    server.kill();
    let again = story.serve();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(story.versions(), versions, "{}", again.stderr());
}

#[test]
fn a_pod_that_cannot_start_is_told_in_one_line() {
    let Some(story) = Story::begin("stuck") else { return };
    let _server = story.serve();
    let huge = experiment("huge", 1, 1, "echo loss=$X").replace(
        "              command: [sh, -c]\n",
        "              command: [sh, -c]\n              resources: {requests: {cpu: 900}}\n",
    );
    story.apply(&huge);
    story.apply(&experiment("absent", 1, 1, "echo loss=$X").replace("local/busybox:1", "local/absent:1"));
    let quota =
        "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: none}\nspec: {hard: {requests.memory: 1Mi}}\n";
    for (name, why) in [("huge", "its pod finds no node: 0/1 nodes"), ("absent", "container `main`: ")] {
        until(why, || {
            let trials = story.items("trials");
            let of_this =
                |trial: &&Value| trial["metadata"]["labels"]["katib.kubeflow.org/experiment"] == *name;
            let condition = trials.iter().find(of_this)?["status"]["conditions"][1].clone();
            let message = condition["message"].as_str()?;
            let says = message.starts_with(why) && (name == "huge" || message.contains("ImagePull"));
            (condition["reason"] == "TrialWaiting" && says).then_some(())
        });
    }
    story.apply(quota);
    let full = experiment("full", 1, 1, "echo loss=$X").replace(
        "              command: [sh, -c]\n",
        "              command: [sh, -c]\n              resources: {requests: {memory: 64Mi}}\n",
    );
    story.apply(&full);
    until("the quota is named", || {
        let trials = story.items("trials");
        let conditions = trials.iter().map(|trial| trial["status"]["conditions"][1]["message"].to_string());
        conditions.into_iter().any(|text| text.contains("exceeded quota: none")).then_some(())
    });
}

/// Rights of a server that may do all but make Jobs.
const RIGHTS: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: cairn}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: cairn-without-jobs}
rules:
- {apiGroups: [""], resources: [namespaces, pods, pods/log, events], verbs: [get, list, watch]}
- {apiGroups: [kubeflow.org], resources: ["*"], verbs: ["*"]}
- {apiGroups: [batch], resources: [jobs], verbs: [get, list, watch]}
- {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get, list, create, update]}
- {apiGroups: [apps], resources: [deployments], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: cairn-without-jobs}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cairn-without-jobs}
subjects: [{kind: ServiceAccount, name: cairn, namespace: rights}]
"#;

#[test]
fn a_missing_right_is_named_by_the_rule_that_gives_it() {
    let Some(story) = Story::begin("rights") else { return };
    story.apply(RIGHTS);
    let token = story.kubectl(&["create", "token", "cairn"]);
    let file = story.cairn.at("kubeconfig");
    std::fs::copy(story.cluster.kubeconfig(), &file).unwrap();
    let path = file.display().to_string();
    let config = |args: &[&str]| {
        story.cluster.kubectl(&[&["--kubeconfig", &path, "config"], args].concat());
    };
    config(&["set-credentials", "cairn", "--token", token.trim()]);
    config(&["set-context", "--current", "--user", "cairn"]);
    let _server = story.serve_with(&["--kubeconfig", &path]);
    story.apply(&experiment("story", 1, 1, "echo loss=$X"));
    let trial = until("the trial has failed", || {
        let trial = story.items("trials").pop()?;
        (conditions(&trial).last()?.0 == "Failed").then_some(trial)
    });
    let conditions = trial["status"]["conditions"].as_array().unwrap();
    let message = conditions.last().unwrap()["message"].as_str().unwrap();
    let rule = r#"add to its role: {apiGroups: ["batch"], resources: ["jobs"], verbs: ["create"]}"#;
    assert!(message.contains(rule), "{message}");
}

#[test]
fn a_job_of_a_real_operator_is_a_trial_too() {
    let Some(story) = Story::begin("operators").filter(|story| story.cluster.operator("training")) else {
        return;
    };
    let _server = story.serve();
    let whole = experiment("torch", 2, 2, "echo loss=$X");
    let (head, _) = whole.split_once("      apiVersion: batch/v1").unwrap();
    let job = r"      apiVersion: kubeflow.org/v1
      kind: PyTorchJob
      spec:
        pytorchReplicaSpecs:
          Master:
            replicas: 1
            restartPolicy: Never
            template:
              spec:
                containers:
                - name: pytorch
                  image: local/busybox:1
                  command: [sh, -c]
                  args: ['echo loss=${trialParameters.x}']
";
    story.apply(
        &format!("{head}{job}").replace("primaryContainerName: main", "primaryContainerName: pytorch"),
    );
    let done = story.until_is("torch", "Succeeded");
    assert_eq!(done["status"]["trialsSucceeded"], 2);
}
