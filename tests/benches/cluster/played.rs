//! Who plays trials: reports what they would, and says of things that they are done.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Instant;

use e2e::http;
use serde_json::json;

use crate::world::{NAMESPACE, Server, World, job};

/// A watch of `kubectl`, which ends with this.
struct Watch(Child);

impl Watch {
    /// A line for each change of an object of a kind.
    fn begin(world: &World, plural: &str, line: &str) -> (Self, impl Iterator<Item = String> + use<>) {
        let mut kubectl: Command = world.cluster.enter("kubectl");
        let path = format!("jsonpath={line}{{\"\\n\"}}");
        kubectl.args(["-n", NAMESPACE, "get", plural, "--watch", "-o", &path]);
        let mut child = kubectl.stdout(Stdio::piped()).spawn().expect("kubectl is there");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        (Self(child), lines)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Plays trials until it goes away.
pub(crate) struct Played {
    watch: Option<Watch>,
    player: Option<std::thread::JoinHandle<()>>,
}

impl Played {
    /// Reports for Jobs, whose pods somebody else plays.
    pub(crate) fn jobs(world: &World, server: &Server) -> Self {
        Self::begin(world, server, "jobs")
    }

    /// Reports for things, and says that they are done.
    pub(crate) fn things(world: &World, server: &Server) -> Self {
        Self::begin(world, server, "things")
    }

    fn begin(world: &World, server: &Server, plural: &'static str) -> Self {
        let (watch, names) = Watch::begin(world, plural, "{.metadata.name}");
        let (url, way) = (server.url.clone(), world.way());
        let player = std::thread::spawn(move || {
            let mut seen = BTreeSet::new();
            for name in names {
                if !seen.insert(name.clone()) {
                    continue;
                }
                let body =
                    json!({"source": "bench", "items": [{"seq": 0, "metric": "loss", "value": "0.5"}]});
                let path = format!("/api/v1/trials/{name}/observations");
                let json = [("Content-Type", "application/json")];
                http::ask(&url, "POST", &path, &json, &body.to_string());
                if plural == "things" {
                    way.done(&name);
                }
            }
        });
        Self { watch: Some(watch), player: Some(player) }
    }
}

impl Drop for Played {
    fn drop(&mut self) {
        self.watch.take();
        if let Some(player) = self.player.take() {
            player.join().expect("it ends with its watch");
        }
    }
}

/// Seconds of a client that makes Jobs, so many at a time, and waits for them.
pub(crate) fn plainly(world: &World, n: u64, parallel: u64) -> f64 {
    let (watch, lines) = Watch::begin(world, "jobs", "{.metadata.name} {.status.succeeded}");
    let (ended, ends) = mpsc::channel();
    let reader = std::thread::spawn(move || {
        let mut seen = BTreeSet::new();
        for line in lines {
            if let Some(name) = line.strip_suffix(" 1")
                && seen.insert(name.to_owned())
                && ended.send(()).is_err()
            {
                return;
            }
        }
    });
    let begun = Instant::now();
    let make = |i: u64| {
        let mut job = job();
        job["metadata"] = json!({"name": format!("bare-{i}")});
        world.create("jobs", &job);
    };
    (0..parallel.min(n)).for_each(make);
    for done in 1..=n {
        ends.recv_timeout(crate::world::STALLED).expect("Jobs end");
        if done + parallel <= n {
            make(done + parallel - 1);
        }
    }
    let seconds = begun.elapsed().as_secs_f64();
    drop((watch, ends));
    reader.join().expect("it ends with its watch");
    seconds
}
