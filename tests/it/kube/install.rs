//! A Cairn that is a pod: installed as people install it, and what becomes of it when things around it fail.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use e2e::{Cluster, Running, until};
use rustix::process::{Signal, kill_process};
use serde_json::Value;

use super::experiments::{Story, command, conditions, experiment};

const HOME: &str = "cairn-system";
const TEAM: &str = "team";
const SIDECAR: &str = "local/cairn-sidecar:1";

/// A volume for a claim, as an administrator gives it; the folder is of this machine.
pub(super) fn give_volume(cluster: &Cluster, namespace: &str, claim: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let path = folder.path().display();
    let manifest = format!(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {namespace}}}\nspec:\n  capacity: {{storage: 10Gi}}\n  \
         accessModes: [ReadWriteOnce]\n  claimRef: {{namespace: {namespace}, name: {claim}}}\n  \
         hostPath: {{path: {path}}}\n"
    );
    cluster.apply_in("default", &manifest);
    folder
}

/// Something that looks like Katib's controller.
const KATIB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: katib-controller}
spec:
  selector: {matchLabels: {app: katib}}
  template:
    metadata: {labels: {app: katib}}
    spec:
      terminationGracePeriodSeconds: 0
      containers: [{name: main, image: local/busybox:1}]
";

struct Installed {
    cluster: Cluster,
    _volume: tempfile::TempDir,
}

impl Installed {
    fn begin() -> Option<Self> {
        let cluster = Cluster::own("install")?;
        cluster.image_of("local/cairn:1", &e2e::cairn::binary());
        cluster.image_of(SIDECAR, &e2e::cairn::binary().with_file_name("cairn-sidecar"));
        let volume = give_volume(&cluster, HOME, "cairn");
        let installed = Self { cluster, _volume: volume };
        let said =
            installed.cairn(&["install", "--image", "local/cairn:1", "--sidecar-image", SIDECAR]).ok().stderr;
        assert!(said.contains("installed deployments/cairn"), "{said}");
        installed.ready();
        installed.cluster.namespace(TEAM);
        Some(installed)
    }

    fn cairn(&self, args: &[&str]) -> e2e::Output {
        Running::start(command(&self.cluster, args)).end()
    }

    fn ready(&self) {
        self.home(&["rollout", "status", "deployment/cairn", "--timeout=120s"]);
    }

    fn home(&self, args: &[&str]) -> String {
        self.cluster.kubectl(&[&["-n", HOME], args].concat())
    }

    fn experiment(&self, name: &str) -> Value {
        let what = format!("experiment/{name}");
        serde_json::from_str(&self.cluster.kubectl(&["-n", TEAM, "get", &what, "-o", "json"])).unwrap()
    }

    fn until_running(&self, name: &str) {
        until("trials run", || {
            (self.experiment(name)["status"]["trialsRunning"].as_u64()? > 0).then_some(())
        });
    }

    fn until_succeeded(&self, name: &str) -> Value {
        until(&format!("{name} has succeeded"), || {
            let experiment = self.experiment(name);
            (conditions(&experiment).last()?.0 == "Succeeded").then_some(experiment)
        })
    }

    /// Waits until the pod says something.
    fn said(&self, what: &str) -> String {
        until(&format!("the pod says {what}"), || {
            let log = self.cluster.enter("kubectl").args(["-n", HOME, "logs", "deployment/cairn"]).output();
            let log = String::from_utf8_lossy(&log.ok()?.stdout).into_owned();
            log.lines().find(|line| line.contains(what)).map(str::to_owned)
        })
    }
}

