//! Rules that stop a trial on the spot, looked at on every row.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use study::{Direction, Rule};

use crate::ports::ObservationRow;

/// Looks at the rows of one run as they come, and says when all rules are met.
#[derive(Clone, Debug)]
pub struct RuleWatch {
    rules: Vec<Rule>,
    objective: Arc<str>,
    direction: Direction,
    /// Rows so far by metric.
    rows: BTreeMap<Arc<str>, u32>,
    best: Option<f64>,
    met: BTreeSet<usize>,
}

impl RuleWatch {
    /// A watch over these rules; for `objective` the best so far is compared, for other metrics the newest value.
    pub fn new(rules: &[Rule], objective: &str, direction: Direction) -> Self {
        Self {
            rules: rules.to_vec(),
            objective: objective.into(),
            direction,
            rows: BTreeMap::new(),
            best: None,
            met: BTreeSet::new(),
        }
    }

    /// Takes in a row; the rule met last, once all are met. A row that is no number counts but meets nothing.
    pub fn look(&mut self, row: &ObservationRow) -> Option<&Rule> {
        if self.rules.is_empty() {
            return None;
        }
        let count = self.rows.entry(row.metric.clone()).or_default();
        *count += 1;
        let count = *count;
        let value = row.value.filter(|value| !value.is_nan())?;
        let compared = if row.metric == self.objective {
            let best =
                self.best.map_or(value, |best| if self.direction.better(value, best) { value } else { best });
            *self.best.insert(best)
        } else {
            value
        };
        let mut last = None;
        for (i, rule) in self.rules.iter().enumerate() {
            let concerns = *rule.metric == *row.metric && count >= rule.start_step && !self.met.contains(&i);
            if concerns && rule.comparison.met(compared, rule.value) {
                self.met.insert(i);
                last = Some(i);
            }
        }
        if self.met.len() == self.rules.len() { last.map(|i| &self.rules[i]) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use study::Comparison;

    use super::*;

    fn row(metric: &str, value: f64) -> ObservationRow {
        ObservationRow {
            source: "stdout".into(),
            offset: 0,
            nth: 0,
            metric: metric.into(),
            time: None,
            step: 0,
            text: value.to_string(),
            value: Some(value),
        }
    }

    fn less(metric: &str, value: f64, start_step: u32) -> Rule {
        Rule { metric: metric.into(), value, comparison: Comparison::Less, start_step }
    }

    fn stops_at(rules: &[Rule], rows: &[ObservationRow]) -> Option<usize> {
        let mut watch = RuleWatch::new(rules, "acc", Direction::Maximize);
        rows.iter().position(|row| watch.look(row).is_some())
    }

    #[test]
    fn the_objective_is_compared_by_its_best_from_the_start_step_on() {
        let rows = [row("acc", 0.6), row("acc", 0.1), row("acc", 0.1)];
        assert_eq!(stops_at(&[less("acc", 0.5, 2)], &rows), None);
        let rows = [row("acc", 0.1), row("acc", 0.2), row("acc", 0.3)];
        assert_eq!(stops_at(&[less("acc", 0.5, 2)], &rows), Some(1));
    }

    #[test]
    fn all_rules_must_be_met_each_on_its_own_metric() {
        let rules = [less("acc", 0.5, 1), less("lr", 0.01, 1)];
        assert_eq!(stops_at(&rules, &[row("acc", 0.1), row("lr", 0.1), row("lr", 0.001)]), Some(2));
    }

    #[test]
    fn nan_never_meets_a_rule() {
        assert_eq!(stops_at(&[less("acc", 0.5, 1)], &[row("acc", f64::NAN)]), None);
    }
}
