//! Where versions of a model come from, as run events of OpenLineage.
//!
//! Each run has two events, START and its end, and names that follow from what it is: whoever exports twice sends the
//! same runs again.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::api::types::{PromotionView, Trial, VersionView};

/// Who says so, as every event and facet names it.
const PRODUCER: &str = "https://cairn.dev";
/// What an event is checked against.
const EVENT: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent";
/// What a facet of our own is checked against.
const RUN_FACET: &str = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunFacet";
const JOB_TYPE: &str = "https://openlineage.io/spec/facets/2-0-4/JobTypeJobFacet.json#/$defs/JobTypeJobFacet";
const VERSION: &str = "https://openlineage.io/spec/facets/1-0-0/DatasetVersionDatasetFacet.json#/$defs/DatasetVersionDatasetFacet";

/// A run of which all is known.
struct Run {
    /// What makes it one and the same.
    key: String,
    /// Its job.
    job: String,
    /// `TRIAL` or `PROMOTION`.
    kind: &'static str,
    /// When it began and ended, RFC 3339.
    between: (String, String),
    facets: Value,
    inputs: Vec<Value>,
    outputs: Vec<Value>,
}

/// The events of the trial and the promotion that made a version, oldest first. A trial that is erased, or a promotion
/// that has not ended, has none.
pub(super) fn events(
    model: (&str, &str),
    version: &VersionView,
    trial: Option<&Trial>,
    promotion: &PromotionView,
) -> Vec<Value> {
    let (namespace, name) = model;
    let place = format!("cairn/{namespace}");
    let left = dataset(&place, &format!("trials/{}/model", version.trial), &version.digest);
    let runs = [
        trial.and_then(|trial| of_trial(version, trial, left.clone())),
        of_promotion((&place, name), version, promotion, left),
    ];
    runs.into_iter().flatten().flat_map(|run| both(&place, &run)).collect()
}

fn of_trial(version: &VersionView, trial: &Trial, left: Value) -> Option<Run> {
    Some(Run {
        key: format!("trial/{}/{}", version.experiment_uid, trial.idx),
        job: version.experiment.clone(),
        kind: "TRIAL",
        between: (trial.started.clone()?, trial.ended.clone()?),
        facets: json!({"cairn_trial": {
            "_producer": PRODUCER,
            "_schemaURL": RUN_FACET,
            "experimentUid": version.experiment_uid,
            "specDigest": version.spec_digest,
            "seed": version.seed,
            "trial": version.trial,
            "parameters": version.parameters,
            "metrics": version.metrics,
        }}),
        inputs: Vec::new(),
        outputs: vec![left],
    })
}

fn of_promotion(
    model: (&str, &str),
    version: &VersionView,
    promotion: &PromotionView,
    left: Value,
) -> Option<Run> {
    let (place, name) = model;
    let data = Some(&version.data).filter(|digest| !digest.is_empty());
    let data = data.map(|digest| dataset(place, &format!("data/{digest}"), digest));
    Some(Run {
        key: format!("promotion/{place}/{name}/{}/{}", promotion.number, version.digest),
        job: format!("promotion of {name}"),
        kind: "PROMOTION",
        between: (promotion.created.clone(), promotion.ended_at.clone()?),
        facets: json!({"cairn_promotion": {
            "_producer": PRODUCER,
            "_schemaURL": RUN_FACET,
            "promotion": promotion.name,
            "version": version.number,
            "digest": version.digest,
            "uri": version.uri,
            "metric": version.metric,
            "value": version.value,
            "against": version.against,
            "author": version.author,
            "approvedBy": version.approved_by,
        }}),
        inputs: std::iter::once(left).chain(data).collect(),
        outputs: vec![dataset(place, &format!("models/{name}"), &version.number.to_string())],
    })
}

