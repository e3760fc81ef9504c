//! What happens to trials, cleared of what comes late, twice or out of order.

use std::collections::{BTreeMap, BTreeSet};

use study::{Cost, HistoryEvent, Outcome, TrialIdx};

/// Something that happened to a trial that is known and has not ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum News {
    /// It began; each trial once.
    Began,
    /// It runs and reported at a step above all its earlier ones. Infinite if that is no finite number.
    Reported { step: u64, cost: Cost },
    /// It ran and waits now.
    Paused,
    /// It waited and goes on.
    Resumed,
    /// It ended; its cost, unless it failed or measured none.
    Ended { cost: Option<Cost>, stopped: bool },
}

/// A trial that has begun and not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Live {
    pub(super) waits: bool,
    /// Its newest report.
    pub(super) newest: Option<(u64, Cost)>,
}

/// All trials, folded from events.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    live: BTreeMap<TrialIdx, Live>,
    ended: BTreeSet<TrialIdx>,
}

impl Told {
    /// Takes in one event; what is new in it.
    pub(super) fn take(&mut self, event: &HistoryEvent) -> Option<(TrialIdx, News)> {
        let idx = match event {
            HistoryEvent::Started(trial) => {
                let is_new = !self.ended.contains(&trial.idx) && !self.live.contains_key(&trial.idx);
                if is_new {
                    self.live.insert(trial.idx, Live::default());
                }
                return is_new.then_some((trial.idx, News::Began));
            }
            HistoryEvent::Reported { trial, .. }
            | HistoryEvent::Paused { trial }
            | HistoryEvent::Resumed { trial }
            | HistoryEvent::Spent { trial, .. }
            | HistoryEvent::Ended { trial, .. } => *trial,
        };
        let live = self.live.get_mut(&idx)?;
        let news = match event {
            HistoryEvent::Reported { step, costs, .. } => {
                let is_new = live.newest.is_none_or(|(newest, _)| *step > newest) && !live.waits;
                let cost = costs.first().filter(|_| is_new)?;
                let cost = if cost.is_finite() { *cost } else { f64::INFINITY };
                live.newest = Some((*step, cost));
                News::Reported { step: *step, cost }
            }
            HistoryEvent::Paused { .. } if !live.waits => {
                live.waits = true;
                News::Paused
            }
            HistoryEvent::Resumed { .. } if live.waits => {
                live.waits = false;
                News::Resumed
            }
            HistoryEvent::Ended { outcome, .. } => {
                self.live.remove(&idx);
                self.ended.insert(idx);
                let stopped = matches!(outcome, Outcome::EarlyStopped { .. });
                News::Ended { cost: outcome.cost().filter(|cost| cost.is_finite()), stopped }
            }
            _ => return None,
        };
        Some((idx, news))
    }

    /// A trial that has begun and not ended.
    pub(super) fn live(&self, trial: TrialIdx) -> Option<&Live> {
        self.live.get(&trial)
    }

    /// How many have begun.
    pub(super) fn n_begun(&self) -> u64 {
        (self.live.len() + self.ended.len()) as u64
    }
}

#[cfg(test)]
mod tests {
    use study::{Suggestion, Trial};

    use super::*;

    fn reported(step: u64, cost: f64) -> HistoryEvent {
        HistoryEvent::Reported { trial: TrialIdx(0), step, costs: vec![cost] }
    }

    fn news(events: &[HistoryEvent]) -> Vec<News> {
        let mut told = Told::default();
        events.iter().filter_map(|event| told.take(event)).map(|(_, news)| news).collect()
    }

    #[test]
    fn what_comes_late_twice_or_out_of_order_is_no_news() {
        let trial = TrialIdx(0);
        let started = HistoryEvent::Started(Trial { idx: trial, suggestion: Suggestion::default() });
        let ended = HistoryEvent::Ended { trial, outcome: Outcome::Failed };
        let events = [
            reported(0, 9.0),
            started.clone(),
            started.clone(),
            HistoryEvent::Resumed { trial },
            reported(3, 1.0),
            reported(3, 0.0),
            reported(1, 0.0),
            HistoryEvent::Paused { trial },
            HistoryEvent::Paused { trial },
            reported(4, 0.0),
            HistoryEvent::Resumed { trial },
            reported(5, f64::NAN),
            ended.clone(),
            ended,
            reported(6, 0.0),
            started,
        ];
        let expected = [
            News::Began,
            News::Reported { step: 3, cost: 1.0 },
            News::Paused,
            News::Resumed,
            News::Reported { step: 5, cost: f64::INFINITY },
            News::Ended { cost: None, stopped: false },
        ];
        assert_eq!(news(&events), expected);
    }
}
