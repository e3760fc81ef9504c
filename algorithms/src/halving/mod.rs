//! Successive halving: many trials with little of a resource, few with all of it.
//!
//! Asynchronous: whenever a trial is wanted, one of the best 1 / eta of those that ended on a rung goes on with eta times
//! the resource, or a new one begins; no rung is waited for, so there is always an answer (Li et al. 2018,
//! arXiv:1810.05934). ASHA begins all trials on the lowest rung; Hyperband loops over brackets that begin on each of
//! them, in the proportions of Li et al. 2018, JMLR 18:185, algorithm 1. The resource is written into a parameter.

mod ladder;
mod rungs;

use std::ops::Range;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use study::{Assignment, HistoryEvent, Study, Suggestion, Trial, TrialIdx};

use crate::Sampler;
use crate::encode::{Encoder, MAX_DRAWS};
use crate::past::{Past, noted, suggestion};
use crate::prior;
use crate::rng::Streams;
use crate::settings::SettingsError;

use ladder::Ladder;
use rungs::{Open, Rungs};

/// Draws of a new point before everything is taken to be tried.
const TRIES: usize = 1000;

/// Gives more of a resource to what did well with less.
#[derive(Debug)]
pub struct Halving {
    name: &'static str,
    encoder: Encoder,
    ladder: Ladder,
    /// First level of each bracket with how many trials begin there, looped over.
    brackets: Vec<(usize, u64)>,
    past: Past,
    rungs: Rungs,
}

impl Halving {
    /// One bracket, from the lowest level.
    ///
    /// # Errors
    /// If a setting is missing, unknown or out of range, or the resource is no number or part of conditions.
    pub fn asha(study: &Study) -> Result<Self, SettingsError> {
        Self::new(study, "asha", |_| vec![(0, 1)])
    }

    /// A bracket from each level.
    ///
    /// # Errors
    /// As [`Halving::asha`].
    pub fn hyperband(study: &Study) -> Result<Self, SettingsError> {
        Self::new(study, "hyperband", |ladder| bracket_sizes(ladder.levels.len(), ladder.eta))
    }

    fn new(
        study: &Study,
        name: &'static str,
        brackets: impl Fn(&Ladder) -> Vec<(usize, u64)>,
    ) -> Result<Self, SettingsError> {
        let ladder = Ladder::read(study)?;
        Ok(Self {
            name,
            encoder: Encoder::new(&study.space),
            brackets: brackets(&ladder),
            ladder,
            past: Past::default(),
            rungs: Rungs::default(),
        })
    }

    /// What is written into the resource's parameter, rising.
    pub fn resources(&self) -> Vec<study::Value> {
        self.ladder.levels.iter().map(|level| level.value).collect()
    }

    /// Position of the parameter that they are written into.
    pub fn resource(&self) -> usize {
        self.ladder.parameter
    }

    /// How many trials, beginning on the lowest level, leave one for the highest.
    pub fn first_rung(&self) -> u64 {
        (self.ladder.eta as u64).saturating_pow(self.ladder.levels.len() as u32 - 1)
    }

    fn ask_one(&self, slot: TrialIdx, open: &Open<'_>, streams: Streams) -> Option<Suggestion> {
        if let Some(promotion) = open.promotion(|assignment| self.encoder.space().is_feasible(assignment)) {
            let (rank, n) = promotion.rank;
            let why = format!("trial {} came {rank} of {n} with less", promotion.parent.0);
            let mut promoted = self.suggestion(promotion.level, promotion.assignment, &why);
            promoted.parent = Some(promotion.parent);
            return Some(promoted);
        }
        let level = self.first_level(open.n_first());
        let assignment = self.fresh(level, open, &mut streams.stream(self.name, slot))?;
        Some(self.suggestion(level, assignment, "begins"))
    }

    fn suggestion(&self, level: usize, assignment: Assignment, why: &str) -> Suggestion {
        let mut suggestion = noted(suggestion(assignment, self.name), why);
        suggestion.fidelity = Some(self.ladder.levels[level].fidelity);
        suggestion
    }

    /// The level that a trial begins on after `n` others.
    fn first_level(&self, n: u64) -> usize {
        let round: u64 = self.brackets.iter().map(|(_, n)| n).sum();
        let mut left = n % round.max(1);
        let bracket = self.brackets.iter().find(|(_, n)| {
            let here = left < *n;
            left = left.saturating_sub(*n);
            here
        });
        bracket.map_or(0, |(level, _)| *level)
    }

    /// A point of the prior at a level, new if one is found; `None` if none meets the constraints.
    fn fresh(&self, level: usize, open: &Open<'_>, rng: &mut ChaCha8Rng) -> Option<Assignment> {
        let space = self.encoder.space();
        let points = (0..MAX_DRAWS).map(|_| {
            let x: Vec<f64> = (0..self.encoder.dims()).map(|_| rng.random()).collect();
            self.ladder.at(level, self.encoder.decode(&prior::draw(space, &x)))
        });
        let mut feasible = points.filter(|point| space.is_feasible(point));
        let first = feasible.next()?;
        if open.is_new(&first) {
            return Some(first);
        }
        Some(feasible.take(TRIES).find(|point| open.is_new(point)).unwrap_or(first))
    }
}

