//! Two servers of one namespace that share a PostgreSQL: one leads.

use std::time::{Duration, Instant};

use e2e::postgres::Server;
use e2e::{Running, until};
use rustix::process::Signal;

use super::experiments::{Story, command, conditions, experiment};

/// How long it may take until a leader that has gone silent is followed by another: its Lease is good for 10 s, and is
/// looked at every 2 s.
const FOLLOWED: Duration = Duration::from_secs(20);

/// A story whose store is a PostgreSQL.
struct Pair {
    story: Story,
    store: String,
}

impl Pair {
    fn begin(namespace: &'static str, server: &Server) -> Option<Self> {
        let story = Story::begin(namespace)?;
        server.database(namespace);
        Some(Self { story, store: server.local_address(namespace) })
    }

    fn serve(&self) -> Running {
        self.story.serve_with(&["--store", &self.store])
    }

    fn cairn(&self, args: &[&str]) -> e2e::Output {
        Running::start(command(self.story.cluster, args)).end()
    }

    fn count(&self, name: &str, word: &str) -> u64 {
        self.story.get(&format!("experiment/{name}"))["status"][word].as_u64().unwrap_or(0)
    }

    fn until_running(&self, name: &str, ended: u64) {
        until("trials run", || {
            let is = self.count(name, "trialsSucceeded") >= ended && self.count(name, "trialsRunning") > 0;
            is.then_some(())
        });
    }

    /// Every trial had one pod, and every row that it printed is there once.
    fn assert_whole(&self, name: &str, trials: usize, rows: usize) {
        let path = "jsonpath={range .items[*]}{.reason} {.involvedObject.name}{\"\\n\"}{end}";
        let events = self.story.kubectl(&["get", "events", "-o", path]);
        let of_jobs = |line: &&str| line.starts_with(&format!("SuccessfulCreate {name}-"));
        assert_eq!(events.lines().filter(of_jobs).count(), trials, "each trial had one pod: {events}");
        let args = ["export", name, "-n", self.story.namespace, "--store", &self.store, "--observations"];
        let exported = self.cairn(&args).ok().stdout;
        assert_eq!(
            exported.lines().filter(|line| line.contains("loss")).count(),
            trials * rows,
            "{exported}"
        );
    }
}

/// Prints six rows in three seconds.
const SCRIPT: &str = "i=0; while [ $i -lt 6 ]; do echo step=$i loss=$X; i=$((i+1)); sleep 0.5; done";

fn leads(server: &Running) -> bool {
    server.stderr().contains("this Cairn leads")
}

#[test]
fn a_leader_that_slept_finds_another_in_its_place_and_writes_nothing() {
    let postgres = e2e::postgres::shared();
    let Some(pair) = Pair::begin("slept", postgres) else { return };
    let mut first = pair.serve();
    first.said("this Cairn leads");
    let mut second = pair.serve();
    let holder = second.said("standing by");
    assert!(holder.contains("it holds the Lease slept/cairn"), "{holder}");
    assert!(!leads(&second), "{}", second.stderr());
    pair.story.apply(&experiment("story", 6, 2, SCRIPT));
    pair.until_running("story", 1);

    // Who stands by says who leads, shows what there is, and writes nothing.
    let url = second.said("serving on ");
    let health =
        pair.story.cluster.enter("busybox").args(["wget", "-qO-", &format!("{url}/healthz")]).output();
    let health = String::from_utf8(health.unwrap().stdout).unwrap();
    assert!(health.starts_with("ok; this Cairn stands by: ") && health.contains("leads"), "{health}");
    let list = pair.cairn(&["list", "--server", &url, "-n", "slept", "-o", "json"]).ok().json();
    assert_eq!(list["items"][0]["metadata"]["name"], "story", "{list}");

    first.signal(Signal::STOP);
    let begun = Instant::now();
    second.said("this Cairn leads");
    assert!(begun.elapsed() < FOLLOWED, "followed after {:?}", begun.elapsed());
    pair.until_running("story", 3);
    first.signal(Signal::CONT);
    let said = first.end_within(Duration::from_secs(10));
    assert_eq!(said.code, Some(1), "{said}");
    assert!(said.stderr.contains("error: this Cairn leads no more: "), "{said}");

    // It comes back, and the one that leads now is killed: one of this machine is known to be dead.
    let third = pair.serve();
    third.said("standing by");
    second.kill();
    let begun = Instant::now();
    third.said("this Cairn leads");
    assert!(begun.elapsed() < Duration::from_secs(6), "followed after {:?}", begun.elapsed());
    let done = pair.story.until_is("story", "Succeeded");
    assert_eq!(done["status"]["trialsSucceeded"], 6, "{}", third.stderr());
    pair.assert_whole("story", 6, 6);

    // One that ends in good order leaves at once.
    first = pair.serve();
    first.said("standing by");
    third.signal(Signal::TERM);
    first.said("this Cairn leads");
    assert_eq!(third.end().code, Some(0));
}

#[test]
fn a_store_that_is_away_for_a_while_loses_nothing() {
    let postgres = Server::start();
    let Some(pair) = Pair::begin("away", &postgres) else { return };
    let (mut first, mut second) = (pair.serve(), pair.serve());
    until("one leads", || (leads(&first) || leads(&second)).then_some(()));
    pair.story.apply(&experiment("story", 6, 2, SCRIPT));
    pair.until_running("story", 1);
    postgres.down();
    std::thread::sleep(Duration::from_secs(15));
    postgres.up();
    let done = pair.story.until_is("story", "Succeeded");
    assert_eq!(done["status"]["trialsSucceeded"], 6, "{}\n{}", first.stderr(), second.stderr());
    assert_eq!(conditions(&done).last().unwrap().0, "Succeeded");
    // Who leads cannot renew the Lease while the store does not answer, so either may have it afterwards; never both.
    until("one acts, and no more", || {
        let acts = |server: &mut Running| leads(server) && server.is_alive();
        (acts(&mut first) != acts(&mut second)).then_some(())
    });
    pair.assert_whole("story", 6, 6);
}
