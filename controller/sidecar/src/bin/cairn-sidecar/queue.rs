//! What is on its way to the controller.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use controller_core::ports::{Collected, ObservationRow, ObservationSink, StoreError};
use controller_core::run::{RunId, Sealed};
use proto::cairn as wire;
use proto::cairn::report_request::What;
use tokio::sync::{Notify, watch};

use crate::keep::to_proto;

/// Bytes that may be on their way; beyond that reading waits, and files are read later.
const ROOM: usize = 8 << 20;
/// Bytes of one message, unless a single row has more.
const MESSAGE: usize = 1 << 20;
/// What a row takes beside its texts.
const ROW: usize = 64;
/// How long is waited for the controller to say what it has.
const WELCOME: Duration = Duration::from_secs(5);

/// Messages in their order, each kept until the controller says that it is safe there.
pub(crate) struct Queue {
    run: RunId,
    /// Before the name of each source.
    pod: String,
    waiting: Mutex<Waiting>,
    /// Rung when there is something to send.
    more: Notify,
    /// Rung when something is safe.
    less: Notify,
    positions: watch::Sender<Option<BTreeMap<String, u64>>>,
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<(usize, wire::ReportRequest)>,
    bytes: usize,
    /// The number of the last message.
    last: u64,
    /// How many of the first are sent on the line that there is.
    sent: usize,
    /// Nobody wants any of it.
    useless: bool,
}

impl Queue {
    /// Of one of a run's pods, if it has several.
    pub(crate) fn new(run: RunId, pod: Option<&str>) -> Self {
        let (positions, _) = watch::channel(None);
        let pod = pod.map(|uid| format!("{uid} ")).unwrap_or_default();
        Self { run, pod, waiting: Mutex::default(), more: Notify::new(), less: Notify::new(), positions }
    }

    /// The rules are met, and the program cannot be stopped from here.
    pub(crate) async fn met(&self) {
        self.put(0, What::Met(wire::Met {})).await;
    }

    /// There is nothing more.
    pub(crate) async fn end(&self, stopped_by: Option<u32>, collected: Collected) {
        let Collected { notes, left, .. } = collected;
        let checkpoint = left.checkpoint.map(|sealed| {
            let Sealed { uri, digest, bytes } = sealed;
            wire::Model { uri, digest, bytes, ..wire::Model::default() }
        });
        let model = left.model.as_ref().map(to_proto);
        let end = wire::End { stopped_by, notes, model, checkpoint, refused: left.refused };
        self.put(0, What::End(end)).await;
    }

    /// Waits until everything is safe.
    pub(crate) async fn is_safe(&self) {
        loop {
            let less = self.less.notified();
            if self.lock().messages.is_empty() {
                return;
            }
            less.await;
        }
    }

    /// Waits for a message that has not been sent on this line.
    pub(crate) async fn unsent(&self) -> wire::ReportRequest {
        loop {
            let more = self.more.notified();
            {
                let mut waiting = self.lock();
                let next = waiting.messages.get(waiting.sent).map(|(_, message)| message.clone());
                if let Some(next) = next {
                    waiting.sent += 1;
                    return next;
                }
            }
            more.await;
        }
    }

    /// There is a new line, on which nothing has been sent, to a controller that has come so far.
    pub(crate) fn welcomed(&self, positions: BTreeMap<String, u64>) {
        self.lock().sent = 0;
        let own = |(source, place): (String, u64)| Some((source.strip_prefix(&self.pod)?.to_owned(), place));
        self.positions.send_replace(Some(positions.into_iter().filter_map(own).collect()));
    }

    /// Whether something was sent that is not known to be safe.
    pub(crate) fn is_awaited(&self) -> bool {
        self.lock().sent > 0
    }

    /// Everything up to this number is safe.
    pub(crate) fn acknowledged(&self, number: u64) {
        let mut waiting = self.lock();
        while waiting.messages.front().is_some_and(|(_, message)| message.number <= number) {
            let bytes = waiting.messages.pop_front().map_or(0, |(bytes, _)| bytes);
            waiting.bytes -= bytes;
            waiting.sent = waiting.sent.saturating_sub(1);
        }
        drop(waiting);
        self.less.notify_waiters();
    }

    /// The run is gone: nothing of it is wanted any more.
    pub(crate) fn give_up(&self) {
        *self.lock() = Waiting { useless: true, ..Waiting::default() };
        self.less.notify_waiters();
    }

