//! One run, from the making of its object to its end.

use std::sync::Arc;
use std::time::Duration;

use controller_core::ports::LogLine;
use controller_core::run::{Exit, RunEnd, RunId, RunPhase, RunStatus};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use study::Rule;
use tokio::sync::{Notify, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tracing::warn;

use super::log::Readers;
use super::{Place, Shared, pods};
use crate::answer;
use crate::job::{self, Reading, run_id};

/// How often a run is looked at though nothing was said of it.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Batches of lines on their way to the collector; reading waits while there are more.
const BATCHES: usize = 16;

/// Tends one run.
pub(super) struct Tender {
    pub(super) shared: Arc<Shared>,
    pub(super) run: RunId,
    pub(super) place: Place,
    pub(super) reading: Reading,
    pub(super) say: watch::Sender<RunPhase>,
    /// Whether it was told to stop.
    pub(super) stopped: watch::Receiver<bool>,
    pub(super) bell: Arc<Notify>,
}

/// What there is of a run's object.
enum Seen {
    There(Arc<DynamicObject>),
    Gone,
    /// The server does not say.
    Unknown,
}

impl Tender {
    /// Tends the run until its end is said, which is once everything that it has printed is safe.
    pub(super) async fn tend(self) {
        let (lines, printed) = mpsc::channel(BATCHES);
        let (met, rule) = watch::channel(None);
        let bell = Arc::clone(&self.bell);
        let stop = move |rule: Rule| {
            met.send_replace(Some(rule));
            bell.notify_one();
        };
        let wanted = self.reading.wanted(self.run);
        let collecting = self.shared.collector.collect(&wanted, ReceiverStream::new(printed).boxed(), &stop);
        let (end, collected) = tokio::join!(self.follow(lines, rule), collecting);
        let notes = std::iter::once(end.message.clone()).filter(|text| !text.is_empty());
        let message = notes.chain(collected.notes).collect::<Vec<_>>().join("; ");
        self.publish(RunPhase::Ended(RunEnd { stopped_by: collected.stopped_by, message, ..end }));
    }

    /// Looks at the run, and has its pods read, until it is over and all of them are read.
    async fn follow(&self, lines: mpsc::Sender<Vec<LogLine>>, rule: watch::Receiver<Option<Rule>>) -> RunEnd {
        let mut readers = Readers::new(&self.shared.cluster, &self.place.namespace, &self.reading, lines);
        let mut ruled = false;
        loop {
            let (seen, pods) = (self.look().await, self.pods());
            readers.open(&pods);
            let over = match seen {
                Seen::There(object) => self.judge(&object, &pods).await,
                Seen::Gone => Some(self.gone(&pods)),
                Seen::Unknown => None,
            };
            if let Some(end) = over {
                readers.finish(|| self.pods()).await;
                return end;
            }
            if !ruled && rule.borrow().is_some() {
                match self.shared.delete(&self.place).await {
                    Ok(()) => ruled = true,
                    Err(error) => warn!(run = %self.run, %error, "a rule could not stop a run yet"),
                }
            }
            tokio::select! {
                () = self.bell.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// How the run goes by its object and pods; its end, if it is over.
    async fn judge(&self, object: &DynamicObject, pods: &[Arc<Pod>]) -> Option<RunEnd> {
        let phase = match job::status(object, self.shared.clock.now()) {
            Ok(status) => status.phase,
            Err(error) => RunPhase::Waiting { reason: answer::chain(&error) },
        };
        match phase {
            RunPhase::Ended(mut end) => {
                if let Exit::Failed { message, .. } = &mut end.exit
                    && let Some(why) = pods::failure(pods, &self.reading.container)
                {
                    *message = if message.is_empty() { why } else { format!("{message}; {why}") };
                }
                return Some(end);
            }
            // Pods that are not tagged by us cannot be seen.
            RunPhase::Running { since, slots } if job::has_pods(object) => {
                let phase = if let Some(since) = pods::started(pods, &self.reading, since) {
                    RunPhase::Running { since, slots }
                } else {
                    let reason = pods::waiting(&self.shared.cluster, &self.place, pods).await;
                    RunPhase::Waiting { reason }
                };
                self.publish(phase);
            }
            other => self.publish(other),
        }
        None
    }

    /// The end of a run whose object is gone.
    fn gone(&self, pods: &[Arc<Pod>]) -> RunEnd {
        let exit = if *self.stopped.borrow() {
            Exit::Stopped
        } else {
            Exit::Lost { reason: format!("its {} was deleted", self.place.objects.kind().kind) }
        };
        let (started, slots) = match &*self.say.borrow() {
            RunPhase::Running { since, slots } => (Some(*since), slots.clone()),
            _ => (None, Vec::new()),
        };
        let message = pods::failure(pods, &self.reading.container).unwrap_or_default();
        let ended = self.shared.clock.now();
        RunEnd { exit, started, ended, slots, stopped_by: None, message, model: None }
    }

    async fn look(&self) -> Seen {
        let Place { objects, namespace, name, uid } = &self.place;
        let is_it = |object: &DynamicObject| object.metadata.uid.as_deref() == Some(uid);
        if let Some(object) = objects.get(namespace, name).filter(|object| is_it(object)) {
            return Seen::There(object);
        }
        // What was made this moment need not have come by the watch.
        let api = self.shared.cluster.api(objects.kind(), namespace);
        match answer::within(api.get_opt(name)).await {
            Ok(Some(object)) if is_it(&object) => Seen::There(Arc::new(object)),
            Ok(_) => Seen::Gone,
            Err(_) => Seen::Unknown,
        }
    }

    /// Pods of the run, oldest first.
    fn pods(&self) -> Vec<Arc<Pod>> {
        let mut pods = self.shared.pods.all();
        pods.retain(|pod| run_id(&**pod) == Some(self.run));
        pods.sort_by_key(|pod| pods::order(pod));
        pods
    }

    fn publish(&self, phase: RunPhase) {
        if *self.say.borrow() == phase {
            return;
        }
        self.say.send_replace(phase.clone());
        // Nobody may be listening.
        self.shared.changes.send(RunStatus { run: self.run, phase }).ok();
    }
}
