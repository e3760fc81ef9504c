//! CMA-ES: a normal distribution that moves, grows and turns towards better points, generation by generation; beside it
//! probabilities of names, which learn from the same points.
//!
//! A generation is the next lambda trials that end, whichever they are, so that late and failed ones hold up nothing; the
//! distributions are folded from ended trials alone, in the order of their ends. What an assignment does not say of the
//! point it was made from (where in a cell, beyond which bound, where an inactive parameter would be) is kept in a note.

mod axis;
mod eigen;
mod evolution;
mod layout;
mod names;
mod restart;
mod run;
mod shape;
mod warm;

use std::ops::Range;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use study::{Domain, HistoryEvent, Study, Suggestion, Trial, TrialIdx};

use crate::Sampler;
use crate::encode::Encoder;
use crate::past::{Ended, Past, Running, Tried, noted, one_by_one, suggestion};
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};

use evolution::Evolution;
use layout::{Layout, Point};
use restart::{Restarts, Strategy};
use run::Run;

/// Points drawn before chance takes over, where constraints or repeats refuse some.
const TRIES: usize = 1000;
/// Draws of a whole point before what lies beyond a range is folded into it. The first ones within are no longer normal:
/// steps are shorter, which pays with few trials.
const REDRAWS: usize = 20;
/// Name of the note that says which run a trial belongs to.
const RUN: &str = "run";
/// Name of the note that says what the assignment does not.
const PLACE: &str = "place";

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
    layout: Layout,
    streams: Streams,
    past: Past,
    tried: Tried,
    restarts: Restarts,
    run: Run,
    /// Points to start from, until there are enough.
    first: Option<First>,
}

/// Points that others have found, with costs; infinite where a trial failed.
#[derive(Debug)]
struct First {
    wanted: usize,
    points: Vec<(f64, Point)>,
}

impl Cmaes {
    /// CMA-ES over the study's space.
    ///
    /// # Errors
    /// If a setting is unknown or out of range, or fewer than two int or double parameters are always active.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        let settings = CmaesSettings::read(study)?;
        let encoder = Encoder::new(&study.space);
        let is_number = |domain: &Domain| matches!(domain, Domain::Float { .. } | Domain::Int { .. });
        let parameters = study.space.parameters().iter();
        if parameters.filter(|p| p.when.is_empty() && is_number(&p.domain)).count() < 2 {
            return Err(SettingsError::Unsuited {
                algorithm: study.algorithm.name.clone(),
                problem: "it needs two int or double parameters without conditions; use `tpe`".into(),
            });
        }
        let layout = Layout::new(&study.space);
        let population = Run::population(&layout);
        let evolution = Evolution::new(layout.start(), settings.sigma, population);
        Ok(Self {
            settings,
            streams: Streams::new(study.seed),
            past: Past::default(),
            tried: Tried::discrete(&encoder),
            restarts: Restarts::new(settings.restarts, population),
            run: Run::new(0, evolution, &layout),
            first: None,
            layout,
            encoder,
        })
    }

    /// The same, but starting from the best of the first `n` trials to end, whoever proposed them.
    ///
    /// # Errors
    /// As [`Cmaes::new`].
    pub fn continuing(study: &Study, n: usize) -> Result<Self, SettingsError> {
        let first = (n > 0).then(|| First { wanted: n, points: Vec::new() });
        Ok(Self { first, ..Self::new(study)? })
    }

    /// Takes in an ended trial, unless it belongs to an earlier run.
    fn take(&mut self, ended: &Ended) {
        let notes = &ended.suggestion.notes;
        let run = notes.get(RUN).and_then(|run| run.parse().ok());
        if run.is_some_and(|run: u64| run != self.run.number) {
            return;
        }
        let place = notes.get(PLACE).map(String::as_str).unwrap_or_default();
        let point = self.layout.point(&ended.suggestion.assignment, place, &self.run.evolution.mean());
        if let Some(first) = &mut self.first {
            first.points.push((ended.cost.unwrap_or(f64::INFINITY), point));
            if first.points.len() == first.wanted {
                let points = std::mem::take(&mut first.points);
                self.start_from(points);
            }
            return;
        }
        self.restarts.count(1);
        if self.run.take(ended.cost, point, &self.layout) && self.run.is_spent() {
            self.restart();
        }
    }

    /// Starts from the best of these points; where none has a cost, as if there were none.
    fn start_from(&mut self, mut points: Vec<(f64, Point)>) {
        self.first = None;
        points.retain(|(cost, _)| cost.is_finite());
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let lambda = self.run.evolution.strategy.lambda;
        points.truncate(warm::n_promising(points.len(), lambda / 2));
        if !points.is_empty() {
            let points: Vec<Point> = points.into_iter().map(|(_, point)| point).collect();
            self.run = Run::around(&points, lambda, &self.layout);
        }
    }

    fn restart(&mut self) {
        let number = self.run.number + 1;
        let mut rng = self.streams.stream("cmaes/restart", TrialIdx(number));
        let Some((population, scale)) = self.restarts.next(&mut rng) else { return };
        let start = self.layout.axes.iter().map(|_| rng.random::<f64>()).collect();
        let evolution = Evolution::new(start, self.settings.sigma * scale, population);
        self.run = Run::new(number, evolution, &self.layout);
    }

    /// A place on each axis, within the ranges if that is to be had.
    fn place(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let mut drawn = std::iter::repeat_with(|| self.run.evolution.draw(rng)).take(REDRAWS);
        drawn.find(|v| self.layout.is_within(v)).unwrap_or_else(|| self.run.evolution.draw(rng))
    }

    fn ask_one(&self, slot: TrialIdx, running: &Running<'_>, streams: Streams) -> Option<Suggestion> {
        let mut rng = streams.stream("cmaes", slot);
        let begun = &running.begun;
        for _ in 0..TRIES {
            let v = self.place(&mut rng);
            let names = self.run.names.draw(&mut rng);
            let assignment = self.layout.assignment(&v, &names);
            if !self.encoder.space().is_feasible(&assignment) || !begun.is_new(&assignment) {
                continue;
            }
            let place = self.layout.note(&assignment, &v);
            let mut suggestion = suggestion(assignment, "cmaes");
            suggestion.notes.insert(RUN.into(), self.run.number.to_string());
            if !place.is_empty() {
                suggestion.notes.insert(PLACE.into(), place);
            }
            return Some(noted(suggestion, &format!("generation {}", self.run.evolution.generation)));
        }
        let assignment = begun.uniform(&self.encoder, &mut rng)?;
        Some(noted(suggestion(assignment, "cmaes"), "by chance"))
    }
}

