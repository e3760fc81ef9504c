//! What is told to others of a model: records of what became champion, one line of them for each place they go to.
//!
//! A record is written down with what it tells of, in one transaction, and delivered later, in the order of its line,
//! until its target has it or refuses it. So a target that is away holds up records, never a promotion.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::record::{Promotion, PromotionId, Version};
use crate::experiment::ExperimentId;
use crate::spec::MetadataSpec;
use crate::time::Timestamp;

/// The first pause after a failure; doubled with every further one.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause between two tries.
const LONGEST: Duration = Duration::from_mins(5);

/// A place elsewhere that records what becomes of models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum Target {
    /// A server of MLflow.
    Mlflow {
        /// Its address.
        uri: String,
        /// Whether versions go into its registry too.
        registry: bool,
    },
}

impl Target {
    /// All that a spec names.
    pub fn all(spec: &MetadataSpec) -> Vec<Self> {
        let mlflow = spec.mlflow.as_ref().map(|mlflow| Self::Mlflow {
            uri: mlflow.uri.trim_end_matches('/').to_owned(),
            registry: mlflow.registry.unwrap_or(true),
        });
        mlflow.into_iter().collect()
    }

    /// Its name, which is that of its line.
    pub fn name(&self) -> String {
        match self {
            Self::Mlflow { uri, .. } => format!("mlflow {uri}"),
        }
    }
}

/// The lease under which a line is delivered.
pub fn lease_of_line(target: &str) -> ExperimentId {
    PromotionId::of_key(&format!("records/{target}")).of_runs()
}

/// What a target is told: this version is the champion of its model now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// Who is told.
    pub target: Target,
    /// Number of the promotion.
    pub promotion: u64,
    /// Who wanted it.
    pub by: String,
    /// When it ended.
    pub at: Timestamp,
    /// The version, without the scores of single examples.
    pub version: Version,
    /// The version that was champion before.
    pub replaced: Option<u64>,
}

/// The records of a promotion that makes a version the champion. One that goes back is told where the champion before it was
/// told, as its alias there has to move, and where the version itself was.
pub(super) fn records(
    promotion: &Promotion,
    version: &Version,
    champion: Option<&Version>,
    at: Timestamp,
) -> Vec<Record> {
    let champion_s = champion.filter(|_| promotion.back_to.is_some()).and_then(|it| it.metadata.as_ref());
    let mut targets: Vec<Target> = champion_s.map(Target::all).unwrap_or_default();
    for target in version.metadata.as_ref().map(Target::all).unwrap_or_default() {
        if targets.iter().all(|other| other.name() != target.name()) {
            targets.push(target);
        }
    }
    let mut version = version.clone();
    for measurement in [&mut version.evidence.candidate, &mut version.evidence.champion].into_iter().flatten()
    {
        measurement.scores.clear();
    }
    let record = |target| Record {
        target,
        promotion: promotion.number,
        by: promotion.author.clone(),
        at,
        version: version.clone(),
        replaced: champion.map(|champion| champion.number),
    };
    targets.into_iter().map(record).collect()
}

/// Where a record stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Standing {
    /// It waits for its turn, or for its target.
    #[default]
    Queued,
    /// Its target has it.
    Delivered,
    /// Its target will never take it.
    Refused,
}

impl Standing {
    /// Its name, as stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Delivered => "delivered",
            Self::Refused => "refused",
        }
    }
}

/// What has come of a record so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Delivery {
    /// Where it stands.
    pub standing: Standing,
    /// How often its target was told in vain.
    pub tries: u32,
    /// What the target said last, if it did not take it.
    pub error: String,
    /// When that was.
    pub at: Timestamp,
}

/// A record in its line.
#[derive(Clone, Debug, PartialEq)]
pub struct Queued {
    /// Its number in the line, from 1.
    pub seq: u64,
    /// What is told.
    pub record: Record,
    /// What has come of it.
    pub delivery: Delivery,
    /// How many wait in its line, itself included.
    pub waiting: u64,
    /// Since when the oldest of them waits.
    pub oldest: Option<Timestamp>,
}

/// How long a line rests after so many failures in a row, or at least this long if its target has named a time. Lines of
/// different processes and targets do not come back at the same moment: `whose` draws a share of the pause.
pub fn pause(failures: u32, at_least: Option<Duration>, whose: &str) -> Duration {
    let doubled = PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    let digest = Sha256::new().chain_update(whose).chain_update(failures.to_be_bytes()).finalize();
    let share = f64::from(digest[0]) / 255.0;
    let drawn = doubled.mul_f64(0.5 + share / 2.0);
    at_least.map_or(drawn, |least| drawn.max(least.min(LONGEST * 12)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::MlflowSpec;

    /// A version that is told to a server, if any is named.
    fn version(number: u64, uri: Option<&str>) -> Version {
        let mlflow = |uri: &str| MlflowSpec { uri: uri.into(), registry: None };
        let metadata = uri.map(|uri| MetadataSpec { mlflow: Some(mlflow(uri)) });
        Version { number, metadata, ..Version::default() }
    }

    #[test]
    fn a_rollback_is_told_to_where_the_alias_is() {
        let (old, new) = (version(1, Some("http://old")), version(2, Some("http://new/")));
        let back = Promotion { back_to: Some(1), number: 3, ..Promotion::default() };
        let records = records(&back, &old, Some(&new), Timestamp(5));
        let names = |records: &[Record]| records.iter().map(|it| it.target.name()).collect::<Vec<_>>();
        assert_eq!(names(&records), ["mlflow http://new", "mlflow http://old"]);
        assert_eq!((records[0].version.number, records[0].replaced), (1, Some(2)));
        let same = version(3, Some("http://old/"));
        assert_eq!(names(&super::records(&back, &old, Some(&same), Timestamp(5))), ["mlflow http://old"]);
        // Where the champion was recorded nowhere, the version's own place counts.
        let bare = version(2, None);
        let records = super::records(&back, &old, Some(&bare), Timestamp(5));
        assert_eq!(records[0].target.name(), "mlflow http://old");
        assert!(super::records(&back, &bare, Some(&bare), Timestamp(5)).is_empty());
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_differ() {
        let seconds = |failures| pause(failures, None, "a").as_secs_f64();
        for failures in 1..40 {
            let whole = f64::from(1 << (failures - 1).min(16)).min(LONGEST.as_secs_f64());
            assert!((whole / 2.0..=whole).contains(&seconds(failures)), "{failures}: {}", seconds(failures));
        }
        assert_ne!(pause(5, None, "a"), pause(5, None, "b"));
        assert_eq!(pause(1, Some(Duration::from_secs(90)), "a"), Duration::from_secs(90));
        assert_eq!(pause(1, Some(Duration::from_hours(90)), "a"), LONGEST * 12);
    }
}
