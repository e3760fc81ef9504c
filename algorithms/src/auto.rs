//! The algorithm of those who name none: a plain rule that picks one of the others.
//!
//! What can be tried wholly is tried wholly. Few dimensions go to the Gaussian process, which learns most from each trial,
//! until a fit is worth less than it costs; everything else goes to the Parzen estimator.

use std::ops::Range;

use study::{HistoryEvent, Study, Suggestion, Trial, TrialIdx};

use crate::Sampler;
use crate::encode::Encoder;
use crate::gp::Gp;
use crate::grid::Grid;
use crate::rng::Streams;
use crate::settings::{Reader, SettingsError};
use crate::tpe::Tpe;

/// Most parameters of a Gaussian process.
const MAX_DIMS: usize = 20;
/// Ended trials after which it hands over.
const MAX_FITTED: usize = 300;
/// Most trials at once: each one that runs widens the model for the next.
const MAX_PARALLEL: u32 = 64;

/// Hands every question to the algorithm that suits the space, the budget and the history so far.
pub struct Auto {
    now: Choice,
    /// Takes over after [`MAX_FITTED`] ended trials.
    later: Option<Choice>,
    n_ended: usize,
}

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
        let alone = |choice| Ok(Self { now: choice, later: None, n_ended: 0 });
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
        let later = format!("after {MAX_FITTED} trials a fit is worth less than it costs");
        Ok(Self {
            now: Choice::new(Gp::new(study)?, "few parameters, few trials"),
            later: Some(Choice::new(Tpe::new(study)?, later)),
            n_ended: 0,
        })
    }
}

/// Why the Gaussian process is not the first choice for a study.
fn unsuited_for_gp(study: &Study) -> Option<String> {
    let parameters = study.space.parameters();
    if study.space.is_conditional() {
        Some("parameters under conditions".into())
    } else if parameters.len() > MAX_DIMS {
        Some(format!("more than {MAX_DIMS} parameters"))
    } else if study.parallel > MAX_PARALLEL {
        Some(format!("more than {MAX_PARALLEL} trials at once"))
    } else {
        None
    }
}

impl Sampler for Auto {
    fn tell(&mut self, events: &[HistoryEvent]) {
        let ended = |event: &&HistoryEvent| matches!(event, HistoryEvent::Ended { .. });
        self.n_ended += events.iter().filter(ended).count();
        self.now.sampler.tell(events);
        if let Some(later) = &mut self.later {
            later.sampler.tell(events);
        }
        // A history only grows: whoever was asked so far is not asked again.
        if self.n_ended >= MAX_FITTED
            && let Some(later) = self.later.take()
        {
            self.now = later;
        }
    }

    fn ask(&self, slots: Range<TrialIdx>, running: &[Trial], streams: &Streams) -> Vec<Suggestion> {
        let mut suggestions = self.now.sampler.ask(slots, running, streams);
        for suggestion in &mut suggestions {
            suggestion.notes.insert("auto".into(), self.now.why.clone());
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
        assert_eq!(of(testing::conditional()), "tpe");
        let unlimited = Study { max_trials: None, ..testing::study("auto", testing::tiny()) };
        assert_eq!(chosen(&unlimited, &[]), "bayesianoptimization");
    }

    #[test]
    fn a_long_history_goes_to_the_parzen_estimator() {
        let ended = |idx| HistoryEvent::Ended { trial: TrialIdx(idx), outcome: Outcome::Failed };
        let events: Vec<HistoryEvent> = (0..300).map(ended).collect();
        let study = testing::study("auto", testing::numeric());
        assert_eq!(chosen(&study, &events[..299]), "bayesianoptimization");
        assert_eq!(chosen(&study, &events), "tpe");
    }
}
