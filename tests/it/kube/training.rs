//! Trials as jobs of real operators: the processes of each find each other, their metrics come back through the sidecar of
//! the one that counts, and the best trial is known.

use e2e::{Running, until};
use serde_json::{Map, Value, json};

use super::sidecars::Watched;

/// A kind of the training operator, with its replicas: role, how many, and what they are to the program.
struct Kind {
    called: &'static str,
    replicas_in: &'static str,
    container: &'static str,
    replicas: &'static [(&'static str, u64, &'static str)],
    /// How many processes add up what they know.
    n: u64,
}

const KINDS: [Kind; 5] = [
    Kind {
        called: "PyTorchJob",
        replicas_in: "pytorchReplicaSpecs",
        container: "pytorch",
        replicas: &[("Master", 1, "leader"), ("Worker", 2, "follower")],
        n: 3,
    },
    Kind {
        called: "TFJob",
        replicas_in: "tfReplicaSpecs",
        container: "tensorflow",
        replicas: &[("Chief", 1, "leader"), ("PS", 1, "follower"), ("Worker", 1, "follower")],
        n: 3,
    },
    Kind {
        called: "XGBoostJob",
        replicas_in: "xgbReplicaSpecs",
        container: "xgboost",
        replicas: &[("Master", 1, "leader"), ("Worker", 1, "follower")],
        n: 2,
    },
    // The operator calls its servers masters, and all meet at the scheduler.
    Kind {
        called: "MXJob",
        replicas_in: "mxReplicaSpecs",
        container: "mxnet",
        replicas: &[("Scheduler", 1, "follower"), ("Server", 1, "leader"), ("Worker", 1, "follower")],
        n: 3,
    },
    Kind {
        called: "MPIJob",
        replicas_in: "mpiReplicaSpecs",
        container: "mpi",
        replicas: &[("Launcher", 1, "launcher"), ("Worker", 2, "worker")],
        n: 2,
    },
];

/// An experiment over `x` from 1 to 2 whose trials are this.
fn experiment(name: &str, container: &str, template: &Value) -> Value {
    let mut spec = json!({
        "seed": 7,
        "objective": {"type": "minimize", "objectiveMetricName": "loss"},
        "algorithm": {"algorithmName": "random"},
        "parameters": [{"name": "x", "parameterType": "double", "feasibleSpace": {"min": "1", "max": "2"}}],
        "parallelTrialCount": 2, "maxTrialCount": 2, "maxFailedTrialCount": 0,
        "trialTemplate": {
            "primaryContainerName": container,
            "trialParameters": [{"name": "x", "reference": "x"}],
        },
    });
    let whole = spec["trialTemplate"].as_object_mut().unwrap();
    whole.extend(template.as_object().unwrap().clone());
    json!({"apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": {"name": name}, "spec": spec})
}

fn condition(kind: &str) -> String {
    format!("status.conditions.#(type==\"{kind}\")#|#(status==\"True\")#")
}

/// A pod that runs a command beside the program's file.
fn pod(container: &str, image: &str, command: &str) -> Value {
    json!({"spec": {
        "restartPolicy": "Never", "terminationGracePeriodSeconds": 5,
        "volumes": [{"name": "program", "configMap": {"name": "program"}}],
        "containers": [{
            "name": container, "image": image, "command": ["sh", "-c", command],
            "volumeMounts": [{"name": "program", "mountPath": "/program"}],
        }],
    }})
}

impl Kind {
    fn name(&self) -> String {
        self.called.to_lowercase()
    }

    fn experiment(&self) -> Value {
        let replica = |(role, count, says): &(&str, u64, &str)| {
            let run = |says: &str| format!("python3 /program/rendezvous.py ${{trialParameters.x}} {says}");
            let (image, command) = match *says {
                // Only what its own network leads to is of use here.
                "launcher" => {
                    let mpi = "mpirun -np 2 --allow-run-as-root --bind-to none --mca btl tcp,self \
                               --mca plm_rsh_no_tree_spawn 1";
                    ("local/openmpi:1", format!("{mpi} {}", run("mpi")))
                }
                "worker" => ("local/openmpi:1", "sleep 600".to_owned()),
                says => ("local/python:1", run(says)),
            };
            let template = pod(self.container, image, &command);
            ((*role).to_owned(), json!({"replicas": count, "restartPolicy": "Never", "template": template}))
        };
        let replicas: Map<String, Value> = self.replicas.iter().map(replica).collect();
        // Workers of MPI wait until they are ended.
        let is_mpi = self.called == "MPIJob";
        let mut spec = json!({
            "runPolicy": {"cleanPodPolicy": if is_mpi { "Running" } else { "None" }}, self.replicas_in: replicas,
        });
        let mut template = json!({});
        if self.called == "MXJob" {
            spec["jobMode"] = json!("MXTrain");
            // Katib knows nothing of it.
            template = json!({
                "primaryPodLabels": {"training.kubeflow.org/job-role": "master"},
                "successCondition": condition("Succeeded"), "failureCondition": condition("Failed"),
            });
        }
        template["trialSpec"] = json!({"apiVersion": "kubeflow.org/v1", "kind": self.called, "spec": spec});
        experiment(&self.name(), self.container, &template)
    }
}