#[test]
fn a_cairn_in_a_pod_runs_experiments_through_whatever_fails() {
    let Some(installed) = Installed::begin() else { return };
    let cluster = &installed.cluster;
    installed.said("this Cairn leads");
    let script = "i=0; while [ $i -lt 6 ]; do echo step=$i loss=$X; i=$((i+1)); sleep 0.5; done";
    let apply = |name: &str| cluster.apply_in(TEAM, &experiment(name, 4, 2, script));
    apply("calm");
    assert_eq!(installed.until_succeeded("calm")["status"]["trialsSucceeded"], 4);

    asks_an_algorithm_of_somebody_s_own(&installed);

    // Its Service leads to it, and lets in who has its token.
    let token = installed.home(&["get", "secret", "cairn-token", "-o", "jsonpath={.data.token}"]);
    let endpoints =
        installed.home(&["get", "endpoints", "cairn", "-o", "jsonpath={.subsets[*].addresses[*].ip}"]);
    assert!(token.len() > 40 && !endpoints.is_empty(), "{endpoints}");

    // What is installed twice stays as it is.
    let generation =
        || installed.home(&["get", "deployment", "cairn", "-o", "jsonpath={.metadata.generation}"]);
    let before = generation();
    installed.cairn(&["install", "--image", "local/cairn:1", "--sidecar-image", SIDECAR]).ok();
    assert_eq!(generation(), before);

    // Its pod is killed.
    apply("killed");
    installed.until_running("killed");
    installed.home(&["delete", "pod", "-l", "app.kubernetes.io/name=cairn", "--force", "--grace-period=0"]);
    let done = installed.until_succeeded("killed");
    assert_eq!(done["status"]["trialsSucceeded"], 4);

    // The API server is away, for longer than a Lease lasts.
    apply("away");
    installed.until_running("away");
    let servers = cluster.processes("kube-apiserver");
    assert_eq!(servers.len(), 1);
    kill_process(servers[0], Signal::STOP).unwrap();
    std::thread::sleep(Duration::from_secs(15));
    kill_process(servers[0], Signal::CONT).unwrap();
    assert_eq!(installed.until_succeeded("away")["status"]["trialsSucceeded"], 4);
    let events = "jsonpath={range .items[*]}{.reason} {.involvedObject.kind}{\"\\n\"}{end}";
    let events = cluster.kubectl(&["-n", TEAM, "get", "events", "-o", events]);
    let pods = events.lines().filter(|line| *line == "SuccessfulCreate Job").count();
    assert_eq!(pods, 14, "each trial had one pod: {events}");

    // Another install stands by.
    let other = e2e::Cairn::new();
    let dir = other.path().display().to_string();
    let other = Running::start(command(
        cluster,
        &["serve", "--kubernetes", "--dir", &dir, "--listen", "127.0.0.1:0"],
    ));
    let why = other.said("standing by");
    assert!(why.contains("of another install leads: it holds the Lease cairn-system/cairn"), "{why}");
    drop(other);

    // Beside a Katib nobody acts.
    cluster.namespace("kubeflow");
    cluster.apply_in("kubeflow", KATIB);
    cluster.kubectl(&["-n", "kubeflow", "rollout", "status", "deployment/katib-controller", "--timeout=60s"]);
    installed.home(&["delete", "pod", "-l", "app.kubernetes.io/name=cairn"]);
    let why = installed.said("standing by");
    assert!(why.contains("Katib acts in this cluster (Deployment kubeflow/katib-controller)"), "{why}");
    cluster.kubectl(&["delete", "namespace", "kubeflow"]);
    installed.said("this Cairn leads");
}

/// As people bring it from Katib: one algorithm has an image of their own, which is Cairn's here, and speaks Katib's wire.
const KATIB_CONFIG: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: katib-config}
data:
  katib-config.yaml: |
    apiVersion: config.kubeflow.org/v1beta1
    kind: KatibConfig
    runtime:
      suggestions:
        - {algorithmName: tpe, image: "ghcr.io/kubeflow/katib/suggestion-hyperopt:v0.19.0"}
        - algorithmName: random
          image: local/cairn:1
          command: [cairn, suggest, "--listen=0.0.0.0:6789"]
          resources: {limits: {memory: 500Mi, cpu: "-1", ephemeral-storage: "-1"}, requests: {ephemeral-storage: "-1"}}
          colour: red
