//! An experiment with 100,000 finished trials: `cargo bench -p controller-store --bench large`.
//!
//! The store is filled directly; then the real server is started over it and asked over HTTP, as a person's command
//! line would. For each algorithm: how long until the first suggestion after a start, which reads the whole history, and
//! between the following ones.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use controller_core::event::{Event, StoredEvent};
use controller_core::experiment::{Best, Counters, ExperimentId, ExperimentRecord, ExperimentStatus, Spent};
use controller_core::ports::Batch;
use controller_core::time::Timestamp;
use controller_core::trial::{MetricSummary, Origin, TrialRecord, TrialState, trial_name};
use e2e::{Cairn, http, until};
use study::{Assignment, Outcome, Suggestion, Trial, TrialIdx, Value};

/// Finished trials, unless the first argument says otherwise.
const TRIALS: u64 = 100_000;
/// Parameters of each.
const PARAMETERS: u64 = 10;
/// Trials that are run after the start.
const MORE: u64 = 10;
/// Trials written at once.
const CHUNK: u64 = 5_000;

fn yaml(algorithm: &str, trials: u64) -> String {
    let (mut parameters, mut used) = (String::new(), String::new());
    for i in 0..PARAMETERS {
        let space = r#"feasibleSpace: {min: "0", max: "1"}"#;
        writeln!(parameters, "    - {{name: x{i}, parameterType: double, {space}}}").unwrap_or_default();
        writeln!(used, "      - {{name: x{i}, reference: x{i}}}").unwrap_or_default();
    }
    let args: Vec<String> = (0..PARAMETERS).map(|i| format!("${{trialParameters.x{i}}}")).collect();
    format!(
        "apiVersion: kubeflow.org/v1beta1\nkind: Experiment\nmetadata: {{name: large}}\nspec:\n  seed: 1\n  objective: \
         {{type: minimize, objectiveMetricName: loss}}\n  algorithm: {{algorithmName: {algorithm}}}\n  parallelTrialCount: 1\n  \
         maxTrialCount: {}\n  parameters:\n{parameters}  trialTemplate:\n    trialParameters:\n{used}    trialSpec:\n      \
         apiVersion: cairn.dev/v1\n      kind: Process\n      command: [sh, -c, 'echo loss=$1', loss, \"{}\"]\n",
        trials + MORE,
        args.join("\", \"")
    )
}

/// A number in [0, 1) that looks like chance.
fn chance(seed: u64) -> f64 {
    let mixed = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed >> 11) as f64 / (1_u64 << 53) as f64
}

fn finished(record: &ExperimentRecord, idx: u64) -> (TrialRecord, [Event; 2]) {
    let x: Vec<f64> = (0..PARAMETERS).map(|i| chance(idx * PARAMETERS + i)).collect();
    let loss: f64 = x.iter().map(|x| (x - 0.3) * (x - 0.3)).sum();
    let suggestion = Suggestion {
        assignment: Assignment(x.iter().map(|x| Some(Value::Float(*x))).collect()),
        notes: [("by".to_owned(), "random".to_owned())].into(),
        ..Suggestion::default()
    };
    let trial = Trial { idx: TrialIdx(idx), suggestion: suggestion.clone() };
    let name = trial_name(&record.name, &record.uid, TrialIdx(idx));
    let text = loss.to_string();
    let observation =
        vec![MetricSummary { name: "loss".into(), min: text.clone(), max: text.clone(), latest: text }];
    let at = Timestamp(1_700_000_000_000_000 + idx as i64 * 1_000_000);
    let ended = Event::TrialEnded {
        trial: trial.clone(),
        attempt: 1,
        state: TrialState::Succeeded,
        reason: "TrialSucceeded".into(),
        message: "Trial has succeeded".into(),
        outcome: Outcome::Succeeded { costs: vec![loss] },
        curve: Vec::new(),
        observation: observation.clone(),
        model: None,
        ended: at,
        spent: Spent::default(),
    };
    let created = Event::TrialCreated { trial, name: name.clone(), origin: Origin::Search };
    let record = TrialRecord {
        idx: TrialIdx(idx),
        name,
        state: TrialState::Succeeded,
        suggestion,
        assignments: x.iter().enumerate().map(|(i, x)| (format!("x{i}"), x.to_string())).collect(),
        labels: BTreeMap::new(),
        rules: Vec::new(),
        origin: Origin::Search,
        attempt: 1,
        failures: 0,
        lost: 0,
        reason: "TrialSucceeded".into(),
        message: "Trial has succeeded".into(),
        observation,
        objectives: vec![loss],
        model: None,
        checkpoint: None,
        waited: vec![],
        reached: None,
        steps: 0,
        created: at,
        started: Some(at),
        ended: Some(at),
    };
    (record, [created, ended])
}

