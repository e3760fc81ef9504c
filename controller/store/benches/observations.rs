//! How many observations a second SQLite takes, acknowledged after commit: `cargo bench -p controller-store`.
//!
//! Producers wait for their acknowledgement before they send more, as collectors do; beside the rate stands how late
//! an observation is acknowledged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use controller_core::event::{Event, StoredEvent};
use controller_core::experiment::{ExperimentId, ExperimentRecord, ExperimentStatus};
use controller_core::ports::{ObservationRow, Store};
use controller_core::run::RunId;
use controller_core::spec::ExperimentSpec;
use controller_core::time::Timestamp;
use study::TrialIdx;
use tokio::task::JoinSet;

/// Trials that report at once.
const TRIALS: u64 = 8;
/// Observations of each.
const EACH: u64 = 50_000;
/// Observations sent at once.
const PIECE: u64 = 500;

fn row(offset: u64) -> ObservationRow {
    let value = 1.0 / (offset + 1) as f64;
    ObservationRow {
        source: "stdout".into(),
        offset,
        nth: 0,
        metric: "loss".into(),
        time: None,
        step: offset as i64,
        text: value.to_string(),
        value: Some(value),
    }
}

async fn produce(store: Arc<dyn Store>, trial: u64) -> Vec<Duration> {
    let run = RunId { experiment: ExperimentId(1), trial: TrialIdx(trial), attempt: 1 };
    let mut late = Vec::new();
    for first in (0..EACH).step_by(PIECE as usize) {
        let rows = (first..first + PIECE).map(row).collect();
        let begun = Instant::now();
        store.append(&[(run, rows)]).await.expect("the store takes it");
        late.push(begun.elapsed());
    }
    late
}

async fn measure(url: &str) {
    let store = controller_store::open(url).await.expect("a store");
    let record = ExperimentRecord {
        id: ExperimentId(1),
        uid: "u".into(),
        cluster: String::new(),
        namespace: "default".into(),
        name: "bench".into(),
        labels: [].into(),
        annotations: [].into(),
        spec: ExperimentSpec::default(),
        spec_digest: String::new(),
        earlier: Vec::new(),
        seed: 1,
        base_dir: None,
        created: Timestamp(1),
    };
    let event = Event::Noted { trial: None, message: "begun".into() };
    let events = [StoredEvent { seq: 1, at: Timestamp(1), event }];
    store.create_experiment(&record, &ExperimentStatus::default(), &events).await.expect("an experiment");
    let begun = Instant::now();
    let mut producers = JoinSet::new();
    for trial in 0..TRIALS {
        producers.spawn(produce(Arc::clone(&store), trial));
    }
    let mut late: Vec<Duration> = producers.join_all().await.into_iter().flatten().collect();
    let seconds = begun.elapsed().as_secs_f64();
    late.sort();
    let at = |share: f64| late[((late.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
    let rate = (TRIALS * EACH) as f64 / seconds;
    report(&format!(
        "{TRIALS} trials, {PIECE} rows at once: {rate:.0} observations/s; acknowledged after {:.1} ms (median), {:.1} ms (99 in 100), {:.1} ms (worst)",
        at(0.5),
        at(0.99),
        at(1.0)
    ));
}

#[expect(clippy::print_stdout, reason = "a benchmark says what it measured")]
fn report(line: &str) {
    println!("{line}");
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(measure(folder.path().join("cairn.db").to_str().expect("UTF-8")));
}
