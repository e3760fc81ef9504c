//! What comes of a study's trials under a scheduler with rungs, before anything has run.

use study::Study;

use super::ladder::Ladder;
use crate::halving::bracket_sizes;

/// A ladder as it will be climbed, if nobody fails.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Steps, rising to the whole budget, with how many trials come there.
    pub rungs: Vec<(u64, u64)>,
}

impl Forecast {
    /// The ladder of so many trials from a rung on.
    fn from(ladder: &Ladder, first: usize, n_trials: u64) -> Self {
        let levels = ladder.levels[first..].iter().copied().chain([ladder.whole]);
        let mut left = n_trials;
        let rungs = levels.map(|level| {
            let here = left;
            left = (left / ladder.eta as u64).max(1);
            (level, here)
        });
        Self { rungs: rungs.collect() }
    }

    /// How many trials begin on it.
    pub fn n_trials(&self) -> u64 {
        self.rungs.first().map_or(0, |(_, trials)| *trials)
    }

    /// Steps that all of them run together.
    pub fn steps(&self) -> u64 {
        let before = std::iter::once(0).chain(self.rungs.iter().map(|(step, _)| *step));
        self.rungs.iter().zip(before).map(|((step, trials), before)| (step - before) * trials).sum()
    }
}

/// The ladders of a study in their order, as far as its budget goes; of an unlimited one the first round. `None` where nobody
/// can say: there are no rungs, or no limit at all.
pub fn forecast(study: &Study) -> Option<Vec<Forecast>> {
    let ladder = Ladder::of(study)?;
    let n_brackets = match study.early_stopping.as_ref()?.name.as_str() {
        "hyperband" => usize::MAX,
        "successive-halving" => 1,
        _ => return Some(vec![Forecast::from(&ladder, 0, study.max_trials?)]),
    };
    let mut sizes = bracket_sizes(ladder.levels.len() + 1, ladder.eta);
    sizes.truncate(n_brackets);
    let round: u64 = sizes.iter().map(|(_, size)| *size).sum();
    let mut left = study.max_trials.unwrap_or(round);
    let mut ladders = Vec::new();
    for (first, size) in sizes.into_iter().cycle() {
        if left == 0 {
            break;
        }
        ladders.push(Forecast::from(&ladder, first, size.min(left)));
        left -= size.min(left);
    }
    Some(ladders)
}

/// How many trials a bracket of a study needs to be whole, and its budget is less.
pub fn too_few(study: &Study) -> Option<u64> {
    let ladder = Ladder::of(study)?;
    let wanted = match study.early_stopping.as_ref()?.name.as_str() {
        "asha" => ladder.eta as u64,
        _ => bracket_sizes(ladder.levels.len() + 1, ladder.eta).first()?.1,
    };
    Some(wanted).filter(|wanted| study.max_trials.is_some_and(|max| max < *wanted))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::algorithm;
    use crate::testing;

    fn study(rule: &str, r_l: &str, max_trials: Option<u64>) -> Study {
        let early_stopping = Some(algorithm(rule, &[("r_l", r_l), ("r_min", "1")]));
        Study { early_stopping, max_trials, ..testing::study("random", testing::mixed()) }
    }

    /// Table 1 of Li et al. 2018 for R = 81: all brackets but the last cost about as much.
    #[test]
    fn brackets_of_the_paper_cost_about_the_same() {
        let ladders = forecast(&study("hyperband", "81", None)).unwrap();
        assert_eq!(ladders[0].rungs, [(1, 81), (3, 27), (9, 9), (27, 3), (81, 1)]);
        assert_eq!(ladders[1].rungs, [(3, 34), (9, 11), (27, 3), (81, 1)]);
        assert_eq!(ladders.iter().map(Forecast::n_trials).collect::<Vec<_>>(), [81, 34, 15, 8, 5]);
        assert_eq!(ladders[0].steps(), 81 + 27 * 2 + 9 * 6 + 3 * 18 + 54);
    }

    #[test]
    fn a_budget_ends_in_the_middle_of_a_bracket_and_asha_has_one_ladder() {
        let ladders = forecast(&study("successive-halving", "9", Some(13))).unwrap();
        assert_eq!(ladders.iter().map(Forecast::n_trials).collect::<Vec<_>>(), [9, 4]);
        let ladders = forecast(&study("asha", "27", Some(60))).unwrap();
        assert_eq!(ladders[0].rungs, [(1, 60), (3, 20), (9, 6), (27, 2)]);
        assert_eq!(forecast(&study("asha", "27", None)), None);
        assert_eq!(forecast(&study("patience", "27", Some(9))), None);
    }

    #[test]
    fn fewer_trials_than_a_bracket_needs_are_seen() {
        assert_eq!(too_few(&study("hyperband", "9", Some(8))), Some(9));
        assert_eq!(too_few(&study("hyperband", "9", Some(9))), None);
        assert_eq!(too_few(&study("asha", "9", Some(2))), Some(3));
        assert_eq!(too_few(&study("asha", "9", None)), None);
    }
}