async fn fill(url: &str, algorithm: &str, trials: u64) {
    let store = controller_store::open(url).await.expect("a store");
    let (document, _, report) = controller_core::validate::text(&yaml(algorithm, trials));
    assert!(report.is_valid(), "{report:?}");
    let record = ExperimentRecord {
        id: ExperimentId(1),
        uid: "6f1c7a52-0000-4000-8000-000000000000".into(),
        cluster: String::new(),
        namespace: "default".into(),
        name: "large".into(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        spec: document.spec,
        spec_digest: String::new(),
        earlier: Vec::new(),
        seed: 1,
        base_dir: None,
        created: Timestamp(1),
    };
    store.create_experiment(&record, &ExperimentStatus::default(), &[]).await.expect("an experiment");
    let lease = store.acquire(record.id, "bench").await.expect("the store answers").expect("a lease");
    let mut status = ExperimentStatus { started: Some(Timestamp(1)), ..ExperimentStatus::default() };
    for first in (0..trials).step_by(CHUNK as usize) {
        let mut batch = Batch::default();
        for idx in first..(first + CHUNK).min(trials) {
            let (trial, events) = finished(&record, idx);
            for event in events {
                status.last_seq += 1;
                batch.events.push(StoredEvent { seq: status.last_seq, at: trial.created, event });
            }
            let value = trial.objectives.first().copied();
            if status
                .best
                .as_ref()
                .and_then(|best| best.value)
                .is_none_or(|best| value.is_some_and(|v| v < best))
            {
                let observation = trial.observation.clone();
                let assignments = trial.assignments.clone();
                status.best = Some(Best {
                    idx: trial.idx,
                    name: trial.name.clone(),
                    value,
                    assignments,
                    observation,
                    runs: 1,
                    std_error: None,
                });
            }
            batch.trials.push(trial);
        }
        status.counters = Counters { succeeded: first + batch.trials.len() as u64, ..Counters::default() };
        batch.status = Some(status.clone());
        store.commit(&lease, &batch).await.expect("it is stored");
    }
    store.release(&lease).await.expect("the store answers");
}

/// Milliseconds of the fastest of five answers.
fn answer(url: &str, path: &str) -> f64 {
    let once = || {
        let begun = Instant::now();
        assert_eq!(http::get(url, path).status, 200, "{path}");
        begun.elapsed().as_secs_f64() * 1e3
    };
    (0..5).map(|_| once()).fold(f64::INFINITY, f64::min)
}

/// Largest memory that a process has held, in MB.
fn memory(pid: i32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap_or(f64::NAN) / 1e3
}

fn measure(algorithm: &str, trials: u64) {
    let cairn = Cairn::new();
    std::fs::create_dir(cairn.at(".cairn")).expect("a folder");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(fill(cairn.at(".cairn/cairn.db").to_str().expect("UTF-8"), algorithm, trials));
    let begun = Instant::now();
    let (server, url) = cairn.serve(&[]);
    let path = "/api/v1/experiments/large";
    let total = |url: &str| http::get(url, &format!("{path}/trials?limit=1")).json()["total"].as_u64();
    until("the first new trial is there", || (total(&url)? > trials).then_some(()));
    let first = begun.elapsed().as_secs_f64() * 1e3;
    until("all new trials are there", || (total(&url)? == trials + MORE).then_some(()));
    let each = (begun.elapsed().as_secs_f64() * 1e3 - first) / (MORE - 1) as f64;
    let pid = server.pid().as_raw_nonzero().get();
    report(&format!(
        "{algorithm:<22} first suggestion after a start {first:>6.0} ms, a following trial {each:>6.1} ms, memory {:>4.0} MB",
        memory(pid)
    ));
    if algorithm == "random" {
        report(&format!(
            "best {:.1} ms, a page of trials {:.1} ms, the page of the best {:.1} ms, the last page {:.1} ms",
            answer(&url, &format!("{path}/best")),
            answer(&url, &format!("{path}/trials")),
            answer(&url, &format!("{path}/trials?sort=value")),
            answer(&url, &format!("{path}/trials?offset={}", trials - 100)),
        ));
    }
}

#[expect(clippy::print_stdout, reason = "a benchmark says what it measured")]
fn report(line: &str) {
    println!("{line}");
}

fn main() {
    let trials = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(TRIALS);
    for algorithm in
        ["random", "sobol", "grid", "tpe", "multivariate-tpe", "bayesianoptimization", "cmaes", "auto"]
    {
        measure(algorithm, trials);
    }
}
