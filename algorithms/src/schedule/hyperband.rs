//! Successive halving and Hyperband of trials that run (Jamieson and Talwalkar 2016, AISTATS; Li et al. 2018, JMLR 18:185).
//!
//! Trials of a bracket wait on its rung with their checkpoints until all have come there or ended; then the best 1 / eta go
//! on and the others end. Successive halving begins every bracket on the lowest rung, Hyperband loops over brackets that
//! begin on each, the last of them with the whole budget at once.

use std::collections::BTreeMap;

use study::{HistoryEvent, Objective, Study, TrialIdx};

use super::bracket::Bracket;
use super::ladder::{Ladder, objective};
use super::told::{News, Told};
use crate::halving::bracket_sizes;
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};
use crate::{Decision, Scheduler, Verdict, Watch};

/// Lets the best 1 / eta of each bracket's rung go on, once all have come.
#[derive(Debug)]
pub struct Hyperband {
    ladder: Ladder,
    objective: Objective,
    /// First rung of each bracket with how many trials begin there, looped over.
    sizes: Vec<(usize, u64)>,
    max_trials: Option<u64>,
    told: Told,
    brackets: Vec<Bracket>,
    /// Where each trial that has not ended is.
    bracket_of: BTreeMap<TrialIdx, usize>,
    /// Trials beyond their budget, with why they are to end.
    beyond: BTreeMap<TrialIdx, String>,
}

impl Hyperband {
    /// Brackets that begin on each rung.
    ///
    /// # Errors
    /// If a setting is missing, unknown or out of range.
    pub fn new(study: &Study) -> Result<Self, SettingsError> {
        Self::with(study, "hyperband", usize::MAX)
    }

    /// Brackets that all begin on the lowest rung.
    ///
    /// # Errors
    /// As [`Hyperband::new`].
    pub fn successive_halving(study: &Study) -> Result<Self, SettingsError> {
        Self::with(study, "successive-halving", 1)
    }

    fn with(study: &Study, name: &str, n_brackets: usize) -> Result<Self, SettingsError> {
        let written = study.early_stopping.clone().unwrap_or_default();
        let mut reader = Reader::new(&written);
        let ladder = Ladder::read(&mut reader, name);
        reader.finish_seedless()?;
        let ladder = ladder?;
        let mut sizes = bracket_sizes(ladder.levels.len() + 1, ladder.eta);
        sizes.truncate(n_brackets);
        Ok(Self {
            objective: objective(study, name)?,
            sizes,
            max_trials: study.max_trials,
            told: Told::default(),
            brackets: Vec::new(),
            bracket_of: BTreeMap::new(),
            beyond: BTreeMap::new(),
            ladder,
        })
    }

    fn begin(&mut self, trial: TrialIdx) {
        if self.brackets.last().is_none_or(Bracket::is_full) {
            let (first, size) = self.sizes[self.brackets.len() % self.sizes.len()];
            self.brackets.push(Bracket::new(first, size));
        }
        let last = self.brackets.len() - 1;
        self.brackets[last].begin(trial);
        self.bracket_of.insert(trial, last);
        if self.max_trials.is_some_and(|max| self.told.n_begun() >= max) {
            self.brackets[last].close();
        }
    }

    fn settle(&mut self, bracket: usize) {
        let Objective { metric, direction, .. } = &self.objective;
        self.brackets[bracket].settle(&self.ladder, |cost| format!("its {metric} {}", direction.value(cost)));
    }

    fn waits(&self, trial: TrialIdx) -> bool {
        self.told.live(trial).is_some_and(|live| live.waits)
    }
}

impl Scheduler for Hyperband {
    fn tell(&mut self, events: &[HistoryEvent]) {
        for event in events {
            let Some((trial, news)) = self.told.take(event) else { continue };
            if news == News::Began {
                self.begin(trial);
            }
            let Some(&bracket) = self.bracket_of.get(&trial) else { continue };
            match news {
                News::Reported { step, cost } => {
                    if let Some(why) = self.ladder.beyond(step) {
                        self.beyond.insert(trial, why);
                    }
                    self.brackets[bracket].report(&self.ladder, trial, step, cost);
                }
                News::Ended { .. } => {
                    self.brackets[bracket].end(trial);
                    self.bracket_of.remove(&trial);
                    self.beyond.remove(&trial);
                }
                News::Began | News::Paused | News::Resumed => continue,
            }
            self.settle(bracket);
        }
    }

    fn watch(&self) -> Option<Watch> {
        Some(self.ladder.watched(true))
    }

