//! One run, from the making of its object to its end.

use std::sync::Arc;
use std::time::Duration;

use controller_core::ports::{Collected, LogLine};
use controller_core::run::{Checkpoint, Exit, RunEnd, RunId, RunPhase, RunStatus, STARTING};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::core::DynamicObject;
use study::Rule;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tracing::warn;

use super::again::{self, Again};
use super::log::Readers;
use super::strays::{self, Strays};
use super::{Place, Shared, Stop, pods};
use crate::answer;
use crate::job::{self, Reading};

/// How often a run is looked at though nothing was said of it.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// How much longer sidecars may have something to say after their run is over.
const LINGER: Duration = Duration::from_mins(1);
/// Why a run is lost whose program has not failed.
const SIDECAR_FAILED: &str = "the sidecar of its pod has failed";
/// Why a run has failed whose program has not, where it is said where its model is to be kept.
const NOT_KEPT: &str = "its sidecar was ended before it had kept what the program left; a pod whose sidecar is killed \
                        while it sends a model needs a longer terminationGracePeriodSeconds, or more memory for it";
/// How long a run may have no pods before it is asked why: mostly they are made a moment later.
const NO_PODS: Duration = Duration::from_secs(2);
/// How long an object may not have come by the watch before it is asked for.
const NOT_YET_SEEN: Duration = Duration::from_secs(1);
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
    pub(super) stopped: watch::Receiver<Stop>,
    pub(super) bell: Arc<Notify>,
    /// When it was first looked at.
    pub(super) begun: Instant,
}

/// What there is of a run's object.
enum Seen {
    There(Arc<DynamicObject>),
    Gone,
    /// The server does not say.
    Unknown,
}

impl Tender {
    /// Tends the run until its end is said, which is once everything that it has printed is safe. `made` is its object as
    /// it was met.
    pub(super) async fn tend(self, made: Arc<DynamicObject>) {
        let (lines, printed) = mpsc::channel(BATCHES);
        let (met, rule) = watch::channel(None);
        let bell = Arc::clone(&self.bell);
        let stop = move |rule: Rule| {
            met.send_replace(Some(rule));
            bell.notify_one();
        };
        let wanted = self.reading.wanted(self.run);
        let collecting = self.shared.collector.collect(&wanted, ReceiverStream::new(printed).boxed(), &stop);
        let ((mut end, reported), read) = tokio::join!(self.follow(made, lines, rule), collecting);
        // Also one that was cut short: its next attempt goes on from there.
        let left = reported.left.checkpoint.as_ref();
        end.checkpoint =
            left.map(|left| Checkpoint { run: self.run, digest: left.digest.clone(), bytes: left.bytes });
        if end.exit.is_success() {
            // What it should have left and did not is its failure, wherever it runs.
            match reported.left.refused {
                Some(reason) => end.exit = Exit::BadOutput { reason },
                None => end.model = reported.left.model,
            }
        }
        let notes = std::iter::once(end.message.clone()).filter(|text| !text.is_empty());
        let message = notes.chain(reported.notes).chain(read.notes).collect::<Vec<_>>().join("; ");
        let stopped_by = reported.stopped_by.or(read.stopped_by);
        self.publish(RunPhase::Ended(RunEnd { stopped_by, message, ..end }));
    }

    /// What sidecars have found, once none has more to say. A run that has failed by its sidecar alone, after that had said
    /// everything, has not failed.
    async fn reported(&self, end: &mut RunEnd) -> Collected {
        let begun = Instant::now();
        let keeps = self.shared.settings.store_of(&self.reading.artifacts).is_some();
        let linger = if keeps { pods::KEEPING } else { LINGER };
        while self.pods().iter().any(|pod| pods::is_reporting(pod)) && begun.elapsed() < linger {
            self.hear(LOOK_EVERY).await;
        }
        let said = self.collected().await;
        let is_told = said.is_some();
        let Again { mut collected, is_whole } = match said {
            // Of several it may be any that has said so.
            Some(collected) => Again { collected, is_whole: self.sidecars().len() <= 1 },
            None => self.again().await,
        };
        // Whoever says where it is to be kept wants it.
        let is_lost = !is_told && self.reading.artifacts.store.is_some() && !self.sidecars().is_empty();
        if is_lost && collected.left.refused.is_none() {
            collected.left.refused = Some(NOT_KEPT.into());
        }
        let by_sidecar = matches!(&end.exit, Exit::Lost { reason } if reason.starts_with(SIDECAR_FAILED));
        if by_sidecar && is_whole && pods::have_succeeded(&self.pods(), &self.reading) {
            end.exit = Exit::Code { code: 0 };
        }
        collected
    }

