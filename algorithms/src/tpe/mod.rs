//! The tree-structured Parzen estimator: points are drawn where good trials are dense and others are not.
//!
//! Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization", NeurIPS: with l(x) the density of the best
//! share gamma of the trials and g(x) that of the others, the expected improvement grows with l(x) / g(x) (eq. 3).
//! Densities are joint over all parameters that are active together (Falkner et al. 2018, arXiv:1807.01774). What else
//! there is to choose follows Watanabe 2023, arXiv:2304.11127, or what was measured: `tests/bench/README.md`.

mod groups;
mod kernel;
mod parzen;

use std::cell::OnceCell;
use std::ops::Range;

use rand_chacha::ChaCha8Rng;
use study::{Assignment, HistoryEvent, Study, Suggestion, Trial, TrialIdx};

use crate::Sampler;
use crate::encode::{Encoder, decode_value};
use crate::past::{Past, Running, Tried, noted, one_by_one, suggestion};
use crate::prior;
use crate::rng::Streams;
use crate::rungs::Keep;
use crate::settings::{Reader, SettingsError};
use crate::sobol::{Sequence, design};

use groups::{Densities, Group, Split, groups};

/// Points proposed before chance takes over, where constraints or repeats refuse some.
const TRIES: usize = 32;

/// What may be set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TpeSettings {
    /// Share of the trials that count as good, in (0, 1). 0.15: Watanabe 2023, table 2, "linear".
    pub gamma: f64,
    /// Weight of the prior against that of one trial, above 0.
    pub prior_weight: f64,
    /// Points drawn for each one proposed, at least 1. 24 as in hyperopt.
    pub n_candidates: usize,
    /// Measured trials before which points come from a Sobol design.
    pub n_startup: usize,
}

impl TpeSettings {
    fn read(study: &Study) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(&study.algorithm);
        let share = |x: &f64| *x > 0.0 && *x < 1.0;
        let gamma = reader.get("gamma", 0.15, "a number between 0 and 1", share)?;
        let weight = |x: &f64| *x > 0.0 && x.is_finite();
        let prior_weight = reader.get("prior_weight", 1.0, "a number above 0", weight)?;
        let candidates = |n: &usize| (1..=100_000).contains(n);
        let allowed = "a whole number from 1 to 100000";
        let hyperopt = reader.get("n_EI_candidates", 24, allowed, candidates)?;
        let n_candidates = reader.get("n_ei_candidates", hyperopt, allowed, candidates)?;
        let n_startup = reader.get("n_startup_trials", 10, "a whole number", |_| true)?;
        reader.finish()?;
        Ok(Self { gamma, prior_weight, n_candidates, n_startup })
    }
}

/// Draws points where good trials are dense and others are not.
#[derive(Debug)]
pub struct Tpe {
    settings: TpeSettings,
    encoder: Encoder,
    groups: Vec<Group>,
    max_trials: Option<u64>,
    start: Sequence,
    past: Past,
    tried: Tried,
}

/// What one question is answered from. Densities are made when they are first needed.
struct Question<'a> {
    split: Split,
    running: &'a Running<'a>,
    densities: Vec<OnceCell<Densities<'a>>>,
}

