//! CMA-ES: a normal distribution that moves, grows and turns towards better points, generation by generation.
//!
//! Numeric parameters that are always active are searched this way; names and parameters under conditions are drawn
//! from the prior beside it. A generation is the next lambda trials that end, whichever they are, so that late and
//! failed ones hold up nothing; the distribution is folded from ended trials alone, in the order of their ends.

mod eigen;
mod evolution;
mod restart;

use std::collections::BTreeMap;
use std::ops::Range;

use rand::RngExt as _;
use study::{Assignment, Domain, HistoryEvent, Study, Suggestion, Trial, TrialIdx};

use crate::Sampler;
use crate::encode::{Encoder, encode_value};
use crate::past::{Ended, Past, Tried, noted, one_by_one, suggestion};
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};

use evolution::Evolution;
use restart::{Restarts, Strategy};

/// Draws of a whole point before what lies outside of the cube is put on its border.
const REDRAWS: usize = 10;
/// Points drawn before chance takes over, where constraints or repeats refuse some.
const TRIES: usize = 1000;
/// Share of a lattice's cell below which the deviation along it does not fall: a step leaves the cell in 1 of 20.
const FLOOR: f64 = 0.25;
/// Costs that differ by less are alike.
const FLAT: f64 = 1e-12;
/// Name of the note that says which run a trial belongs to.
const RUN: &str = "run";

/// What may be set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CmaesSettings {
    /// First deviation as a share of each parameter's range, in (0, 1]. 0.3 as the tutorial advises.
    pub sigma: f64,
    restarts: Strategy,
}

impl CmaesSettings {
    fn read(study: &Study) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(&study.algorithm);
        let sigma =
            reader.get("sigma", 0.0, "a number of at least 0", |x: &f64| *x >= 0.0 && x.is_finite())?;
        let strategies = ["ipop", "bipop", "none", "None"];
        let known = |name: &String| strategies.contains(&name.as_str());
        let restarts = reader.get("restart_strategy", "ipop".to_owned(), "ipop, bipop or none", known)?;
        reader.finish()?;
        let restarts = match restarts.as_str() {
            "ipop" => Strategy::Ipop,
            "bipop" => Strategy::Bipop,
            _ => Strategy::None,
        };
        // Katib's door takes 0, which cannot be meant.
        Ok(Self { sigma: if sigma > 0.0 { sigma.min(1.0) } else { 0.3 }, restarts })
    }
}

/// Adapts a normal distribution to where good points lie.
#[derive(Debug)]
pub struct Cmaes {
    settings: CmaesSettings,
    encoder: Encoder,
    /// Positions of the parameters that are searched.
    axes: Vec<usize>,
    floors: Vec<f64>,
    streams: Streams,
    past: Past,
    tried: Tried,
    restarts: Restarts,
    run: Run,
}

/// One descent of a distribution.
#[derive(Debug)]
struct Run {
    /// From 0.
    number: u64,
    evolution: Evolution,
    /// Points of the generation so far, with costs; infinite where a trial failed.
    members: Vec<(f64, Vec<f64>)>,
    /// The best cost of each generation.
    best: Vec<f64>,
}

impl Run {
    fn new(number: u64, evolution: Evolution) -> Self {
        Self { number, evolution, members: Vec::new(), best: Vec::new() }
    }

    /// Takes in a point; `true` if that completed a generation. One needs lambda points, with costs for those that pull
    /// the mean.
    fn take(&mut self, cost: Option<f64>, x: Vec<f64>) -> bool {
        self.members.push((cost.unwrap_or(f64::INFINITY), x));
        let strategy = &self.evolution.strategy;
        let measured = self.members.iter().filter(|(cost, _)| cost.is_finite()).count();
        if self.members.len() < strategy.lambda || measured < strategy.mu {
            return false;
        }
        let mut members = std::mem::take(&mut self.members);
        members.sort_by(|a, b| a.0.total_cmp(&b.0));
        members.truncate(strategy.lambda);
        self.best.push(members[0].0);
        let points: Vec<Vec<f64>> = members.into_iter().map(|(_, x)| x).collect();
        self.evolution.update(&points);
        true
    }

    /// Whether more generations would find nothing: the distribution is spent, or its best costs are long alike
    /// (tutorial, B.3: `TolFun`).
    fn is_spent(&self) -> bool {
        let (n, lambda) = (self.evolution.dims() as f64, self.evolution.strategy.lambda as f64);
        let window = 10 + (30.0 * n / lambda).ceil() as usize;
        let newest = &self.best[self.best.len().saturating_sub(window)..];
        let low = newest.iter().copied().fold(f64::INFINITY, f64::min);
        let high = newest.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        self.evolution.is_spent() || newest.len() == window && high - low <= FLAT
    }
}

