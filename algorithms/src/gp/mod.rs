//! Bayesian optimisation with a Gaussian process: a model of the cost, and the point that promises most under it.
//!
//! Jones, Schonlau and Welch 1998, J. Glob. Optim. 13:455, with a Matern 5/2 kernel, most probable hyperparameters
//! under dimension-scaled priors, costs on the scale that foretells best, and the logarithm of the expected improvement,
//! climbed along gradients and over levels. While trials are few, that is averaged over hyperparameters. Names differ or
//! not; what is inactive lies in the middle. Trials that run are taken to end as expected of them, and where trials fail
//! is learnt beside.

mod acquisition;
mod ascent;
mod belief;
mod candidates;
mod ensemble;
mod expense;
mod feasibility;
mod fit;
mod kernel;
mod laplace;
mod matrix;
mod model;
mod posterior;
mod regret;
mod search;
#[cfg(test)]
mod testing;
mod warp;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;

use study::{Assignment, Expense, HistoryEvent, Space, Study, Suggestion, Trial, TrialIdx};

use crate::encode::Encoder;
use crate::past::{Ended, Past, Running, Tried, noted, one_by_one, suggestion};
use crate::prior;
use crate::rng::Streams;
use crate::rungs::Keep;
use crate::settings::{Reader, SettingsError};
use crate::sobol::{Sequence, design};
use crate::{Prediction, Sampler};

use acquisition::Acquisition;
use belief::Belief;
use candidates::Candidates;
use ensemble::{Ensemble, Factor, View};
use expense::{Fits, Thrift};
use kernel::{Measure, Point, measures, point};
use model::{Data, Model, Models};
use search::{Axes, Search};

/// What it is called in notes.
const NAME: &str = "bayesianoptimization";
/// Most trials in a fit: the best ones, and the newest.
const MAX_POINTS: usize = 200;
/// Of which best.
const MAX_BEST: usize = 100;
/// Most points of a space that are all candidates.
const WHOLE: u64 = 20_000;
/// Most of such points times the square of the trials in a fit.
const WHOLE_COST: u64 = 200_000_000;
/// Least and most trials of the start design, unless it is set.
const START: (usize, usize) = (5, 12);

/// What may be set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GpSettings {
    /// Trials of the start design before the first fit; by default half the dimension and 3, at most a fifth of the
    /// budget, at least as many as run at once.
    pub n_initial_points: usize,
    acquisition: Acquisition,
    /// Deviations of the noise below which what is left to gain ends the search; 0: it never does.
    pub stop_regret: f64,
}

impl GpSettings {
    fn read(study: &Study) -> Result<Self, SettingsError> {
        let mut reader = Reader::new(&study.algorithm);
        let n_initial_points =
            reader.get("n_initial_points", start_size(study), "a whole number", |_| true)?;
        let one_of = |names: &'static [&'static str]| move |name: &String| names.contains(&name.as_str());
        // Other estimators than the Gaussian process, other optimizers and hedging are accepted and not used.
        reader.get(
            "base_estimator",
            "GP".to_owned(),
            "GP, RF, ET or GBRT",
            one_of(&["GP", "RF", "ET", "GBRT"]),
        )?;
        let acquisitions = &["gp_hedge", "LCB", "EI", "PI", "EIps", "PIps"];
        let acquisition = reader.get(
            "acq_func",
            "EI".to_owned(),
            "gp_hedge, LCB, EI, PI, EIps or PIps",
            one_of(acquisitions),
        )?;
        let optimizers = one_of(&["auto", "sampling", "lbfgs"]);
        reader.get("acq_optimizer", "auto".to_owned(), "auto, sampling or lbfgs", optimizers)?;
        let stop_regret = reader.get("stop_regret", 0.0, "a number of at least 0", |x: &f64| *x >= 0.0)?;
        reader.finish()?;
        let acquisition = match acquisition.as_str() {
            "LCB" => Acquisition::Lcb,
            "PI" | "PIps" => Acquisition::Pi,
            _ => Acquisition::LogEi,
        };
        Ok(Self { n_initial_points, acquisition, stop_regret })
    }
}

