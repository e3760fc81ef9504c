//! What a trial costs beside a bare loop that spawns the same commands: `cargo bench -p e2e --bench trials`, and
//! `-- 500 nothing` for 500 trials of the program that does nothing alone.
//!
//! 2,000 trials, 8 at a time, a durable store. Both run the same commands on the same machine one after the other, so
//! that the ratio counts, not the seconds. Where Cairn's own time goes is what its driver says of itself.

use std::fs::File;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use e2e::Cairn;

/// Trials, unless the first argument says otherwise.
const TRIALS: usize = 2000;
/// At once.
const PARALLEL: usize = 8;
/// For all of them.
const PATIENCE: Duration = Duration::from_mins(20);

fn experiment(name: &str, trials: usize, command: &[&str], collector: &str) -> String {
    let command = serde_json::json!(command);
    format!(
        r#"
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {{name: {name}}}
spec:
  objective: {{type: minimize, objectiveMetricName: loss}}
  algorithm: {{algorithmName: random}}
  parameters: [{{name: lr, parameterType: double, feasibleSpace: {{min: "0", max: "1"}}}}]
  parallelTrialCount: {PARALLEL}
  maxTrialCount: {trials}
  {collector}
  trialTemplate:
    trialParameters: [{{name: lr, reference: lr}}]
    trialSpec:
      apiVersion: cairn.dev/v1
      kind: Process
      command: {command}
      env: {{LR: "${{trialParameters.lr}}"}}
"#
    )
}

/// Seconds of a bare loop: so many threads, each spawning one command after the other.
fn bare(cairn: &Cairn, trials: usize, command: &[&str]) -> f64 {
    let folder = cairn.at("bare");
    std::fs::create_dir_all(&folder).expect("a folder");
    let next = AtomicUsize::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                loop {
                    let trial = next.fetch_add(1, Ordering::Relaxed);
                    if trial >= trials {
                        return;
                    }
                    let out = File::create(folder.join(format!("{trial}.log"))).expect("a file");
                    let mut spawned = Command::new(command[0]);
                    spawned.args(&command[1..]).env("LR", "0.5").stdin(Stdio::null());
                    spawned.stderr(out.try_clone().expect("a file")).stdout(out);
                    spawned.status().expect("it runs");
                }
            });
        }
    });
    begun.elapsed().as_secs_f64()
}

/// Measures and reports; nothing if another program was asked for. Gives back the folder: a file system that has to
/// delete thousands of files is slow at making new ones for a while, so it goes when all is measured.
fn measure(what: &str, trials: usize, command: &[&str], collector: &str) -> Option<Cairn> {
    let mut words = std::env::args().skip(1).filter(|arg| arg.parse::<usize>().is_err() && arg != "--bench");
    if words.next().is_some_and(|word| !what.contains(&word)) {
        return None;
    }
    let cairn = Cairn::new().with("CAIRN_LOG", "off,cairn::cost=info");
    cairn.write("experiment.yaml", experiment("bench", trials, command, collector));
    let bare = bare(&cairn, trials, command);
    let begun = Instant::now();
    let run = cairn.start(["run", "experiment.yaml"]).end_within(PATIENCE);
    let own = begun.elapsed().as_secs_f64();
    assert_eq!(cairn.get("bench")["cairn"]["counters"]["total"], trials, "{run}");
    let each = |seconds: f64| seconds * 1e3 / trials as f64;
    report(&format!(
        "{what}: {trials} trials, bare {:.2} ms a trial, Cairn {:.2} ms a trial, ratio {:.2}",
        each(bare),
        each(own),
        own / bare
    ));
    for line in run.stderr.lines().filter(|line| line.contains("what the driver did")) {
        report(&format!("  {line}"));
    }
    Some(cairn)
}

#[expect(clippy::print_stdout, reason = "a benchmark says what it measured")]
fn report(line: &str) {
    println!("{line}");
}

fn main() {
    let number = std::env::args().skip(1).find_map(|arg| arg.parse().ok());
    let trials = number.unwrap_or(TRIALS);
    let noop = e2e::target().join("noop");
    let push = "metricsCollectorSpec: {collector: {kind: Push}}";
    e2e::cairn::binary();
    let _kept = [
        measure("Python that prints one metric", trials, &["python3", "-c", "print('loss=0.5')"], ""),
        measure("a program that does nothing", trials, &[noop.to_str().expect("UTF-8")], push),
    ];
}
