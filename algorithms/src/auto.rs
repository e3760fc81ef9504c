//! The algorithm of those who name none: a plain rule that picks one of the others.
//!
//! What can be tried wholly is tried wholly. Almost everything else goes to the Gaussian process, which learns most from
//! each trial, until a fit is worth less than it costs; the rest goes to the Parzen estimator. That is also asked for every
//! second trial while the process finds nothing better: what it takes for certain may be wrong. Numbers with a large budget
//! go on to an evolution strategy, which starts from the best that the process has found.

use std::ops::Range;

use study::{Assignment, Domain, HistoryEvent, Study, Suggestion, Trial, TrialIdx};

use crate::cmaes::Cmaes;
use crate::encode::Encoder;
use crate::gp::Gp;
use crate::grid::Grid;
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};
use crate::tpe::Tpe;
use crate::{Prediction, Sampler};

/// Most parameters of a Gaussian process: what a fit costs grows with them.
const MAX_DIMS: usize = 200;
/// Ended trials after which it hands over.
const MAX_FITTED: usize = 1000;
/// Ended trials in a row without anything better after which a second opinion is asked.
const STALLED: usize = 6;
/// Ended trials before which none is.
const LEAST_ENDED: usize = 15;
/// Share of the distance between the best and the median cost below which one is no better.
const NO_BETTER: f64 = 0.001;
/// Trials a dimension from which on an evolution strategy is worth its beginnings.
const MANY: usize = 100;
/// Trials a dimension that the Gaussian process proposes before that.
const FIRST: usize = 20;
/// Most trials at once: each one that runs widens the model for the next.
const MAX_PARALLEL: u32 = 64;

/// Hands every question to the algorithm that suits the space, the budget and the history so far.
pub struct Auto {
    now: Choice,
    /// Gives second opinions.
    second: Option<Choice>,
    /// Takes over after so many ended trials; the second opinion, unless it is another.
    later: (usize, Option<Choice>),
    /// Of ended trials, in the order of their ends; infinite where one failed.
    costs: Vec<f64>,
}

/// Why the second is asked before it takes over.
const SECOND: &str = "a second opinion, since the last trials brought nothing better";

struct Choice {
    sampler: Box<dyn Sampler>,
    why: String,
}

impl Choice {
    fn new(sampler: impl Sampler + 'static, why: impl Into<String>) -> Self {
        Self { sampler: Box::new(sampler), why: why.into() }
    }
}

impl Auto {
    /// The choice for the study's space and budget.
    ///
    /// # Errors
    /// If there are settings beside `random_state`.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        Reader::new(&study.algorithm).finish()?;
        let alone = |choice| Ok(Self { now: choice, second: None, later: (0, None), costs: Vec::new() });
        let points = Encoder::new(&study.space).cardinality();
        if let (Some(points), Some(budget)) = (points, study.max_trials)
            && points <= budget
        {
            let why = format!("the space has {points} points, the budget is {budget} trials");
            return alone(Choice::new(Grid::new(study)?, why));
        }
        if let Some(why) = unsuited_for_gp(study) {
            return alone(Choice::new(Tpe::new(study)?, why));
        }
        let later = match first_of_many(study) {
            Some(n) => (n, Some(Choice::new(Cmaes::continuing(study, n)?, "numbers alone and many trials"))),
            None => (MAX_FITTED, None),
        };
        Ok(Self {
            later,
            now: Choice::new(Gp::new(study)?, "few trials"),
            second: Some(Choice::new(Tpe::new(study)?, SECOND)),
            costs: Vec::new(),
        })
    }

    /// Whether the last trials brought nothing better.
    fn is_stalled(&self) -> bool {
        let mut sorted = self.costs.clone();
        sorted.sort_by(f64::total_cmp);
        let (Some(best), Some(median)) = (sorted.first(), sorted.get(sorted.len() / 2)) else { return false };
        let least = if median.is_finite() { NO_BETTER * (median - best) } else { 0.0 };
        let (mut lowest, mut since) = (f64::INFINITY, 0);
        for cost in &self.costs {
            let better = *cost < lowest - least;
            (lowest, since) = if better { (*cost, 0) } else { (lowest, since + 1) };
        }
        self.costs.len() >= LEAST_ENDED && since >= STALLED
    }

    /// Whether every second trial is the second's.
    fn takes_turns(&self) -> bool {
        self.second.is_some() && self.is_stalled()
    }

    /// Whom to ask for a trial.
    fn choice(&self, slot: TrialIdx) -> &Choice {
        self.second.as_ref().filter(|_| slot.0.is_multiple_of(2) && self.is_stalled()).unwrap_or(&self.now)
    }
}

