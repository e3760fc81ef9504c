//! Regularized evolution: the best of a few is changed a little, and the oldest leaves, not the worst.
//!
//! Real et al. 2019, "Regularized Evolution for Image Classifier Architecture Search", arXiv:1802.01548, algorithm 1,
//! in its steady state: whenever a trial is wanted it gets a child of those that have ended by then. How far numbers
//! move is inherited with the point and changes with it (Beyer and Schwefel 2002, section 4, self-adaptation).

use std::collections::VecDeque;
use std::ops::Range;

use rand::RngExt as _;
use rand::seq::index;
use rand_chacha::ChaCha8Rng;
use statrs::distribution::{ContinuousCDF as _, Normal};
use study::{Assignment, HistoryEvent, Study, Suggestion, Trial, TrialIdx};

use crate::Sampler;
use crate::encode::Encoder;
use crate::mutation::mutated;
use crate::past::{Past, Running, Tried, noted, one_by_one, suggestion};
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};
use crate::sobol::{Sequence, design};

/// Deviation of the first steps, in the unit cube.
const STEP: f64 = 0.2;
/// Deviation of the logarithm of a step between parent and child.
const CHANGE: f64 = 0.4;
/// Steps stay within.
const STEPS: (f64, f64) = (0.01, 0.5);
/// Share of the children that differ from their parent in two parameters, not one.
const TWO: f64 = 0.3;
/// Children looked at before chance takes over, where constraints or repeats refuse some.
const TRIES: usize = 100;
/// Where a trial keeps its step.
const NOTE: &str = "step";

/// What may be set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EvolutionSettings {
    /// Trials that may have children: the last so many with a cost.
    pub population: usize,
    /// Of how many drawn from the population the best is the parent. Real et al. 2019 take a quarter of 100; budgets of
    /// a hundred trials want a smaller population and a sharper choice.
    pub tournament: usize,
    /// Share of the children with a second parent, from which each value may come as well as from the first.
    pub crossover: f64,
}

impl EvolutionSettings {
    fn read(study: &Study) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(&study.algorithm);
        let whole = "a whole number of at least 2";
        let population = reader.get("population", 15, whole, |n| *n >= 2)?;
        let tournament = reader.get("tournament", 10, "a whole number of at least 1", |n| *n >= 1)?;
        let share = |x: &f64| (0.0..=1.0).contains(x);
        let crossover = reader.get("crossover", 0.5, "a number from 0 to 1", share)?;
        reader.finish()?;
        Ok(Self { population, tournament, crossover })
    }
}

/// Changes the best of a few.
#[derive(Debug)]
pub struct Evolution {
    settings: EvolutionSettings,
    encoder: Encoder,
    start: Sequence,
    past: Past,
    tried: Tried,
    /// The oldest first.
    population: VecDeque<Member>,
}

#[derive(Clone, Debug)]
struct Member {
    assignment: Assignment,
    cost: f64,
    step: f64,
}

