//! Population based training: members train in turns, and between two turns the worst take over the checkpoints of the
//! best and change their parameters (Jaderberg et al. 2017, arXiv:1711.09846).
//!
//! A turn of a member is a trial, which begins from the checkpoint of its parent: the member's own last trial, or, for a
//! member among the worst, that of one of the best (truncation selection, with its parameters perturbed or drawn anew).
//! Nobody is waited for: a member that has ended is compared with the newest results of all others. Notes say whose
//! turn a trial is and which; parents are the genealogy. What a member has left before its newest turn that has ended is
//! begun from by nobody any more, so its checkpoint may go.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use study::{Assignment, Domain, HistoryEvent, Study, Suggestion, Trial, TrialIdx, Turn, Value};

use crate::Sampler;
use crate::encode::{Encoder, decode_value, encode_value};
use crate::past::{noted, suggestion};
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};

/// By which factors numbers are perturbed (Jaderberg et al. 2017, appendix A).
const FACTORS: [f64; 2] = [0.8, 1.2];
/// Perturbations before parameters are taken over as they are, where constraints refuse some.
const TRIES: usize = 100;

/// What may be set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PbtSettings {
    /// Members of the population, at least 5 as in Katib. 20: Jaderberg et al. 2017, section 4.
    pub n_population: u64,
    /// Share of the members that count as best, and as worst; from 0 to 1, of which a half is the most that is used. 0.2:
    /// the same, section 4.
    pub truncation_threshold: f64,
    /// Chance of each parameter to be drawn anew instead of perturbed.
    pub resample_probability: f64,
}

impl PbtSettings {
    fn read(study: &Study) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(&study.algorithm);
        let share = |x: &f64| (0.0..=1.0).contains(x);
        let allowed = "a number from 0 to 1";
        let n_population =
            reader.get("n_population", 20, "a whole number of at least 5", |n: &u64| *n >= 5)?;
        let truncation_threshold = reader.get("truncation_threshold", 0.2, allowed, share)?;
        let resample_probability = reader.get("resample_probability", 0.0, allowed, share)?;
        // Where Katib mounts checkpoints; whoever runs trials puts CAIRN_CHECKPOINT_DIR in its place.
        reader.optional("suggestion_trial_dir", "a folder", |_: &String| true)?;
        reader.finish()?;
        Ok(Self { n_population, truncation_threshold, resample_probability })
    }
}

/// The newest result of a member.
#[derive(Clone, Debug)]
struct Newest {
    generation: u64,
    trial: TrialIdx,
    assignment: Assignment,
    /// Infinite if it failed.
    cost: f64,
}

/// Trains a population in turns.
#[derive(Debug)]
pub struct Pbt {
    settings: PbtSettings,
    encoder: Encoder,
    /// Trials that have begun and not ended.
    begun: BTreeMap<TrialIdx, Suggestion>,
    /// By member.
    results: BTreeMap<u64, Newest>,
}

/// Members as one question sees them.
struct Open {
    busy: BTreeSet<u64>,
    /// How many there have been.
    n_members: u64,
}

impl Open {
    fn begin(&mut self, suggestion: &Suggestion) {
        if let Some(turn) = Turn::of(suggestion) {
            self.busy.insert(turn.member);
            self.n_members = self.n_members.max(turn.member.saturating_add(1));
        }
    }
}

