//! What people do to a cluster by hand, and clocks that go wrong, while experiments run.

use std::time::Duration;

use e2e::until;
use serde_json::{Value, json};

use super::experiments::{Story, conditions, experiment, running};
use super::hooks;

impl Story {
    /// Trials of an experiment.
    fn trials_of(&self, experiment: &str) -> Vec<Value> {
        let is = |trial: &Value| trial["metadata"]["labels"]["katib.kubeflow.org/experiment"] == *experiment;
        self.items("trials").into_iter().filter(is).collect()
    }

    /// Names of the Jobs for which pods were ever made.
    fn begun(&self) -> Vec<String> {
        let path = "jsonpath={range .items[*]}{.reason} {.involvedObject.name}{\"\\n\"}{end}";
        let events = self.kubectl(&["get", "events", "-o", path]);
        events.lines().filter_map(|line| line.strip_prefix("SuccessfulCreate ")).map(str::to_owned).collect()
    }

    /// Objects of which it is told that their edit was undone.
    fn reverted(&self) -> Vec<String> {
        let path = "jsonpath={range .items[*]}{.involvedObject.kind}/{.involvedObject.name}{\"\\n\"}{end}";
        let events = self.kubectl(&["get", "events", "--field-selector", "reason=Reverted", "-o", path]);
        let mut all: Vec<String> = events.lines().map(str::to_owned).collect();
        all.sort();
        all
    }

    fn patch(&self, what: &str, more: &[&str], patch: &Value) {
        let patch = patch.to_string();
        self.kubectl(&[&["patch", what, "--type=merge", "-p", &patch], more].concat());
    }
}

#[test]
fn what_is_shown_is_put_right_again_and_nothing_is_run_for_it() {
    let Some(story) = Story::begin("put-right") else { return };
    let server = story.serve();
    story.apply(&experiment("story", 2, 1, "echo loss=$X"));
    let done = story.until_is("story", "Succeeded");
    let (suggestion, trials) = (story.get("suggestion/story"), story.trials_of("story"));
    let name = trials[0]["metadata"]["name"].as_str().unwrap();
    let again = |what: &str, before: &Value, parts: &[&str]| {
        until(&format!("{what} is as it was"), || {
            let text = story.kubectl(&["get", what, "-o", "json", "--ignore-not-found"]);
            let now: Value = serde_json::from_str(&text).ok()?;
            parts.iter().all(|part| now[*part] == before[*part]).then_some(now)
        })
    };

    assert_eq!(story.reverted(), Vec::<String>::new(), "nobody has edited anything");
    let lies = json!({"status": {"trialsSucceeded": 99, "conditions": [], "currentOptimalTrial": null}});
    story.patch("experiment/story", &["--subresource=status"], &lies);
    again("experiment/story", &done, &["status"]);
    story.patch(
        &format!("trial/{name}"),
        &["--subresource=status"],
        &json!({"status": {"observation": null}}),
    );
    again(&format!("trial/{name}"), &trials[0], &["status"]);
    story.patch("suggestion/story", &[], &json!({"spec": {"requests": 7}}));
    again("suggestion/story", &suggestion, &["spec", "status"]);
    let edited = ["Experiment/story".to_owned(), "Suggestion/story".into(), format!("Trial/{name}")];
    until("it is told that they were edited", || (story.reverted() == edited).then_some(()));

    story.kubectl(&["delete", "suggestion", "story"]);
    let made = again("suggestion/story", &suggestion, &["spec", "status"]);
    assert_ne!(made["metadata"]["uid"], suggestion["metadata"]["uid"]);
    story.kubectl(&["delete", "trial", name]);
    let made = again(&format!("trial/{name}"), &trials[0], &["spec", "status"]);
    assert_ne!(made["metadata"]["uid"], trials[0]["metadata"]["uid"]);
    assert_eq!(story.begun().len(), 2, "what has ended is not run again: {}", server.stderr());
}

#[test]
fn an_experiment_that_was_made_again_while_nobody_looked_is_another() {
    let Some(story) = Story::begin("remade") else { return };
    let mut server = story.serve();
    story.apply(&experiment("story", 2, 1, "sleep 2; echo loss=$X"));
    let (first, _) = running(&story);
    let before = story.get("experiment/story")["metadata"]["uid"].clone();
    server.kill();
    story.kubectl(&["delete", "experiment", "story"]);
    story.apply(&experiment("story", 3, 1, "echo loss=$X"));
    let server = story.serve();
    let done = story.until_is("story", "Succeeded");
    assert_ne!(done["metadata"]["uid"], before);
    assert_eq!((&done["status"]["trials"], &done["status"]["trialsSucceeded"]), (&json!(3), &json!(3)));
    // What the one before owned goes once the cluster collects it.
    let trials = until("its own trials are left", || {
        let trials = story.trials_of("story");
        let is_first = |trial: &Value| trial["metadata"]["name"] == *first;
        (!trials.iter().any(is_first)).then_some(trials)
    });
    assert_eq!(trials.len(), 3, "{}", server.stderr());
    let dir = story.cairn.path().display().to_string();
    let list = ["list", "-n", story.namespace, "--dir", &dir, "-o", "json"];
    let list = story.cairn.run(list).ok().json();
    assert_eq!(list["items"].as_array().unwrap().len(), 1, "the one before is archived: {list}");
}