impl Cmaes {
    /// CMA-ES over the numeric parameters of the study's space.
    ///
    /// # Errors
    /// If a setting is unknown or out of range, or fewer than two int or double parameters are always active.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        let settings = CmaesSettings::read(study)?;
        let encoder = Encoder::new(&study.space);
        let axes = axes(study);
        let numbers = axes.iter().filter(|&&i| is_number(&study.space.parameters()[i].domain));
        if numbers.count() < 2 {
            return Err(SettingsError::Unsuited {
                algorithm: study.algorithm.name.clone(),
                problem: "it needs two int or double parameters without conditions; use `tpe`".into(),
            });
        }
        let domains = axes.iter().map(|&i| &study.space.parameters()[i].domain);
        let floors: Vec<f64> =
            domains.map(|domain| domain.cardinality().map_or(0.0, |n| FLOOR / n as f64)).collect();
        let population = evolution::Strategy::population(axes.len());
        let start = axes.iter().map(|&i| {
            let parameter = &study.space.parameters()[i];
            parameter.default.map_or(0.5, |value| encode_value(&parameter.domain, value))
        });
        let evolution = Evolution::new(start.collect(), settings.sigma, population, floors.clone());
        Ok(Self {
            settings,
            axes,
            floors,
            streams: Streams::new(study.seed),
            past: Past::default(),
            tried: Tried::new(&encoder),
            restarts: Restarts::new(settings.restarts, population),
            run: Run::new(0, evolution),
            encoder,
        })
    }

    /// Takes in an ended trial, unless it belongs to an earlier run.
    fn take(&mut self, ended: &Ended) {
        let run = ended.suggestion.notes.get(RUN).and_then(|run| run.parse().ok());
        if run.is_some_and(|run: u64| run != self.run.number) {
            return;
        }
        let x = self.axes.iter().map(|&i| ended.x[i]).collect();
        self.restarts.count(1);
        if self.run.take(ended.cost, x) && self.run.is_spent() {
            self.restart();
        }
    }

    fn restart(&mut self) {
        let number = self.run.number + 1;
        let mut rng = self.streams.stream("cmaes/restart", TrialIdx(number));
        let Some((population, scale)) = self.restarts.next(&mut rng) else { return };
        let start = self.axes.iter().map(|_| rng.random::<f64>()).collect();
        let sigma = self.settings.sigma * scale;
        self.run = Run::new(number, Evolution::new(start, sigma, population, self.floors.clone()));
    }

    fn ask_one(
        &self,
        slot: TrialIdx,
        running: &BTreeMap<TrialIdx, Suggestion>,
        streams: Streams,
    ) -> Option<Suggestion> {
        let mut rng = streams.stream("cmaes", slot);
        let begun = self.tried.with(running.values());
        let drawn = std::iter::repeat_with(|| self.draw(&mut rng)).take(TRIES);
        let mut feasible = drawn.filter(|assignment| self.encoder.space().is_feasible(assignment));
        if let Some(assignment) = feasible.find(|assignment| begun.is_new(assignment)) {
            let mut suggestion = suggestion(assignment, "cmaes");
            suggestion.notes.insert(RUN.into(), self.run.number.to_string());
            let generation = self.run.evolution.generation;
            return Some(noted(suggestion, &format!("generation {generation}")));
        }
        let assignment = begun.uniform(&self.encoder, &mut rng)?;
        Some(noted(suggestion(assignment, "cmaes"), "by chance"))
    }

    /// A point of the distribution within the cube, with the other parameters from their prior.
    fn draw(&self, rng: &mut rand_chacha::ChaCha8Rng) -> Assignment {
        let inside = |x: &Vec<f64>| x.iter().all(|x| (0.0..=1.0).contains(x));
        let mut drawn = self.run.evolution.draw(rng);
        for _ in 1..REDRAWS {
            if inside(&drawn) {
                break;
            }
            drawn = self.run.evolution.draw(rng);
        }
        let mut x: Vec<f64> = (0..self.encoder.dims()).map(|_| rng.random()).collect();
        for (&i, drawn) in self.axes.iter().zip(drawn) {
            x[i] = drawn;
        }
        self.encoder.decode(&x)
    }
}

fn is_number(domain: &Domain) -> bool {
    matches!(domain, Domain::Float { .. } | Domain::Int { .. })
}