impl Pbt {
    /// A population for a study.
    ///
    /// # Errors
    /// If a setting is unknown or out of range.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        Ok(Self {
            settings: PbtSettings::read(study)?,
            encoder: Encoder::new(&study.space),
            begun: BTreeMap::new(),
            results: BTreeMap::new(),
        })
    }

    fn ask_one(&self, open: &Open, rng: &mut ChaCha8Rng) -> Option<Suggestion> {
        let idle = || self.results.iter().filter(|(member, _)| !open.busy.contains(member));
        let next = idle().min_by_key(|(member, result)| (result.generation, **member));
        match next.filter(|_| open.n_members >= self.settings.n_population) {
            Some((member, result)) => self.next_turn(*member, result, rng),
            None => self.first_turn(open.n_members, rng),
        }
    }

    fn first_turn(&self, member: u64, rng: &mut ChaCha8Rng) -> Option<Suggestion> {
        let drawn = suggestion(self.encoder.believed(rng)?, "pbt");
        Some(Turn { generation: 0, member }.note(noted(drawn, "a new member")))
    }

    fn next_turn(&self, member: u64, result: &Newest, rng: &mut ChaCha8Rng) -> Option<Suggestion> {
        let turn = Turn { generation: result.generation + 1, member };
        let mut ranked: Vec<(&u64, &Newest)> = self.results.iter().collect();
        ranked.sort_by(|a, b| a.1.cost.total_cmp(&b.1.cost));
        let n = ranked.len();
        let cut = (self.settings.truncation_threshold * n as f64).floor().min(n as f64 / 2.0) as usize;
        let rank = ranked.iter().position(|(other, _)| **other == member).unwrap_or(n);
        if rank + cut < n && result.cost.is_finite() {
            let same = suggestion(result.assignment.clone(), "pbt").with_checkpoint_of(result.trial);
            return Some(turn.note(noted(same, &format!("came {} of {n}: goes on as it is", rank + 1))));
        }
        let best =
            ranked[..cut.max(1)].iter().filter(|(other, best)| **other != member && best.cost.is_finite());
        let best: Vec<&Newest> = best.map(|(_, best)| *best).collect();
        if best.is_empty() {
            return Some(
                turn.note(noted(suggestion(self.encoder.believed(rng)?, "pbt"), "nobody to learn from")),
            );
        }
        let winner = best[rng.random_range(0..best.len())];
        let explored =
            suggestion(self.explored(&winner.assignment, rng), "pbt").with_checkpoint_of(winner.trial);
        let why = format!("came {} of {n}: takes over from trial {}", rank + 1, winner.trial.0);
        Some(turn.note(noted(explored, &why)))
    }

    /// Parameters near others, that meet the constraints.
    fn explored(&self, parent: &Assignment, rng: &mut ChaCha8Rng) -> Assignment {
        let tries = (0..TRIES).map(|_| self.perturbed(parent, rng));
        let mut feasible = tries.filter(|child| self.encoder.space().is_feasible(child));
        feasible.next().unwrap_or_else(|| parent.clone())
    }

    /// Each parameter perturbed or drawn anew; what becomes active is drawn.
    fn perturbed(&self, parent: &Assignment, rng: &mut ChaCha8Rng) -> Assignment {
        let space = self.encoder.space();
        let mut child = Assignment(vec![None; space.parameters().len()]);
        for &i in space.parents_first() {
            let domain = &space.parameters()[i].domain;
            // Drawn whether or not they are used: what one parameter needs does not move the others.
            let (anew, chance, up) = (rng.random::<f64>(), rng.random(), rng.random::<bool>());
            if space.is_active(i, &child) {
                let kept = parent.get(i).filter(|_| anew >= self.settings.resample_probability);
                child.0[i] =
                    Some(kept.map_or_else(|| decode_value(domain, chance), |value| moved(domain, value, up)));
            }
        }
        child
    }
}

/// The value times a factor or, of a list, its neighbour, within the domain. Names without an order go round.
fn moved(domain: &Domain, value: Value, up: bool) -> Value {
    let factor = FACTORS[usize::from(up)];
    let snapped = |value: Value| decode_value(domain, encode_value(domain, value).clamp(0.0, 1.0));
    match (domain, value) {
        (Domain::Float { min, max, .. }, Value::Float(x)) => {
            snapped(Value::Float((x * factor).clamp(*min, *max)))
        }
        (Domain::Int { min, max, step, .. }, Value::Int(n)) => {
            // By a step at least: small numbers would never change.
            let scaled = (n as f64 * factor).round() as i64;
            let least = if up { n.saturating_add(*step) } else { n.saturating_sub(*step) };
            let farther = if up { scaled.max(least) } else { scaled.min(least) };
            snapped(Value::Int(farther.clamp(*min, *max)))
        }
        (Domain::Discrete { values, .. }, Value::Choice(i)) => Value::Choice(neighbour(i, values.len(), up)),
        (Domain::Categorical { choices, ordered: true }, Value::Choice(i)) => {
            Value::Choice(neighbour(i, choices.len(), up))
        }
        (Domain::Categorical { choices, .. }, Value::Choice(i)) => {
            let n = choices.len().max(1);
            Value::Choice(if up { (i + 1) % n } else { (i + n - 1) % n })
        }
        _ => value,
    }
}

/// The next place in a list of `n`, within it.
fn neighbour(i: usize, n: usize, up: bool) -> usize {
    if up { (i + 1).min(n.saturating_sub(1)) } else { i.saturating_sub(1) }
}

