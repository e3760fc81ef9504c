//! What a cluster still shows of experiments whose records are older than that, or were lost.

use std::collections::BTreeMap;

use controller_core::document::ExperimentDocument;
use controller_core::experiment::Birth;
use controller_core::plan::{Found, FoundEnd, FoundTrial};
use controller_core::time::Timestamp;
use controller_core::trial::{MetricSummary, TrialState, trial_name};
use kube::ResourceExt as _;
use kube::api::ListParams;
use kube::core::DynamicObject;
use serde_json::Value;
use study::TrialIdx;

use crate::answer::{self, Doing};
use crate::client::{Cluster, ConnectError};
use crate::resources::Kind;
use crate::wishes;

/// How many numbers beyond those that are counted are looked through for the names of trials.
const BEYOND: u64 = 1000;

/// An Experiment of a cluster.
#[derive(Clone, Debug)]
pub struct Shown {
    /// What is wished in it.
    pub document: ExperimentDocument,
    /// Whether that makes sense.
    pub is_valid: bool,
    /// Where and when it was born.
    pub birth: Birth,
    /// What is shown of it.
    pub found: Found,
}

impl Cluster {
    /// Every Experiment, with what it and its Trials show.
    ///
    /// # Errors
    /// If the cluster does not list them.
    pub async fn shown(&self) -> Result<Vec<Shown>, ConnectError> {
        let (experiments, trials) = (self.list(Kind::Experiment).await?, self.list(Kind::Trial).await?);
        let living = experiments.iter().filter(|resource| resource.metadata.deletion_timestamp.is_none());
        Ok(living.map(|resource| shown(resource, &trials, &self.uid)).collect())
    }

    async fn list(&self, kind: Kind) -> Result<Vec<DynamicObject>, ConnectError> {
        let resource = kind.resource();
        let listed = answer::within(self.all(&resource).list(&ListParams::default())).await;
        let doing = Doing { verb: "list", group: &resource.group, plural: &resource.plural };
        Ok(listed.map_err(|error| self.silent(&error, &doing))?.items)
    }
}

fn shown(resource: &DynamicObject, trials: &[DynamicObject], cluster: &str) -> Shown {
    let (document, report) = wishes::document(resource);
    let uid = resource.uid().unwrap_or_default();
    let at = resource.metadata.creation_timestamp.as_ref().map(|time| Timestamp(time.0.as_microsecond()));
    Shown {
        document,
        is_valid: report.is_valid(),
        found: found(resource, trials),
        birth: Birth { uid, cluster: cluster.to_owned(), base_dir: None, at: at.unwrap_or_default() },
    }
}

/// What an Experiment and those of these Trials that are its own show. Numbers of trials are told by their names.
fn found(experiment: &DynamicObject, trials: &[DynamicObject]) -> Found {
    let (name, uid) = (experiment.name_any(), experiment.uid().unwrap_or_default());
    let is_own = |trial: &&DynamicObject| trial.owner_references().iter().any(|owner| owner.uid == uid);
    let mut own: BTreeMap<String, &DynamicObject> =
        trials.iter().filter(is_own).map(|trial| (trial.name_any(), trial)).collect();
    let counted = experiment.data["status"]["trials"].as_u64().unwrap_or(0);
    let most = counted.max(own.len() as u64) + BEYOND;
    let mut found = Found { end: end(experiment), ..Found::default() };
    for idx in (0..most).map(TrialIdx) {
        if own.is_empty() {
            break;
        }
        if let Some(resource) = own.remove(&trial_name(&name, &uid, idx)) {
            found.trials.insert(idx, trial(resource));
        }
    }
    found
}

fn trial(resource: &DynamicObject) -> FoundTrial {
    let texts = |value: &Value| {
        let list = value.as_array().into_iter().flatten();
        list.map(|item| (word(item, "name"), word(item, "value"))).collect()
    };
    let metric = |item: &Value| MetricSummary {
        name: word(item, "name"),
        min: word(item, "min"),
        max: word(item, "max"),
        latest: word(item, "latest"),
    };
    let status = &resource.data["status"];
    let metrics = status["observation"]["metrics"].as_array().into_iter().flatten();
    FoundTrial {
        assignments: texts(&resource.data["spec"]["parameterAssignments"]),
        attempt: 0,
        created: time(&status["startTime"]).unwrap_or_default(),
        observation: metrics.map(metric).collect(),
        end: end(resource),
    }
}

/// The end that the last condition of a resource tells of.
fn end(resource: &DynamicObject) -> Option<FoundEnd> {
    let status = &resource.data["status"];
    let last = status["conditions"].as_array()?.last()?;
    let state = TrialState::from_name(last["type"].as_str()?).filter(|state| state.is_final())?;
    let at = time(&status["completionTime"]).or_else(|| time(&last["lastTransitionTime"]))?;
    (last["status"] == "True").then(|| FoundEnd {
        state,
        reason: word(last, "reason"),
        message: word(last, "message"),
        at,
    })
}

fn word(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap_or_default().to_owned()
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str().and_then(Timestamp::parse_rfc3339)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::{self, testing};
    use serde_json::json;

    fn experiment(uid: &str) -> DynamicObject {
        let mut value = controller_core::yaml::parse(testing::DEMO).unwrap().remove(0).value;
        value["metadata"]["uid"] = uid.into();
        value["status"] = json!({"trials": 5});
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_is_shown_of_a_trial_is_found_again() {
        let record = testing::experiment();
        let killed = testing::ended(3, TrialState::Killed, "TrialKilled", "Trial was killed by a person");
        let records = [testing::finished(2), killed, testing::pending(4)];
        let trials: Vec<_> = records.iter().map(|trial| project::trial(&record, trial)).collect();
        let found = found(&experiment(&record.uid), &trials);
        assert_eq!(found.end, None);
        assert_eq!(found.trials.keys().map(|idx| idx.0).collect::<Vec<_>>(), [2, 3, 4]);
        for record in &records {
            let trial = &found.trials[&record.idx];
            assert_eq!(trial.assignments, record.assignments);
            assert_eq!(trial.observation, record.observation);
            assert_eq!(trial.created, record.created);
            let state = trial.end.as_ref().map(|end| end.state);
            assert_eq!(state, record.state.is_final().then_some(record.state));
            if let Some(end) = &trial.end {
                assert_eq!(
                    (&end.reason, &end.message, Some(end.at)),
                    (&record.reason, &record.message, record.ended)
                );
            }
        }
    }

    #[test]
    fn trials_of_another_experiment_of_the_name_are_not_its_own() {
        let record = testing::experiment();
        let trials = [project::trial(&record, &testing::finished(0))];
        assert!(found(&experiment("another"), &trials).trials.is_empty());
    }
}