    /// What a sidecar has said at its end.
    async fn collected(&self) -> Option<Collected> {
        loop {
            match self.shared.store.collected(self.run).await {
                Ok(collected) => return collected,
                Err(error) => {
                    warn!(run = %self.run, %error, "what its sidecar has reported cannot be read yet");
                }
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// What can be had where no sidecar has said that it has ended.
    async fn again(&self) -> Again {
        let pods = self.sidecars();
        if pods.is_empty() {
            return Again { collected: Collected::default(), is_whole: false };
        }
        if !self.reading.is_of_output() {
            let notes = vec!["its sidecar was ended before it had reported everything".to_owned()];
            return Again { collected: Collected { notes, ..Collected::default() }, is_whole: false };
        }
        let again = again::read(&self.shared, self.run, &self.reading, &pods).await;
        if again.is_whole {
            self.keep(&again.collected).await;
        }
        again
    }

    /// Writes down that everything of the run is in the store, so that nobody reads it once more.
    async fn keep(&self, collected: &Collected) {
        while let Err(error) =
            self.shared.store.put_collected(self.run, collected, self.shared.clock.now()).await
        {
            warn!(run = %self.run, %error, "the end of its metrics cannot be written down yet");
            sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until something may have happened, but not longer than this.
    async fn hear(&self, wait: Duration) {
        tokio::select! {
            () = self.bell.notified() => {}
            () = sleep(wait) => {}
        }
    }

    /// Looks at the run, and has its pods read, until it is over and all of them are read.
    async fn follow(
        &self,
        made: Arc<DynamicObject>,
        lines: mpsc::Sender<Vec<LogLine>>,
        rule: watch::Receiver<Option<Rule>>,
    ) -> (RunEnd, Collected) {
        let mut readers = Readers::new(&self.shared.cluster, &self.place.namespace, &self.reading, lines);
        let mut strays = Strays::new(&self.shared, self.run, &self.place, &self.reading);
        let (mut gone, mut bare) = (false, false);
        let mut made = Some(made);
        loop {
            let (seen, mut wait) = (self.look(&mut made).await, LOOK_EVERY);
            if made.is_some() {
                wait = NOT_YET_SEEN;
            }
            if let Seen::There(object) = &seen {
                let again = strays.look(object, self.is_over(object)).await;
                wait = again.map_or(wait, |again| again.min(wait));
            }
            let pods = self.pods();
            readers.open(&pods);
            let was_bare = bare;
            bare |= pods.iter().any(|pod| pods::is_bare(pod, &self.reading));
            let over = match seen {
                Seen::There(object) => self.judge(&object, &pods).await,
                Seen::Gone => Some(self.gone(&pods)),
                Seen::Unknown => None,
            };
            if let Some(mut end) = over {
                if bare && end.exit != Exit::Stopped {
                    end.exit = strays::without_sidecar(&self.shared, self.run).await;
                }
                readers.finish(|| self.pods()).await;
                let reported = self.reported(&mut end).await;
                return (end, reported);
            }
            if bare && !was_bare {
                warn!(run = %self.run, "a pod was made without its sidecar, and its run is ended");
            }
            if !gone && (bare || rule.borrow().is_some()) {
                match self.shared.delete(&self.place).await {
                    Ok(()) => gone = true,
                    Err(error) => warn!(run = %self.run, %error, "a run could not be ended yet"),
                }
            }
            self.hear(wait).await;
        }
    }

    /// Whether its object says that the run is over.
    fn is_over(&self, object: &DynamicObject) -> bool {
        let status = job::status(object, self.shared.clock.now());
        status.is_ok_and(|status| matches!(status.phase, RunPhase::Ended(_)))
    }

    /// How the run goes by its object and pods; its end, if it is over.
    async fn judge(&self, object: &DynamicObject, pods: &[Arc<Pod>]) -> Option<RunEnd> {
        let phase = match job::status(object, self.shared.clock.now()) {
            Ok(status) => status.phase,
            Err(error) => RunPhase::Waiting { reason: answer::chain(&error) },
        };
        match phase {
            RunPhase::Ended(mut end) => {
                let was_told = *self.stopped.borrow() == Stop::BySidecar;
                if was_told && matches!(end.exit, Exit::Code { code: 0 } | Exit::Failed { .. }) {
                    end.exit = Exit::Stopped;
                } else if matches!(end.exit, Exit::Failed { .. })
                    && let Some(why) = pods::sidecar_failure(pods, &self.reading)
                {
                    end.exit = Exit::Lost { reason: format!("{SIDECAR_FAILED}: {why}") };
                } else if let Exit::Failed { message, .. } = &mut end.exit
                    && let Some(why) = pods::failure(pods, &self.reading.container)
                {
                    *message = if message.is_empty() { why } else { format!("{message}; {why}") };
                }
                return Some(end);
            }
            // Pods that are not tagged by us cannot be seen.
            RunPhase::Running { since, slots } if job::has_pods(object) => {
                let started = pods::started(pods, &self.reading, since);
                let phase = match (started, pods::unheard(pods, &self.reading)) {
                    (Some(since), None) => RunPhase::Running { since, slots },
                    // What it reports is lost until somebody sees to that.
                    (Some(_), Some(reason)) => RunPhase::Waiting { reason },
                    (None, _) => RunPhase::Waiting { reason: self.waits_for(pods).await },
                };
                self.publish(phase);
            }
            other => self.publish(other),
        }
        None
    }

    /// Why none of its programs has begun, in one line; on its way, if nothing keeps it.
    async fn waits_for(&self, pods: &[Arc<Pod>]) -> String {
        let mut reason = pods::keeps(pods);
        if pods.is_empty() && self.begun.elapsed() > NO_PODS {
            reason = self.shared.warnings.newest(&self.place).await;
        }
        reason.unwrap_or_else(|| STARTING.into())
    }

    /// The end of a run whose object is gone.
    fn gone(&self, pods: &[Arc<Pod>]) -> RunEnd {
        let exit = if *self.stopped.borrow() == Stop::Not {
            Exit::Lost { reason: format!("its {} was deleted", self.place.objects.kind().kind) }
        } else {
            Exit::Stopped
        };
        let (started, slots) = match &*self.say.borrow() {
            RunPhase::Running { since, slots } => (Some(*since), slots.clone()),
            _ => (None, Vec::new()),
        };
        let message = pods::failure(pods, &self.reading.container).unwrap_or_default();
        let ended = self.shared.clock.now();
        RunEnd { exit, started, ended, slots, stopped_by: None, message, model: None, checkpoint: None }
    }

    /// What there is of its object. One that was `made` this moment need not have come by the watch.
    async fn look(&self, made: &mut Option<Arc<DynamicObject>>) -> Seen {
        let Place { objects, namespace, name, uid } = &self.place;
        let is_it = |object: &DynamicObject| object.metadata.uid.as_deref() == Some(uid);
        if !objects.may_be_old() {
            if let Some(object) = objects.get(namespace, name).filter(|object| is_it(object)) {
                *made = None;
                return Seen::There(object);
            }
            if let Some(object) = made.as_ref().filter(|_| self.begun.elapsed() < NOT_YET_SEEN) {
                return Seen::There(Arc::clone(object));
            }
        }
        *made = None;
        // Of a kind that went away no watch tells an end.
        let api = self.shared.cluster.api(objects.kind(), namespace);
        match answer::within(api.get_opt(name)).await {
            Ok(Some(object)) if is_it(&object) => Seen::There(Arc::new(object)),
            Ok(_) => Seen::Gone,
            // With their kind all objects of it are gone.
            Err(error) if answer::is_no_kind(&error) => Seen::Gone,
            Err(_) => Seen::Unknown,
        }
    }

    /// Pods whose sidecars, if they are our own, have begun.
    fn sidecars(&self) -> Vec<Arc<Pod>> {
        let is_ours = self.reading.collector.kind() != "Custom";
        let mut pods = self.pods();
        pods.retain(|pod| is_ours && pods::has_begun_to_report(pod));
        pods
    }

    fn pods(&self) -> Vec<Arc<Pod>> {
        self.shared.pods_of(self.run)
    }

    fn publish(&self, phase: RunPhase) {
        if *self.say.borrow() == phase {
            return;
        }
        self.say.send_replace(phase.clone());
        // Nobody may be listening.
        self.shared.changes.send(Arc::new(RunStatus { run: self.run, phase })).ok();
    }
}
