//! A search in simulated time: workers that read from a table what training would have told.

use std::collections::BTreeMap;

use algorithms::rng::Streams;
use algorithms::settings::SettingsError;
use algorithms::{Decision, Sampler, Scheduler, Verdict};
use rand::RngExt as _;
use study::{HistoryEvent, Outcome, Study, Trial, TrialIdx};

use super::methods::Method;
use super::table::Table;

/// What came of a search.
pub(super) struct Run {
    /// After each epoch that was spent: the best cost reported by then.
    pub(super) best: Vec<f64>,
    /// Trials begun by then.
    pub(super) trials: u64,
}

/// A trial that has not ended.
struct Live {
    trial: Trial,
    step: usize,
    /// When its next step is done; none while it waits.
    due: Option<f64>,
    /// Time that a step takes.
    pace: f64,
}

struct Simulation<'a> {
    table: &'a Table,
    sampler: Box<dyn Sampler>,
    scheduler: Option<Box<dyn Scheduler>>,
    streams: Streams,
    live: BTreeMap<TrialIdx, Live>,
    now: f64,
    run: Run,
}

/// Searches until so many epochs are spent, as many trials at once as the study says; not beyond the best value of the
/// table, to which nothing can be added.
pub(super) fn search(
    table: &Table,
    study: &Study,
    method: &Method,
    epochs: usize,
) -> Result<Run, SettingsError> {
    let scheduler = method.rule.as_ref().map(|rule| (rule.make)(study)).transpose()?;
    let mut simulation = Simulation {
        table,
        sampler: (method.sampler)(study)?,
        scheduler,
        streams: Streams::new(study.seed),
        live: BTreeMap::new(),
        now: 0.0,
        run: Run { best: Vec::new(), trials: 0 },
    };
    while simulation.run.best.len() < epochs && simulation.best() > table.best {
        let wanted = simulation.act();
        simulation.fill(study.parallel as usize, wanted);
        if !simulation.step() {
            break;
        }
    }
    let best = simulation.best();
    simulation.run.best.resize(epochs, best);
    Ok(simulation.run)
}

impl Simulation<'_> {
    /// The best cost reported so far.
    fn best(&self) -> f64 {
        self.run.best.last().copied().unwrap_or(f64::INFINITY)
    }

    fn tell(&mut self, event: HistoryEvent) {
        let events = [event];
        self.sampler.tell(&events);
        if let Some(scheduler) = &mut self.scheduler {
            scheduler.tell(&events);
        }
    }

    /// Carries out what is decided; those to be resumed, in their order.
    fn act(&mut self) -> Vec<TrialIdx> {
        let decisions = self.scheduler.as_ref().map(|scheduler| scheduler.decide(&self.streams));
        let mut resumed = Vec::new();
        for Decision { trial, verdict, .. } in decisions.into_iter().flatten() {
            match verdict {
                Verdict::Stop => self.stop(trial),
                Verdict::Pause => {
                    self.live.entry(trial).and_modify(|live| live.due = None);
                    self.tell(HistoryEvent::Paused { trial });
                }
                Verdict::Resume => resumed.push(trial),
                Verdict::Continue => {}
            }
        }
        resumed
    }

    fn stop(&mut self, trial: TrialIdx) {
        let Some(live) = self.live.remove(&trial) else { return };
        let reached = self.table.curve(&live.trial.suggestion.assignment)[..live.step].last();
        let outcome = Outcome::EarlyStopped { costs: reached.copied().into_iter().collect() };
        self.tell(HistoryEvent::Ended { trial, outcome });
    }

    /// Gives free places to those to be resumed, then to new trials.
    fn fill(&mut self, places: usize, resumed: Vec<TrialIdx>) {
        let mut free = places - self.live.values().filter(|live| live.due.is_some()).count();
        for trial in resumed.into_iter().take(free) {
            let now = self.now;
            self.live.entry(trial).and_modify(|live| live.due = Some(now + live.pace));
            self.tell(HistoryEvent::Resumed { trial });
            free -= 1;
        }
        while free > 0 && self.begin() {
            free -= 1;
        }
    }

    /// Begins a trial; whether there was a point left.
    fn begin(&mut self) -> bool {
        let idx = TrialIdx(self.run.trials);
        let running: Vec<Trial> = self.live.values().map(|live| live.trial.clone()).collect();
        let asked = self.sampler.ask(idx..TrialIdx(idx.0 + 1), &running, &self.streams).pop();
        let Some(suggestion) = asked else { return false };
        let trial = Trial { idx, suggestion };
        let pace = self.streams.stream("pace", idx).random_range(0.5..2.0);
        self.live.insert(idx, Live { trial: trial.clone(), step: 0, due: Some(self.now + pace), pace });
        self.run.trials += 1;
        self.tell(HistoryEvent::Started(trial));
        true
    }

    /// The next step of whoever is next; whether anybody runs.
    fn step(&mut self) -> bool {
        let running = self.live.iter_mut().filter_map(|(trial, live)| Some((*trial, live.due?, live)));
        let Some((trial, due, live)) = running.min_by(|a, b| a.1.total_cmp(&b.1)) else { return false };
        let cost = self.table.curve(&live.trial.suggestion.assignment)[live.step];
        live.step += 1;
        live.due = Some(due + live.pace);
        self.now = due;
        let (step, ends) = (live.step as u64, live.step == self.table.steps);
        self.run.best.push(self.best().min(cost));
        self.tell(HistoryEvent::Reported { trial, step, costs: vec![cost] });
        if ends {
            self.live.remove(&trial);
            self.tell(HistoryEvent::Ended { trial, outcome: Outcome::Succeeded { costs: vec![cost] } });
        }
        true
    }
}