/// Parameters with an order that are always active.
fn axes(study: &Study) -> Vec<usize> {
    let parameters = study.space.parameters().iter().enumerate();
    let searched = parameters.filter(|(_, parameter)| {
        parameter.when.is_empty() && !matches!(parameter.domain, Domain::Categorical { ordered: false, .. })
    });
    searched.map(|(i, _)| i).collect()
}

impl Sampler for Cmaes {
    fn tell(&mut self, events: &[HistoryEvent]) {
        self.tried.tell(events);
        for ended in self.past.newly_ended(&self.encoder, events) {
            self.take(&ended);
        }
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        one_by_one(slots, self.past.running(running), |slot, running| self.ask_one(slot, running, *streams))
    }
}

#[cfg(test)]
mod tests {
    use study::Outcome;

    use super::*;
    use crate::random::Random;
    use crate::settings::algorithm;
    use crate::testing;

    fn cmaes(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(Box::new(Cmaes::new(study)?))
    }

    fn random(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(Box::new(Random::new(study)?))
    }

    fn ellipsoid(x: &[f64]) -> f64 {
        x.iter().enumerate().map(|(i, x)| 10_f64.powi(i as i32) * (x - 0.3).powi(2)).sum()
    }

    #[test]
    fn keeps_the_contract() {
        testing::contract(&cmaes, &testing::numeric_spaces());
        testing::no_point_twice_while_others_are_untried(&cmaes);
        for strategy in ["bipop", "none"] {
            testing::contract(
                &|study| {
                    let settings = [("restart_strategy", strategy), ("sigma", "0.1")];
                    let study = Study { algorithm: algorithm("cmaes", &settings), ..study.clone() };
                    cmaes(&study)
                },
                &[testing::numeric()],
            );
        }
    }

    /// Were they equal, 27 or more of 30 would have probability 4.2e-6.
    #[test]
    fn beats_random_search_on_an_ellipsoid() {
        let wins = testing::wins(&cmaes, &random, 30, 5, 200, &ellipsoid);
        assert!(wins >= 27, "{wins} of 30");
    }

    #[test]
    fn comes_close_to_the_bottom_of_an_ellipsoid() {
        let best = testing::best_of(&cmaes, 5, 1, 1500, &ellipsoid);
        assert!(best < 1e-8, "{best}");
    }

    /// It looks at ranks alone.
    #[test]
    fn a_rising_map_of_costs_changes_nothing() {
        let plain = testing::best_of(&cmaes, 2, 3, 60, &testing::branin);
        let cubed = testing::best_of(&cmaes, 2, 3, 60, &|x| testing::branin(x).powi(3));
        assert!((plain.powi(3) - cubed).abs() < 1e-9);
    }

    #[test]
    fn fewer_than_two_numbers_are_refused() {
        for space in [testing::tiny(), testing::conditional()] {
            let refused = Cmaes::new(&testing::study("cmaes", space)).unwrap_err();
            assert!(refused.to_string().contains("two int or double parameters"), "{refused}");
        }
    }

    /// Trials of lambda generations at once, of which a third fail: generations still pass.
    #[test]
    fn late_and_failed_trials_do_not_stall_it() {
        let study = testing::study("cmaes", testing::numeric());
        let mut sampler = Cmaes::new(&study).unwrap();
        let streams = Streams::new(1);
        let batch = sampler.ask(TrialIdx(0)..TrialIdx(64), &[], &streams);
        for (idx, suggestion) in (0..).map(TrialIdx).zip(batch) {
            let outcome =
                if idx.0 % 3 == 0 { Outcome::Failed } else { Outcome::Succeeded { costs: vec![1.0] } };
            sampler.tell(&[
                HistoryEvent::Started(Trial { idx, suggestion }),
                HistoryEvent::Ended { trial: idx, outcome },
            ]);
        }
        assert!(sampler.run.evolution.generation >= 7, "{}", sampler.run.evolution.generation);
    }

    #[test]
    fn a_flat_cost_starts_it_anew_elsewhere() {
        let study = testing::study("cmaes", testing::numeric());
        let mut sampler = Cmaes::new(&study).unwrap();
        let streams = Streams::new(1);
        for idx in (0..400).map(TrialIdx) {
            let suggestion = sampler.ask(idx..TrialIdx(idx.0 + 1), &[], &streams).remove(0);
            sampler.tell(&[
                HistoryEvent::Started(Trial { idx, suggestion }),
                HistoryEvent::Ended { trial: idx, outcome: Outcome::Succeeded { costs: vec![0.0] } },
            ]);
        }
        assert!(sampler.run.number >= 1);
        assert!(sampler.run.evolution.strategy.lambda > evolution::Strategy::population(5));
    }
}
