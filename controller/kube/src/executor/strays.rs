//! Pods of runs that bear no sign of it. Where an object says which pods it has, they are tagged in its templates; where
//! it does not, a webhook tags them when they are made, if there is one and the API server reaches it. What was not
//! tagged is found by who owns it.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use controller_core::run::{Exit, RunId};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use kube::core::DynamicObject;
use tokio::time::{Instant, sleep};
use tracing::warn;

use super::{Place, Shared, lock, pods};
use crate::answer::{self, Doing};
use crate::job::{self, Reading};
use crate::names;

/// How often they are looked for.
const LOOK_EVERY: Duration = Duration::from_secs(3);
/// How often a trial is begun again whose pods are made without their sidecar.
const TIMES: usize = 3;
/// Why its run is lost then. By this it is counted.
const BARE: &str = "its pod was made without its sidecar";

/// Looks for the pods of one run.
pub(super) struct Strays<'a> {
    shared: &'a Shared,
    run: RunId,
    place: &'a Place,
    reading: &'a Reading,
    /// Owners whose pods are others'.
    foreign: HashSet<String>,
    looked: Option<Instant>,
    said: bool,
}

impl<'a> Strays<'a> {
    pub(super) fn new(shared: &'a Shared, run: RunId, place: &'a Place, reading: &'a Reading) -> Self {
        Self { shared, run, place, reading, foreign: HashSet::new(), looked: None, said: false }
    }

    /// Looks for them if the object does not say which pods it has and none that counts is known to live; at its end
    /// once more. Says how soon to look again, if that matters.
    pub(super) async fn look(&mut self, object: &DynamicObject, is_over: bool) -> Option<Duration> {
        if job::has_pods(object) || (!is_over && self.has_a_living_one()) {
            return None;
        }
        let again = LOOK_EVERY.saturating_sub(self.looked.map_or(LOOK_EVERY, |looked| looked.elapsed()));
        if !is_over && !again.is_zero() {
            return Some(again);
        }
        self.looked = Some(Instant::now());
        match self.find().await {
            Ok(found) => {
                lock(&self.shared.strays).insert(self.run, found);
            }
            Err(error) if !self.said => {
                self.said = true;
                warn!(run = %self.run, error, "its pods cannot be looked for");
            }
            Err(_) => {}
        }
        Some(LOOK_EVERY)
    }

    /// Whether a tagged pod lives whose metrics count.
    fn has_a_living_one(&self) -> bool {
        let pods = self.shared.pods_of(self.run);
        let mut tagged = pods.iter().filter(|pod| job::run_id(&***pod).is_some());
        tagged.any(|pod| pods::is_primary(pod, self.reading) && !pods::is_over(pod))
    }

    /// Pods that count, bear no sign of a trial, and belong to the run's object.
    async fn find(&mut self) -> Result<Vec<Arc<Pod>>, String> {
        let labels = self.reading.pod_labels.iter().map(|(name, value)| format!(",{name}={value}"));
        let selector = std::iter::once(format!("!{}", names::TRIAL_LABEL)).chain(labels).collect::<String>();
        let api: Api<Pod> = Api::namespaced(self.shared.cluster.client.clone(), &self.place.namespace);
        // What the server remembers will do: it is looked again.
        let params = ListParams::default().labels(&selector).match_any();
        let listed = answer::within(api.list(&params)).await;
        let doing = Doing { verb: "list", group: "", plural: "pods" };
        let mut found = Vec::new();
        for pod in listed.map_err(|error| answer::message(&error, &doing))? {
            if self.is_ours(&pod).await? {
                found.push(Arc::new(pod));
            }
        }
        Ok(found)
    }

    async fn is_ours(&mut self, pod: &Pod) -> Result<bool, String> {
        let owners = pod.owner_references();
        if owners.iter().all(|owner| self.foreign.contains(&owner.uid)) {
            return Ok(false);
        }
        let is_it = |object: &DynamicObject| object.metadata.uid.as_deref() == Some(&self.place.uid);
        let above = self.shared.discovery.above(owners, &self.place.namespace, &is_it).await;
        let is_ours = above.map_err(|error| error.to_string())?.is_some();
        if !is_ours {
            self.foreign.extend(owners.iter().map(|owner| owner.uid.clone()));
        }
        Ok(is_ours)
    }
}

/// What the end of a run means whose pod was made without its sidecar: it is run again, which does not count, but not for
/// ever.
pub(super) async fn without_sidecar(shared: &Shared, run: RunId) -> Exit {
    let lost = Exit::Lost { reason: BARE.into() };
    let before = loop {
        match shared.store.runs(run.experiment, Some(run.trial)).await {
            Ok(runs) => break runs,
            Err(error) => {
                warn!(%run, %error, "how often its pods were made without a sidecar is not known yet");
            }
        }
        sleep(LOOK_EVERY).await;
    };
    let is_such = |exit: &Exit| *exit == lost;
    let times = before.iter().filter(|run| run.end.as_ref().is_some_and(|end| is_such(&end.exit))).count();
    if times < TIMES {
        return lost;
    }
    Exit::NotStarted {
        reason: format!(
            "{BARE}, {} times: see to it that the API server reaches the webhook for pods, which \
             `kubectl get mutatingwebhookconfiguration cairn.dev -o yaml` shows",
            times + 1
        ),
    }
}
