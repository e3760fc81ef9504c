//! Trials of kinds whose operators are not to be had here: the newer operator of MPI, Argo's workflows and jobs of JAX. What
//! Cairn makes is real, and so are the API server and its answers. Played are the operators: the kinds are defined by their
//! names alone, the story writes each object's status as the operator would, and reports what its program would.

use e2e::{Cairn, Cluster, Running, http, until};
use serde_json::{Value, json};

use super::experiments::{command, conditions};

/// A kind, and what its operator writes in the end.
struct Kind {
    name: &'static str,
    group: &'static str,
    version: &'static str,
    called: &'static str,
    plural: &'static str,
    spec: Value,
    conditions: [&'static str; 2],
    done: Value,
    /// Where the pod of an object stands that counts.
    counts: &'static str,
}

const NAMESPACE: &str = "played";

fn pod(container: &str) -> Value {
    json!({"spec": {"restartPolicy": "Never", "containers": [
        {"name": container, "image": "local/any:1", "command": ["train", "--x=${trialParameters.x}"]},
    ]}})
}

fn kinds() -> [Kind; 3] {
    let succeeded = json!({"conditions": [{"type": "Succeeded", "status": "True"}]});
    let of_type = [
        r#"status.conditions.#(type=="Succeeded")#|#(status=="True")#"#,
        r#"status.conditions.#(type=="Failed")#|#(status=="True")#"#,
    ];
    let replicas = |count: u64| json!({"replicas": count, "template": pod("main")});
    [
        Kind {
            name: "mpi",
            group: "kubeflow.org",
            version: "v2beta1",
            called: "MPIJob",
            plural: "mpijobs",
            spec: json!({"mpiReplicaSpecs": {"Launcher": replicas(1), "Worker": replicas(2)}}),
            conditions: of_type,
            done: succeeded.clone(),
            counts: "/spec/mpiReplicaSpecs/Launcher/template",
        },
        Kind {
            name: "jax",
            group: "kubeflow.org",
            version: "v1",
            called: "JAXJob",
            plural: "jaxjobs",
            spec: json!({"jaxReplicaSpecs": {"Worker": replicas(1)}}),
            conditions: of_type,
            done: succeeded,
            counts: "/spec/jaxReplicaSpecs/Worker/template",
        },
        Kind {
            name: "argo",
            group: "argoproj.io",
            version: "v1alpha1",
            called: "Workflow",
            plural: "workflows",
            spec: json!({"entrypoint": "train", "templates": [
                {"name": "train", "container": {"image": "local/any:1", "args": ["${trialParameters.x}"]}},
            ]}),
            conditions: [r#"status.[@this].#(phase=="Succeeded")"#, r#"status.[@this].#(phase=="Failed")"#],
            done: json!({"phase": "Succeeded", "finishedAt": "2026-01-01T10:00:00Z"}),
            counts: "",
        },
    ]
}

impl Kind {
    fn definition(&self) -> Value {
        let schema =
            json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
        let Self { group, version, called: kind, plural, .. } = self;
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("{plural}.{group}"),
                "annotations": {"api-approved.kubernetes.io": "unapproved, a test's own"},
            },
            "spec": {
                "group": group, "scope": "Namespaced",
                "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase()},
                "versions": [{"name": version, "served": true, "storage": true, "schema": schema}],
            },
        })
    }

    fn experiment(&self) -> Value {
        let version = format!("{}/{}", self.group, self.version);
        let [success, failure] = self.conditions;
        json!({
            "apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment",
            "metadata": {"name": self.name},
            "spec": {
                "seed": 7,
                "objective": {"type": "minimize", "objectiveMetricName": "loss"},
                "algorithm": {"algorithmName": "random"},
                "parameters": [{"name": "x", "parameterType": "double", "feasibleSpace": {"min": "0", "max": "1"}}],
                "parallelTrialCount": 2, "maxTrialCount": 2, "maxFailedTrialCount": 0,
                "metricsCollectorSpec": {"collector": {"kind": "Push"}},
                "trialTemplate": {
                    "primaryContainerName": "main",
                    "trialParameters": [{"name": "x", "reference": "x"}],
                    "successCondition": success, "failureCondition": failure,
                    "trialSpec": {"apiVersion": version, "kind": self.called, "spec": self.spec},
                },
            },
        })
    }

    fn objects(&self, cluster: &Cluster) -> Vec<Value> {
        let resource = format!("{}.{}.{}", self.plural, self.version, self.group);
        let text = cluster.kubectl(&["-n", NAMESPACE, "get", &resource, "-o", "json"]);
        serde_json::from_str::<Value>(&text).unwrap()["items"].as_array().unwrap().clone()
    }

    /// What the operator would do with an object, and its program.
    fn play(&self, cluster: &Cluster, url: &str, object: &Value) {
        let name = object["metadata"]["name"].as_str().unwrap();
        if !self.counts.is_empty() {
            let pod = object.pointer(self.counts).unwrap();
            assert_eq!(pod["metadata"]["labels"]["katib.kubeflow.org/trial"], name);
            let env = pod["spec"]["containers"][0]["env"].to_string();
            assert!(env.contains("KATIB_TRIAL_NAME"), "the program can report: {env}");
        }
        let trial = cluster.kubectl(&["-n", NAMESPACE, "get", "trial", name, "-o", "json"]);
        let trial: Value = serde_json::from_str(&trial).unwrap();
        let x = &trial["spec"]["parameterAssignments"][0]["value"];
        let rows = json!({"source": "own", "items": [{"seq": 0, "metric": "loss", "value": x}]});
        let path = format!("/api/v1/trials/{name}/observations");
        let kind = [("content-type", "application/json")];
        let answer = http::ask(url, "POST", &path, &kind, &rows.to_string());
        assert!(answer.status < 300, "{answer:?}");
        let resource = format!("{}.{}.{}/{name}", self.plural, self.version, self.group);
        let status = json!({"status": self.done}).to_string();
        cluster.kubectl(&["-n", NAMESPACE, "patch", &resource, "--type", "merge", "-p", &status]);
    }
}

