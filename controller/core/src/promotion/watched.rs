//! What is known of the requests that were kept: how often each version was right, how far its inputs and predictions have
//! drifted, and what came of that.
//!
//! One record a model, written anew after each look, so that the next look, by whomever, goes on where the last one ended.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::drift::{Finding, Gathered, judge};
use super::profile::{Profile, columns};
use crate::spec::WatchSpec;
use crate::time::Timestamp;

/// How many features are told of a window.
const WORST: usize = 5;
/// How many breaches are remembered.
const BREACHES: usize = 100;
/// How many calls wait at most.
const CALLS: usize = 100;
/// How often a call is tried.
pub const TRIES: u32 = 5;

/// A request that was kept, a line of the log.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// Id of the request, which its answer has carried.
    pub id: String,
    /// When it came.
    pub at: Timestamp,
    /// Name of the deployment that has answered.
    pub version: String,
    /// Status of the answer.
    pub status: u16,
    /// Milliseconds until the answer began.
    pub ms: f64,
    /// Its `inputs`.
    pub inputs: Value,
    /// The `outputs` of the answer.
    pub outputs: Value,
}

/// A label that found its request, a line of the file of labels.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Labelled {
    /// Id of the request.
    pub id: String,
    /// When it came.
    pub at: Timestamp,
    /// Name of the deployment that has answered.
    pub version: String,
    /// What is true, a value each row.
    pub label: Vec<Value>,
    /// What was predicted.
    pub predicted: Vec<Value>,
    /// Of how many rows that is the same.
    pub right: u64,
}

/// What a window has shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Judged {
    /// When it ended.
    pub at: Timestamp,
    /// Its rows.
    pub rows: u64,
    /// Whether that is drift.
    pub drifted: bool,
    /// The features that differ most, the most suspicious first.
    pub worst: Vec<Finding>,
}

/// What is known of a version.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OfVersion {
    /// Requests that were kept.
    pub kept: u64,
    /// Rows that have a label.
    pub labelled: u64,
    /// Those of them that were right.
    pub right: u64,
    /// The window that is filled now.
    pub gathered: Gathered,
    /// What the last one has shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last: Option<Judged>,
    /// Why nothing is compared.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub problem: String,
}

/// A window that has shown drift where the one before had not.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Breach {
    /// When.
    pub at: Timestamp,
    /// Name of the deployment.
    pub version: String,
    /// Which features, in a sentence.
    pub detail: String,
    /// The features that differ most.
    pub worst: Vec<Finding>,
    /// What was done about it; empty as long as nothing was.
    pub done: String,
}

/// Somebody who is to be told.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Call {
    /// Where.
    pub url: String,
    /// What.
    pub body: Value,
    /// How often it was tried in vain.
    pub tries: u32,
    /// When it is tried next.
    pub next: Timestamp,
}

/// What is known of the requests of a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Watched {
    /// The part of the log that was read last.
    pub part: u64,
    /// How far.
    pub offset: u64,
    /// What is known of each version, by name of its deployment.
    pub versions: BTreeMap<String, OfVersion>,
    /// The newest breaches, oldest first.
    pub breaches: Vec<Breach>,
    /// How many there were in all.
    pub n_breaches: u64,
    /// Who is to be told.
    pub calls: Vec<Call>,
    /// Calls that were given up.
    pub lost_calls: u64,
}