/// Trials of the start design of a study.
fn start_size(study: &Study) -> usize {
    let dims = study.space.parameters().len();
    let budget = study.max_trials.map_or(usize::MAX, |budget| usize::try_from(budget).unwrap_or(usize::MAX));
    (dims / 2 + 3).clamp(START.0, START.1).min((budget / 5).max(2)).max(study.parallel as usize)
}

/// Proposes what promises most under a Gaussian process.
#[derive(Debug)]
pub struct Gp {
    settings: GpSettings,
    max_trials: Option<u64>,
    /// What all trials may take together.
    expense: Option<Expense>,
    encoder: Encoder,
    measures: Vec<Measure>,
    axes: Axes,
    start: Sequence,
    global: Sequence,
    past: Past,
    tried: Tried,
    models: Models,
    expenses: Fits,
    /// The model of as many ended trials; a cache and nothing else.
    fitted: RefCell<Option<(usize, Option<Model>)>>,
    /// Whether the search is over after as many ended trials; likewise.
    over: RefCell<Option<(usize, bool)>>,
}

impl Gp {
    /// Bayesian optimisation over the study's space.
    ///
    /// # Errors
    /// If a setting is unknown or out of range.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        let encoder = Encoder::new(&study.space);
        let past = Past::under(study, Keep::All);
        let (mut measures, streams) = (measures(&study.space), Streams::new(study.seed));
        // The fidelity is a coordinate behind those of the parameters.
        measures.extend(past.has_rungs().then_some(Measure::Distance));
        Ok(Self {
            settings: GpSettings::read(study)?,
            max_trials: study.max_trials,
            expense: study.expense,
            axes: Axes::new(&encoder, &measures),
            measures,
            start: Sequence::new(encoder.dims(), &streams, "gp/start"),
            global: Sequence::new(encoder.dims(), &streams, "gp/global"),
            past,
            tried: Tried::everywhere(),
            models: Models::default(),
            expenses: Fits::default(),
            fitted: RefCell::new(None),
            over: RefCell::new(None),
            encoder,
        })
    }

    fn space(&self) -> &Space {
        self.encoder.space()
    }

    /// The model of all that has ended.
    fn model(&self) -> Option<Model> {
        let n = self.past.ended.len();
        if let Some((fitted, model)) = &*self.fitted.borrow()
            && *fitted == n
        {
            return model.clone();
        }
        let model = self.models.model(&self.measures, n, &|n| self.data(n));
        *self.fitted.borrow_mut() = Some((n, model.clone()));
        model
    }

    /// What the first `n` ends tell the model.
    fn data(&self, n: usize) -> Data {
        let ended = &self.past.ended[..n];
        let kept = kept(&ended.iter().map(|ended| ended.cost.unwrap_or(f64::INFINITY)).collect::<Vec<_>>());
        Data {
            points: kept
                .iter()
                .map(|i| self.point(&ended[*i].suggestion.assignment, ended[*i].reached.fidelity))
                .collect(),
            costs: kept.iter().map(|i| ended[*i].cost).collect(),
        }
    }

    /// An assignment as the model sees it, at a fidelity if there are any.
    fn point(&self, assignment: &Assignment, fidelity: f64) -> Point {
        let mut x = point(self.space(), assignment);
        x.extend(self.past.has_rungs().then_some(fidelity));
        x
    }

    /// What the model is asked about: trials with their whole budget.
    fn view(&self) -> View {
        if !self.past.has_rungs() {
            return View::default();
        }
        let ended = self.past.ended.iter().map(|ended| self.point(&ended.suggestion.assignment, 1.0));
        View { tail: vec![1.0], known: ended.collect() }
    }

    fn ask_one(&self, slot: TrialIdx, running: &Running<'_>, streams: Streams) -> Option<Suggestion> {
        let begun = &running.begun;
        let mut rng = streams.stream("gp", slot);
        if self.past.n_measured() < self.settings.n_initial_points.max(2) {
            let start = self.start(slot, streams)?;
            if begun.is_new(&start.assignment) {
                return Some(noted(start, "start design"));
            }
            return Some(noted(suggestion(begun.uniform(&self.encoder, &mut rng)?, NAME), "by chance"));
        }
        let Model { mut ensemble, feasibility, back } = self.model()?;
        for trial in running.trials.values() {
            ensemble.believe(&self.point(&trial.assignment, 1.0));
        }
        let candidates = self.candidates(&ensemble);
        let belief = Belief::new(self.space(), prior::exponent(self.max_trials, self.past.n_measured()));
        let mut factors: Vec<&dyn Factor> = Vec::new();
        factors.extend(feasibility.as_ref().map(|feasibility| feasibility as &dyn Factor));
        factors.extend(belief.as_ref().map(|belief| belief as &dyn Factor));
        let thrift = self.thrift();
        factors.extend(thrift.as_ref().map(|thrift| thrift as &dyn Factor));
        let promises = ensemble.promises(self.settings.acquisition, factors, self.view());
        let search = Search { encoder: &self.encoder, axes: &self.axes, landscape: &promises };
        let places = self.all_places().unwrap_or_else(|| candidates.all(slot, &mut rng));
        // A point again, or nearly, tells little; only when there is no other it is taken.
        let ended = self.past.ended.iter().map(|ended| &ended.suggestion);
        let known: Vec<Point> = ended
            .chain(running.trials.values())
            .map(|known| point(self.space(), &known.assignment))
            .collect();
        let is_new = |x: &Point| !known.iter().any(|known| self.axes.alike(x, known));
        let Some(found) = search.run(places, &is_new, &mut rng) else {
            return Some(noted(suggestion(begun.uniform(&self.encoder, &mut rng)?, NAME), "by chance"));
        };
        let mut suggestion = suggestion(found.assignment, NAME);
        suggestion.notes.insert("acquisition".into(), format!("{:.4}", found.value));
        let (mean, std) = ensemble.at(&self.point(&suggestion.assignment, 1.0));
        let seen = (mean, std.hypot(ensemble.main().noise().sqrt()));
        if let Some((mean, std)) = back.and_then(|back| back.spread(seen)) {
            suggestion.notes.insert("mean".into(), format!("{mean:.6e}"));
            suggestion.notes.insert("std".into(), format!("{std:.3e}"));
        }
        let name = self.settings.acquisition.name();
        Some(match self.expense.filter(|_| thrift.is_some()) {
            Some(expense) => noted(suggestion, &format!("{name} per {}", expense.unit.name())),
            None => noted(suggestion, name),
        })
    }

    /// What makes cheap points count for more, where trials may take only so much together. What a trial has taken it has
    /// taken at the farthest that it came to.
    fn thrift(&self) -> Option<Thrift> {
        let (expense, spent) = (self.expense?, &self.past.spent);
        let left = 1.0 - spent.iter().map(|(_, amount)| amount).sum::<f64>() / expense.most;
        let farthest: BTreeMap<TrialIdx, &Ended> =
            self.past.ended.iter().map(|ended| (ended.idx, ended)).collect();
        let known = spent.iter().filter(|(_, amount)| *amount > 0.0).filter_map(|(idx, amount)| {
            let ended = farthest.get(idx)?;
            Some((self.point(&ended.suggestion.assignment, ended.reached.fidelity), *amount))
        });
        let (points, taken): (Vec<Point>, Vec<f64>) = known.unzip();
        self.expenses.thrift(&self.measures, &points, &taken, left)
    }

    fn candidates(&self, ensemble: &Ensemble) -> Candidates<'_> {
        Candidates {
            measures: &self.measures,
            axes: &self.axes,
            sequence: &self.global,
            best: self.past.best().map(|ended| ended.x.as_slice()).take(candidates::BEST).collect(),
            scales: ensemble.main().scales(),
        }
    }

    /// All points of a small space, as long as looking at them is cheap.
    fn all_places(&self) -> Option<Vec<Vec<f64>>> {
        let fitted = self.past.ended.len().min(MAX_POINTS) as u64;
        let few = |n: &u64| *n <= WHOLE && n * fitted * fitted <= WHOLE_COST;
        let n = self.encoder.cardinality().filter(few)?;
        Some((0..n).map(|k| self.encoder.encode(&self.encoder.combination(k.into(), 1))).collect())
    }

    /// The point of a slot in the start design: the centre, then a Sobol sequence.
    fn start(&self, slot: TrialIdx, streams: Streams) -> Option<Suggestion> {
        let centre = self.centre();
        if slot.0 == 0 && self.space().is_feasible(&centre) {
            return Some(suggestion(centre, NAME));
        }
        design(&self.encoder, &self.start, slot, streams, NAME)
    }

    /// The middle of every number, by what the user believes of it, and the first of every list of names.
    fn centre(&self) -> Assignment {
        let coordinate = |(axis, measure): (usize, &Measure)| match (measure, self.axes.levels(axis)) {
            (Measure::Identity, Some(levels)) => levels[0],
            _ => 0.5,
        };
        let own = self.measures.iter().take(self.encoder.dims()).enumerate();
        let x: Vec<f64> = own.map(coordinate).collect();
        self.encoder.decode(&prior::draw(self.space(), &x))
    }
}

