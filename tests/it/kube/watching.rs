//! What those see who watch over a Cairn in a cluster: events, counters and logs.

use std::collections::BTreeMap;

use e2e::{Running, python, until};
use serde_json::Value;

use super::experiments::{Story, experiment};

impl Story {
    /// Reason, type and note of each event beside a resource, oldest first.
    fn told(&self, kind: &str, name: &str) -> Vec<(String, String, String)> {
        let about = format!("involvedObject.kind={kind},involvedObject.name={name}");
        let list = ["get", "events", "--field-selector", &about, "-o", "json"];
        let events: Value = serde_json::from_str(&self.kubectl(&list)).unwrap();
        let mut events = events["items"].as_array().unwrap().clone();
        let word = |event: &Value, word: &str| event[word].as_str().unwrap().to_owned();
        events.sort_by_key(|event| (word(event, "firstTimestamp"), word(&event["metadata"], "name")));
        let row = |event: &Value| (word(event, "reason"), word(event, "type"), word(event, "message"));
        events.iter().map(row).collect()
    }

    /// What Prometheus reads of a server: whole samples of one name by their labels, written as `key=value`.
    fn scraped(&self, url: &str) -> impl Fn(&str) -> BTreeMap<String, u64> + use<> {
        let mut scrape = self.cluster.enter(python::with("peers"));
        scrape.arg(e2e::workspace().join("tests/it/peers/metrics.py")).arg(format!("{url}/metrics"));
        let page = Running::start(scrape).end().ok().json();
        move |name| {
            let samples = page["samples"].as_array().unwrap().iter();
            let row = |sample: &Value| {
                let labels = sample["labels"].as_object().unwrap().iter();
                let labels: Vec<String> =
                    labels.map(|(key, value)| format!("{key}={}", value.as_str().unwrap())).collect();
                (labels.join(","), sample["value"].as_f64().unwrap() as u64)
            };
            samples.filter(|sample| sample["name"] == *name).map(row).collect()
        }
    }
}

#[test]
fn events_stand_beside_experiments_and_trials_and_a_restart_adds_none() {
    let Some(story) = Story::begin("told") else { return };
    let mut server = story.serve();
    story.apply(&experiment("good", 2, 1, "echo loss=$X"));
    story.until_is("good", "Succeeded");
    story.apply(
        &experiment("bad", 1, 1, "exit 3").replace("  seed: 7\n", "  seed: 7\n  maxFailedTrialCount: 1\n"),
    );
    story.until_is("bad", "Failed");
    story.apply(&experiment("invalid", 1, 2, "true"));
    story.until_is("invalid", "Failed");

    let reasons = |told: &[(String, String, String)]| {
        told.iter().map(|(reason, _, _)| reason.clone()).collect::<Vec<String>>()
    };
    let of_good = until("the end is told", || {
        let told = story.told("Experiment", "good");
        (told.last()?.0 == "ExperimentMaxTrialsReached").then_some(told)
    });
    assert_eq!(reasons(&of_good), ["ExperimentCreated", "ExperimentRunning", "ExperimentMaxTrialsReached"]);
    assert!(of_good.iter().all(|(_, kind, _)| kind == "Normal"), "{of_good:?}");
    let trials = story.items("trials");
    let of = |experiment: &str| {
        let is = |trial: &&Value| trial["metadata"]["labels"]["katib.kubeflow.org/experiment"] == *experiment;
        trials.iter().filter(is).map(|trial| trial["metadata"]["name"].as_str().unwrap()).collect::<Vec<_>>()
    };
    for trial in of("good") {
        let told = until("the trial's end is told", || {
            let told = story.told("Trial", trial);
            (told.last()?.0 == "JobSucceeded").then_some(told)
        });
        assert_eq!(reasons(&told), ["TrialCreated", "JobCreated", "JobRunning", "JobSucceeded"]);
        assert_eq!(told[1].2, format!("Job {trial} has been created"));
        let described = story.kubectl(&["describe", "trial", trial]);
        assert!(described.contains("JobSucceeded"), "kubectl finds them by uid: {described}");
    }
    let failed = until("a failure is a warning", || story.told("Trial", of("bad")[0]).pop());
    assert_eq!((failed.0.as_str(), failed.1.as_str()), ("JobFailed", "Warning"));
    assert!(failed.2.contains("exit code 3"), "{failed:?}");
    assert_eq!(story.told("Experiment", "bad").pop().unwrap().1, "Warning");
    until("what is wrong with it is told", || {
        let told = story.told("Experiment", "invalid");
        told.iter()
            .any(|(reason, _, note)| reason == "NotValid" && note.contains("parallelTrialCount"))
            .then_some(())
    });

    let all = || story.kubectl(&["get", "events", "-o", "jsonpath={.items[*].metadata.resourceVersion}"]);
    let before = all();
    server.kill();
    let again = story.serve();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(all(), before, "{}", again.stderr());
}

#[test]
fn prometheus_and_a_reader_of_logs_understand_a_server() {
    let Some(story) = Story::begin("watched") else { return };
    let server = story.serve_with(&["--log-format", "json"]);
    let url = server.said("serving on ");
    story.apply(&experiment("good", 3, 1, "echo loss=$X"));
    story.until_is("good", "Succeeded");
    let name = story.items("trials")[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let sample = story.scraped(&url);
    let here = format!("namespace={}", story.namespace);
    assert_eq!(sample("katib_experiment_created_total")[&here], 1);
    assert_eq!(sample("katib_experiment_succeeded_total")[&here], 1);
    assert_eq!(sample("katib_trial_created_total")[&here], 3);
    assert_eq!(sample("katib_trial_succeeded_total")[&here], 3);
    assert_eq!(sample("katib_trial_failed_total")[&here], 0);
    assert_eq!(sample("katib_trials_current")[&format!("{here},status=Succeeded")], 3);
    assert_eq!(sample("cairn_trial_queue_seconds_count")[""], 3);
    for histogram in ["cairn_suggestion_seconds", "cairn_turn_seconds", "cairn_reconcile_seconds"] {
        let count = sample(&format!("{histogram}_count"))[""];
        assert!(count >= 1, "{histogram}");
        assert_eq!(sample(&format!("{histogram}_bucket"))["le=+Inf"], count);
    }
    assert!(sample("cairn_store_seconds_count")["operation=commit"] >= 3);

    let lines: Vec<Value> =
        server.stderr().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let span = |line: &Value, kind: &str| {
        let spans = line["spans"].as_array().into_iter().flatten();
        spans.into_iter().find(|span| span["name"] == *kind).map(|span| span[kind].clone())
    };
    let ended = lines.iter().find(|line| {
        line["fields"]["message"] == "the trial ended"
            && span(line, "trial").is_some_and(|trial| trial == *name)
    });
    let ended = ended.unwrap_or_else(|| panic!("{}", server.stderr()));
    assert_eq!(ended["fields"]["state"], "Succeeded");
    assert_eq!(span(ended, "experiment").unwrap(), "good");

    story.kubectl(&["delete", "experiment", "good"]);
    until("it is counted as deleted", || {
        let sample = story.scraped(&url);
        let deleted = sample("katib_experiment_deleted_total").get(&here).copied()?;
        (deleted == 1 && sample("katib_trial_deleted_total")[&here] == 3).then_some(())
    });
}
