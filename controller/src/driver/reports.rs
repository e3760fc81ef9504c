//! Reading what trials report while they run, for schedulers that judge them.

use std::collections::BTreeMap;
use std::time::Duration;

use controller_core::plan::{Reports, RunView, is_run_unwanted};
use controller_core::ports::{Observation, ObservationQuery};
use controller_core::run::RunId;
use study::{Curve, TrialIdx};
use tokio::time::Instant;

use super::{Driver, DriverError};

/// How often reports are looked for.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Looking may take one part of so many of the driver's time.
const SHARE: u32 = 10;

/// Sources of a run whose places are remembered.
const MAX_SOURCES: usize = 100;

/// How far the reports of runs have been read.
#[derive(Debug, Default)]
pub(super) struct Read {
    /// When to look again.
    next: Option<Instant>,
    runs: BTreeMap<RunId, Place>,
}

#[derive(Debug, Default)]
struct Place {
    /// The last row of each source.
    after: BTreeMap<String, (u64, u32)>,
    rows: u64,
}

impl Read {
    /// The executor has forgotten a run.
    pub(super) fn forget(&mut self, run: &RunId) {
        self.runs.remove(run);
    }
}

impl Driver<'_> {
    /// Takes in what trials have reported since the last look. What was told of them before is known by its step, so that
    /// nothing is told twice, whoever looks.
    pub(super) async fn look_at_reports(&mut self) -> Result<(), DriverError> {
        let begun = Instant::now();
        if self.snapshot.watch.is_none() || self.read.next.is_some_and(|next| begun < next) {
            return Ok(());
        }
        let running = self.snapshot.active.values().filter(|trial| {
            matches!(self.snapshot.runs.get(&trial.idx), Some(RunView::Running { .. }))
                && !is_run_unwanted(&trial.reason)
        });
        let running: Vec<RunId> = running.map(|trial| self.snapshot.run_id(trial)).collect();
        let metric = self.snapshot.record.spec.objective().objective_metric_name;
        for run in running {
            let place = self.read.runs.entry(run).or_default();
            let query = ObservationQuery {
                trial: Some(run.trial),
                attempt: Some(run.attempt),
                metric: Some(metric.clone()),
                after: place.after.clone(),
                ..Default::default()
            };
            let rows = self.world.store.observations(run.experiment, &query).await?;
            place.rows += rows.len() as u64;
            // What is known is passed over anyway; a question of so many parts no database takes.
            if place.after.len() > MAX_SOURCES {
                (place.after, place.rows) = (BTreeMap::new(), 0);
            }
            for Observation { row, .. } in &rows {
                place.after.insert(row.source.to_string(), (row.offset, row.nth));
            }
            let n = place.rows;
            let curve = self.heard(run, rows.iter());
            if !curve.is_empty() {
                let reports = self.snapshot.reports.entry(run.trial).or_default();
                *reports = Reports { curve: [std::mem::take(&mut reports.curve), curve].concat(), rows: n };
            }
        }
        self.read.next = Some(Instant::now() + LOOK_EVERY.max(begun.elapsed() * SHARE));
        Ok(())
    }

    /// Of the reports of a run what its scheduler wants to hear, as costs by step, steps rising.
    pub(super) fn heard<'a>(&self, run: RunId, rows: impl Iterator<Item = &'a Observation>) -> Curve {
        let direction = self.snapshot.limits.direction;
        let known = |trial: &TrialIdx| self.snapshot.reports.get(trial)?.curve.last().map(|(step, _)| *step);
        let told = self.snapshot.active.get(&run.trial).and_then(|trial| trial.reached);
        let mut last = known(&run.trial).max(told);
        let Some(watch) = &self.snapshot.watch else { return Curve::new() };
        let mut curve = Curve::new();
        // Rows come by their sources, of which each process of a run is one; the first report of a step stays the first.
        let mut rows: Vec<_> = rows.collect();
        rows.sort_by_key(|observation| observation.row.step);
        for Observation { row, .. } in rows {
            let (Some(value), Ok(step)) = (row.value, u64::try_from(row.step)) else { continue };
            if watch.wants(last, step) {
                let cost = direction.cost(value);
                curve.push((step, vec![if cost.is_finite() { cost } else { f64::INFINITY }]));
                last = Some(step);
            }
        }
        curve
    }
}