#[test]
fn times_that_make_no_sense_lose_no_row() {
    let Some(story) = Story::begin("times") else { return };
    let _server = story.serve();
    // A clock that is years ahead, one that goes backwards, one that stands, times that are none.
    let script = "echo 2099-01-01T00:00:00Z loss=5; echo 1970-01-01T00:00:00Z loss=1; \
                  echo 2026-01-01T00:00:00+14:00 loss=3; echo 2026-01-01T00:00:00+14:00 loss=4; \
                  echo 9999-99-99T99:99:99Z loss=2; echo -- loss=6";
    story.apply(&experiment("story", 1, 1, script));
    story.until_is("story", "Succeeded");
    let trial = &story.trials_of("story")[0];
    let metric = &trial["status"]["observation"]["metrics"][0];
    assert_eq!(
        *metric,
        json!({"name": "loss", "min": "1", "max": "6", "latest": "5"}),
        "the newest time counts"
    );
    let dir = story.cairn.path().display().to_string();
    let args = ["export", "story", "-n", story.namespace, "--dir", &dir, "--observations"];
    let rows = story.cairn.run(args).ok().stdout;
    let cell = |line: &str, nth: usize| line.split(',').nth(nth).unwrap().to_owned();
    let rows: Vec<_> = rows.lines().skip(1).map(|line| (cell(line, 3), cell(line, 5))).collect();
    let wanted = [("0", "5"), ("1", "1"), ("2", "3"), ("3", "4"), ("4", "2"), ("5", "6")];
    assert_eq!(
        rows,
        wanted.map(|(step, text)| (step.to_owned(), text.to_owned())),
        "steps are in the order of lines"
    );
    let begun = trial["status"]["startTime"].as_str().unwrap();
    assert!(!begun.starts_with("2099") && !begun.starts_with("1970"), "{begun}");
}

#[test]
fn a_namespace_and_kinds_that_go_away_take_with_them_what_was_theirs_alone() {
    let Some(story) = hooks::Story::begin() else { return };
    let server = story.serve();
    let (gone, stays) = (story.cluster.namespace("goes-away"), story.cluster.namespace("stays"));
    let script = "i=0; while [ $i -lt 60 ]; do echo loss=$X; i=$((i+1)); sleep 0.2; done";
    story.cluster.apply_in(gone, &experiment("story", 2, 2, script));
    until("trials run", || (story.running(gone, "story") == 2).then_some(()));
    let things = hooks::things();
    story.cluster.apply_in(stays, &things.to_string());
    let established = ["wait", "--for=condition=Established", "--timeout=30s", "crd/things.example.com"];
    story.cluster.kubectl(&established);
    story.cluster.apply_in(stays, &hooks::of_things("odd").to_string());
    let thing = || story.get(stays, "things")["items"].get(0).cloned();
    let first = until("the trial's object", thing);

    // A namespace is deleted: its experiment is archived, and nothing is left of it.
    story.cluster.kubectl(&["delete", "namespace", gone, "--timeout=60s"]);
    let dir = story.cairn.path().display().to_string();
    until("its record is archived", || {
        let list = story.cairn.run(["list", "-n", gone, "--dir", &dir, "-o", "json"]).ok().json();
        list["items"].as_array().is_some_and(Vec::is_empty).then_some(())
    });

    // The kind of a trial goes away, and comes back: its run is lost, another waits until it can be.
    story.cluster.kubectl(&["delete", "crd", "things.example.com", "--timeout=30s"]);
    let why = "the cluster knows no kind `Thing` of `example.com/v1`";
    until("it is said what is missing", || server.stderr().contains(why).then_some(()));
    story.cluster.apply_in(stays, &things.to_string());
    story.cluster.kubectl(&established);
    let second = until("the next attempt", thing);
    assert_eq!(second["metadata"]["name"], first["metadata"]["name"]);

    // Cairn's own kinds go away with all Trials; the experiment goes on once they are back.
    story.cluster.kubectl(&["delete", "crd", "trials.kubeflow.org", "--timeout=60s"]);
    std::thread::sleep(Duration::from_secs(2));
    story.install();
    let third = until("the attempt after that", || {
        let thing = thing().filter(|thing| thing["metadata"]["deletionTimestamp"].is_null())?;
        (thing["metadata"]["uid"] != second["metadata"]["uid"]).then_some(thing)
    });
    let name = third["metadata"]["name"].as_str().unwrap();
    let done = json!({"status": {"conditions": [{"type": "Done", "status": "True"}]}}).to_string();
    story.cluster.kubectl(&["-n", stays, "patch", "thing", name, "--type=merge", "-p", &done]);
    let trial = until("the trial has ended", || {
        let trials = story.get(stays, "trials");
        let trial = trials["items"].get(0)?.clone();
        (conditions(&trial).last()?.0 == "MetricsUnavailable").then_some(trial)
    });
    assert_eq!(trial["metadata"]["name"], *name, "{}", server.stderr());

    // The kind of Experiments goes away with all of them: each was deleted, and one made later is another.
    story.cluster.kubectl(&["delete", "crd", "experiments.kubeflow.org", "--timeout=60s"]);
    story.install();
    until("its record is archived too", || {
        let list = story.cairn.run(["list", "-n", stays, "--dir", &dir, "-o", "json"]).ok().json();
        list["items"].as_array().is_some_and(Vec::is_empty).then_some(())
    });
    story.cluster.apply_in(stays, &hooks::of_things("odd").to_string());
    until("the trial of another experiment", || {
        let thing = thing().filter(|thing| thing["metadata"]["deletionTimestamp"].is_null())?;
        (thing["metadata"]["name"] != *name).then_some(())
    });
}
