//! Stores that are put back from a copy, or lost, while the cluster has gone on.

use std::time::Duration;

use e2e::{Running, until};
use rustix::process::Signal;

use super::experiments::{Story, command, experiment};

fn succeeded(story: &Story) -> u64 {
    story.get("experiment/story")["status"]["trialsSucceeded"].as_u64().unwrap_or(0)
}

/// Pods of trials that there ever were.
fn pods(story: &Story) -> usize {
    let path = "jsonpath={range .items[*]}{.reason} {.involvedObject.kind}{\"\\n\"}{end}";
    let events = story.kubectl(&["get", "events", "-o", path]);
    events.lines().filter(|line| *line == "SuccessfulCreate Job").count()
}

fn end(server: Running) {
    server.signal(Signal::TERM);
    assert_eq!(server.end().code, Some(0));
}

/// A server with the store that is there stands by until it has learned from the cluster; that server then acts.
fn recover(story: &Story) -> Running {
    let server = story.serve();
    let why = server.said("standing by");
    assert!(why.contains("the store is older than what it has shown"), "{why}");
    assert!(why.contains("cairn recover --from-cluster"), "{why}");
    std::thread::sleep(Duration::from_secs(3));
    assert!(!server.stderr().contains("this Cairn leads"));
    let dir = story.cairn.path().display().to_string();
    let args = ["recover", "--from-cluster", "--kubernetes", "--watch-namespace", story.namespace];
    let recovered =
        Running::start(command(story.cluster, &[&args[..], &["--dir", &dir]].concat())).end().ok();
    assert!(recovered.stderr.contains("/story: "), "{recovered}");
    server.said("this Cairn leads");
    server
}

#[test]
fn a_store_that_is_older_than_the_cluster_learns_from_it_before_anything_is_run() {
    let Some(story) = Story::begin("older") else { return };
    let store = |name: &str| story.cairn.at(name);
    let server = story.serve();
    let script = "i=0; while [ $i -lt 4 ]; do echo step=$i loss=$X; i=$((i+1)); sleep 0.5; done";
    story.apply(&experiment("story", 6, 1, script));
    until("a trial has ended", || (succeeded(&story) >= 1).then_some(()));
    end(server);
    std::fs::copy(store("cairn.db"), store("copy")).unwrap();
    let server = story.serve();
    until("more have ended", || (succeeded(&story) >= 3).then_some(()));
    end(server);
    let before = story.items("trials");

    for file in ["cairn.db-wal", "cairn.db-shm"] {
        std::fs::remove_file(store(file)).ok();
    }
    std::fs::copy(store("copy"), store("cairn.db")).unwrap();
    let server = recover(&story);
    let done = story.until_is("story", "Succeeded");
    assert_eq!(done["status"]["trialsSucceeded"], 6, "{}", server.stderr());
    assert_eq!(pods(&story), 6, "nothing was run twice");
    let after = story.items("trials");
    for trial in before {
        let same = after.iter().find(|other| other["metadata"]["uid"] == trial["metadata"]["uid"]).unwrap();
        assert_eq!(same["spec"]["parameterAssignments"], trial["spec"]["parameterAssignments"]);
    }
    end(server);

    // The store is lost altogether: what has ended is not run again.
    for file in ["cairn.db", "cairn.db-wal", "cairn.db-shm"] {
        std::fs::remove_file(store(file)).ok();
    }
    let best = done["status"]["currentOptimalTrial"].clone();
    let server = recover(&story);
    std::thread::sleep(Duration::from_secs(3));
    let again = story.get("experiment/story");
    assert_eq!(again["status"]["trialsSucceeded"], 6, "{}", server.stderr());
    assert_eq!(again["status"]["currentOptimalTrial"], best);
    assert_eq!(pods(&story), 6);
}

#[test]
fn a_copy_that_is_a_few_seconds_old_is_noticed_too() {
    let Some(story) = Story::begin("seconds") else { return };
    let store = |name: &str| story.cairn.at(name);
    let mut server = story.serve();
    story.apply(&experiment("story", 8, 1, "echo loss=$X; sleep 1"));
    until("a trial has ended", || (succeeded(&story) >= 1).then_some(()));
    // What lies on the disk between two moments.
    server.signal(Signal::STOP);
    for file in ["cairn.db", "cairn.db-wal"] {
        std::fs::copy(store(file), store(&format!("copy-{file}"))).unwrap();
    }
    server.signal(Signal::CONT);
    let before = succeeded(&story);
    until("more have ended", || (succeeded(&story) >= before + 2).then_some(()));
    server.kill();
    for file in ["cairn.db", "cairn.db-wal"] {
        std::fs::copy(store(&format!("copy-{file}")), store(file)).unwrap();
    }
    std::fs::remove_file(store("cairn.db-shm")).ok();
    let server = recover(&story);
    let done = story.until_is("story", "Succeeded");
    assert_eq!(done["status"]["trialsSucceeded"], 8, "{}", server.stderr());
    assert_eq!(pods(&story), 8, "nothing was run twice");
    end(server);
}