/// Trials that the Gaussian process proposes before an evolution strategy goes on from the best of them; `None` where the
/// budget or the space is not for one.
fn first_of_many(study: &Study) -> Option<usize> {
    let parameters = study.space.parameters();
    let is_ordered = |domain: &Domain| !matches!(domain, Domain::Categorical { ordered: false, .. });
    let is_number = |domain: &Domain| matches!(domain, Domain::Float { .. } | Domain::Int { .. });
    let suited = parameters.iter().all(|p| p.when.is_empty() && p.prior.is_none() && is_ordered(&p.domain));
    let dims = parameters.len();
    let budget = study.max_trials.and_then(|n| usize::try_from(n).ok())?;
    let two = parameters.iter().filter(|p| is_number(&p.domain)).count() >= 2;
    (suited && two && budget >= MANY * dims).then(|| (FIRST * dims).min(MAX_FITTED))
}

/// Why the Gaussian process is not the first choice for a study.
fn unsuited_for_gp(study: &Study) -> Option<String> {
    let parameters = study.space.parameters();
    if parameters.len() > MAX_DIMS {
        Some(format!("more than {MAX_DIMS} parameters"))
    } else if study.parallel > MAX_PARALLEL {
        Some(format!("more than {MAX_PARALLEL} trials at once"))
    } else {
        None
    }
}

impl Sampler for Auto {
    fn tell(&mut self, events: &[HistoryEvent]) {
        let cost = |event: &HistoryEvent| match event {
            HistoryEvent::Ended { outcome, .. } => Some(outcome.cost().unwrap_or(f64::INFINITY)),
            _ => None,
        };
        self.costs.extend(events.iter().filter_map(cost));
        self.now.sampler.tell(events);
        if let Some(second) = &mut self.second {
            second.sampler.tell(events);
        }
        if let Some(later) = &mut self.later.1 {
            later.sampler.tell(events);
        }
        // A history only grows: whoever was asked so far is not asked again.
        if self.costs.len() >= self.later.0
            && let Some(second) = self.second.take()
        {
            let why = format!("after {MAX_FITTED} trials a fit is worth less than it costs");
            self.now = self.later.1.take().unwrap_or(Choice { why, ..second });
        }
    }

    fn predict(&self, points: &[Assignment]) -> Option<Vec<Prediction>> {
        self.now.sampler.predict(points)
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        let mut running = running.to_vec();
        let mut suggestions = Vec::new();
        // Unless two take turns, one answers for all slots at once.
        let at_once = if self.takes_turns() { 1 } else { slots.end.0.saturating_sub(slots.start.0).max(1) };
        for first in (slots.start.0..slots.end.0).step_by(at_once as usize) {
            let choice = self.choice(TrialIdx(first));
            let asked = choice.sampler.ask(TrialIdx(first)..TrialIdx(first + at_once), &running, streams);
            if asked.is_empty() {
                break;
            }
            for (idx, mut suggestion) in (first..).map(TrialIdx).zip(asked) {
                suggestion.notes.insert("auto".into(), choice.why.clone());
                running.push(Trial { idx, suggestion: suggestion.clone() });
                suggestions.push(suggestion);
            }
        }
        suggestions
    }
}

#[cfg(test)]
mod tests {
    use study::Outcome;

    use super::*;
    use crate::testing;

    fn make(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(Box::new(Auto::new(study)?))
    }

