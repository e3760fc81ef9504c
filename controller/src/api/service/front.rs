//! Trials that no other beats in everything.

use controller_core::experiment::ExperimentRecord;
use controller_core::front::front;

use super::filter;
use crate::api::types::Trial;

/// What counts beside the objective: a field, and whether more of it is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Against<'a> {
    pub(super) field: &'a str,
    higher: bool,
}

/// Reads fields with commas between them; with a leading `-` the larger is the better.
pub(super) fn read(text: &str) -> Vec<Against<'_>> {
    let fields = text.split(',').map(str::trim);
    fields
        .map(|field| match field.strip_prefix('-') {
            Some(field) => Against { field, higher: true },
            None => Against { field, higher: false },
        })
        .collect()
}

/// The trials that no other beats in everything, the best by the objective first. Those without one of the numbers are
/// left out.
pub(super) fn of(record: &ExperimentRecord, trials: Vec<Trial>, against: &[Against<'_>]) -> Vec<Trial> {
    let objective = if record.spec.objective().is_maximize() { -1.0 } else { 1.0 };
    let cost = |trial: &Trial, Against { field, higher }: &Against<'_>| {
        let number: Option<f64> = filter::field(trial, field).and_then(|text| text.parse().ok());
        number.map_or(f64::NAN, |number| if *higher { -number } else { number })
    };
    let costs = |trial: &Trial| {
        let value = trial.value.map_or(f64::NAN, |value| objective * value);
        std::iter::once(value).chain(against.iter().map(|one| cost(trial, one))).collect()
    };
    let points: Vec<Vec<f64>> = trials.iter().map(costs).collect();
    let mut trials: Vec<Option<Trial>> = trials.into_iter().map(Some).collect();
    front(&points).into_iter().filter_map(|i| trials[i].take()).collect()
}
