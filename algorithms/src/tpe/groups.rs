//! Parameters that are always active together, and which trials speak for them.

use std::collections::BTreeMap;

use study::{Space, Suggestion, TrialIdx};

use super::TpeSettings;
use super::kernel::{Axis, Clip};
use super::parzen::Parzen;
use crate::encode::Encoder;
use crate::past::Past;

/// Most good trials, whatever the share (Bergstra et al. 2013, hyperopt).
const MAX_GOOD: usize = 25;
/// Most others that a density is made of; of more, every so manyth by rank is taken.
const MAX_OTHERS: usize = 1000;
/// Most others that are looked at in search of those that had a group.
const MAX_LOOKED_AT: usize = 4 * MAX_OTHERS;
/// Exponents of [`Clip`]. Good trials are few, and kernels of the usual width blur them.
const GOOD: f64 = 1.3;
const OTHERS: f64 = 1.0;

/// Parameters under the same conditions.
#[derive(Debug)]
pub(super) struct Group {
    /// Positions in the space.
    pub(super) members: Vec<usize>,
    axes: Vec<Axis>,
    /// Whether some trials lack it.
    conditional: bool,
}

/// All groups of a space, parents before children.
pub(super) fn groups(space: &Space) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for &i in space.parents_first() {
        let parameter = &space.parameters()[i];
        let axis = Axis::new(&parameter.domain);
        match groups.iter_mut().find(|group| space.parameters()[group.members[0]].when == parameter.when) {
            Some(group) => {
                group.members.push(i);
                group.axes.push(axis);
            }
            None => groups.push(Group {
                members: vec![i],
                axes: vec![axis],
                conditional: !parameter.when.is_empty(),
            }),
        }
    }
    groups
}

/// Positions in the past of the good trials and of the others, each the best first.
pub(super) struct Split {
    pub(super) good: Vec<usize>,
    pub(super) others: Vec<usize>,
}

impl Split {
    /// The share gamma of the measured trials is good; trials that failed are among the others.
    pub(super) fn new(past: &Past, gamma: f64) -> Self {
        let n_good = ((gamma * past.n_measured() as f64).ceil() as usize).min(MAX_GOOD);
        let (good, others) = past.ranked().split_at(n_good);
        Self { good: good.to_vec(), others: thinned(others, MAX_LOOKED_AT) }
    }
}

/// At most `most`, evenly spread.
fn thinned(all: &[usize], most: usize) -> Vec<usize> {
    if all.len() <= most {
        return all.to_vec();
    }
    (0..most).map(|k| all[k * all.len() / most]).collect()
}

/// `l` and `g` of Bergstra et al. 2011, eq. 2.
pub(super) struct Densities<'a> {
    pub(super) good: Parzen<'a>,
    others: Parzen<'a>,
}

impl<'a> Densities<'a> {
    /// Those of a group, each from the trials which had it. Trials that run are among the others, so that slots of a
    /// batch keep away from each other.
    pub(super) fn new(
        group: &'a Group,
        encoder: &Encoder,
        past: &Past,
        split: &Split,
        running: &BTreeMap<TrialIdx, Suggestion>,
        settings: TpeSettings,
    ) -> Self {
        let has = |suggestion: &Suggestion| {
            !group.conditional || suggestion.assignment.get(group.members[0]).is_some()
        };
        let having = |all: &[usize]| -> Vec<usize> {
            all.iter().copied().filter(|i| has(&past.ended[*i].suggestion)).collect()
        };
        let (good, others) = (having(&split.good), thinned(&having(&split.others), MAX_OTHERS));
        let running = running.values().filter(|suggestion| has(suggestion));
        let running: Vec<Vec<f64>> =
            running.map(|suggestion| encoder.encode(&suggestion.assignment)).collect();
        let points = |of: &[usize], more: &[Vec<f64>]| -> Vec<Vec<f64>> {
            let column = |axis: &usize| {
                let ended = of.iter().map(|i| past.ended[*i].x[*axis]);
                ended.chain(more.iter().map(|x| x[*axis])).collect()
            };
            group.members.iter().map(column).collect()
        };
        let clip = |exponent| Clip { exponent, prior: settings.prior_weight };
        let equal = vec![1.0; others.len() + running.len()];
        Self {
            good: Parzen::new(&group.axes, points(&good, &[]), &by_rank(good.len()), clip(GOOD)),
            others: Parzen::new(&group.axes, points(&others, &running), &equal, clip(OTHERS)),
        }
    }

