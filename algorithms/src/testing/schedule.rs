//! The contract of every scheduler, and the simulated time that it is checked in: workers that train, report, fail and do
//! as they are told, sooner or later.

use std::collections::BTreeMap;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use study::{
    Algorithm, Decision, Direction, HistoryEvent, Outcome, Study, Suggestion, Trial, TrialIdx, Verdict,
};

use super::{bowl, spaces, study};
use crate::encode::Encoder;
use crate::random::Random;
use crate::rng::Streams;
use crate::settings::SettingsError;
use crate::{Sampler, Scheduler};

/// Makes a scheduler for a study.
pub(crate) type Make<'a> = &'a dyn Fn(&Study) -> Result<Box<dyn Scheduler>, SettingsError>;

/// A scheduler that is told things one after the other.
pub(crate) struct Story(Box<dyn Scheduler>);

impl Story {
    pub(crate) fn new(scheduler: Box<dyn Scheduler>) -> Self {
        Self(scheduler)
    }

    fn tell(&mut self, event: HistoryEvent) -> &mut Self {
        self.0.tell(&[event]);
        self
    }

    pub(crate) fn began(&mut self, trial: u64) -> &mut Self {
        let suggestion = Suggestion::default();
        self.tell(HistoryEvent::Started(Trial { idx: TrialIdx(trial), suggestion }))
    }

    pub(crate) fn reported(&mut self, trial: u64, step: u64, cost: f64) -> &mut Self {
        self.tell(HistoryEvent::Reported { trial: TrialIdx(trial), step, costs: vec![cost] })
    }

    pub(crate) fn paused(&mut self, trial: u64) -> &mut Self {
        self.tell(HistoryEvent::Paused { trial: TrialIdx(trial) })
    }

    pub(crate) fn resumed(&mut self, trial: u64) -> &mut Self {
        self.tell(HistoryEvent::Resumed { trial: TrialIdx(trial) })
    }

    fn ended(&mut self, trial: u64, outcome: Outcome) -> &mut Self {
        self.tell(HistoryEvent::Ended { trial: TrialIdx(trial), outcome })
    }

    pub(crate) fn succeeded(&mut self, trial: u64, cost: f64) -> &mut Self {
        self.ended(trial, Outcome::Succeeded { costs: vec![cost] })
    }

    pub(crate) fn stopped(&mut self, trial: u64, cost: f64) -> &mut Self {
        self.ended(trial, Outcome::EarlyStopped { costs: vec![cost] })
    }

    pub(crate) fn failed(&mut self, trial: u64) -> &mut Self {
        self.ended(trial, Outcome::Failed)
    }

    fn decided(&self) -> Vec<Decision> {
        self.0.decide(&Streams::new(1))
    }

    pub(crate) fn verdicts(&self) -> Vec<(u64, Verdict)> {
        self.decided().into_iter().map(|decision| (decision.trial.0, decision.verdict)).collect()
    }

    pub(crate) fn reasons(&self) -> Vec<String> {
        self.decided().into_iter().map(|decision| decision.reason).collect()
    }
}

/// What trials are like.
pub(crate) struct World<'a> {
    /// Steps of a trial that runs to its end, 1 to `whole`.
    pub(crate) whole: u64,
    /// Cost of a trial at a step.
    pub(crate) cost: &'a dyn Fn(&Suggestion, TrialIdx, u64) -> f64,
    /// Chance to fail at a step.
    pub(crate) failing: f64,
    /// Whether reports come twice and verdicts are carried out late.
    pub(crate) messy: bool,
}

/// What came of a simulated search.
#[derive(Debug, Default)]
pub(crate) struct Run {
    pub(crate) events: Vec<HistoryEvent>,
    /// Events told by then, with what was decided.
    pub(crate) decided: Vec<(usize, Vec<Decision>)>,
    /// Steps done by all trials together, with the best cost seen by then.
    pub(crate) best: Vec<(u64, f64)>,
}

impl Run {
    /// Steps until a cost was seen that is not above this one.
    pub(crate) fn steps_to(&self, cost: f64) -> Option<u64> {
        self.best.iter().find(|(_, best)| *best <= cost).map(|(steps, _)| *steps)
    }

    fn count(&self, like: impl Fn(&HistoryEvent) -> bool) -> usize {
        self.events.iter().filter(|event| like(event)).count()
    }
}

struct Worker {
    trial: Trial,
    step: u64,
    cost: Option<f64>,
    /// When its next step is done; none while it waits.
    due: Option<f64>,
    pace: f64,
}

