//! What is put into pods, against the contract's examples.

use std::collections::BTreeMap;

use controller_core::artifacts::StoreUri;
use controller_core::defaults;
use controller_core::report::Report;
use controller_core::run::{Run, Sealed};
use controller_core::sidecar::{End, FETCH, Fetch, TASK, Task};
use controller_core::spec::ExperimentSpec;
use serde_json::{Value, json};
use study::{Comparison, Rule};

use super::wrap::{Wrapping, wrap};
use super::*;
use crate::project::testing::{self, DEMO, record};

fn settings() -> Settings {
    let (image, server) = ("reg.io/cairn/sidecar:1".to_owned(), "http://cairn.cairn-system:7700".to_owned());
    Settings { image: Some(image), server: Some(server), ..Settings::default() }
}

fn rule() -> Rule {
    Rule { metric: "loss".into(), value: 0.5, comparison: Comparison::Greater, start_step: 4 }
}

/// A run of the example with this collector.
fn run(collector: &Value) -> Run {
    let mut run = testing::run(&record(DEMO));
    let mut spec = ExperimentSpec {
        metrics_collector_spec: Some(serde_json::from_value(collector.clone()).unwrap()),
        ..ExperimentSpec::default()
    };
    defaults::apply(&mut spec, &mut Report::default());
    run.collector = spec.collector();
    run
}

fn kind(kind: &str) -> Value {
    json!({"collector": {"kind": kind}})
}

fn put(run: &Run, settings: &Settings) -> (Value, Injected) {
    let mut made = run.manifest.clone();
    let injected = object(&mut made, run, &BTreeMap::new(), settings).unwrap();
    let again = {
        let mut again = made.clone();
        assert_eq!(object(&mut again, run, &BTreeMap::new(), settings).unwrap(), injected);
        again
    };
    assert_eq!(again, made, "twice changes nothing");
    (made, injected)
}

fn yaml(value: &Value) -> String {
    controller_core::yaml::write(value)
}

fn spec(object: &Value) -> &Value {
    &object["spec"]["template"]["spec"]
}