impl Evolution {
    /// Evolution over the study's space.
    ///
    /// # Errors
    /// If a setting is unknown or out of range.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        let encoder = Encoder::new(&study.space);
        Ok(Self {
            settings: EvolutionSettings::read(study)?,
            start: Sequence::new(encoder.dims(), &Streams::new(study.seed), "evolution/start"),
            past: Past::default(),
            tried: Tried::everywhere(),
            population: VecDeque::new(),
            encoder,
        })
    }

    fn ask_one(&self, slot: TrialIdx, running: &Running<'_>, streams: Streams) -> Option<Suggestion> {
        let begun = &running.begun;
        let mut rng = streams.stream("evolution", slot);
        if self.population.len() < self.settings.population {
            let start = design(&self.encoder, &self.start, slot, streams, "evolution")?;
            if begun.is_new(&start.assignment) {
                return Some(noted(start, "first population"));
            }
        } else {
            let is_open = |child: &Assignment| self.encoder.space().is_feasible(child) && begun.is_new(child);
            let mut children = (0..TRIES).map(|_| self.child(&mut rng));
            if let Some((child, step)) = children.find(|(child, _)| is_open(child)) {
                let mut suggestion = noted(suggestion(child, "evolution"), "child of the best of a few");
                suggestion.notes.insert(NOTE.into(), step.to_string());
                return Some(suggestion);
            }
        }
        let assignment = begun.uniform(&self.encoder, &mut rng)?;
        Some(noted(suggestion(assignment, "evolution"), "by chance"))
    }

    /// A changed copy of a parent, and its step.
    fn child(&self, rng: &mut ChaCha8Rng) -> (Assignment, f64) {
        let parent = self.parent(rng);
        let z = Normal::standard().inverse_cdf(rng.random_range(1e-9..1.0));
        let step = (parent.step * (CHANGE * z).exp()).clamp(STEPS.0, STEPS.1);
        let n = if rng.random::<f64>() < TWO { 2 } else { 1 };
        let mut from = parent.assignment.clone();
        if rng.random::<f64>() < self.settings.crossover {
            let other = &self.parent(rng).assignment;
            for (value, other) in from.0.iter_mut().zip(&other.0) {
                if other.is_some() && rng.random::<bool>() {
                    *value = *other;
                }
            }
            from = self.encoder.space().deactivate(from);
        }
        (mutated(&self.encoder, &from, n, step, rng), step)
    }

    /// The best of a few.
    fn parent(&self, rng: &mut ChaCha8Rng) -> &Member {
        let n = self.population.len();
        let few = index::sample(rng, n, self.settings.tournament.min(n));
        let best = few.iter().min_by(|a, b| self.population[*a].cost.total_cmp(&self.population[*b].cost));
        &self.population[best.unwrap_or(0)]
    }
}

impl Sampler for Evolution {
    fn tell(&mut self, events: &[HistoryEvent]) {
        self.tried.tell(events);
        for ended in self.past.newly_ended(&self.encoder, events) {
            let Some(cost) = ended.cost else { continue };
            let step = ended.suggestion.notes.get(NOTE).and_then(|text| text.parse().ok());
            let step = step.filter(|step| (STEPS.0..=STEPS.1).contains(step)).unwrap_or(STEP);
            self.population.push_back(Member { assignment: ended.suggestion.assignment, cost, step });
            if self.population.len() > self.settings.population {
                self.population.pop_front();
            }
        }
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        let running = Running::new(&self.tried, self.past.running(&self.encoder, running));
        one_by_one(slots, running, |slot, running| self.ask_one(slot, running, *streams))
    }
}

#[cfg(test)]
mod tests {
    use study::Outcome;

    use super::*;
    use crate::testing;

    fn evolution(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(Box::new(Evolution::new(study)?))
    }

    #[test]
    fn keeps_the_contract() {
        testing::contract(&evolution, &testing::spaces());
        testing::no_point_twice_while_others_are_untried(&evolution);
        testing::hostile(&evolution);
    }

    /// Were they equal, 40 or more of 50 would have probability 1.2e-5.
    #[test]
    fn beats_random_search_on_branin() {
        let wins = testing::wins(&evolution, &testing::random, 50, 2, 100, &testing::branin);
        assert!(wins >= 40, "{wins} of 50");
    }

    #[test]
    fn the_oldest_leaves_though_it_is_the_best() {
        let study = testing::study("evolution", testing::mixed());
        let mut evolution = Evolution::new(&study).unwrap();
        let suggestions = evolution.ask(TrialIdx(0)..TrialIdx(16), &[], &Streams::new(1));
        for (idx, suggestion) in (0..).map(TrialIdx).zip(suggestions) {
            let outcome = Outcome::Succeeded { costs: vec![idx.0 as f64] };
            let trial = Trial { idx, suggestion };
            evolution.tell(&[HistoryEvent::Started(trial), HistoryEvent::Ended { trial: idx, outcome }]);
        }
        assert_eq!(evolution.population.len(), 15);
        assert!(evolution.population.iter().all(|member| member.cost > 0.5));
    }
}