/// Puts the program into the namespace.
fn give_program(watched: &Watched) {
    let program = e2e::workspace().join("tests/it/kube/rendezvous.py");
    let from = format!("--from-file={}", program.display());
    watched.story.kubectl(&["create", "configmap", "program", &from]);
}

/// Waits for the end of an experiment, whose best trial has to be that of the least `x`: `n` processes have added up `x`,
/// `2x` and so on.
fn is_best(watched: &Watched, server: &Running, name: &str, n: u64) {
    let done = until(&format!("{name} has ended"), || {
        let experiment = watched.story.get(&format!("experiment/{name}"));
        experiment["status"]["completionTime"].is_string().then_some(experiment)
    });
    let why = || format!("{done}\n{}", server.stderr());
    assert_eq!(done["status"]["trialsSucceeded"], 2, "{name}: {}", why());
    let number = |value: &Value| value.as_str().unwrap().parse::<f64>().unwrap();
    let trials = watched.story.items("trials").into_iter();
    let of_it = trials.filter(|trial| trial["metadata"]["labels"]["katib.kubeflow.org/experiment"] == *name);
    let least =
        of_it.map(|trial| number(&trial["spec"]["parameterAssignments"][0]["value"])).fold(9.0, f64::min);
    let best = &done["status"]["currentOptimalTrial"];
    let found = number(&best["parameterAssignments"][0]["value"]);
    assert!((found - least).abs() < 1e-12, "{name}: {}", why());
    let loss = number(&best["observation"]["metrics"][0]["latest"]);
    let all = (n * (n + 1) / 2) as f64;
    assert!((loss - all * least).abs() < 1e-9, "{name}: {loss} {}", why());
}

#[test]
fn jobs_of_the_training_operator_find_each_other_and_the_best_is_known() {
    let Some(watched) = Watched::begin("training-kinds", 7706) else { return };
    if !watched.story.cluster.operator("training") {
        return;
    }
    watched.story.cluster.python_image();
    let has_mpi = watched.story.cluster.openmpi_image();
    give_program(&watched);
    let server = watched.serve();
    let kinds = || KINDS.iter().filter(|kind| has_mpi || kind.called != "MPIJob");
    kinds().for_each(|kind| watched.apply(&kind.experiment()));
    kinds().for_each(|kind| is_best(&watched, &server, &kind.name(), kind.n));
}

#[test]
fn jobs_of_a_set_find_each_other_and_the_best_is_known() {
    let Some(watched) = Watched::begin("job-sets", 7707) else { return };
    if !watched.story.cluster.operator("jobset") {
        return;
    }
    watched.story.cluster.python_image();
    give_program(&watched);
    let server = watched.serve();
    let job = |name: &str, rank: u64| {
        let run = format!("python3 /program/rendezvous.py ${{trialParameters.x}} {name}");
        let mut pod = pod("main", "local/python:1", &run);
        pod["spec"]["containers"][0]["env"] = json!([
            {"name": "RANK", "value": rank.to_string()}, {"name": "WORLD_SIZE", "value": "2"},
            {"name": "MASTER_ADDR", "value": "${trialParameters.trial}-leader-0-0.${trialParameters.trial}"},
            {"name": "MASTER_PORT", "value": "9000"},
        ]);
        let spec = json!({"parallelism": 1, "completions": 1, "backoffLimit": 0, "template": pod});
        json!({"name": name, "replicas": 1, "template": {"spec": spec}})
    };
    let template = json!({
        "trialParameters": [{"name": "x", "reference": "x"}, {"name": "trial", "reference": "${trialSpec.Name}"}],
        "primaryPodLabels": {"jobset.sigs.k8s.io/replicatedjob-name": "leader"},
        "successCondition": condition("Completed"), "failureCondition": condition("Failed"),
        "trialSpec": {
            "apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet",
            "spec": {"replicatedJobs": [job("leader", 0), job("follower", 1)]},
        },
    });
    watched.apply(&experiment("set", "main", &template));
    is_best(&watched, &server, "set", 2);
}