struct Simulation<'a> {
    world: &'a World<'a>,
    sampler: &'a mut dyn Sampler,
    scheduler: &'a mut dyn Scheduler,
    streams: Streams,
    chance: ChaCha8Rng,
    workers: BTreeMap<TrialIdx, Worker>,
    run: Run,
    now: f64,
    steps: u64,
}

/// Searches in simulated time with as many workers as the study has; trials have their own pace.
pub(crate) fn simulate(
    study: &Study,
    sampler: &mut dyn Sampler,
    scheduler: &mut dyn Scheduler,
    world: &World<'_>,
) -> Run {
    let streams = Streams::new(study.seed);
    let chance = streams.stream("world", TrialIdx(0));
    let workers = BTreeMap::new();
    let run = Run::default();
    let mut simulation =
        Simulation { world, sampler, scheduler, streams, chance, workers, run, now: 0.0, steps: 0 };
    let max = study.max_trials.unwrap_or(u64::MAX);
    let mut next = 0;
    loop {
        let wanted = simulation.act();
        let mut free = study.parallel as usize - simulation.n_running();
        for trial in wanted.into_iter().take(free) {
            simulation.resume(trial);
            free -= 1;
        }
        while free > 0 && next < max && simulation.begin(TrialIdx(next)) {
            next += 1;
            free -= 1;
        }
        if simulation.n_running() == 0 {
            // Nothing more will come: whoever waits ends.
            let waiting: Vec<TrialIdx> = simulation.workers.keys().copied().collect();
            waiting.into_iter().for_each(|trial| simulation.stop(trial));
            return simulation.run;
        }
        simulation.step();
    }
}

impl Simulation<'_> {
    fn n_running(&self) -> usize {
        self.workers.values().filter(|worker| worker.due.is_some()).count()
    }

    fn tell(&mut self, event: HistoryEvent) {
        self.sampler.tell(std::slice::from_ref(&event));
        self.scheduler.tell(std::slice::from_ref(&event));
        self.run.events.push(event);
    }

    fn begin(&mut self, idx: TrialIdx) -> bool {
        let running: Vec<Trial> = self.workers.values().map(|worker| worker.trial.clone()).collect();
        let asked = self.sampler.ask(idx..TrialIdx(idx.0 + 1), &running, &self.streams).pop();
        let Some(suggestion) = asked else { return false };
        let trial = Trial { idx, suggestion };
        let pace = self.chance.random_range(0.5..2.0);
        let worker = Worker { trial: trial.clone(), step: 0, cost: None, due: Some(self.now + pace), pace };
        self.workers.insert(idx, worker);
        self.tell(HistoryEvent::Started(trial));
        true
    }

    fn resume(&mut self, trial: TrialIdx) {
        if let Some(worker) = self.workers.get_mut(&trial) {
            worker.due = Some(self.now + worker.pace);
        }
        self.tell(HistoryEvent::Resumed { trial });
    }

    fn end(&mut self, trial: TrialIdx, outcome: Outcome) {
        self.workers.remove(&trial);
        self.tell(HistoryEvent::Ended { trial, outcome });
    }

    fn stop(&mut self, trial: TrialIdx) {
        let cost = self.workers.get(&trial).and_then(|worker| worker.cost);
        self.end(trial, Outcome::EarlyStopped { costs: cost.into_iter().collect() });
    }

    /// Carries out what is decided; those to be resumed, in their order.
    fn act(&mut self) -> Vec<TrialIdx> {
        let decisions = self.scheduler.decide(&self.streams);
        let waits = |trial| self.workers.get(&trial).map(|worker| worker.due.is_none());
        are_lawful(&decisions, &waits);
        self.run.decided.push((self.run.events.len(), decisions.clone()));
        let mut resumed = Vec::new();
        for Decision { trial, verdict, .. } in decisions {
            if self.world.messy && self.chance.random::<f64>() < 0.3 {
                continue;
            }
            match verdict {
                Verdict::Stop => self.stop(trial),
                Verdict::Pause => {
                    if let Some(worker) = self.workers.get_mut(&trial) {
                        worker.due = None;
                    }
                    self.tell(HistoryEvent::Paused { trial });
                }
                Verdict::Resume => resumed.push(trial),
                Verdict::Continue => {}
            }
        }
        resumed
    }

    /// The next step of whoever is next.
    fn step(&mut self) {
        let running = self.workers.values_mut().filter(|worker| worker.due.is_some());
        let Some(worker) = running.min_by(|a, b| a.due.unwrap().total_cmp(&b.due.unwrap())) else { return };
        self.now = worker.due.unwrap();
        worker.due = Some(self.now + worker.pace);
        worker.step += 1;
        let (trial, step) = (worker.trial.idx, worker.step);
        if self.chance.random::<f64>() < self.world.failing {
            return self.end(trial, Outcome::Failed);
        }
        let cost = (self.world.cost)(&worker.trial.suggestion, trial, step);
        worker.cost = Some(cost).filter(|cost| cost.is_finite());
        self.steps += 1;
        let best = self.run.best.last().map_or(f64::INFINITY, |(_, best)| *best);
        self.run.best.push((self.steps, if cost < best { cost } else { best }));
        let times = if self.world.messy && self.chance.random::<f64>() < 0.2 { 2 } else { 1 };
        for _ in 0..times {
            self.tell(HistoryEvent::Reported { trial, step, costs: vec![cost] });
        }
        if step >= self.world.whole {
            let costs = vec![cost];
            let outcome = if cost.is_finite() { Outcome::Succeeded { costs } } else { Outcome::Failed };
            self.end(trial, outcome);
        }
    }
}