impl Sampler for Cmaes {
    fn tell(&mut self, events: &[HistoryEvent]) {
        self.tried.tell(events);
        for ended in self.past.newly_ended(&self.encoder, events) {
            self.take(&ended);
        }
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        let running = Running::new(&self.tried, self.past.running(&self.encoder, running));
        one_by_one(slots, running, |slot, running| self.ask_one(slot, running, *streams))
    }
}

#[cfg(test)]
mod tests {
    use study::{Distribution, Outcome, Space, Value};

    use super::*;
    use crate::random::Random;
    use crate::settings::algorithm;
    use crate::testing;

    fn cmaes(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(Box::new(Cmaes::new(study)?))
    }

    /// Ranges that are hardly any, and one that is hardly to be held.
    fn harsh() -> Space {
        let float = |min, max, distribution| Domain::Float { min, max, step: None, distribution };
        let one = Domain::Int { min: 3, max: 3, step: 1, distribution: Distribution::Uniform };
        let parameters = vec![
            testing::with("log", float(1e-300, 1e300, Distribution::LogUniform)),
            testing::with("wide", float(-1e300, 1e300, Distribution::Uniform)),
            testing::with("point", float(0.5, 0.5, Distribution::Uniform)),
            testing::with("one", one),
            testing::categorical("only", &["a"]),
        ];
        Space::new(parameters, vec![]).unwrap()
    }

    /// Numbers and names under conditions beside two numbers that are always there.
    fn beneath() -> Space {
        let mut parameters = testing::conditional().parameters().to_vec();
        parameters.push(testing::float("y"));
        Space::new(parameters, vec![]).unwrap()
    }

    fn unit(n: usize) -> Study {
        let parameters = (0..n).map(|i| testing::float(&format!("x{i}"))).collect();
        testing::study("cmaes", Space::new(parameters, vec![]).unwrap())
    }

    /// Asks and tells one trial after the other; what was asked.
    fn searched(sampler: &mut Cmaes, n: u64, cost: impl Fn(&Suggestion) -> f64) -> Vec<Suggestion> {
        let streams = Streams::new(1);
        let one = |idx| {
            let suggestion = sampler.ask(idx..TrialIdx(idx.0 + 1), &[], &streams).remove(0);
            let outcome = Outcome::Succeeded { costs: vec![cost(&suggestion)] };
            sampler.tell(&[
                HistoryEvent::Started(Trial { idx, suggestion: suggestion.clone() }),
                HistoryEvent::Ended { trial: idx, outcome },
            ]);
            suggestion
        };
        (0..n).map(TrialIdx).map(one).collect()
    }