/// What the sidecar of a pod is told.
fn task(spec: &Value) -> Task {
    let containers = ["containers", "initContainers"].into_iter().filter_map(|word| spec[word].as_array());
    let env = containers.flatten().filter_map(|container| container["env"].as_array()).flatten();
    let mut values = env.filter(|variable| variable["name"] == TASK).map(|variable| &variable["value"]);
    let text = values.next().and_then(Value::as_str).unwrap().replace("$$", "$");
    assert!(values.next().is_none());
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_job_that_prints_its_metrics() {
    let (made, injected) = put(&run(&kind("StdOut")), &settings());
    assert_eq!(injected, Injected::Sidecar);
    insta::assert_snapshot!(yaml(&made));
}

#[test]
fn a_native_sidecar_of_a_file_with_rules() {
    let mut run = run(&kind("File"));
    run.rules.push(rule());
    let native = Settings { native: true, ..settings() };
    let (made, _) = put(&run, &native);
    assert_eq!(task(spec(&made)).end, End::Signal);
    insta::assert_snapshot!(yaml(&made));
}

#[test]
fn a_custom_collector_is_its_own_container() {
    let collector = json!({
        "collector": {"kind": "Custom", "customCollector": {"name": "mine", "image": "reg.io/mine:1", "args": ["-t", "x"]}},
        "source": {"fileSystemPath": {"path": "/katib/mnist.log", "kind": "File"}},
    });
    let (made, _) = put(&run(&collector), &settings());
    let spec = spec(&made);
    let mount = json!([{"name": "metrics-volume", "mountPath": "/katib"}]);
    let mine = json!({"name": "mine", "image": "reg.io/mine:1", "args": ["-t", "x"], "volumeMounts": mount});
    assert_eq!(spec["containers"][1], mine);
    assert_eq!(spec["containers"][0]["volumeMounts"], mount);
    assert_eq!(spec["containers"][0]["command"][0], "python", "it is not wrapped");
    assert_eq!(spec["shareProcessNamespace"], true);
}

#[test]
fn each_collector_has_its_container_its_folder_and_its_wrapping() {
    let file = json!({"collector": {"kind": "File"}, "source": {"fileSystemPath": {"path": "/out/a.json", "kind": "File", "format": "JSON"}}});
    let rows = [
        (
            kind("StdOut"),
            "metrics-logger-and-collector",
            "/var/log/katib",
            "/var/log/katib/metrics.log",
            true,
        ),
        (file, "metrics-logger-and-collector", "/out", "/out/a.json", true),
        (
            kind("TensorFlowEvent"),
            "metrics-collector",
            "/var/log/katib/tfevent",
            "/var/log/katib/tfevent",
            true,
        ),
        (kind("PrometheusMetric"), "metrics-collector", "", "", false),
    ];
    for (collector, name, folder, path, wrapped) in rows {
        let (made, injected) = put(&run(&collector), &settings());
        let spec = spec(&made);
        assert_eq!(injected, Injected::Sidecar);
        assert_eq!(spec["containers"][1]["name"], name);
        let mounts = &spec["containers"][0]["volumeMounts"];
        assert_eq!(mounts[0]["mountPath"].as_str().unwrap_or_default(), folder, "{name}");
        let task = task(spec);
        assert_eq!((task.path.as_str(), task.markers.as_deref()), (path, wrapped.then_some(folder)));
        assert_eq!(spec["containers"][0]["command"][0] == "sh", wrapped);
    }
    let (pushed, injected) = put(&run(&kind("Push")), &settings());
    assert_eq!(injected, Injected::Nothing);
    assert_eq!(spec(&pushed)["containers"].as_array().unwrap().len(), 1);
    assert_eq!(spec(&pushed)["containers"][0]["env"][0]["name"], "KATIB_TRIAL_NAME");
}

#[test]
fn commands_are_wrapped_as_katib_wraps_them() {
    let out = "1>/var/log/katib/metrics.log 2>&1";
    let done = "&& echo completed > /var/log/katib/$$$$.pid";
    let early = "|| if test -f /var/log/katib/$$$$.pid && [ $(head -n 1 /var/log/katib/$$.pid) = early-stopped ]; \
                 then echo Training Container was Early Stopped; \
                 else echo Training Container was Failed; exit 1; fi";
    let rows = [
        (
            vec!["python", "main.py", "--lr", "0.1"],
            false,
            "sh",
            format!("python main.py --lr 0.1 {out} {done}"),
        ),
        (vec!["sh", "-c", "a; b"], false, "sh", format!("a; b {out} {done}")),
        (vec!["bash", "-c", "a"], true, "bash", format!("a {out} {early} {done}")),
        (vec!["/bin/sh", "-c", "a b"], false, "sh", format!("/bin/sh -c a b {out} {done}")),
        (vec!["sh"], false, "sh", format!("sh {out} {done}")),
        (vec!["x", "--a=\"${x}\""], false, "sh", format!("x --a=\"${{x}}\" {out} {done}")),
    ];
    for (argv, has_rules, shell, body) in rows {
        let mut container = json!({"command": [argv[0]], "args": argv[1..]});
        let folder = "/var/log/katib";
        let wrapping = Wrapping { folder, keeps_output: true, has_rules, literal: false };
        assert!(wrap(&mut container, &wrapping));
        assert_eq!(container, json!({"command": [shell, "-c"], "args": [body]}));
    }
}

#[test]
fn a_process_keeps_its_words_as_they_are() {
    let mut container = json!({"command": ["train", "a b", "it's"]});
    let wrapping = Wrapping { folder: "/d", keeps_output: false, has_rules: false, literal: true };
    assert!(wrap(&mut container, &wrapping));
    assert_eq!(container["args"][0], r"train 'a b' 'it'\''s' && echo completed > /d/$$$$.pid");
}

#[test]
fn without_a_command_or_a_shell_nothing_is_wrapped() {
    let mut run = run(&kind("StdOut"));
    let container = &mut run.manifest["spec"]["template"]["spec"]["containers"][0];
    container.as_object_mut().unwrap().remove("command");
    let (made, injected) = put(&run, &settings());
    assert_eq!(injected, Injected::Log, "what it prints is read from its log");
    assert_eq!(spec(&made)["containers"].as_array().unwrap().len(), 1);
    let mut run = self::run(&kind("File"));
    run.manifest["spec"]["template"]["metadata"] = json!({"annotations": {"cairn.dev/shell": "none"}});
    let (made, injected) = put(&run, &settings());
    assert_eq!(injected, Injected::Sidecar);
    assert_eq!(spec(&made)["containers"][0]["command"][0], "python");
    assert_eq!(task(spec(&made)).markers, None);
}

#[test]
fn the_sidecar_is_who_the_program_is_and_root_only_to_signal_what_may_be_root() {
    let of = |pod: Value, container: Value, rules: bool| {
        let mut run = run(&kind("StdOut"));
        run.rules.extend(rules.then(rule));
        let spec = &mut run.manifest["spec"]["template"]["spec"];
        (spec["securityContext"], spec["containers"][0]["securityContext"]) = (pod, container);
        let (made, _) = put(&run, &settings());
        let context = &self::spec(&made)["containers"][1]["securityContext"];
        let caps = context["capabilities"]["add"].as_array().map_or(0, Vec::len);
        (context["runAsUser"].as_u64().unwrap(), context["runAsNonRoot"].as_bool().unwrap(), caps)
    };
    assert_eq!(of(json!({}), json!({}), false), (65_532, true, 0));
    assert_eq!(of(json!({"runAsUser": 5}), json!({}), true), (5, true, 0));
    assert_eq!(of(json!({"runAsUser": 5}), json!({"runAsUser": 6}), true), (6, true, 0));
    assert_eq!(of(json!({}), json!({"runAsUser": 0}), true), (0, false, 0));
    assert_eq!(of(json!({}), json!({}), true), (0, false, 1));
    assert_eq!(of(json!({"runAsNonRoot": true}), json!({}), true), (65_532, true, 0));
}

#[test]
fn what_the_template_has_is_shared_and_stays() {
    let mut run = run(&kind("StdOut"));
    let spec = &mut run.manifest["spec"]["template"]["spec"];
    spec["volumes"] = json!([{"name": "logs", "emptyDir": {"medium": "Memory"}}]);
    spec["containers"][0]["volumeMounts"] =
        json!([{"name": "logs", "mountPath": "/var/log/katib/", "subPath": "s"}]);
    spec["containers"][0]["env"] = json!([{"name": "CAIRN_SERVER", "value": "mine"}]);
    let (made, _) = put(&run, &settings());
    let spec = self::spec(&made);
    assert_eq!(spec["containers"][1]["volumeMounts"][0]["subPath"], "s");
    assert_eq!(spec["volumes"].as_array().unwrap().len(), 2);
    assert_eq!(spec["containers"][0]["env"][0]["value"], "mine");
    assert_eq!(
        spec["containers"][0]["env"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|v| v["name"] == "CAIRN_SERVER")
            .count(),
        1
    );
}

#[test]
fn dollars_of_filters_reach_the_sidecar_as_they_are() {
    let mut collector = kind("StdOut");
    collector["source"] = json!({"filter": {"metricsFormat": [r"^\$(\w+);(.*)$"]}});
    let (made, _) = put(&run(&collector), &settings());
    let filter = task(spec(&made)).collector.source.unwrap().filter.unwrap();
    assert_eq!(filter.metrics_format, [r"^\$(\w+);(.*)$"]);
}

/// A job of the training operator with these replicas.
fn training(kind: &str, word: &str, replicas: &[(&str, u64)]) -> Run {
    let mut run = run(&self::kind("StdOut"));
    let template = run.manifest["spec"]["template"].take();
    let replica = |count: u64| json!({"replicas": count, "restartPolicy": "OnFailure", "template": template});
    let replicas: serde_json::Map<_, _> =
        replicas.iter().map(|(role, count)| ((*role).to_owned(), replica(*count))).collect();
    run.manifest["kind"] = json!(kind);
    run.manifest["spec"] = json!({ word: replicas });
    run
}

/// What the master of such a job is known by.
fn master() -> BTreeMap<String, String> {
    BTreeMap::from([("training.kubeflow.org/job-role".into(), "master".into())])
}

#[test]
fn the_masters_of_every_kind_are_found_and_workers_left_alone() {
    type Replicas<'a> = &'a [(&'a str, u64)];
    let rows: [(&str, &str, Replicas<'_>, &str); 9] = [
        ("PyTorchJob", "pytorchReplicaSpecs", &[("Master", 1), ("Worker", 3)], "Master"),
        ("PyTorchJob", "pytorchReplicaSpecs", &[("Worker", 1)], "Worker"),
        ("JAXJob", "jaxReplicaSpecs", &[("Worker", 1)], "Worker"),
        ("TFJob", "tfReplicaSpecs", &[("Chief", 1), ("Worker", 2), ("PS", 1)], "Chief"),
        ("TFJob", "tfReplicaSpecs", &[("PS", 1), ("Worker", 1)], "Worker"),
        ("XGBoostJob", "xgbReplicaSpecs", &[("Master", 1), ("Worker", 2)], "Master"),
        ("MXJob", "mxReplicaSpecs", &[("Scheduler", 1), ("Server", 1), ("Worker", 1)], "Server"),
        ("PaddleJob", "paddleReplicaSpecs", &[("Master", 1), ("Worker", 1)], "Master"),
        ("MPIJob", "mpiReplicaSpecs", &[("Launcher", 1), ("Worker", 2)], "Launcher"),
    ];
    for (kind, word, replicas, master) in rows {
        let run = training(kind, word, replicas);
        let mut made = run.manifest.clone();
        assert_eq!(object(&mut made, &run, &self::master(), &settings()), Ok(Injected::Sidecar), "{kind}");
        for (role, _) in replicas {
            let template = &made["spec"][word][role]["template"];
            let containers = template["spec"]["containers"].as_array().unwrap();
            assert_eq!(containers.len(), if *role == master { 2 } else { 1 }, "{kind} {role}");
            assert_eq!(template["metadata"]["labels"]["katib.kubeflow.org/trial"], *run.trial);
            if *role == master {
                assert_eq!(task(&template["spec"]).end, End::Restarts);
            }
        }
    }
}

#[test]
fn launchers_are_known_by_their_old_name_too() {
    let run = training("MPIJob", "mpiReplicaSpecs", &[("Launcher", 1), ("Worker", 2)]);
    let launcher = BTreeMap::from([("mpi-job-role".into(), "launcher".into())]);
    let mut made = run.manifest.clone();
    assert_eq!(object(&mut made, &run, &launcher, &settings()), Ok(Injected::Sidecar));
    let template = |role: &str| &made["spec"]["mpiReplicaSpecs"][role]["template"];
    let roles = ["Launcher", "Worker"].map(|role| &template(role)["metadata"]["labels"]["mpi-job-role"]);
    assert_eq!(roles, ["launcher", "worker"], "whatever operator makes the pods");
    let containers = |role: &str| template(role)["spec"]["containers"].as_array().unwrap().len();
    assert_eq!([containers("Launcher"), containers("Worker")], [2, 1]);
}

#[test]
fn the_newer_operator_of_mpi_has_a_word_for_its_launcher() {
    let mut run = training("MPIJob", "mpiReplicaSpecs", &[("Launcher", 1), ("Worker", 2)]);
    run.manifest["apiVersion"] = json!("kubeflow.org/v2beta1");
    let launcher = BTreeMap::from([("training.kubeflow.org/job-role".into(), "launcher".into())]);
    let mut made = run.manifest.clone();
    assert_eq!(object(&mut made, &run, &launcher, &settings()), Ok(Injected::Sidecar));
    let containers = |role: &str| {
        let template = &made["spec"]["mpiReplicaSpecs"][role]["template"];
        template["spec"]["containers"].as_array().unwrap().len()
    };
    assert_eq!([containers("Launcher"), containers("Worker")], [2, 1]);
    assert_eq!(object(&mut made, &run, &master(), &settings()), Err(InjectError::NoPrimary));
}

#[test]
fn what_is_made_out_of_sight_needs_the_webhook_unless_it_is_printed_or_reported() {
    let with = |webhook| Settings { webhook, ..settings() };
    assert_eq!(with(false).can_collect("File", "Job"), Ok(()));
    assert_eq!(with(false).can_collect("StdOut", "TrainJob"), Ok(()));
    assert_eq!(with(true).can_collect("File", "TrainJob"), Ok(()));
    let refused = with(false).can_collect("File", "TrainJob").unwrap_err().to_string();
    assert_eq!(
        refused,
        "`File` of a TrainJob needs a sidecar that is put into its pods when they are made, which this server does not do: \
         start it with --webhook-listen, --sidecar-image and --observe-listen"
    );
    let bare = Settings::default().can_collect("File", "Job").unwrap_err();
    assert_eq!(bare, InjectError::NoSidecar("File".into()));
}

#[test]
fn pods_that_only_their_labels_tell_apart_are_not_guessed() {
    let run = training("TFJob", "tfReplicaSpecs", &[("Worker", 2)]);
    let mut made = run.manifest.clone();
    let role = "training.kubeflow.org/job-role";
    let refused = object(&mut made, &run, &master(), &settings());
    assert_eq!(refused, Err(InjectError::Undecided(role.into())));
    // Once it is made, its labels say.
    let mut worker = run.manifest["spec"]["tfReplicaSpecs"]["Worker"]["template"].clone();
    assert_eq!(pod(&mut worker, &run, &master(), &settings()), Ok(Injected::Nothing));
    assert_eq!(worker["spec"]["containers"].as_array().unwrap().len(), 1);
    worker["metadata"]["labels"][role] = json!("master");
    assert_eq!(pod(&mut worker, &run, &master(), &settings()), Ok(Injected::Sidecar));
}

#[test]
fn the_jobs_of_a_set_are_told_apart_by_their_group_and_index() {
    let mut run = run(&kind("StdOut"));
    let job = run.manifest["spec"].take();
    let group =
        |name: &str, replicas: u64| json!({"name": name, "replicas": replicas, "template": {"spec": job}});
    run.manifest = json!({
        "apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet",
        "spec": {"replicatedJobs": [group("initializer", 1), group("node", 1), group("many", 2)]},
    });
    let labels = |group: &str| {
        let pairs = [
            ("jobset.sigs.k8s.io/replicatedjob-name", group),
            ("batch.kubernetes.io/job-completion-index", "0"),
            ("jobset.sigs.k8s.io/job-index", "0"),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    };
    let mut made = run.manifest.clone();
    assert_eq!(object(&mut made, &run, &labels("node"), &settings()), Ok(Injected::Sidecar));
    let count = |at: usize| {
        let jobs = &made["spec"]["replicatedJobs"];
        jobs[at]["template"]["spec"]["template"]["spec"]["containers"].as_array().unwrap().len()
    };
    assert_eq!([count(0), count(1), count(2)], [1, 2, 1]);
    let many = object(&mut run.manifest.clone(), &run, &labels("many"), &settings());
    assert_eq!(many, Err(InjectError::Undecided("jobset.sigs.k8s.io/job-index".into())));
    let none = object(&mut run.manifest.clone(), &run, &labels("other"), &settings());
    assert_eq!(none, Err(InjectError::NoPrimary));
}

#[test]
fn what_cannot_be_done_is_said() {
    let refused = |change: fn(&mut Run)| {
        let mut run = run(&kind("File"));
        change(&mut run);
        object(&mut run.manifest.clone(), &run, &BTreeMap::new(), &settings()).unwrap_err().to_string()
    };
    let name = refused(|run| run.primary_container = "other".into());
    assert_eq!(name, "the pod has no container `other`, which `primaryContainerName` names");
    let path = refused(|run| {
        let source = run.collector.source.as_mut().unwrap();
        source.file_system_path.as_mut().unwrap().path = "/metrics.log".into();
    });
    assert_eq!(path, "metrics cannot be kept in `/metrics.log`; name a folder of their own");
    let kind = refused(|run| run.manifest["kind"] = json!("Workflow"));
    assert_eq!(kind, "where an object of kind `Workflow` has its pods is not known");
}

/// As an installed Cairn has it, with a store of its own.
fn keeping() -> Settings {
    Settings { store: Some(StoreUri::own()), ..settings() }
}

fn container<'a>(object: &'a Value, group: &str, name: &str) -> &'a Value {
    let all = spec(object)[group].as_array().unwrap();
    all.iter().find(|container| container["name"] == name).unwrap()
}

#[test]
fn program_and_sidecar_share_the_folders_of_what_is_left() {
    let mut run = run(&kind("StdOut"));
    run.checkpoint_path = Some("/opt/katib/data".into());
    let (made, _) = put(&run, &keeping());
    let program = &spec(&made)["containers"][0];
    let mounts: Vec<_> = program["volumeMounts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mount| {
            let text = |word: &str| mount[word].as_str().unwrap_or_default().to_owned();
            format!("{} {} {}", text("name"), text("mountPath"), text("subPath"))
        })
        .collect();
    assert_eq!(
        mounts,
        [
            "metrics-volume /var/log/katib ",
            "cairn-trial /cairn ",
            "cairn-trial /cairn/model model",
            "cairn-trial /cairn/checkpoint checkpoint",
            "cairn-trial /opt/katib/data checkpoint",
        ]
    );
    let env = |name: &str| {
        let env = program["env"].as_array().unwrap();
        env.iter().find(|env| env["name"] == name).unwrap()["value"].as_str().unwrap().to_owned()
    };
    assert_eq!([env("CAIRN_MODEL_DIR"), env("CAIRN_TRIAL_DIR")], ["/cairn/model", "/cairn"]);
    let volumes = spec(&made)["volumes"].as_array().unwrap();
    let volume = volumes.iter().find(|volume| volume["name"] == "cairn-trial").unwrap();
    // Twice the 10 GiB that a model may have where nobody says, and a little.
    assert_eq!(volume["emptyDir"]["sizeLimit"], (21_u64 << 30).to_string());
    let keep = task(spec(&made)).keep.unwrap();
    let place = format!("cairn:///{}/{}/{}/{}", run.namespace, run.experiment, run.trial, run.id.attempt);
    assert_eq!((keep.place, keep.max_bytes, keep.inherited), (place, 10 << 30, false));
    let without = put(&run, &settings()).0;
    assert!(
        spec(&without)["containers"][0]["volumeMounts"].as_array().unwrap().len() == 1,
        "no store, no folders"
    );
}

#[test]
fn the_keys_of_a_bucket_are_the_sidecar_s_alone() {
    let mut run = run(&kind("StdOut"));
    run.artifacts = serde_json::from_value(json!({
        "store": "s3://models/team", "maxBytes": "1Gi", "secretRef": {"name": "bucket-keys"},
    }))
    .unwrap();
    let (made, _) = put(&run, &settings());
    let sidecar = container(&made, "containers", "metrics-logger-and-collector");
    assert_eq!(sidecar["envFrom"], json!([{"secretRef": {"name": "bucket-keys"}}]));
    assert!(!yaml(&spec(&made)["containers"][0]).contains("bucket-keys"), "not the program's");
    let keep = task(spec(&made)).keep.unwrap();
    assert!(keep.place.starts_with("s3://models/team/") && keep.max_bytes == 1 << 30, "{}", keep.place);
    run.artifacts.store = Some("pvc://shared/models".into());
    run.artifacts.secret_ref = None;
    let (made, _) = put(&run, &settings());
    let mounts = yaml(&container(&made, "containers", "metrics-logger-and-collector")["volumeMounts"]);
    assert!(mounts.contains("/cairn-store"), "{mounts}");
    assert!(yaml(&spec(&made)["volumes"]).contains("claimName: shared"));
}

#[test]
fn a_checkpoint_is_fetched_before_anything_begins() {
    let mut run = run(&kind("StdOut"));
    let start = Sealed { uri: "cairn:///ns/e/parent/1/checkpoint".into(), digest: "ab".into(), bytes: 7 };
    run.start = Some(start.clone());
    let (made, _) = put(&run, &Settings { native: true, ..keeping() });
    assert_eq!(spec(&made)["initContainers"][0]["name"], "cairn-fetch", "before the native sidecar");
    let fetcher = container(&made, "initContainers", "cairn-fetch");
    let env = fetcher["env"].as_array().unwrap().iter().find(|env| env["name"] == FETCH).unwrap();
    let fetch: Fetch = serde_json::from_str(env["value"].as_str().unwrap()).unwrap();
    assert_eq!((fetch.checkpoint, fetch.run), (start, run.id));
    let mounts = yaml(&fetcher["volumeMounts"]);
    assert!(mounts.contains("/cairn") && mounts.contains("cairn.dev"), "{mounts}");
}

#[test]
fn a_program_that_pushes_has_a_sidecar_where_its_model_is_wanted() {
    let mut run = run(&kind("Push"));
    assert_eq!(put(&run, &keeping()).1, Injected::Nothing, "it is spared what nobody asked for");
    run.artifacts.store = Some("cairn://".into());
    let (made, injected) = put(&run, &keeping());
    assert_eq!(injected, Injected::Sidecar);
    let told = task(spec(&made));
    assert!(told.keeps_only && told.markers.as_deref() == Some("/var/log/katib") && told.keep.is_some());
}
