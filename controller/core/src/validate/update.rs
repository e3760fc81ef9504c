//! What may change of an experiment that exists.

use serde_json::Value;

use crate::ports::Wish;
use crate::spec::ExperimentSpec;

/// How a new spec differs from the one that exists.
#[derive(Clone, Debug, PartialEq)]
pub enum Changes {
    /// Not at all.
    None,
    /// Only in budgets: a wish carries it out.
    Budgets(Wish),
    /// In more: one line for each difference.
    More(Vec<String>),
}

/// The words that may be edited.
const EDITABLE: [&str; 7] = [
    "parallelTrialCount",
    "maxTrialCount",
    "maxFailedTrialCount",
    "maxDuration",
    "maxGpuHours",
    "maxCost",
    "suspend",
];

/// Compares a new spec, defaulted, with the one that exists. A seed that the new one leaves out is the old one's.
pub fn changes(old: &ExperimentSpec, new: &ExperimentSpec) -> Changes {
    let mut new = new.clone();
    new.seed = new.seed.or(old.seed);
    if *old == new {
        return Changes::None;
    }
    let fixed = |spec: &ExperimentSpec| {
        let mut value = serde_json::to_value(spec).unwrap_or_default();
        if let Some(map) = value.as_object_mut() {
            map.retain(|key, _| !EDITABLE.contains(&key.as_str()));
        }
        value
    };
    let mut differences = Vec::new();
    compare(&fixed(old), &fixed(&new), "spec", &mut differences);
    if !differences.is_empty() {
        return Changes::More(differences);
    }
    Changes::Budgets(Wish::Edit {
        max_trial_count: new.max_trial_count,
        parallel_trial_count: new.parallel_trial_count,
        max_failed_trial_count: new.max_failed_trial_count,
        max_duration: new.max_duration,
        max_gpu_hours: new.max_gpu_hours,
        max_cost: new.max_cost,
    })
}

fn compare(old: &Value, new: &Value, path: &str, differences: &mut Vec<String>) {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let mut keys: Vec<&String> =
                a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))).collect();
            keys.sort();
            for key in keys {
                let (old, new) = (a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null));
                compare(old, new, &format!("{path}.{key}"), differences);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (i, (old, new)) in a.iter().zip(b).enumerate() {
                compare(old, new, &format!("{path}[{i}]"), differences);
            }
        }
        _ if old == new => {}
        _ => differences.push(format!("{path}: {old} became {new}")),
    }
}
