//! Asynchronous successive halving of trials that run (Li et al. 2020, arXiv:1810.05934).
//!
//! In the first form a trial that reaches a rung and is not among the best 1 / eta of those that have reached it ends; no
//! rung is waited for. In the second it waits there with its checkpoint until it is among them (algorithm 2 of the paper);
//! so nobody ends who may yet turn out well, but the program must be able to go on from a checkpoint.

use std::collections::{BTreeMap, BTreeSet};

use study::{Cost, HistoryEvent, Objective, Study, TrialIdx};

use super::ladder::{Ladder, objective};
use super::rung::Rung;
use super::told::{News, Told};
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};
use crate::{Decision, Scheduler, Verdict, Watch};

/// What becomes of trials that are not among the best of a rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// They end.
    Stop,
    /// They wait until they are.
    Promote,
}

/// A trial on its way up.
#[derive(Clone, Debug, Default)]
struct Climb {
    /// The rung that it has reached last.
    rung: Option<usize>,
    /// Whether it may go on from there.
    released: bool,
    /// Why it is to end, if it is.
    stop: Option<String>,
}

impl Climb {
    /// The rung that it stands on, if it is neither let go nor to end.
    fn stands_on(&self) -> Option<usize> {
        self.rung.filter(|_| !self.released && self.stop.is_none())
    }
}

/// Lets the best 1 / eta of each rung go on.
#[derive(Debug)]
pub struct Asha {
    ladder: Ladder,
    form: Form,
    objective: Objective,
    told: Told,
    rungs: Vec<Rung>,
    /// Of trials that have not ended.
    climbs: BTreeMap<TrialIdx, Climb>,
}

impl Asha {
    /// The rule for the study's main objective.
    ///
    /// # Errors
    /// If a setting is missing, unknown or out of range.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        let written = study.early_stopping.clone().unwrap_or_default();
        let mut reader = Reader::new(&written);
        let form = reader.get("form", "stop".to_owned(), "stop or promote", |form| {
            matches!(form.as_str(), "stop" | "promote")
        })?;
        let ladder = Ladder::read(&mut reader, "asha");
        reader.finish_seedless()?;
        let ladder = ladder?;
        Ok(Self {
            form: if form == "promote" { Form::Promote } else { Form::Stop },
            objective: objective(study, "asha")?,
            told: Told::default(),
            rungs: vec![Rung::default(); ladder.levels.len()],
            climbs: BTreeMap::new(),
            ladder,
        })
    }

    fn report(&mut self, trial: TrialIdx, step: u64, cost: Cost) {
        let Some(climb) = self.climbs.get_mut(&trial).filter(|climb| climb.stop.is_none()) else { return };
        if let Some(why) = self.ladder.beyond(step) {
            climb.stop = Some(why);
            return;
        }
        let from = climb.rung.map_or(0, |rung| rung + 1);
        let Some(reached) = self.ladder.reached(from, step) else { return };
        let rank = self.rungs[reached].arrive(trial, cost);
        let n = self.rungs[reached].len();
        climb.rung = Some(reached);
        climb.released = cost.is_finite() && rank <= self.ladder.places(n);
        let metric = &self.objective.metric;
        if self.form == Form::Stop && !cost.is_finite() {
            climb.stop = Some(format!("its {metric} is no finite number at step {step}"));
        } else if self.form == Form::Stop && !climb.released && n >= self.ladder.eta {
            let value = self.objective.direction.value(cost);
            let places = self.ladder.places(n);
            climb.stop = Some(format!(
                "its {metric} {value} came {rank} of {n} at step {step}; the best {places} go on"
            ));
        }
    }

    fn end(&mut self, trial: TrialIdx, failed: bool) {
        let Some(climb) = self.climbs.remove(&trial) else { return };
        if let Some(rung) = climb.rung.filter(|_| failed) {
            self.rungs[rung].fail(trial);
        }
    }

    /// Trials that may go on from their rungs, the highest rungs first, the best first.
    fn promoted(&self) -> impl Iterator<Item = (usize, TrialIdx)> {
        self.rungs.iter().enumerate().rev().flat_map(move |(level, rung)| {
            rung.best(self.ladder.places(rung.len())).map(move |(_, trial)| (level, trial))
        })
    }

    /// Whether a trial stands on a rung, not yet let go.
    fn stands(&self, trial: TrialIdx, level: usize) -> bool {
        self.climbs.get(&trial).is_some_and(|climb| climb.stands_on() == Some(level))
    }

    fn waits(&self, trial: TrialIdx) -> bool {
        self.told.live(trial).is_some_and(|live| live.waits)
    }

    /// Trials that wait though no rung holds them: somebody else let them wait.
    fn held(&self) -> impl Iterator<Item = Decision> {
        let free = |climb: &Climb| climb.stop.is_none() && (climb.released || climb.rung.is_none());
        let held = self.climbs.iter().filter(move |(trial, climb)| free(climb) && self.waits(**trial));
        held.map(|(trial, _)| Decision {
            trial: *trial,
            verdict: Verdict::Resume,
            reason: "no rung holds it back".into(),
        })
    }

    /// Trials that stand on rungs: who goes on and who waits.
    fn standing(&self) -> Vec<Decision> {
        let promoted: Vec<(usize, TrialIdx)> =
            self.promoted().filter(|(level, trial)| self.stands(*trial, *level)).collect();
        let place = |level: usize| {
            let n = self.rungs[level].len();
            format!("among the best {} of {n} at step {}", self.ladder.places(n), self.ladder.levels[level])
        };
        let resumed = promoted.iter().filter(|(_, trial)| self.waits(*trial)).map(|(level, trial)| {
            Decision { trial: *trial, verdict: Verdict::Resume, reason: place(*level) }
        });
        let known: BTreeSet<TrialIdx> = promoted.iter().map(|(_, trial)| *trial).collect();
        let paused = self.climbs.iter().filter_map(|(trial, climb)| {
            let level = climb.stands_on()?;
            let goes_on = self.waits(*trial) || known.contains(trial);
            let reason = || format!("not {} so far", place(level));
            (!goes_on).then(|| Decision { trial: *trial, verdict: Verdict::Pause, reason: reason() })
        });
        resumed.chain(paused).collect()
    }
}