    fn chosen(study: &Study, told: &[HistoryEvent]) -> String {
        let mut auto = Auto::new(study).unwrap();
        auto.tell(told);
        let answer = auto.ask(TrialIdx(0)..TrialIdx(1), &[], &Streams::new(1));
        assert!(answer[0].notes.contains_key("auto"), "why is said");
        answer[0].notes["by"].clone()
    }

    #[test]
    fn keeps_the_contract() {
        testing::contract(&make, &testing::spaces());
    }

    #[test]
    fn the_space_and_the_budget_decide() {
        let of = |space| chosen(&testing::study("auto", space), &[]);
        assert_eq!(of(testing::tiny()), "grid");
        assert_eq!(of(testing::numeric()), "bayesianoptimization");
        assert_eq!(of(testing::conditional()), "bayesianoptimization");
        let unlimited = Study { max_trials: None, ..testing::study("auto", testing::tiny()) };
        assert_eq!(chosen(&unlimited, &[]), "bayesianoptimization");
    }

    #[test]
    fn a_search_that_stalls_gets_a_second_opinion_for_every_other_trial() {
        let study = testing::study("auto", testing::numeric());
        let mut auto = Auto::new(&study).unwrap();
        let streams = Streams::new(1);
        let mut by = Vec::new();
        for idx in (0..30).map(TrialIdx) {
            let suggestion = auto.ask(idx..TrialIdx(idx.0 + 1), &[], &streams).remove(0);
            by.push(suggestion.notes["by"].clone());
            let costs = vec![if idx.0 < 20 { -(idx.0 as f64) } else { 0.0 }];
            auto.tell(&[
                HistoryEvent::Started(Trial { idx, suggestion }),
                HistoryEvent::Ended { trial: idx, outcome: Outcome::Succeeded { costs } },
            ]);
        }
        assert!(by[..26].iter().all(|by| by == "bayesianoptimization"), "{by:?}");
        assert_eq!(by[26..], ["tpe", "bayesianoptimization", "tpe", "bayesianoptimization"]);
    }

    #[test]
    fn numbers_with_a_large_budget_go_on_to_an_evolution_strategy() {
        let mut study = testing::study("auto", testing::numeric());
        let told: Vec<HistoryEvent> = told(100);
        study.max_trials = Some(500);
        assert_eq!(chosen(&study, &told[..198]), "bayesianoptimization");
        assert_eq!(chosen(&study, &told), "cmaes");
        study.max_trials = Some(499);
        assert_eq!(chosen(&study, &told), "bayesianoptimization");
        let values: Vec<f64> = (0..40).map(f64::from).collect();
        let texts = values.iter().map(f64::to_string).collect();
        let list = |name| {
            testing::with(name, Domain::Discrete { texts: Clone::clone(&texts), values: values.clone() })
        };
        let lists = study::Space::new(vec![list("a"), list("b")], vec![]).unwrap();
        let study = Study { max_trials: Some(1000), ..testing::study("auto", lists) };
        assert_eq!(chosen(&study, &[]), "bayesianoptimization", "lists alone are not for one");
    }

    /// Trials of which each is better than those before.
    fn told(n: u64) -> Vec<HistoryEvent> {
        let encoder = Encoder::new(&testing::numeric());
        let mut rng = Streams::new(3).stream("test", TrialIdx(0));
        let trial = |idx| {
            let assignment = encoder.uniform(&mut rng).unwrap();
            let suggestion = Suggestion { assignment, ..Suggestion::default() };
            let outcome = Outcome::Succeeded { costs: vec![-(idx as f64)] };
            let trial = TrialIdx(idx);
            [HistoryEvent::Started(Trial { idx: trial, suggestion }), HistoryEvent::Ended { trial, outcome }]
        };
        (0..n).flat_map(trial).collect()
    }

    #[test]
    fn a_long_history_goes_to_the_parzen_estimator() {
        let events = told(1000);
        let study = testing::study("auto", testing::numeric());
        assert_eq!(chosen(&study, &events[..1998]), "bayesianoptimization");
        assert_eq!(chosen(&study, &events), "tpe");
    }
}