/// Positions of the trials in a fit, in the order of their ends: all, or the best and the newest.
fn kept(costs: &[f64]) -> Vec<usize> {
    if costs.len() <= MAX_POINTS {
        return (0..costs.len()).collect();
    }
    let newest = costs.len() - (MAX_POINTS - MAX_BEST)..costs.len();
    let mut older: Vec<usize> = (0..newest.start).collect();
    older.sort_by(|a, b| costs[*a].total_cmp(&costs[*b]));
    older.truncate(MAX_BEST);
    older.sort_unstable();
    older.extend(newest);
    older
}

impl Sampler for Gp {
    fn predict(&self, points: &[Assignment]) -> Option<Vec<Prediction>> {
        if self.past.n_measured() < 2 {
            return None;
        }
        let Model { ensemble, back, .. } = self.model()?;
        let of = |assignment: &Assignment| {
            let (mean, std) = back?.spread(ensemble.at(&self.point(assignment, 1.0)))?;
            Some(Prediction { mean, std })
        };
        points.iter().map(of).collect()
    }

    fn tell(&mut self, events: &[HistoryEvent]) {
        self.tried.tell(events);
        self.past.tell(&self.encoder, events);
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        if self.is_over(*streams) {
            return Vec::new();
        }
        let running = Running::new(&self.tried, self.past.running(&self.encoder, running));
        one_by_one(slots, running, |slot, running| {
            let asked = self.ask_one(slot, running, *streams);
            // Without a model there is still chance.
            asked.or_else(|| {
                let assignment = self.encoder.uniform(&mut streams.stream("gp/chance", slot))?;
                Some(noted(suggestion(assignment, NAME), "by chance"))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use crate::tpe::Tpe;

    fn gp(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(Box::new(Gp::new(study)?))
    }

    fn tpe(study: &Study) -> Result<Box<dyn Sampler>, SettingsError> {
        Ok(Box::new(Tpe::new(study)?))
    }

    #[test]
    fn keeps_the_contract() {
        testing::contract(&gp, &testing::spaces());
        testing::no_point_twice_while_others_are_untried(&gp);
    }

    #[test]
    fn all_points_of_a_small_space_are_looked_at() {
        let whole = |name: &str, max| {
            let domain =
                study::Domain::Int { min: 1, max, step: 1, distribution: study::Distribution::Uniform };
            testing::with(name, domain)
        };
        let space = Space::new(vec![whole("a", 120), whole("b", 100)], vec![]).unwrap();
        let gp = Gp::new(&testing::study("bayesianoptimization", space)).unwrap();
        let places: std::collections::BTreeSet<String> =
            gp.all_places().unwrap().iter().map(|x| format!("{:?}", gp.encoder.decode(x))).collect();
        assert_eq!(places.len(), 12_000);
    }

    /// Were they equal, 16 or more of 20 would have probability 0.006.
    #[test]
    fn beats_tpe_on_branin() {
        let wins = testing::wins(&gp, &tpe, 20, 2, 30, &testing::branin);
        assert!(wins >= 16, "{wins} of 20");
    }

    /// A corner is cut off next to the optimum: what fails is learnt, and the search goes on along the edge.
    #[test]
    fn it_keeps_out_of_where_trials_fail() {
        let cost = |x: &[f64]| (x[0] < 0.62 && x[1] > 0.2).then(|| x.iter().map(|x| (x - 0.6).powi(2)).sum());
        let searched: Vec<(f64, usize)> =
            (0..4).map(|seed| testing::best_of_failing(&gp, 3, seed, 40, &cost)).collect();
        assert!(searched.iter().all(|(best, _)| *best < 1e-3), "{searched:?}");
        let failures: usize = searched.iter().map(|(_, failures)| failures).sum();
        assert!(failures < 60, "{searched:?}: by chance half of 160 would fail");
    }

    /// Half of the space costs twenty times as much, and the best point lies in the other: were it not heeded, half of the
    /// trials would lie there.
    #[test]
    fn what_trials_take_steers_the_search_while_a_budget_bounds_it() {
        let dear = |expense: Option<study::Expense>, seed: u64| {
            let study = Study { seed, expense, ..testing::study("bayesianoptimization", testing::numeric()) };
            let (mut gp, streams) = (Gp::new(&study).unwrap(), Streams::new(seed));
            let (mut dear, mut whys) = (0, std::collections::BTreeSet::new());
            for idx in (0..30).map(TrialIdx) {
                let suggestion = gp.ask(idx..TrialIdx(idx.0 + 1), &[], &streams).remove(0);
                let x = gp.encoder.encode(&suggestion.assignment);
                whys.insert(suggestion.notes["why"].clone());
                let is_dear = x[0] > 0.5;
                dear += usize::from(is_dear && idx.0 >= 10);
                let cost = x[1..].iter().map(|x| (x - 0.4).powi(2)).sum::<f64>();
                let amount = if is_dear { 20.0 } else { 1.0 };
                let mut told = vec![HistoryEvent::Started(Trial { idx, suggestion })];
                told.extend(expense.map(|_| HistoryEvent::Spent { trial: idx, amount }));
                let outcome = study::Outcome::Succeeded { costs: vec![cost] };
                told.push(HistoryEvent::Ended { trial: idx, outcome });
                gp.tell(&told);
            }
            (dear, whys)
        };
        let expense = study::Expense { unit: study::Unit::GpuSeconds, most: 1000.0 };
        let (mut heeded, mut not) = (0, 0);
        for seed in 0..5 {
            let (dear_ones, whys) = dear(Some(expense), seed);
            assert!(whys.contains("expected improvement per GPU second"), "{whys:?}");
            heeded += dear_ones;
            not += dear(None, seed).0;
        }
        assert!(2 * heeded < not, "{heeded} against {not} of 100 trials are dear");
    }

    #[test]
    fn it_foretells_what_it_has_seen_and_doubts_what_it_has_not() {
        let study = testing::study("bayesianoptimization", testing::numeric());
        let mut gp = Gp::new(&study).unwrap();
        let streams = Streams::new(1);
        assert_eq!(gp.predict(&[Assignment(vec![None; 5])]), None, "nothing is known");
        let mut seen = Vec::new();
        for idx in (0..12).map(TrialIdx) {
            let suggestion = gp.ask(idx..TrialIdx(idx.0 + 1), &[], &streams).remove(0);
            let cost = 1000.0 + testing::bowl(&gp.encoder, &suggestion);
            seen.push((suggestion.assignment.clone(), cost));
            gp.tell(&[
                HistoryEvent::Started(Trial { idx, suggestion }),
                HistoryEvent::Ended { trial: idx, outcome: study::Outcome::Succeeded { costs: vec![cost] } },
            ]);
        }
        let points: Vec<Assignment> = seen.iter().map(|(point, _)| point.clone()).collect();
        let predicted = gp.predict(&points).unwrap();
        // The worse half may come back as it was pulled in.
        let mut costs: Vec<f64> = seen.iter().map(|(_, cost)| *cost).collect();
        costs.sort_by(f64::total_cmp);
        let better = predicted.iter().zip(&seen).filter(|(_, (_, cost))| *cost <= costs[5]);
        for (prediction, (_, cost)) in better {
            assert!((prediction.mean - cost).abs() < 0.2 * (costs[5] - costs[0]), "{prediction:?} {cost}");
        }
        let elsewhere = gp.encoder.decode(&[0.9, 0.1, 0.9, 0.1, 0.9]);
        let doubt = gp.predict(&[elsewhere]).unwrap()[0].std;
        assert!(doubt > predicted[0].std, "{doubt} {predicted:?}");
    }

    /// Costs fall by 3 on the way to the whole budget, evenly in its logarithm; all trials but four stop on the way.
    #[test]
    fn what_trials_end_at_is_foretold_from_what_they_reach_on_the_way() {
        let rule = crate::settings::algorithm("asha", &[("r_l", "27"), ("r_min", "1")]);
        let space = Space::new(vec![testing::float("x"), testing::float("y")], vec![]).unwrap();
        let study = Study { early_stopping: Some(rule), ..testing::study("bayesianoptimization", space) };
        let mut gp = Gp::new(&study).unwrap();
        let whole = |point: &Assignment| {
            let x = gp.encoder.encode(point);
            (x[0] - 0.3).powi(2) + (x[1] - 0.6).powi(2)
        };
        let design: Vec<Assignment> = (0..16)
            .map(|i| gp.encoder.decode(&[f64::from(i) / 15.0, f64::from(i * 7 % 16) / 15.0]))
            .collect();
        let ends: Vec<f64> = design.iter().map(whole).collect();
        let last = |i: usize| if i.is_multiple_of(4) { 27 } else { [1, 3, 9][i % 3] };
        for (i, point) in design.iter().enumerate() {
            let idx = TrialIdx(i as u64);
            let at = |step: u64| vec![ends[i] + 3.0 * (1.0 - (step as f64).ln() / 27_f64.ln())];
            let trial = Trial { idx, suggestion: suggestion(point.clone(), "test") };
            gp.tell(&[HistoryEvent::Started(trial)]);
            for step in [1, 3, 9, 27].into_iter().filter(|step| *step <= last(i)) {
                gp.tell(&[HistoryEvent::Reported { trial: idx, step, costs: at(step) }]);
            }
            let costs = at(last(i));
            let outcome = if last(i) == 27 {
                study::Outcome::Succeeded { costs }
            } else {
                study::Outcome::EarlyStopped { costs }
            };
            gp.tell(&[HistoryEvent::Ended { trial: idx, outcome }]);
        }
        let predicted = gp.predict(&design).unwrap();
        for (i, (prediction, end)) in predicted.iter().zip(&ends).enumerate() {
            assert!((prediction.mean - end).abs() < 0.3, "trial {i}: {prediction:?} instead of {end}");
        }
    }

    #[test]
    fn comes_close_to_the_minimum_of_branin() {
        let best = testing::best_of(&gp, 2, 1, 40, &testing::branin);
        assert!(best < 0.397_887 + 0.02, "{best}");
    }
}