impl Sampler for Pbt {
    fn tell(&mut self, events: &[HistoryEvent]) {
        for event in events {
            match event {
                HistoryEvent::Started(trial) => {
                    if self.encoder.space().fits(&trial.suggestion.assignment) {
                        self.begun.insert(trial.idx, trial.suggestion.clone());
                    }
                }
                HistoryEvent::Ended { trial, outcome } => {
                    let Some(suggestion) = self.begun.remove(trial) else { continue };
                    let Some(Turn { generation, member }) = Turn::of(&suggestion) else { continue };
                    if self.results.get(&member).is_none_or(|known| known.generation <= generation) {
                        let cost = outcome.cost().filter(|cost| cost.is_finite()).unwrap_or(f64::INFINITY);
                        let assignment = suggestion.assignment;
                        self.results.insert(member, Newest { generation, trial: *trial, assignment, cost });
                    }
                }
                HistoryEvent::Reported { .. }
                | HistoryEvent::Paused { .. }
                | HistoryEvent::Resumed { .. }
                | HistoryEvent::Spent { .. } => {}
            }
        }
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        let n_members = self.results.last_key_value().map_or(0, |(member, _)| member.saturating_add(1));
        let mut open = Open { busy: BTreeSet::new(), n_members };
        self.begun.values().chain(running.iter().map(|trial| &trial.suggestion)).for_each(|s| open.begin(s));
        (slots.start.0..slots.end.0)
            .map(TrialIdx)
            .map_while(|slot| {
                let suggestion = self.ask_one(&open, &mut streams.stream("pbt", slot))?;
                open.begin(&suggestion);
                Some(suggestion)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use study::{Distribution, Outcome, Space};

    use super::*;
    use crate::settings::algorithm;
    use crate::testing;

    fn with(study: &Study, settings: &[(&str, &str)]) -> Study {
        Study { algorithm: algorithm("pbt", settings), ..study.clone() }
    }

    fn pbt(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        let settings = [("n_population", "5"), ("truncation_threshold", "0.4")];
        Ok(Box::new(Pbt::new(&with(study, &settings))?))
    }

    #[test]
    fn keeps_the_contract() {
        let resampling = |study: &Study| -> Result<Box<dyn Sampler>, SettingsError> {
            let settings = [("n_population", "5"), ("resample_probability", "0.5")];
            Ok(Box::new(Pbt::new(&with(study, &settings))?))
        };
        for make in [&pbt as testing::Make<'_>, &resampling] {
            testing::contract(make, &testing::spaces());
            testing::hostile(make);
        }
    }

    /// A population after its first turns, which cost these, and the sampler of it.
    fn after(costs: &[Option<f64>], space: Space) -> (Box<dyn Sampler>, Vec<Suggestion>) {
        let study = testing::study("pbt", space);
        let mut sampler = pbt(&study).unwrap();
        let begun = sampler.ask(TrialIdx(0)..TrialIdx(costs.len() as u64), &[], &Streams::new(7));
        for ((idx, suggestion), cost) in (0..).map(TrialIdx).zip(begun.clone()).zip(costs) {
            let outcome = cost.map_or(Outcome::Failed, |cost| Outcome::Succeeded { costs: vec![cost] });
            let ended = HistoryEvent::Ended { trial: idx, outcome };
            sampler.tell(&[HistoryEvent::Started(Trial { idx, suggestion }), ended]);
        }
        (sampler, begun)
    }

    #[test]
    fn the_worst_take_over_checkpoints_of_the_best_and_explore() {
        let costs = [3.0, 0.0, 2.0, 4.0, 1.0].map(Some);
        let (sampler, begun) = after(&costs, testing::mixed());
        let next = sampler.ask(TrialIdx(5)..TrialIdx(10), &[], &Streams::new(7));
        let generations: BTreeSet<_> = next.iter().map(|s| s.notes["generation"].clone()).collect();
        assert_eq!(generations, ["1".to_owned()].into());
        for (member, suggestion) in next.iter().enumerate() {
            let parent = suggestion.checkpoint_of().unwrap().0 as usize;
            if [0, 3].contains(&member) {
                assert!([1, 4].contains(&parent), "{member} from {parent}");
                assert_ne!(suggestion.assignment, begun[parent].assignment);
            } else {
                assert_eq!(parent, member);
                assert_eq!(suggestion.assignment, begun[member].assignment);
            }
        }
    }

    #[test]
    fn a_failure_is_taken_over_and_where_all_fail_members_begin_anew() {
        let (sampler, _) = after(&[Some(1.0), None, Some(2.0), Some(3.0), Some(4.0)], testing::mixed());
        let next = sampler.ask(TrialIdx(5)..TrialIdx(10), &[], &Streams::new(7));
        assert_eq!(next[1].checkpoint_of(), Some(TrialIdx(0)));
        let (sampler, _) = after(&[None; 5], testing::mixed());
        let next = sampler.ask(TrialIdx(5)..TrialIdx(10), &[], &Streams::new(7));
        assert!(next.iter().all(|s| s.parent.is_none() && s.notes["why"] == "nobody to learn from"));
    }

    #[test]
    fn more_places_than_members_get_new_ones() {
        let study = testing::study("pbt", testing::mixed());
        let asked = pbt(&study).unwrap().ask(TrialIdx(0)..TrialIdx(8), &[], &Streams::new(7));
        let members: BTreeSet<_> = asked.iter().map(|s| s.notes["member"].clone()).collect();
        assert_eq!((asked.len(), members.len()), (8, 8));
    }

    #[test]
    fn values_move_within_their_domains() {
        let (int, float) = (
            Domain::Int { min: 1, max: 9, step: 1, distribution: Distribution::Uniform },
            Domain::Float { min: 0.0, max: 1.0, step: Some(0.1), distribution: Distribution::Uniform },
        );
        let names =
            |ordered| Domain::Categorical { choices: ["a", "b", "c"].map(String::from).to_vec(), ordered };
        assert_eq!(moved(&int, Value::Int(1), true), Value::Int(2), "a step at least");
        assert_eq!(moved(&int, Value::Int(9), true), Value::Int(9));
        let Value::Float(x) = moved(&float, Value::Float(0.5), true) else { unreachable!() };
        assert!((x - 0.6).abs() < 1e-12);
        assert_eq!(moved(&names(false), Value::Choice(2), true), Value::Choice(0), "names go round");
        assert_eq!(moved(&names(true), Value::Choice(2), true), Value::Choice(2), "an order ends");
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let study = testing::study("pbt", testing::mixed());
        let refused = |settings: &[(&str, &str)]| Pbt::new(&with(&study, settings)).unwrap_err().to_string();
        assert!(refused(&[("n_population", "4")]).contains("at least 5"));
        assert!(refused(&[("truncation_threshold", "1.5")]).contains("from 0 to 1"));
        assert!(refused(&[("resample_probability", "-1")]).contains("from 0 to 1"));
        let katib = [
            ("suggestion_trial_dir", "/opt/katib/data"),
            ("n_population", "40"),
            ("truncation_threshold", "0.4"),
        ];
        assert!(Pbt::new(&with(&study, &katib)).is_ok());
    }

    /// The lowest place that noisy descent into a bowl of 30 dimensions comes to within 400 turns of 10 steps. A large rate
    /// comes near soon and never arrives, a small one is late: it has to fall on the way, which only a population can do.
    /// Without checkpoints a trial runs 20 turns at once.
    fn lowest(make: testing::Make<'_>, seed: u64, inherits: bool) -> f64 {
        let rate = Domain::Float { min: 1e-4, max: 1.0, step: None, distribution: Distribution::LogUniform };
        let space = Space::new(vec![testing::with("rate", rate)], vec![]).unwrap();
        let study = Study { seed, ..testing::study("pbt", space) };
        let (mut sampler, streams) = (make(&study).unwrap(), Streams::new(seed));
        let (mut places, mut best) = (BTreeMap::<TrialIdx, Vec<f64>>::new(), f64::INFINITY);
        let (n, turns) = if inherits { (400, 1) } else { (20, 20) };
        for idx in (0..n).map(TrialIdx) {
            let suggestion = sampler.ask(idx..TrialIdx(idx.0 + 1), &[], &streams).remove(0);
            let Some(Value::Float(rate)) = suggestion.assignment.get(0) else { unreachable!() };
            let mut x = suggestion.checkpoint_of().map_or(vec![10.0; 30], |parent| places[&parent].clone());
            let mut noise = streams.stream("noise", idx);
            for _ in 0..10 * turns {
                x.iter_mut().for_each(|x| *x -= rate * (*x + 10.0 * (noise.random::<f64>() - 0.5)));
            }
            let cost = x.iter().map(|x| x * x).sum();
            places.insert(idx, x);
            best = best.min(cost);
            let outcome = Outcome::Succeeded { costs: vec![cost] };
            let trial = HistoryEvent::Started(Trial { idx, suggestion });
            sampler.tell(&[trial, HistoryEvent::Ended { trial: idx, outcome }]);
        }
        best
    }

    /// Were they equal, 40 or more of 50 would have probability 1.2e-5.
    #[test]
    fn a_population_beats_as_many_steps_of_random_search() {
        let population = |study: &Study| -> Result<Box<dyn Sampler>, SettingsError> {
            Ok(Box::new(Pbt::new(&with(study, &[]))?))
        };
        let wins =
            (0..50).filter(|seed| lowest(&population, *seed, true) < lowest(&testing::random, *seed, false));
        let wins = wins.count();
        assert!(wins >= 40, "{wins} of 50");
    }
}