"#;

fn asks_an_algorithm_of_somebody_s_own(installed: &Installed) {
    let cluster = &installed.cluster;
    cluster.apply_in(HOME, KATIB_CONFIG);
    installed.said("runtime.suggestions[1].colour is not known");
    cluster.apply_in(TEAM, &experiment("theirs", 2, 1, "sleep 4; echo loss=$X"));
    let algorithm = &installed.experiment("theirs")["spec"]["algorithm"];
    assert_eq!(algorithm["endpoint"], "theirs-random.team:6789");
    installed.until_running("theirs");
    let served =
        ["-n", TEAM, "get", "deployment,service", "-l", "katib.kubeflow.org/suggestion=theirs", "-o", "name"];
    let names = cluster.kubectl(&served);
    assert_eq!(names, "deployment.apps/theirs-random\nservice/theirs-random\n");
    // Whoever applies it again has named no endpoint, and changes nothing.
    cluster.apply_in(TEAM, &experiment("theirs", 2, 1, "sleep 4; echo loss=$X"));
    let done = installed.until_succeeded("theirs");
    assert_eq!(done["status"]["trialsSucceeded"], 2);
    assert_eq!(done["metadata"]["generation"], 1, "{done}");
    until("its service is gone", || cluster.kubectl(&served).is_empty().then_some(()));
    installed.home(&["delete", "configmap", "katib-config"]);
}

#[test]
fn a_cairn_with_a_role_and_no_more_runs_experiments_of_its_namespace() {
    let Some(story) = Story::begin("alone") else { return };
    let cluster = story.cluster;
    cluster.image_of("local/cairn:1", &e2e::cairn::binary());
    let _volume = give_volume(cluster, "alone", "cairn");
    cluster.image_of(SIDECAR, &e2e::cairn::binary().with_file_name("cairn-sidecar"));
    let args = ["install", "--overlay", "namespaced", "--namespace", "alone"];
    let images = ["--image", "local/cairn:1", "--sidecar-image", SIDECAR];
    let said = Running::start(command(cluster, &[&args[..], &images].concat())).end().ok().stderr;
    assert!(!said.contains("cluster") && !said.contains("customresource"), "{said}");
    story.kubectl(&["rollout", "status", "deployment/cairn", "--timeout=120s"]);
    story.apply(&experiment("story", 2, 2, "echo loss=$X"));
    assert_eq!(story.until_is("story", "Succeeded")["status"]["trialsSucceeded"], 2);
    let lease = story.kubectl(&["get", "lease", "cairn", "-o", "jsonpath={.spec.holderIdentity}"]);
    assert!(lease.starts_with("cairn-"), "its pod holds the Lease of the namespace: {lease}");

    // A sidecar reports over TLS, and is known by its token though nobody may be asked whose that is.
    let file = "metricsCollectorSpec: {collector: {kind: File}, source: {fileSystemPath: {path: /out/log, kind: File}}}";
    let filed = experiment("filed", 2, 2, "echo loss=$X >/out/log; sleep 1");
    let filed = filed.replace("  parallelTrialCount", &format!("  {file}\n  parallelTrialCount"));
    story.apply(&filed);
    assert_eq!(story.until_is("filed", "Succeeded")["status"]["trialsSucceeded"], 2);
    // What is not valid becomes Failed, as nobody refuses it, with everything that is wrong with it.
    let wrong = experiment("wrong", 2, 2, "echo").replace("reference: x", "reference: none");
    story.apply(&wrong.replace("maxTrialCount: 2", "maxTrialCount: -1"));
    let failed = story.until_is("wrong", "Failed")["status"]["conditions"].to_string();
    assert!(failed.contains("spec.maxTrialCount") && failed.contains("trialParameters[0]"), "{failed}");
    // No pod of it is left to act beside other stories.
    story.kubectl(&["delete", "deployment", "cairn", "--wait=true"]);
}