impl Scheduler for Asha {
    fn tell(&mut self, events: &[HistoryEvent]) {
        for event in events {
            let Some((trial, news)) = self.told.take(event) else { continue };
            match news {
                News::Began => {
                    self.climbs.insert(trial, Climb::default());
                }
                News::Reported { step, cost } => self.report(trial, step, cost),
                News::Paused => {}
                News::Resumed => {
                    self.climbs.entry(trial).and_modify(|climb| climb.released = true);
                }
                News::Ended { cost, .. } => self.end(trial, cost.is_none()),
            }
        }
    }

    fn watch(&self) -> Option<Watch> {
        Some(self.ladder.watched(self.form == Form::Promote))
    }

    fn decide(&self, _: &Streams) -> Vec<Decision> {
        let ends = self.climbs.iter().filter_map(|(trial, climb)| {
            let reason = climb.stop.clone()?;
            Some(Decision { trial: *trial, verdict: Verdict::Stop, reason })
        });
        let mut decisions: Vec<Decision> = ends.collect();
        if self.form == Form::Promote {
            decisions.extend(self.standing());
        }
        decisions.extend(self.held());
        decisions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::algorithm;
    use crate::testing;
    use crate::testing::schedule::{Story, contract};

    const STOP: &[(&str, &str)] = &[("r_l", "27"), ("r_min", "3")];
    const PROMOTE: &[(&str, &str)] = &[("r_l", "27"), ("r_min", "3"), ("form", "promote")];

    fn study(settings: &[(&str, &str)]) -> Study {
        let early_stopping = Some(algorithm("asha", settings));
        Study { early_stopping, ..testing::study("random", testing::mixed()) }
    }

    fn asha(study: &Study) -> Result<Box<dyn Scheduler>, SettingsError> {
        Ok(Box::new(Asha::new(study)?))
    }

    fn story(settings: &[(&str, &str)]) -> Story {
        Story::new(asha(&study(settings)).unwrap())
    }

    #[test]
    fn keep_the_contract() {
        contract(&asha, &algorithm("asha", STOP), 27);
        contract(&asha, &algorithm("asha", PROMOTE), 27);
    }

    #[test]
    fn who_is_not_among_the_best_third_on_arrival_ends() {
        let mut story = story(STOP);
        for (trial, cost) in [(0, 5.0), (1, 6.0)] {
            story.began(trial).reported(trial, 3, cost);
        }
        assert_eq!(story.verdicts(), [], "of fewer than eta all go on");
        story.began(2).reported(2, 2, 9.0);
        assert_eq!(story.verdicts(), [], "the rung is not reached");
        story.reported(2, 3, 9.0);
        assert_eq!(story.verdicts(), [(2, Verdict::Stop)]);
        assert!(story.reasons()[0].contains("loss 9 came 3 of 3 at step 3; the best 1 go on"));
        story.began(3).reported(3, 3, 1.0);
        assert_eq!(story.verdicts(), [(2, Verdict::Stop)], "it stands until it is told of");
        story.stopped(2, 9.0).reported(2, 9, 0.0);
        assert_eq!(story.verdicts(), []);
    }

    #[test]
    fn a_number_is_never_behind_what_is_none() {
        let mut story = story(STOP);
        story.began(0).reported(0, 3, f64::NAN);
        assert_eq!(story.verdicts(), [(0, Verdict::Stop)]);
        assert!(story.reasons()[0].contains("no finite number"));
        story.failed(0);
        for trial in 1..4 {
            story.began(trial).reported(trial, 3, 1e300);
        }
        assert_eq!(story.verdicts(), [(2, Verdict::Stop), (3, Verdict::Stop)]);
    }

    #[test]
    fn one_that_skips_rungs_is_compared_on_the_one_it_reached() {
        let mut story = story(STOP);
        for trial in 0..3 {
            story.began(trial).reported(trial, 10, trial as f64);
        }
        assert_eq!(story.verdicts(), [(2, Verdict::Stop)], "the first two were fewer than eta");
        story.began(3).reported(3, 4, 100.0);
        assert_eq!(story.verdicts(), [(2, Verdict::Stop)], "alone on the lower rung");
    }

    #[test]
    fn beyond_the_budget_a_trial_ends() {
        for settings in [STOP, PROMOTE] {
            let mut story = story(settings);
            story.began(0).reported(0, 28, 1.0);
            assert_eq!(story.verdicts(), [(0, Verdict::Stop)]);
            assert!(story.reasons()[0].contains("step 28, beyond its whole budget of 27"));
        }
    }

    #[test]
    fn who_waits_goes_on_once_among_the_best() {
        let mut story = story(PROMOTE);
        story.began(0).reported(0, 3, 2.0);
        assert_eq!(story.verdicts(), [(0, Verdict::Pause)]);
        story.paused(0).began(1).reported(1, 3, 3.0).paused(1).began(2).reported(2, 3, 4.0);
        assert_eq!(story.verdicts(), [(0, Verdict::Resume), (2, Verdict::Pause)]);
        story.resumed(0).paused(2);
        assert_eq!(story.verdicts(), []);
        story.began(3).reported(3, 3, 1.0);
        assert_eq!(story.verdicts(), [], "among the best on arrival: it does not even wait");
        story.reported(0, 9, 0.5);
        assert_eq!(story.verdicts(), [(0, Verdict::Pause)], "on the next rung it waits again");
    }

    #[test]
    fn the_highest_rung_goes_first() {
        let mut story = story(PROMOTE);
        for trial in 0..3 {
            story.began(trial).reported(trial, 9, 10.0 + trial as f64).paused(trial);
        }
        for trial in 3..6 {
            story.began(trial).reported(trial, 3, trial as f64).paused(trial);
        }
        assert_eq!(story.verdicts(), [(0, Verdict::Resume), (3, Verdict::Resume)]);
    }

    #[test]
    fn a_failure_gives_its_place_to_the_next() {
        let mut story = story(PROMOTE);
        for trial in 0..3 {
            story.began(trial).reported(trial, 3, trial as f64).paused(trial);
        }
        assert_eq!(story.verdicts(), [(0, Verdict::Resume)]);
        story.failed(0);
        assert_eq!(story.verdicts(), [(1, Verdict::Resume)]);
    }

    #[test]
    fn one_promoted_before_it_waits_need_not_wait() {
        let mut story = story(PROMOTE);
        for trial in 0..3 {
            story.began(trial).reported(trial, 3, trial as f64);
        }
        assert_eq!(story.verdicts(), [(1, Verdict::Pause), (2, Verdict::Pause)]);
    }
}