#[test]
fn workflows_and_jobs_whose_operators_are_played_come_to_their_best_trials() {
    let Some(cluster) = Cluster::api_only() else { return };
    Running::start(command(cluster, &["install", "--crds"])).end().ok();
    cluster.namespace(NAMESPACE);
    for kind in kinds() {
        cluster.apply_in(NAMESPACE, &kind.definition().to_string());
        let definition = format!("crd/{}.{}", kind.plural, kind.group);
        cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=30s", &definition]);
    }
    let cairn = Cairn::new();
    let dir = cairn.path().display().to_string();
    let args = ["serve", "--kubernetes", "--watch-namespace", NAMESPACE, "--dir", &dir];
    let server = Running::start(command(cluster, &[&args[..], &["--listen", "127.0.0.1:0"]].concat()));
    let url = server.said("serving on ");
    for kind in kinds() {
        cluster.apply_in(NAMESPACE, &kind.experiment().to_string());
    }
    for kind in kinds() {
        let objects = until(&format!("both objects of {}", kind.name), || {
            let objects = kind.objects(cluster);
            (objects.len() == 2).then_some(objects)
        });
        objects.iter().for_each(|object| kind.play(cluster, &url, object));
    }
    for kind in kinds() {
        let name = format!("experiment/{}", kind.name);
        let done = until(&format!("{name} has succeeded"), || {
            let text = cluster.kubectl(&["-n", NAMESPACE, "get", &name, "-o", "json"]);
            let experiment: Value = serde_json::from_str(&text).unwrap();
            (conditions(&experiment).last()?.0 == "Succeeded").then_some(experiment)
        });
        let best = &done["status"]["currentOptimalTrial"];
        let x = &best["parameterAssignments"][0]["value"];
        assert_eq!(best["observation"]["metrics"][0]["latest"], *x, "{}: {}", kind.name, server.stderr());
    }
}