/// Each trial at most once, those that run may be paused, those that wait resumed, and nobody else is named.
fn are_lawful(decisions: &[Decision], waits: &dyn Fn(TrialIdx) -> Option<bool>) {
    let mut named = std::collections::BTreeSet::new();
    for Decision { trial, verdict, reason } in decisions {
        assert!(named.insert(*trial), "trial {} is named twice: {decisions:?}", trial.0);
        assert!(!reason.is_empty(), "it is said why");
        let waits = waits(*trial);
        let lawful = match verdict {
            Verdict::Pause => waits == Some(false),
            Verdict::Resume => waits == Some(true),
            Verdict::Stop | Verdict::Continue => waits.is_some(),
        };
        assert!(lawful, "{verdict:?} of trial {}, {reason}: waiting {waits:?}", trial.0);
    }
}

/// Lets a scheduler with these settings go through everything.
pub(crate) fn contract(make: Make<'_>, settings: &Algorithm, whole: u64) {
    for (space, parallel) in spaces().into_iter().zip([1, 4, 16, 4, 4]) {
        let study = Study { early_stopping: Some(settings.clone()), parallel, ..study("random", space) };
        let encoder = Encoder::new(&study.space);
        let cost = |suggestion: &Suggestion, trial: TrialIdx, step: u64| match (
            trial.0 % 11,
            bowl(&encoder, suggestion),
        ) {
            (7, _) => f64::NAN,
            (_, floor) => floor + 1.0 / step as f64,
        };
        let world = World { whole, cost: &cost, failing: 0.02, messy: true };
        let run = search(make, &study, &world);
        all_trials_end_once(&run, whole);
        a_restart_changes_nothing(make, &study, &run);
        what_makes_no_sense_changes_nothing(make, &study, &run);
        direction_and_names_change_nothing(make, &study, &world, &run);
        let failing = search(make, &study, &World { failing: 1.0, ..world });
        all_trials_end_once(&failing, whole);
        assert!(
            failing.decided.iter().all(|(_, decisions)| decisions.is_empty()),
            "nobody reports, nobody ends"
        );
    }
    anything_told_in_any_order_is_lawful(make, settings);
}

fn search(make: Make<'_>, study: &Study, world: &World<'_>) -> Run {
    let mut scheduler = make(study).unwrap();
    simulate(study, &mut Random::new(study).unwrap(), &mut *scheduler, world)
}

fn all_trials_end_once(run: &Run, whole: u64) {
    let mut ends = BTreeMap::<TrialIdx, usize>::new();
    for event in &run.events {
        match event {
            HistoryEvent::Started(trial) => _ = ends.insert(trial.idx, 0),
            HistoryEvent::Ended { trial, .. } => *ends.get_mut(trial).unwrap() += 1,
            HistoryEvent::Reported { step, .. } => assert!(*step <= whole),
            HistoryEvent::Paused { .. } | HistoryEvent::Resumed { .. } | HistoryEvent::Spent { .. } => {}
        }
    }
    assert!(!ends.is_empty() && ends.values().all(|n| *n == 1), "{ends:?}");
    let count = |like: fn(&HistoryEvent) -> bool| run.count(like);
    let resumed = count(|event| matches!(event, HistoryEvent::Resumed { .. }));
    assert!(resumed <= count(|event| matches!(event, HistoryEvent::Paused { .. })));
}