    fn decide(&self, _: &Streams) -> Vec<Decision> {
        let decision = |trial, verdict, reason| Decision { trial, verdict, reason };
        let mut decisions: Vec<Decision> = Vec::new();
        decisions.extend(self.beyond.iter().map(|(trial, why)| decision(*trial, Verdict::Stop, why.clone())));
        let open: std::collections::BTreeSet<usize> = self.bracket_of.values().copied().collect();
        let open = || open.iter().map(|bracket| &self.brackets[*bracket]);
        let is_within = |trial: &TrialIdx| !self.beyond.contains_key(trial);
        for (trial, why) in open().flat_map(Bracket::dropped).filter(|(trial, _)| is_within(trial)) {
            decisions.push(decision(trial, Verdict::Stop, why.clone()));
        }
        for bracket in open() {
            let waiting = bracket.released().filter(|trial| self.waits(*trial) && is_within(trial));
            decisions.extend(waiting.map(|trial| {
                let below = self.ladder.levels[bracket.level().max(1) - 1];
                decision(trial, Verdict::Resume, format!("among the best of its bracket at step {below}"))
            }));
        }
        for bracket in open() {
            let (standing, missing) = bracket.standing();
            let running = standing.filter(|trial| !self.waits(*trial) && is_within(trial));
            decisions.extend(running.map(|trial| {
                let step = self.ladder.levels[bracket.level()];
                let why = format!("{missing} others of its bracket are still to come to step {step}");
                decision(trial, Verdict::Pause, why)
            }));
        }
        decisions
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::algorithm;
    use crate::testing;
    use crate::testing::schedule::{Story, contract};

    const SETTINGS: &[(&str, &str)] = &[("r_l", "9"), ("r_min", "1")];

    fn study(max_trials: u64) -> Study {
        let early_stopping = Some(algorithm("hyperband", SETTINGS));
        let study = testing::study("random", testing::mixed());
        Study { early_stopping, max_trials: Some(max_trials), ..study }
    }

    fn hyperband(study: &Study) -> Result<Box<dyn Scheduler>, SettingsError> {
        Ok(Box::new(Hyperband::new(study)?))
    }

    fn halving(study: &Study) -> Result<Box<dyn Scheduler>, SettingsError> {
        Ok(Box::new(Hyperband::successive_halving(study)?))
    }

    fn story(max_trials: u64) -> Story {
        Story::new(halving(&study(max_trials)).unwrap())
    }

    #[test]
    fn keep_the_contract() {
        contract(&hyperband, &algorithm("hyperband", SETTINGS), 9);
        contract(&halving, &algorithm("successive-halving", SETTINGS), 9);
    }

    /// Table 1 of the paper for R = 81: 81, 34, 15, 8 and 5 trials.
    #[test]
    fn brackets_have_the_sizes_of_the_paper() {
        let settings = algorithm("hyperband", &[("r_l", "81"), ("r_min", "1")]);
        let study = Study { early_stopping: Some(settings), ..study(9) };
        let sizes = Hyperband::new(&study).unwrap().sizes;
        assert_eq!(sizes, [(0, 81), (1, 34), (2, 15), (3, 8), (4, 5)]);
        assert_eq!(Hyperband::successive_halving(&study).unwrap().sizes, [(0, 81)]);
    }

    #[test]
    fn a_rung_is_waited_for_and_then_the_best_third_go_on() {
        let mut story = story(40);
        for trial in 0..9 {
            story.began(trial);
        }
        for trial in 0..8 {
            story.reported(trial, 1, trial as f64);
            assert_eq!(story.verdicts(), [(trial, Verdict::Pause)]);
            story.paused(trial);
        }
        assert_eq!(story.verdicts(), []);
        story.reported(8, 1, 0.5);
        let stop = |trial| (trial, Verdict::Stop);
        let mut expected = vec![stop(2), stop(3), stop(4), stop(5), stop(6), stop(7)];
        expected.extend([(0, Verdict::Resume), (1, Verdict::Resume)]);
        assert_eq!(story.verdicts(), expected, "the last need not wait, being among the best");
        for trial in 2..8 {
            story.stopped(trial, trial as f64);
        }
        story.resumed(0).resumed(1);
        assert_eq!(story.verdicts(), []);
        for trial in [0, 1, 8] {
            story.reported(trial, 3, 1.0);
        }
        assert_eq!(story.verdicts(), [stop(1), stop(8)]);
    }

    #[test]
    fn fewer_trials_than_a_bracket_needs_are_halved_all_the_same() {
        let mut story = story(4);
        for trial in 0..4 {
            story.began(trial).reported(trial, 1, trial as f64);
        }
        assert_eq!(story.verdicts(), [1, 2, 3].map(|trial| (trial, Verdict::Stop)));
    }

    #[test]
    fn who_fails_is_not_waited_for() {
        let mut story = story(40);
        for trial in 0..9 {
            story.began(trial);
        }
        for trial in 0..3 {
            story.reported(trial, 1, trial as f64).paused(trial);
        }
        for trial in 3..9 {
            story.failed(trial);
        }
        assert_eq!(story.verdicts(), [0, 1, 2].map(|trial| (trial, Verdict::Resume)), "three of nine");
    }

    #[test]
    fn when_all_of_a_rung_fail_the_next_bracket_begins() {
        let mut story = story(40);
        for trial in 0..9 {
            story.began(trial).failed(trial);
        }
        assert_eq!(story.verdicts(), []);
        story.began(9).reported(9, 1, 1.0);
        assert_eq!(story.verdicts(), [(9, Verdict::Pause)]);
    }
}
