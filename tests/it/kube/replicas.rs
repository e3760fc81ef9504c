//! Two Cairns that are pods, with the PostgreSQL that comes along: installed as people install them, and what becomes of
//! an experiment when one is killed.

use std::os::unix::fs::PermissionsExt as _;

use e2e::{Running, until};
use serde_json::Value;

use super::experiments::{command, conditions, experiment};
use super::hooks::{IMAGE, Story, broken, of_things, things};
use super::install::give_volume;

const HOME: &str = "replicated";
const TEAM: &str = "of-two";
/// Prints six rows in three seconds.
const SCRIPT: &str = "i=0; while [ $i -lt 6 ]; do echo step=$i loss=$X; i=$((i+1)); sleep 0.5; done";

struct Pair(Story);

impl Pair {
    fn home(&self, args: &[&str]) -> String {
        self.0.cluster.kubectl(&[&["-n", HOME], args].concat())
    }

    /// Who holds the Lease.
    fn leader(&self) -> Option<String> {
        let holder =
            self.home(&["get", "lease/cairn", "--ignore-not-found", "-o", "jsonpath={.spec.holderIdentity}"]);
        // The name of the pod, and what tells its processes apart.
        Some(holder.rsplit_once('-')?.0.to_owned())
    }

    /// How many pods a Service leads to.
    fn behind(&self, service: &str) -> usize {
        let addresses = "jsonpath={.subsets[*].addresses[*].ip}";
        self.home(&["get", "endpoints", service, "-o", addresses]).split_whitespace().count()
    }

    fn status(&self, name: &str, word: &str) -> u64 {
        self.0.get(TEAM, &format!("experiment/{name}"))["status"][word].as_u64().unwrap_or(0)
    }

    fn until_succeeded(&self, name: &str) -> Value {
        until(&format!("{name} has succeeded"), || {
            let experiment = self.0.get(TEAM, &format!("experiment/{name}"));
            (conditions(&experiment).last()?.0 == "Succeeded").then_some(experiment)
        })
    }

    /// What a command prints that speaks with the Service, from outside, with the token of the install.
    fn asked(&self, args: &[&str]) -> String {
        let address = self.home(&["get", "service/cairn", "-o", "jsonpath={.spec.clusterIP}"]);
        let secret = ["get", "secret/cairn-token", "-o", "go-template={{.data.token | base64decode}}"];
        let token = self.0.cairn.at("token");
        std::fs::write(&token, self.home(&secret)).unwrap();
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
        let (url, token) = (format!("http://{address}:7700"), token.display().to_string());
        let args = [args, &["--server", &url, "--token-file", &token]].concat();
        Running::start(command(self.0.cluster, &args)).end().ok().stdout
    }
}

impl Drop for Pair {
    /// No pod of it is left to act beside other stories, however this one ends.
    fn drop(&mut self) {
        let delete = ["-n", HOME, "delete", "deployment/cairn", "statefulset/cairn-postgres", "--wait=true"];
        self.0.cluster.enter("kubectl").args(delete).output().ok();
        let left = ["-n", HOME, "wait", "--for=delete", "pod", "--all", "--timeout=60s"];
        self.0.cluster.enter("kubectl").args(left).output().ok();
    }
}

#[test]
fn two_cairns_and_their_postgresql_lose_nothing_when_one_of_them_is_killed() {
    let Some(story) = Story::begin() else { return };
    let cluster = story.cluster;
    cluster.image_of("local/cairn:1", &e2e::cairn::binary());
    cluster.postgres_image();
    let _volume = give_volume(cluster, HOME, "data-cairn-postgres-0");
    let images =
        ["--image", "local/cairn:1", "--sidecar-image", IMAGE, "--postgres-image", "local/postgres:1"];
    let install = ["install", "--overlay", "ha", "--namespace", HOME];
    Running::start(command(cluster, &[&install[..], &images].concat())).end().ok();
    let pair = Pair(story);
    for what in ["statefulset/cairn-postgres", "deployment/cairn"] {
        pair.home(&["rollout", "status", what, "--timeout=120s"]);
    }
    let first = until("one leads", || pair.leader());
    until("the API is the leader's, and webhooks are everybody's", || {
        (pair.behind("cairn") == 1 && pair.behind("cairn-webhooks") == 2).then_some(())
    });
    cluster.namespace(TEAM);
    // One whose kind Cairn may not list waits alone.
    cluster.apply_in(TEAM, &things().to_string());
    cluster.kubectl(&["wait", "--for=condition=Established", "--timeout=30s", "crd/things.example.com"]);
    cluster.apply_in(TEAM, &of_things("odd").to_string());
    cluster.apply_in(TEAM, &experiment("story", 6, 2, SCRIPT));
    until("trials run", || (pair.status("story", "trialsRunning") > 0).then_some(()));

    pair.home(&["delete", "pod", &first, "--force", "--grace-period=0"]);
    // Whoever leads, webhooks are answered.
    let tried = ["apply", "-n", TEAM, "--dry-run=server", "-f", "-"];
    until("webhooks are answered", || {
        let said = pair.0.given(&tried, &broken());
        String::from_utf8_lossy(&said.stderr).contains("`broken` is not valid").then_some(())
    });
    until("another leads", || pair.leader().filter(|leader| *leader != first));
    assert_eq!(pair.until_succeeded("story")["status"]["trialsSucceeded"], 6);
    let events = "jsonpath={range .items[*]}{.reason} {.involvedObject.kind}{\"\\n\"}{end}";
    let events = cluster.kubectl(&["-n", TEAM, "get", "events", "-o", events]);
    let pods = events.lines().filter(|line| *line == "SuccessfulCreate Job").count();
    assert_eq!(pods, 6, "each trial had one pod: {events}");
    let exported = pair.asked(&["export", "story", "-n", TEAM, "--observations"]);
    assert_eq!(
        exported.lines().filter(|line| line.contains("loss")).count(),
        36,
        "each row once: {exported}"
    );

    // Its PostgreSQL begins anew, on the same volume.
    pair.home(&["delete", "pod", "cairn-postgres-0"]);
    cluster.apply_in(TEAM, &experiment("after", 2, 2, "echo loss=$X"));
    assert_eq!(pair.until_succeeded("after")["status"]["trialsSucceeded"], 2);
    let list: Value = serde_json::from_str(&pair.asked(&["list", "-n", TEAM, "-o", "json"])).unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 3, "{list}");
    let log = pair.home(&["logs", "deployment/cairn", "--all-pods"]);
    assert!(
        log.contains(r#"{apiGroups: ["example.com"], resources: ["things"], verbs: ["list", "watch"]}"#),
        "{log}"
    );
}