    fn ellipsoid(x: &[f64]) -> f64 {
        x.iter().enumerate().map(|(i, x)| 10_f64.powi(i as i32) * (x - 0.3).powi(2)).sum()
    }

    #[test]
    fn keeps_the_contract() {
        let mut spaces = testing::numeric_spaces();
        spaces.extend([testing::mixed(), harsh(), beneath()]);
        testing::contract(&cmaes, &spaces);
        testing::contract(&|study| Ok(Box::new(Cmaes::continuing(study, 9)?)), &spaces);
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
        let wins = testing::wins(&cmaes, &testing::random, 30, 5, 200, &ellipsoid);
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
        let mut sampler = Cmaes::new(&testing::study("cmaes", testing::numeric())).unwrap();
        searched(&mut sampler, 400, |_| 0.0);
        assert!(sampler.run.number >= 1);
        assert!(sampler.run.evolution.strategy.lambda > Run::population(&sampler.layout));
    }

    /// Of the last 50 points a third would have the best name by chance.
    #[test]
    fn names_are_searched() {
        let study = testing::study("cmaes", testing::mixed());
        let encoder = Encoder::new(&study.space);
        let best = |suggestion: &Suggestion| suggestion.assignment.get(1) == Some(Value::Choice(1));
        let cost = |suggestion: &Suggestion| {
            testing::bowl(&encoder, suggestion) + f64::from(u8::from(!best(suggestion)))
        };
        let asked = searched(&mut Cmaes::new(&study).unwrap(), 150, cost);
        let n = asked[100..].iter().filter(|suggestion| best(suggestion)).count();
        assert!(n > 30, "{n} of 50");
    }

    /// A huge cost is worth no more than a bad one.
    #[test]
    fn an_outlier_changes_nothing() {
        let encoder = Encoder::new(&unit(4).space);
        let ended = |outlier: f64| {
            let worst = |cost: f64| if cost > 0.5 { cost * outlier } else { cost };
            let mut sampler = Cmaes::new(&unit(4)).unwrap();
            searched(&mut sampler, 100, |suggestion| worst(testing::bowl(&encoder, suggestion)))
        };
        assert_eq!(ended(1.0), ended(1e250));
    }

    #[test]
    fn two_hundred_dimensions_and_a_thousand_that_run_do_no_harm() {
        let study = unit(200);
        let encoder = Encoder::new(&study.space);
        let mut sampler = Cmaes::new(&study).unwrap();
        searched(&mut sampler, 60, |suggestion| testing::bowl(&encoder, suggestion));
        let suggestions = sampler.ask(TrialIdx(60)..TrialIdx(1060), &[], &Streams::new(1));
        assert!(suggestions.len() == 1000 && suggestions.iter().all(|s| study.space.contains(&s.assignment)));
    }

    /// Others' points at a corner: it starts there, where alone it would start in the middle.
    #[test]
    fn goes_on_where_others_were_best() {
        let study = unit(3);
        let encoder = Encoder::new(&study.space);
        let cost = |x: &[f64]| x.iter().map(|x| (x - 0.9).powi(2)).sum::<f64>();
        let streams = Streams::new(1);
        let random = Random::new(&study).unwrap().ask(TrialIdx(0)..TrialIdx(100), &[], &streams);
        let ended = |(idx, suggestion): (u64, Suggestion)| {
            let costs = vec![cost(&encoder.encode(&suggestion.assignment))];
            let idx = TrialIdx(idx);
            let started = HistoryEvent::Started(Trial { idx, suggestion });
            [started, HistoryEvent::Ended { trial: idx, outcome: Outcome::Succeeded { costs } }]
        };
        let events: Vec<HistoryEvent> = (0..).zip(random).flat_map(ended).collect();
        let next = |mut sampler: Cmaes| {
            sampler.tell(&events);
            let asked = sampler.ask(TrialIdx(100)..TrialIdx(140), &[], &streams);
            asked.iter().map(|s| cost(&encoder.encode(&s.assignment))).sum::<f64>() / 40.0
        };
        let continued = next(Cmaes::continuing(&study, 100).unwrap());
        let later = next(Cmaes::continuing(&study, 101).unwrap());
        assert!(continued < 0.3 * later, "{continued} against {later}");
    }
}