/// START and COMPLETE.
fn both(place: &str, run: &Run) -> [Value; 2] {
    let event = |kind: &str, at: &str| {
        json!({
            "eventType": kind,
            "eventTime": at,
            "producer": PRODUCER,
            "schemaURL": EVENT,
            "run": {"runId": uuid(&run.key), "facets": run.facets},
            "job": {"namespace": place, "name": run.job, "facets": {"jobType": {
                "_producer": PRODUCER,
                "_schemaURL": JOB_TYPE,
                "processingType": "BATCH",
                "integration": "CAIRN",
                "jobType": run.kind,
            }}},
            "inputs": run.inputs,
            "outputs": run.outputs,
        })
    };
    [event("START", &run.between.0), event("COMPLETE", &run.between.1)]
}

/// What is read or made. Its version is a digest where it has no number.
fn dataset(place: &str, name: &str, version: &str) -> Value {
    json!({"namespace": place, "name": name, "facets": {"version": {
        "_producer": PRODUCER,
        "_schemaURL": VERSION,
        "datasetVersion": version,
    }}})
}

/// A UUID of a key: of version 8, made of its SHA-256.
fn uuid(key: &str) -> String {
    let mut bytes: [u8; 32] = Sha256::new().chain_update("openlineage/").chain_update(key).finalize().into();
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = controller_core::artifacts::hex(&bytes[..16]);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version() -> VersionView {
        let text = |text: &str| text.to_owned();
        VersionView {
            number: 2,
            digest: text("abc"),
            experiment: text("first"),
            experiment_uid: text("u"),
            trial: text("first-x"),
            data: text("def"),
            ..VersionView::default()
        }
    }

    fn made(trial: Option<&Trial>, ended: Option<&str>) -> Vec<Value> {
        let promotion = PromotionView {
            number: 2,
            created: "2026-01-01T00:00:02Z".into(),
            ended_at: ended.map(str::to_owned),
            ..PromotionView::default()
        };
        events(("default", "digits"), &version(), trial, &promotion)
    }

    #[test]
    fn what_the_trial_left_goes_through_the_promotion_into_the_model() {
        let at = |second: u32| format!("2026-01-01T00:00:0{second}Z");
        let trial = Trial { idx: 3, started: Some(at(0)), ended: Some(at(1)), ..Trial::default() };
        let events = made(Some(&trial), Some(&at(3)));
        let facts = |name: &str| events.iter().map(|event| event[name].clone()).collect::<Vec<_>>();
        assert_eq!(facts("eventType"), ["START", "COMPLETE", "START", "COMPLETE"]);
        assert_eq!(facts("eventTime"), [at(0), at(1), at(2), at(3)]);
        assert_eq!(events[1]["outputs"][0], events[3]["inputs"][0]);
        assert_eq!(events[3]["inputs"][1]["facets"]["version"]["datasetVersion"], "def");
        assert_eq!(events[3]["outputs"][0]["name"], "models/digits");
        assert_eq!(events[0]["run"]["runId"], events[1]["run"]["runId"]);
        assert_ne!(events[0]["run"]["runId"], events[2]["run"]["runId"]);
        assert_eq!(made(Some(&trial), Some(&at(3))), events);
    }

    #[test]
    fn what_is_not_known_or_has_not_ended_is_left_out() {
        assert_eq!(made(None, Some("2026-01-01T00:00:03Z")).len(), 2);
        assert_eq!(made(Some(&Trial::default()), None), Vec::<Value>::new());
    }

    #[test]
    fn a_uuid_is_one_and_depends_on_its_key_alone() {
        let uuid = |key| super::uuid(key);
        assert_eq!(uuid("a"), uuid("a"));
        assert_ne!(uuid("a"), uuid("b"));
        let shape: Vec<usize> = uuid("a").split('-').map(str::len).collect();
        assert_eq!(shape, [8, 4, 4, 4, 12]);
        assert!(uuid("a")[14..].starts_with('8') && "89ab".contains(&uuid("a")[19..20]));
    }
}