impl Watched {
    /// Takes in a request. `profile` is that of the version that has answered, or why there is none.
    pub fn take(&mut self, kept: &Kept, profile: &Result<Profile, String>, spec: &WatchSpec) {
        let version = self.versions.entry(kept.version.clone()).or_default();
        version.kept += 1;
        let profile = match profile {
            Ok(profile) => profile,
            Err(why) => {
                version.problem.clone_from(why);
                return;
            }
        };
        version.problem.clear();
        if kept.status >= 400 {
            return;
        }
        let mut all = columns("inputs", &kept.inputs);
        let rows = all.values().map(Vec::len).max().unwrap_or(0) as u64;
        all.extend(columns("outputs", &kept.outputs));
        version.gathered.add(profile, &all, rows);
        if version.gathered.rows < spec.window() {
            return;
        }
        let window = std::mem::take(&mut version.gathered);
        let mut worst = judge(profile, &window);
        let threshold = spec.threshold();
        let n_drifted = worst.iter().filter(|finding| finding.p <= threshold).count();
        worst.truncate(WORST);
        let drifted = n_drifted > 0;
        let was = version.last.as_ref().is_some_and(|last| last.drifted);
        version.last = Some(Judged { at: kept.at, rows: window.rows, drifted, worst: worst.clone() });
        // What goes on is no news.
        if drifted && !was {
            let named: Vec<String> =
                worst.iter().take(n_drifted.min(WORST)).map(ToString::to_string).collect();
            let more = n_drifted.saturating_sub(named.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let detail = format!(
                "in {} rows {}{more} differ from the trial's profile, sure to {} in a window",
                window.rows,
                named.join(", "),
                1.0 - threshold
            );
            let version = kept.version.clone();
            self.breaches.push(Breach { at: kept.at, version, detail, worst, done: String::new() });
            self.n_breaches += 1;
            let old = self.breaches.len().saturating_sub(BREACHES);
            self.breaches.drain(..old);
        }
    }

    /// Counts a label.
    pub fn label(&mut self, labelled: &Labelled) {
        let version = self.versions.entry(labelled.version.clone()).or_default();
        version.labelled += labelled.label.len() as u64;
        version.right += labelled.right;
    }

    /// Tells somebody, now and as often as it takes. The oldest call is given up where there are too many.
    pub fn call(&mut self, url: &str, body: Value, now: Timestamp) {
        if self.calls.len() >= CALLS {
            self.calls.remove(0);
            self.lost_calls += 1;
        }
        self.calls.push(Call { url: url.to_owned(), body, tries: 0, next: now });
    }

    /// What has become of the call at this place: it is over, or tried again after 1, 2, 4 and 8 seconds.
    pub fn called(&mut self, i: usize, well: bool, now: Timestamp) {
        let Some(call) = self.calls.get_mut(i) else { return };
        call.tries += 1;
        if !well && call.tries < TRIES {
            call.next = now.plus(Duration::from_secs(1 << (call.tries - 1)));
            return;
        }
        self.lost_calls += u64::from(!well);
        self.calls.remove(i);
    }
}

impl OfVersion {
    /// The share of labels that were right; `None` without a label.
    pub fn quality(&self) -> Option<f64> {
        (self.labelled > 0).then(|| self.right as f64 / self.labelled as f64)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::DriftSpec;

    fn profile() -> Result<Profile, String> {
        Profile::read(&json!({"inputs": {"age": {"edges": [30, 50], "counts": [200, 200, 200]}}}))
    }

    fn spec() -> WatchSpec {
        WatchSpec { drift: Some(DriftSpec { window: Some(60), threshold: None }), ..WatchSpec::default() }
    }

    fn feed(watched: &mut Watched, ages: impl Iterator<Item = u32>) {
        for age in ages {
            let inputs = json!([{"name": "age", "shape": [1], "data": [age]}]);
            let kept = Kept { version: "a".into(), status: 200, inputs, ..Kept::default() };
            watched.take(&kept, &profile(), &spec());
        }
    }

    #[test]
    fn a_breach_is_told_once_and_again_after_a_window_without() {
        let mut watched = Watched::default();
        let usual = || (0..60).map(|i| 20 + i % 3 * 20);
        feed(&mut watched, usual());
        assert_eq!((watched.n_breaches, watched.versions["a"].last.as_ref().unwrap().drifted), (0, false));
        feed(&mut watched, (0..120).map(|_| 70));
        assert_eq!(watched.n_breaches, 1);
        let detail = &watched.breaches[0].detail;
        assert!(detail.starts_with("in 60 rows inputs.age (ks 0.667, p "), "{detail}");
        feed(&mut watched, usual().chain((0..60).map(|_| 70)));
        assert_eq!((watched.n_breaches, watched.versions["a"].kept), (2, 300));
    }

    #[test]
    fn what_is_known_reads_back_as_it_was_written_in_the_middle_of_a_window() {
        let mut watched = Watched::default();
        feed(&mut watched, (0..30).map(|_| 70));
        let text = serde_json::to_string(&watched).unwrap();
        let mut again: Watched = serde_json::from_str(&text).unwrap();
        assert_eq!(again, watched);
        feed(&mut again, (0..30).map(|_| 70));
        assert_eq!(again.n_breaches, 1);
    }

    #[test]
    fn a_version_without_a_profile_says_so_and_is_judged_by_labels_alone() {
        let mut watched = Watched::default();
        let kept = Kept { version: "a".into(), status: 200, ..Kept::default() };
        watched.take(&kept, &Err("no profile".into()), &spec());
        let labels = |right| Labelled {
            version: "a".into(),
            label: vec![json!(1), json!(2)],
            right,
            ..Labelled::default()
        };
        watched.label(&labels(2));
        watched.label(&labels(1));
        let version = &watched.versions["a"];
        assert_eq!((version.problem.as_str(), version.quality()), ("no profile", Some(0.75)));
    }

    #[test]
    fn a_call_is_tried_five_times_ever_later() {
        let mut watched = Watched::default();
        let at = |seconds: i64| Timestamp(seconds * 1_000_000);
        watched.call("http://a", json!({}), at(0));
        for wanted in [1, 2, 4, 8] {
            watched.called(0, false, at(100));
            assert_eq!(watched.calls[0].next, at(100 + wanted));
        }
        watched.called(0, false, at(100));
        assert_eq!((watched.calls.len(), watched.lost_calls), (0, 1));
    }
}
