//! Failures grouped by cause, each with what sets its parameters apart.

use std::collections::BTreeMap;

use controller_core::ports::TrialQuery;
use controller_core::trial::{TrialRecord, TrialState};

use super::error::ApiError;
use super::find;
use crate::api::Api;
use crate::api::types::{FailureGroup, Failures};

/// Most names given of a group.
const MAX_NAMES: usize = 5;

/// The failed trials of an experiment, grouped.
pub(crate) async fn failures(api: &Api, namespace: &str, name: &str) -> Result<Failures, ApiError> {
    let record = find(api, namespace, name).await?;
    let states = vec![TrialState::Failed, TrialState::MetricsUnavailable, TrialState::Succeeded];
    let query = TrialQuery { states, ..TrialQuery::default() };
    let trials = api.world.store.trials(record.id, &query).await?.items;
    Ok(Failures { groups: group(&trials) })
}

/// Groups the failed ones among ended trials, the largest group first.
fn group(trials: &[TrialRecord]) -> Vec<FailureGroup> {
    let mut causes: BTreeMap<String, Vec<&TrialRecord>> = BTreeMap::new();
    let failed = trials.iter().filter(|trial| trial.state != TrialState::Succeeded);
    for trial in failed {
        causes.entry(cause(&trial.message.replace(&trial.name, "#"))).or_default().push(trial);
    }
    let of = causes.values().map(Vec::len).sum::<usize>() as u64;
    let mut groups: Vec<FailureGroup> = causes
        .values()
        .map(|alike| {
            let others: Vec<&TrialRecord> =
                trials.iter().filter(|trial| !alike.iter().any(|other| other.idx == trial.idx)).collect();
            FailureGroup {
                cause: alike.first().map(|trial| trial.message.clone()).unwrap_or_default(),
                count: alike.len() as u64,
                of,
                pattern: pattern(alike, &others),
                trials: alike.iter().take(MAX_NAMES).map(|trial| trial.name.clone()).collect(),
            }
        })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.count));
    groups
}

/// A message with what differs from trial to trial taken out: numbers, and addresses in hex.
fn cause(message: &str) -> String {
    let mut cause = String::with_capacity(message.len());
    let mut in_number = false;
    for (i, c) in message.char_indices() {
        let part_of_hex = in_number && (c.is_ascii_hexdigit() || c == 'x' || c == '.');
        let digit = c.is_ascii_digit() || part_of_hex && message.as_bytes().get(i.wrapping_sub(1)).is_some();
        if !digit {
            cause.push(c);
        } else if !in_number {
            cause.push('#');
        }
        in_number = digit;
    }
    cause
}

/// The simplest thing that holds for all of a group's parameters and for none of the others.
fn pattern(alike: &[&TrialRecord], others: &[&TrialRecord]) -> String {
    if alike.len() < 2 || others.is_empty() {
        return String::new();
    }
    let names = alike.iter().flat_map(|trial| trial.assignments.iter().map(|(name, _)| name));
    let mut seen: Vec<&String> = Vec::new();
    for name in names {
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        if let Some(pattern) = separates(name, alike, others) {
            return format!("all with {pattern}");
        }
    }
    String::new()
}

fn separates(name: &str, alike: &[&TrialRecord], others: &[&TrialRecord]) -> Option<String> {
    let texts = |trials: &[&TrialRecord]| -> Vec<String> {
        let found =
            trials.iter().flat_map(|trial| trial.assignments.iter().filter(|(other, _)| other == name));
        found.map(|(_, text)| text.clone()).collect()
    };
    let (ours, theirs) = (texts(alike), texts(others));
    if ours.len() < alike.len() || theirs.is_empty() {
        return None;
    }
    let numbers = |texts: &[String]| -> Option<Vec<f64>> {
        texts.iter().map(|text| text.parse::<f64>().ok()).collect()
    };
    if let (Some(our), Some(their)) = (numbers(&ours), numbers(&theirs)) {
        let least = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let text =
            |value: f64| ours.iter().find(|text| text.parse() == Ok(value)).cloned().unwrap_or_default();
        if least(&our) > most(&their) {
            return Some(format!("{name} >= {}", text(least(&our))));
        }
        if most(&our) < least(&their) {
            return Some(format!("{name} <= {}", text(most(&our))));
        }
    }
    let first = ours.first()?;
    let only = ours.iter().all(|text| text == first) && !theirs.contains(first);
    only.then(|| format!("{name} = {first}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap as Map;

    use controller_core::time::Timestamp;
    use study::{Suggestion, TrialIdx};

    use super::*;

    fn trial(idx: u64, state: TrialState, message: &str, batch: &str) -> TrialRecord {
        TrialRecord {
            idx: TrialIdx(idx),
            name: format!("t-{idx}"),
            state,
            suggestion: Suggestion::default(),
            assignments: vec![("lr".into(), "0.1".into()), ("batch".into(), batch.into())],
            labels: Map::new(),
            rules: Vec::new(),
            origin: controller_core::trial::Origin::Search,
            attempt: 1,
            failures: 0,
            lost: 0,
            reason: String::new(),
            message: message.into(),
            observation: Vec::new(),
            objectives: Vec::new(),
            model: None,
            checkpoint: None,
            waited: vec![],
            reached: None,
            steps: 0,
            created: Timestamp(0),
            started: None,
            ended: None,
        }
    }

    #[test]
    fn failures_that_differ_in_numbers_only_are_alike_and_share_what_sets_them_apart() {
        let trials = [
            trial(0, TrialState::Failed, "CUDA out of memory: 812 MiB", "512"),
            trial(1, TrialState::Succeeded, "", "256"),
            trial(2, TrialState::Failed, "CUDA out of memory: 9 MiB", "1024"),
            trial(3, TrialState::Failed, "no such file", "64"),
        ];
        let groups = group(&trials);
        assert_eq!((groups[0].count, groups[0].of, &*groups[0].pattern), (2, 3, "all with batch >= 512"));
        assert_eq!((groups[1].count, &*groups[1].pattern), (1, ""));
    }

    #[test]
    fn failures_that_differ_in_the_trial_s_name_only_are_alike() {
        let failed = |idx: u64, name: &str| TrialRecord {
            name: name.into(),
            ..trial(idx, TrialState::Failed, &format!("no folder /data/{name}"), "64")
        };
        assert_eq!(group(&[failed(0, "t-wf5kktqb"), failed(1, "t-xz2gh4jk")])[0].count, 2);
    }
}