impl Tpe {
    /// The estimator for a study.
    ///
    /// # Errors
    /// If a setting is unknown or out of range.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        let encoder = Encoder::new(&study.space);
        // Where no parameter is a continuum the densities would come back to the best point for ever.
        let lattice =
            study.space.parameters().iter().all(|parameter| parameter.domain.cardinality().is_some());
        Ok(Self {
            settings: TpeSettings::read(study)?,
            groups: groups(&study.space),
            max_trials: study.max_trials,
            start: Sequence::new(encoder.dims(), &Streams::new(study.seed), "tpe/start"),
            past: Past::under(study, Keep::Newest),
            tried: if lattice { Tried::everywhere() } else { Tried::new(&encoder) },
            encoder,
        })
    }

    fn ask_one(&self, slot: TrialIdx, running: &Running<'_>, streams: Streams) -> Option<Suggestion> {
        let begun = &running.begun;
        let mut rng = streams.stream("tpe", slot);
        if self.past.n_measured() < self.settings.n_startup {
            let start = design(&self.encoder, &self.start, slot, streams, "tpe")?;
            if begun.is_new(&start.assignment) {
                return Some(noted(start, "start design"));
            }
        } else {
            let split = Split::new(&self.past, self.settings.gamma);
            let why = format!("{} good of {} measured", split.good.len(), self.past.n_measured());
            let densities = self.groups.iter().map(|_| OnceCell::new()).collect();
            let question = Question { split, running, densities };
            let drawn = (0..TRIES).find_map(|_| self.propose(&question, &mut rng));
            if let Some(assignment) = drawn {
                return Some(noted(suggestion(assignment, "tpe"), &why));
            }
        }
        let assignment = begun.uniform(&self.encoder, &mut rng)?;
        Some(noted(suggestion(assignment, "tpe"), "by chance"))
    }

    /// The best of some points for each active group, parents first; `None` if it is not feasible or not new.
    fn propose<'a>(&'a self, question: &Question<'a>, rng: &mut ChaCha8Rng) -> Option<Assignment> {
        let space = self.encoder.space();
        let mut assignment = Assignment(vec![None; space.parameters().len()]);
        let is_open = |assignment: &Assignment| {
            space.is_feasible(assignment) && question.running.begun.is_new(assignment)
        };
        let mut scratch = Vec::new();
        for (group, densities) in self.groups.iter().zip(&question.densities) {
            if !space.is_active(group.members[0], &assignment) {
                continue;
            }
            let densities = densities.get_or_init(|| self.densities(group, question));
            let mut best: Option<(f64, Vec<f64>)> = None;
            for _ in 0..self.settings.n_candidates {
                let x = densities.good.draw(rng);
                if self.groups.len() == 1 {
                    self.assign(group, &x, &mut assignment);
                    if !is_open(&assignment) {
                        continue;
                    }
                }
                let gain = densities.gain(&x, &mut scratch) + self.belief(group, &x);
                if best.as_ref().is_none_or(|(best, _)| gain > *best) {
                    best = Some((gain, x));
                }
            }
            self.assign(group, &best?.1, &mut assignment);
        }
        is_open(&assignment).then_some(assignment)
    }

    /// Logarithm of what the user believes of a point of a group, to the power that is left of it (see [`prior`]).
    fn belief(&self, group: &Group, x: &[f64]) -> f64 {
        let parameters = group.members.iter().map(|i| &self.encoder.space().parameters()[*i]).zip(x);
        let believed = parameters.filter(|(parameter, _)| parameter.prior.is_some());
        let log: f64 = believed.map(|(parameter, u)| prior::log_density_at(parameter, *u)).sum();
        prior::exponent(self.max_trials, self.past.n_measured()) * log
    }

    fn assign(&self, group: &Group, x: &[f64], assignment: &mut Assignment) {
        for (i, u) in group.members.iter().zip(x) {
            assignment.0[*i] = Some(decode_value(&self.encoder.space().parameters()[*i].domain, *u));
        }
    }

    fn densities<'a>(&'a self, group: &'a Group, question: &Question<'_>) -> Densities<'a> {
        let (split, running) = (&question.split, question.running);
        Densities::new(group, &self.encoder, &self.past, split, &running.trials, self.settings)
    }
}

impl Sampler for Tpe {
    fn tell(&mut self, events: &[HistoryEvent]) {
        self.tried.tell(events);
        self.past.tell(&self.encoder, events);
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        let running = Running::new(&self.tried, self.past.running(&self.encoder, running));
        one_by_one(slots, running, |slot, running| self.ask_one(slot, running, *streams))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn tpe(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(Box::new(Tpe::new(study)?))
    }

    #[test]
    fn keeps_the_contract() {
        testing::contract(&tpe, &testing::spaces());
        testing::no_point_twice_while_others_are_untried(&tpe);
        testing::hostile(&tpe);
    }

    /// Were they equal, 40 or more of 50 would have probability 1.2e-5.
    #[test]
    fn beats_random_search_on_branin() {
        let wins = testing::wins(&tpe, &testing::random, 50, 2, 60, &testing::branin);
        assert!(wins >= 40, "{wins} of 50");
    }

    /// A narrow valley across both axes, where one density for each parameter loses its way.
    #[test]
    fn beats_random_search_along_a_valley() {
        let valley = |x: &[f64]| 100.0 * (x[0] - x[1]).powi(2) + (x[0] - 0.8).powi(2);
        let wins = testing::wins(&tpe, &testing::random, 50, 2, 60, &valley);
        assert!(wins >= 40, "{wins} of 50");
    }

    /// It looks at ranks alone.
    #[test]
    fn a_rising_map_of_costs_changes_nothing() {
        let plain = testing::best_of(&tpe, 2, 3, 40, &testing::branin);
        let cubed = testing::best_of(&tpe, 2, 3, 40, &|x| testing::branin(x).powi(3));
        assert!((plain.powi(3) - cubed).abs() < 1e-9);
    }
}