/// Told at once or one by one, asked once or twice: the answer is what it was.
fn a_restart_changes_nothing(make: Make<'_>, study: &Study, run: &Run) {
    let streams = Streams::new(study.seed);
    for (told, decided) in run.decided.iter().step_by(17) {
        let mut whole = make(study).unwrap();
        whole.tell(&run.events[..*told]);
        assert_eq!(&whole.decide(&streams), decided, "told at once");
        assert_eq!(&whole.decide(&streams), decided, "asked again");
        let mut parts = make(study).unwrap();
        for event in &run.events[..*told] {
            parts.tell(std::slice::from_ref(event));
        }
        assert_eq!(&parts.decide(&streams), decided, "told one by one");
        assert_eq!(parts.rules(), whole.rules());
    }
}

/// Events of trials that nobody knows, and everything that has been told before once more.
fn what_makes_no_sense_changes_nothing(make: Make<'_>, study: &Study, run: &Run) {
    let streams = Streams::new(study.seed);
    for (told, decided) in run.decided.iter().step_by(29) {
        let mut scheduler = make(study).unwrap();
        scheduler.tell(&run.events[..*told]);
        let before = scheduler.rules();
        for event in &run.events[..*told] {
            // A pause or a resumption would be a new one.
            if !matches!(event, HistoryEvent::Paused { .. } | HistoryEvent::Resumed { .. }) {
                scheduler.tell(std::slice::from_ref(event));
            }
        }
        let trial = TrialIdx(77_777);
        scheduler.tell(&[
            HistoryEvent::Reported { trial, step: 1, costs: vec![-1e9] },
            HistoryEvent::Reported { trial, step: 2, costs: vec![] },
            HistoryEvent::Paused { trial },
            HistoryEvent::Resumed { trial },
            HistoryEvent::Ended { trial, outcome: Outcome::Succeeded { costs: vec![-1e9] } },
        ]);
        assert_eq!(&scheduler.decide(&streams), decided);
        assert_eq!(scheduler.rules(), before);
    }
}

/// To a scheduler costs are costs.
fn direction_and_names_change_nothing(make: Make<'_>, study: &Study, world: &World<'_>, run: &Run) {
    let mut flipped = study.clone();
    flipped.name = "another".into();
    flipped.objectives[0].direction = Direction::Maximize;
    flipped.objectives[0].metric = "accuracy".into();
    let other = search(make, &flipped, world);
    // Not compared as values: NaN is not equal to itself.
    assert_eq!(format!("{:?}", other.events), format!("{:?}", run.events));
}

/// Events without rhyme or reason: no panic, and nothing that cannot be carried out.
fn anything_told_in_any_order_is_lawful(make: Make<'_>, settings: &Algorithm) {
    let study = Study { early_stopping: Some(settings.clone()), ..study("random", super::tiny()) };
    for seed in 0..40 {
        let mut chance = Streams::new(seed).stream("events", TrialIdx(0));
        let mut scheduler = make(&study).unwrap();
        let mut state = BTreeMap::<TrialIdx, Option<bool>>::new();
        for _ in 0..300 {
            let trial = TrialIdx(chance.random_range(0..12));
            let known = state.get(&trial).copied();
            let event = match chance.random_range(0..20) {
                0..3 => {
                    state.entry(trial).or_insert(Some(false));
                    HistoryEvent::Started(Trial { idx: trial, suggestion: Suggestion::default() })
                }
                3 => {
                    if known.flatten().is_some() {
                        state.insert(trial, Some(true));
                    }
                    HistoryEvent::Paused { trial }
                }
                4 => {
                    if known.flatten().is_some() {
                        state.insert(trial, Some(false));
                    }
                    HistoryEvent::Resumed { trial }
                }
                5 if chance.random::<f64>() < 0.3 => {
                    if known.flatten().is_some() {
                        state.insert(trial, None);
                    }
                    HistoryEvent::Ended { trial, outcome: Outcome::Succeeded { costs: vec![f64::INFINITY] } }
                }
                _ => {
                    let costs = [0.5, f64::NAN, 1e300, -1e300, f64::NEG_INFINITY, 0.1];
                    let cost = costs[chance.random_range(0..costs.len())];
                    HistoryEvent::Reported { trial, step: chance.random_range(0..40), costs: vec![cost] }
                }
            };
            scheduler.tell(&[event]);
            let waits = |trial| state.get(&trial).copied().flatten();
            are_lawful(&scheduler.decide(&Streams::new(1)), &waits);
        }
    }
}
