//! Events beside Experiments and Trials. Each has a name that follows from what it tells, so that telling it again, as
//! after a restart, adds nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use controller_core::experiment::{ExperimentRecord, ExperimentStatus};
use controller_core::time::Timestamp;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, ObjectMeta, PostParams};
use kube::core::DynamicObject;
use kube::{Resource as _, ResourceExt as _};
use tokio::sync::mpsc::{self, Sender};
use tokio::task::JoinSet;
use tokio_stream::wrappers::ReceiverStream;
use tracing::{info, warn};

use super::{ReconcileError, Reconciler};
use crate::answer::{self, Doing};
use crate::client::{Cluster, MANAGER};
use crate::project::{Difference, Happening, happenings};
use crate::resources::Kind;

/// Longest text of an event; the server takes no more.
const MAX_NOTE: usize = 1000;
/// Events that wait to be written; what comes beyond waits in the log.
const QUEUE: usize = 256;
/// Events that are written at once.
const AT_ONCE: usize = 4;
/// What is older is not told: a cluster forgets events after an hour, and would take them for new.
const RECENT: Duration = Duration::from_mins(30);
/// How long a Trial that is not there yet is waited for.
const LATE: Duration = Duration::from_secs(10);
/// Most of the log that is looked through when an experiment is first seen.
const LOOK_BACK: u64 = 500;

/// Writes events beside what else is done.
pub(super) struct Teller {
    queue: Sender<Event>,
    _task: JoinSet<()>,
}

impl Teller {
    pub(super) fn open(cluster: &Cluster) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let (mut task, client) = (JoinSet::new(), cluster.client.clone());
        // Why the last one that failed has failed, which is said once.
        let trouble = Arc::new(Mutex::new(String::new()));
        task.spawn(ReceiverStream::new(waiting).for_each_concurrent(AT_ONCE, move |event: Event| {
            let api =
                Api::namespaced(client.clone(), event.metadata.namespace.as_deref().unwrap_or_default());
            let trouble = Arc::clone(&trouble);
            async move {
                let Err(error) = write(&api, &event).await else { return };
                let mut before = trouble.lock().unwrap_or_else(PoisonError::into_inner);
                if *before != error {
                    warn!(error, "events cannot be written");
                    *before = error;
                }
            }
        }));
        Self { queue, _task: task }
    }

    /// Whether there was room for it.
    fn tell(&self, event: Event) -> bool {
        self.queue.try_send(event).is_ok()
    }
}

/// Writes an event, if it is not there; else why not.
async fn write(api: &Api<Event>, event: &Event) -> Result<(), String> {
    match answer::within(api.create(&PostParams::default(), event)).await {
        // Nothing is said of a namespace that is gone.
        Err(error) if !answer::is_conflict(&error) && !answer::is_not_found(&error) => {
            Err(answer::message(&error, &Doing { verb: "create", group: "", plural: "events" }))
        }
        _ => Ok(()),
    }
}

impl Reconciler {
    /// Tells what has happened to an experiment after what was told of it before; the number in its log up to which all
    /// is told.
    pub(super) async fn tell(
        &self,
        resource: &DynamicObject,
        record: &ExperimentRecord,
        status: &ExperimentStatus,
        before: Option<u64>,
    ) -> Result<u64, ReconcileError> {
        let now = self.clock.now();
        let recent = |at: Timestamp| now < at.plus(RECENT);
        let over = status.completed.is_some_and(|at| !recent(at));
        let after = before.unwrap_or_else(|| status.last_seq.saturating_sub(LOOK_BACK));
        if after >= status.last_seq || before.is_none() && over {
            return Ok(status.last_seq);
        }
        let mut told = after;
        for stored in self.store.events(record.id, after, 0).await? {
            let mut about = (Kind::Experiment, Arc::new(resource.clone()));
            if let Some(idx) = stored.event.trial().filter(|_| recent(stored.at)) {
                let name =
                    self.store.trial(record.id, idx).await?.map(|trial| trial.name).unwrap_or_default();
                match self.watched.trials.get(&record.namespace, &name) {
                    Some(trial) => about = (Kind::Trial, trial),
                    None if now < stored.at.plus(LATE) => return Ok(told),
                    // One of too many, or deleted: nobody could look it up.
                    None => {
                        told = stored.seq;
                        continue;
                    }
                }
            }
            let name = about.1.name_any();
            let all = happenings(&stored, &name).into_iter().enumerate().filter(|_| recent(stored.at));
            for (nth, happening) in all {
                let key = format!("{:x}.{nth}", stored.seq);
                if !self.teller.tell(event(about.0, &about.1, &happening, &key, stored.at)) {
                    return Ok(told);
                }
            }
            told = stored.seq;
        }
        Ok(told)
    }

    /// Says once what is to be said of an Experiment: in the log, and as an event beside it.
    pub(super) fn say(&self, resource: &DynamicObject, reason: &'static str, what: String) {
        let about = (resource.uid().unwrap_or_default(), reason);
        if self.said.lock().get(&about) == Some(&what) {
            return;
        }
        warn!(experiment = resource.name_any(), namespace = resource.namespace(), reason, "{what}");
        let happening = Happening { trial: None, warning: true, reason: reason.into(), note: what.clone() };
        let key = format!("{:x}", digest(&[reason, &what]));
        if self.teller.tell(event(Kind::Experiment, resource, &happening, &key, self.clock.now())) {
            self.said.lock().insert(about, what);
        }
    }

    /// Says that an edit of what only shows was undone.
    pub(super) fn say_reverted(&self, kind: Kind, edited: &DynamicObject, difference: Difference) {
        let part = if difference.object { "spec or labels" } else { "status" };
        let note = format!(
            "its {part} had been edited and shows what Cairn has written down again; what can be changed is the spec of \
             its Experiment"
        );
        info!(name = edited.name_any(), namespace = edited.namespace(), "{note}");
        let version = edited.resource_version().unwrap_or_default();
        let happening = Happening { trial: None, warning: true, reason: "Reverted".into(), note };
        // If there is no room for it, it is in the log.
        self.teller.tell(event(kind, edited, &happening, &format!("reverted.{version}"), self.clock.now()));
    }
}

/// An event beside an object. `key` tells it from others of the object.
fn event(kind: Kind, about: &DynamicObject, what: &Happening, key: &str, at: Timestamp) -> Event {
    let time = at.to_rfc3339().parse().ok().map(Time);
    let uid = about.uid().unwrap_or_default();
    let prefix = uid.split('-').next().unwrap_or_default();
    Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.{prefix}.{key}", about.name_any())),
            namespace: about.namespace(),
            ..ObjectMeta::default()
        },
        involved_object: ObjectReference {
            // The version would be of a moment, which those who look the event up do not know.
            resource_version: None,
            ..about.object_ref(&kind.resource())
        },
        reason: Some(what.reason.clone()),
        message: Some(what.note.chars().take(MAX_NOTE).collect()),
        type_: Some(if what.warning { "Warning" } else { "Normal" }.into()),
        count: Some(1),
        first_timestamp: time.clone(),
        last_timestamp: time,
        source: Some(EventSource { component: Some(MANAGER.into()), host: None }),
        reporting_component: Some(MANAGER.into()),
        ..Event::default()
    }
}

/// A number that follows from texts, on every machine (FNV-1a).
fn digest(texts: &[&str]) -> u64 {
    let bytes = texts.iter().flat_map(|text| text.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