/// Hyperband's brackets on so many levels, the most daring first: `ceil((s_max + 1) / (s + 1) eta^s)` trials begin at
/// `r_l eta^-s`. First level of each, and how many begin there.
pub(crate) fn bracket_sizes(n_levels: usize, eta: usize) -> Vec<(usize, u64)> {
    let size = |s: usize| {
        let trials = n_levels as f64 / (s as f64 + 1.0) * (eta as f64).powi(s as i32);
        (trials - 1e-9).ceil() as u64
    };
    (0..n_levels).map(|level| (level, size(n_levels - 1 - level))).collect()
}

impl Sampler for Halving {
    fn tell(&mut self, events: &[HistoryEvent]) {
        for ended in self.past.newly_ended(&self.encoder, events) {
            self.rungs.take(&self.ladder, ended);
        }
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        let running = self.past.running(&self.encoder, running);
        let mut open = self.rungs.with(&self.ladder, running.values());
        let slots = (slots.start.0..slots.end.0).map(TrialIdx);
        slots
            .map_while(|slot| {
                let suggestion = self.ask_one(slot, &open, *streams)?;
                open.begin(&suggestion.assignment);
                Some(suggestion)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use study::{Distribution, Domain, Outcome, Space, Value};

    use super::*;
    use crate::settings::algorithm;
    use crate::testing;

    fn with_settings(study: &Study, r_l: &str) -> Study {
        let settings = [("r_l", r_l), ("resource_name", "epochs"), ("eta", "3")];
        Study { algorithm: algorithm("test", &settings), ..study.clone() }
    }

    fn hyperband(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(Box::new(Halving::hyperband(&with_settings(study, "9"))?))
    }

    fn asha(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(Box::new(Halving::asha(&with_settings(study, "9"))?))
    }

    /// The space with a parameter more: the resource.
    fn with_epochs(space: &Space) -> Space {
        let domain = Domain::Int { min: 1, max: 100, step: 1, distribution: Distribution::Uniform };
        let mut parameters = space.parameters().to_vec();
        parameters.push(testing::with("epochs", domain));
        Space::new(parameters, space.constraints().to_vec()).unwrap()
    }

    #[test]
    fn keep_the_contract() {
        let spaces: Vec<Space> = testing::spaces().iter().map(with_epochs).collect();
        testing::contract(&hyperband, &spaces);
        testing::contract(&asha, &spaces);
        testing::hostile_in(&hyperband, &with_epochs);
        testing::hostile_in(&asha, &with_epochs);
    }

    fn epochs(suggestion: &Suggestion) -> i64 {
        let Some(Some(Value::Int(epochs))) = suggestion.assignment.0.last() else { unreachable!() };
        *epochs
    }

    /// Runs trials in batches of 9, the cost being the first parameter; all suggestions.
    fn run(make: testing::Make<'_>, batches: u64) -> Vec<Suggestion> {
        let study = testing::study("test", with_epochs(&testing::numeric()));
        let (mut sampler, streams) = (make(&study).unwrap(), Streams::new(1));
        let mut all = Vec::new();
        for batch in 0..batches {
            let first = 9 * batch;
            let answer = sampler.ask(TrialIdx(first)..TrialIdx(first + 9), &[], &streams);
            assert_eq!(answer.len(), 9, "as many as asked for");
            for (idx, suggestion) in (first..).map(TrialIdx).zip(answer) {
                let Some(Value::Float(x)) = suggestion.assignment.get(0) else { unreachable!() };
                sampler.tell(&[
                    HistoryEvent::Started(Trial { idx, suggestion: suggestion.clone() }),
                    HistoryEvent::Ended { trial: idx, outcome: Outcome::Succeeded { costs: vec![x] } },
                ]);
                all.push(suggestion);
            }
        }
        all
    }

    #[test]
    fn a_third_goes_on_with_three_times_the_resource() {
        let all = run(&asha, 12);
        let at = |n: i64| all.iter().filter(|suggestion| epochs(suggestion) == n).count();
        // A few more than a third: who was among the best for a while has gone on.
        let counts = (at(1), at(3), at(9));
        assert!(
            counts.0 >= 70 && (22..=30).contains(&counts.1) && (7..=12).contains(&counts.2),
            "{counts:?}"
        );
        for suggestion in all.iter().filter(|suggestion| epochs(suggestion) > 1) {
            let parent = &all[suggestion.parent.unwrap().0 as usize];
            assert_eq!(epochs(suggestion), 3 * epochs(parent));
            assert_eq!(suggestion.fidelity, Some(epochs(suggestion) as f64));
            let same = suggestion.assignment.0.iter().zip(&parent.assignment.0).filter(|(a, b)| a == b);
            assert_eq!(same.count(), 5, "all but the resource stays");
        }
        let parents: Vec<TrialIdx> = all.iter().filter_map(|suggestion| suggestion.parent).collect();
        assert_eq!(parents.iter().collect::<BTreeSet<_>>().len(), parents.len(), "nobody goes on twice");
    }

    /// Table 1 of the paper for R = 81: 81, 34, 15, 8 and 5 trials.
    #[test]
    fn brackets_have_the_sizes_of_the_paper() {
        let study = with_settings(&testing::study("test", with_epochs(&testing::tiny())), "81");
        let sizes: Vec<u64> = Halving::hyperband(&study).unwrap().brackets.iter().map(|(_, n)| *n).collect();
        assert_eq!(sizes, [81, 34, 15, 8, 5]);
    }

    #[test]
    fn hyperband_begins_on_all_levels() {
        let all = run(&hyperband, 6);
        let begun: BTreeSet<i64> = all.iter().filter(|s| s.parent.is_none()).map(epochs).collect();
        assert_eq!(begun, [1, 3, 9].into());
    }

    #[test]
    fn the_best_of_a_rung_goes_on_first() {
        let study = testing::study("test", with_epochs(&testing::numeric()));
        let (mut sampler, streams) = (asha(&study).unwrap(), Streams::new(1));
        let answer = sampler.ask(TrialIdx(0)..TrialIdx(6), &[], &streams);
        for ((idx, suggestion), cost) in (0..).map(TrialIdx).zip(answer).zip([5.0, 1.0, 4.0, 0.5, 3.0, 2.0]) {
            sampler.tell(&[
                HistoryEvent::Started(Trial { idx, suggestion }),
                HistoryEvent::Ended { trial: idx, outcome: Outcome::Succeeded { costs: vec![cost] } },
            ]);
        }
        let next = sampler.ask(TrialIdx(6)..TrialIdx(9), &[], &streams);
        let parents: Vec<Option<TrialIdx>> = next.iter().map(|suggestion| suggestion.parent).collect();
        assert_eq!(parents, [Some(TrialIdx(3)), Some(TrialIdx(1)), None]);
    }

    /// The lowest value of Branin's function that a search finds with 600 epochs; a trial shows it with an error that falls
    /// with its epochs.
    fn best_for_600_epochs(make: testing::Make<'_>, seed: u64) -> f64 {
        let space = Space::new(vec![testing::float("x"), testing::float("y")], vec![]).unwrap();
        let study = Study { seed, ..testing::study("test", with_epochs(&space)) };
        let (mut sampler, streams, encoder) =
            (make(&study).unwrap(), Streams::new(seed), Encoder::new(&study.space));
        let (mut spent, mut best) = (0, f64::INFINITY);
        for idx in (0..).map(TrialIdx) {
            let suggestion = sampler.ask(idx..TrialIdx(idx.0 + 1), &[], &streams).remove(0);
            spent += epochs(&suggestion);
            if spent > 600 {
                break;
            }
            let found = testing::branin(&encoder.encode(&suggestion.assignment));
            best = best.min(found);
            let error = 20.0 * (streams.stream("error", idx).random::<f64>() - 0.5);
            let costs = vec![found + error / epochs(&suggestion) as f64];
            sampler.tell(&[
                HistoryEvent::Started(Trial { idx, suggestion }),
                HistoryEvent::Ended { trial: idx, outcome: Outcome::Succeeded { costs } },
            ]);
        }
        best
    }

    /// Were they equal, 75 or more of 100 would have probability 2.8e-7.
    #[test]
    fn finds_more_than_trials_with_the_whole_resource() {
        let of = |eta: &str, study: &Study| -> Result<Box<dyn Sampler>, SettingsError> {
            let settings = [("r_l", "27"), ("resource_name", "epochs"), ("eta", eta)];
            Ok(Box::new(Halving::asha(&Study { algorithm: algorithm("asha", &settings), ..study.clone() })?))
        };
        let whole = |seed| best_for_600_epochs(&|study| of("28", study), 1000 + seed);
        let better = |seed: &u64| best_for_600_epochs(&|study| of("3", study), *seed) < whole(*seed);
        let wins = (0..100).filter(better).count();
        assert!(wins >= 75, "{wins} of 100");
    }

    #[test]
    fn settings_that_cannot_be_followed_are_refused() {
        let refused = |study: &Study| Halving::asha(study).unwrap_err().to_string();
        let plain = testing::study("asha", with_epochs(&testing::conditional()));
        assert!(refused(&plain).contains("needs the settings r_l and resource_name"));
        let with = |name: &str| {
            let settings = [("r_l", "9"), ("resource_name", name)];
            Study { algorithm: algorithm("asha", &settings), ..plain.clone() }
        };
        assert!(refused(&with("rounds")).contains("`rounds` is no parameter"));
        assert!(refused(&with("nesterov")).contains("may be no part of conditions"));
        assert!(refused(&with("optimizer")).contains("may be no part of conditions"));
    }
}