    /// Logarithm of `l(x) / g(x)`.
    pub(super) fn gain(&self, x: &[f64], scratch: &mut Vec<f64>) -> f64 {
        self.good.log_density(x, scratch) - self.others.log_density(x, scratch)
    }
}

/// Weights of n trials, the best first, with a mean of 1: `ln(n + 1/2) - ln i` (Hansen 2016, eq. 49 without its half).
/// Where Watanabe 2023 weighs by improvement, ranks do as well and are blind to the scale of costs.
fn by_rank(n: usize) -> Vec<f64> {
    let weight = |i: usize| (n as f64 + 0.5).ln() - (i as f64).ln();
    let sum: f64 = (1..=n).map(weight).sum();
    (1..=n).map(|i| weight(i) * n as f64 / sum).collect()
}

#[cfg(test)]
mod tests {
    use study::{HistoryEvent, Outcome, Trial};

    use super::*;
    use crate::testing;

    #[test]
    fn parameters_under_the_same_conditions_are_a_group() {
        let members =
            |space: &Space| groups(space).into_iter().map(|group| group.members).collect::<Vec<_>>();
        assert_eq!(members(&testing::mixed()), [[0, 1, 2]]);
        let space = testing::conditional();
        let mut named: Vec<Vec<&str>> = Vec::new();
        for group in members(&space) {
            named.push(group.iter().map(|i| space.parameters()[*i].name.as_str()).collect());
        }
        assert!(named.contains(&vec!["momentum", "nesterov"]), "{named:?}");
        assert!(named.contains(&vec!["optimizer", "x"]) && named.contains(&vec!["beta"]), "{named:?}");
    }

    /// Were failures left out, nothing would be known of where they lie.
    #[test]
    fn failed_trials_are_among_the_others() {
        let encoder = Encoder::new(&testing::mixed());
        let mut past = Past::default();
        for idx in (0..20).map(TrialIdx) {
            let assignment = encoder.decode(&[0.5; 3]);
            let suggestion = Suggestion { assignment, ..Suggestion::default() };
            let costs = vec![idx.0 as f64];
            let outcome = if idx.0 < 5 { Outcome::Failed } else { Outcome::EarlyStopped { costs } };
            let started = HistoryEvent::Started(Trial { idx, suggestion });
            past.tell(&encoder, &[started, HistoryEvent::Ended { trial: idx, outcome }]);
        }
        let split = Split::new(&past, 0.1);
        assert_eq!(split.good, [5, 6], "a tenth of fifteen, rounded up; stopped trials have their last cost");
        assert_eq!(split.others.len(), 18);
        assert!((0..5).all(|failed| split.others.contains(&failed)));
    }

    #[test]
    fn of_many_others_some_of_every_rank_are_kept() {
        let all: Vec<usize> = (0..100_000).collect();
        let kept = thinned(&all, MAX_OTHERS);
        assert_eq!(kept.len(), MAX_OTHERS);
        assert!(kept[0] == 0 && kept.is_sorted() && kept[MAX_OTHERS - 1] >= 99_900);
        assert_eq!(thinned(&all[..7], MAX_OTHERS), all[..7]);
    }

    #[test]
    fn better_trials_weigh_more() {
        let weights = by_rank(5);
        assert!(weights.is_sorted_by(|a, b| a > b) && weights[4] > 0.0);
        assert!((weights.iter().sum::<f64>() - 5.0).abs() < 1e-12);
    }
}