    async fn put(&self, bytes: usize, what: What) {
        loop {
            let less = self.less.notified();
            {
                let mut waiting = self.lock();
                if waiting.useless {
                    return;
                }
                if waiting.bytes == 0 || waiting.bytes + bytes <= ROOM {
                    waiting.last += 1;
                    waiting.bytes += bytes;
                    let number = waiting.last;
                    waiting.messages.push_back((bytes, wire::ReportRequest { number, what: Some(what) }));
                    break;
                }
            }
            less.await;
        }
        self.more.notify_one();
    }

    fn to_proto(&self, row: ObservationRow) -> wire::Row {
        wire::Row {
            source: format!("{}{}", self.pod, row.source),
            offset: row.offset,
            nth: row.nth,
            metric: row.metric.to_string(),
            time: row.time.map(|time| time.0),
            step: row.step,
            text: row.text,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing is left half done under this lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ObservationSink for Queue {
    /// Takes the rows as soon as there is room. They are safe once everything is ([`Queue::is_safe`]), so that a
    /// controller that is away stops nobody from reading what would not be there later.
    async fn append(&self, _: &RunId, rows: Vec<ObservationRow>) -> Result<(), StoreError> {
        let (mut bytes, mut some) = (0, Vec::new());
        for row in rows {
            let size = ROW + row.text.len() + row.metric.len() + row.source.len();
            if bytes + size > MESSAGE && !some.is_empty() {
                self.put(bytes, What::Rows(wire::Rows { rows: std::mem::take(&mut some) })).await;
                bytes = 0;
            }
            bytes += size;
            some.push(self.to_proto(row));
        }
        if !some.is_empty() {
            self.put(bytes, What::Rows(wire::Rows { rows: some })).await;
        }
        Ok(())
    }

    async fn positions(&self, _: &RunId) -> Result<BTreeMap<String, u64>, StoreError> {
        let mut positions = self.positions.subscribe();
        let known = tokio::time::timeout(WELCOME, positions.wait_for(Option::is_some)).await;
        let known = known.ok().and_then(|known| known.ok()?.clone());
        known.ok_or_else(|| StoreError::Unavailable(format!("the controller of run {} is away", self.run)))
    }
}

#[cfg(test)]
mod tests {
    use controller_core::experiment::ExperimentId;
    use study::TrialIdx;

    use super::*;

    const RUN: RunId = RunId { experiment: ExperimentId(1), trial: TrialIdx(0), attempt: 1 };

    fn row(offset: u64, length: usize) -> ObservationRow {
        ObservationRow {
            source: "stdout".into(),
            offset,
            nth: 0,
            metric: "loss".into(),
            time: None,
            step: 0,
            text: "x".repeat(length),
            value: None,
        }
    }

    #[tokio::test]
    async fn what_was_not_acknowledged_is_sent_again_on_the_next_line() {
        let queue = Queue::new(RUN, None);
        for offset in 0..3 {
            queue.append(&RUN, vec![row(offset, 1)]).await.unwrap();
        }
        queue.welcomed(BTreeMap::new());
        let numbers = [queue.unsent().await.number, queue.unsent().await.number];
        assert_eq!(numbers, [1, 2]);
        queue.acknowledged(1);
        queue.welcomed(BTreeMap::new());
        assert_eq!([queue.unsent().await.number, queue.unsent().await.number], [2, 3]);
        queue.acknowledged(3);
        queue.is_safe().await;
        assert!(!queue.is_awaited());
    }

    #[tokio::test]
    async fn messages_are_small_and_no_more_is_taken_in_than_there_is_room_for() {
        let queue = Queue::new(RUN, None);
        let rows: Vec<_> = (0..20).map(|offset| row(offset, MESSAGE / 2)).collect();
        let taken = tokio::time::timeout(Duration::from_millis(50), queue.append(&RUN, rows)).await;
        assert!(taken.is_err(), "it waits for room");
        assert!(queue.lock().bytes <= ROOM);
        assert!(queue.lock().messages.iter().all(|(bytes, _)| *bytes <= MESSAGE));
        queue.give_up();
        queue.append(&RUN, vec![row(0, 1)]).await.unwrap();
        queue.is_safe().await;
    }

    #[tokio::test]
    async fn rows_of_one_pod_are_told_from_those_of_another() {
        let queue = Queue::new(RUN, Some("u1"));
        queue.append(&RUN, vec![row(0, 1)]).await.unwrap();
        let there = [("u1 stdout", 5), ("u2 stdout", 7)].map(|(source, place)| (source.to_owned(), place));
        queue.welcomed(there.into());
        assert_eq!(queue.positions(&RUN).await.unwrap(), BTreeMap::from([("stdout".to_owned(), 5)]));
        let Some(What::Rows(rows)) = queue.unsent().await.what else { panic!("rows come first") };
        assert_eq!(rows.rows[0].source, "u1 stdout");
    }
}
