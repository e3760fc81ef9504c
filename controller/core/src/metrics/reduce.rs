//! Rows of a trial to what counts of each metric.

use crate::ports::ObservationRow;
use crate::spec::ObjectiveSpec;
use crate::trial::MetricSummary;

/// What Katib writes where there is no number.
pub const UNAVAILABLE: &str = "unavailable";

/// What counts of a trial's rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reduced {
    /// Every metric that was reported, in the order of the strategies.
    pub metrics: Vec<MetricSummary>,
    /// The objective's number by its strategy, if it is a finite one.
    pub objective: Option<f64>,
    /// Whether the objective was reported at all.
    pub available: bool,
}

/// Reduces rows, in the order in which they were written. NaN never wins as smallest or largest; `latest` is the row
/// of the greatest time, of equal times the later row.
pub fn reduce(rows: &[ObservationRow], objective: &ObjectiveSpec) -> Reduced {
    let mut reduced = Reduced::default();
    for strategy in &objective.metric_strategies {
        let of_metric: Vec<&ObservationRow> =
            rows.iter().filter(|row| *row.metric == *strategy.name).collect();
        let Some(latest) = latest(&of_metric) else {
            continue;
        };
        let numbers = || of_metric.iter().filter(|row| row.value.is_some_and(|value| !value.is_nan()));
        let min = numbers().min_by(|a, b| a.value.partial_cmp(&b.value).unwrap_or(std::cmp::Ordering::Equal));
        let max = numbers().max_by(|a, b| a.value.partial_cmp(&b.value).unwrap_or(std::cmp::Ordering::Equal));
        if strategy.name == objective.objective_metric_name {
            let chosen = match strategy.value.as_str() {
                "min" => min.copied().unwrap_or(latest),
                "max" => max.copied().unwrap_or(latest),
                _ => latest,
            };
            reduced.available = latest.text != UNAVAILABLE;
            reduced.objective = chosen.value.filter(|value| value.is_finite());
        }
        let text =
            |row: Option<&&ObservationRow>| row.map_or(UNAVAILABLE, |row| row.text.as_str()).to_owned();
        reduced.metrics.push(MetricSummary {
            name: strategy.name.clone(),
            min: text(min),
            max: text(max),
            latest: latest.text.clone(),
        });
    }
    reduced
}

/// Rows without a time are as old as can be, so that among them the last one written counts.
fn latest<'a>(rows: &[&'a ObservationRow]) -> Option<&'a ObservationRow> {
    rows.iter().copied().max_by_key(|row| row.time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::MetricStrategy;
    use crate::time::Timestamp;

    fn row(text: &str, time: Option<i64>) -> ObservationRow {
        ObservationRow {
            source: "stdout".into(),
            offset: 0,
            nth: 0,
            metric: "loss".into(),
            time: time.map(Timestamp),
            step: 0,
            text: text.into(),
            value: super::super::value::number(text),
        }
    }

    fn reduce_with(strategy: &str, rows: &[ObservationRow]) -> Reduced {
        let objective = ObjectiveSpec {
            objective_metric_name: "loss".into(),
            metric_strategies: vec![MetricStrategy { name: "loss".into(), value: strategy.into() }],
            ..Default::default()
        };
        reduce(rows, &objective)
    }

    #[test]
    fn texts_are_kept_as_written() {
        let reduced = reduce_with("min", &[row("0.30", None), row("0.250", None), row("0.4", None)]);
        let summary = &reduced.metrics[0];
        assert_eq!((&*summary.min, &*summary.max, &*summary.latest), ("0.250", "0.4", "0.4"));
        assert_eq!(reduced.objective, Some(0.25));
    }

    #[test]
    fn nan_never_wins() {
        let reduced = reduce_with("min", &[row("nan", None), row("0.5", None)]);
        assert_eq!(reduced.objective, Some(0.5));
        let only = reduce_with("min", &[row("nan", None)]);
        assert!(only.available && only.objective.is_none() && only.metrics[0].min == UNAVAILABLE);
    }

    #[test]
    fn an_infinite_objective_is_reported_but_cannot_be_compared() {
        let reduced = reduce_with("max", &[row("inf", None), row("0.5", None)]);
        assert!(reduced.available && reduced.objective.is_none());
        assert_eq!(reduced.metrics[0].max, "inf");
    }

    #[test]
    fn the_latest_is_by_time_then_by_place() {
        assert_eq!(reduce_with("latest", &[row("1", Some(5)), row("2", Some(3))]).objective, Some(1.0));
        assert_eq!(reduce_with("latest", &[row("1", Some(5)), row("2", Some(5))]).objective, Some(2.0));
        assert_eq!(reduce_with("latest", &[row("1", None), row("2", None)]).objective, Some(2.0));
    }

    #[test]
    fn a_text_is_available_but_no_number() {
        let reduced = reduce_with("latest", &[row("Genotype(x)", None)]);
        assert!(reduced.available && reduced.objective.is_none());
        assert!(!reduce_with("max", &[]).available);
        assert!(!reduce_with("max", &[row(UNAVAILABLE, None)]).available);
    }
}
