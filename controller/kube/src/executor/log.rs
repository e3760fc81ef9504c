//! Reading what primary pods print, each line with the moment at which it was printed for its place, so that reading
//! again, in part or after the node has cut the log, gives no line another place.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use controller_core::ports::LogLine;
use controller_core::time::Timestamp;
use futures::AsyncBufReadExt as _;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff;
use kube::ResourceExt as _;
use kube::api::{Api, LogParams};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::pods;
use crate::answer;
use crate::client::Cluster;
use crate::job::Reading;

/// Longest line that is read whole; the rest of a longer one is passed over.
const MAX_LINE: usize = 1 << 20;
/// Waits between tries, first and longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(5));
/// How long a container may run on after its run is over, and is read.
const LINGER: Duration = Duration::from_secs(30);

/// The containers of one run that are read.
pub(super) struct Readers<'a> {
    api: Api<Pod>,
    reading: &'a Reading,
    lines: mpsc::Sender<Vec<LogLine>>,
    /// Those read so far, by pod and restart.
    opened: BTreeMap<(String, i32), String>,
    tasks: JoinSet<()>,
}

impl<'a> Readers<'a> {
    pub(super) fn new(
        cluster: &Cluster,
        namespace: &str,
        reading: &'a Reading,
        lines: mpsc::Sender<Vec<LogLine>>,
    ) -> Self {
        let api = Api::namespaced(cluster.client.clone(), namespace);
        Self { api, reading, lines, opened: BTreeMap::new(), tasks: JoinSet::new() }
    }

    /// Begins to read primary containers that have begun and are not read yet.
    pub(super) fn open(&mut self, pods: &[Arc<Pod>]) {
        if !self.reading.is_of_output() {
            return;
        }
        let of_log = |pod: &&Arc<Pod>| pods::is_primary(pod, self.reading) && !pods::has_sidecar(pod);
        for pod in pods.iter().filter(of_log) {
            let Some(status) = pods::container(pod, &self.reading.container) else { continue };
            let state = status.state.clone().unwrap_or_default();
            let key = (pod.uid().unwrap_or_default(), status.restart_count);
            if (state.running.is_none() && state.terminated.is_none()) || self.opened.contains_key(&key) {
                continue;
            }
            let created =
                pod.creation_timestamp().map(|time| Timestamp(time.0.as_microsecond()).to_rfc3339());
            // In the order of the alphabet as in that of time.
            let source =
                format!("{} {} {}", created.unwrap_or_default(), pod.name_any(), status.restart_count);
            let container = Container {
                api: self.api.clone(),
                pod: pod.name_any(),
                name: self.reading.container.clone(),
                restarts: status.restart_count,
                source: source.into(),
                last: None,
            };
            self.opened.insert(key, pod.name_any());
            self.tasks.spawn(container.read(self.lines.clone()));
        }
    }

    /// Reads everything to its end. Of a container that runs on though the run is over only a while more is read.
    pub(super) async fn finish(mut self, pods: impl Fn() -> Vec<Arc<Pod>>) {
        self.open(&pods());
        loop {
            match timeout(LINGER, self.tasks.join_next()).await {
                Ok(None) => return,
                Err(_) if pods().iter().any(|pod| self.is_running(pod)) => return,
                // One more is read, or nothing but the server keeps its end from being read.
                Ok(Some(_)) | Err(_) => {}
            }
        }
    }

    fn is_running(&self, pod: &Pod) -> bool {
        let status = pods::container(pod, &self.reading.container);
        status.and_then(|status| status.state.as_ref()).is_some_and(|state| state.running.is_some())
    }
}

/// A container from one start to its end.
struct Container {
    api: Api<Pod>,
    pod: String,
    name: String,
    restarts: i32,
    source: Arc<str>,
    /// Place of the last line that was taken in.
    last: Option<u64>,
}

impl Container {
    /// Reads until the container has ended and nothing more comes.
    async fn read(mut self, lines: mpsc::Sender<Vec<LogLine>>) {
        let mut wait = BACK_OFF.0;
        loop {
            let before = self.last;
            let over = match self.stream(&lines).await {
                Ok(()) => self.is_over().await,
                Err(error) if answer::is_not_found(&error) => true,
                Err(error) => {
                    debug!(pod = self.pod, error = answer::chain(&error), "a log is read again");
                    false
                }
            };
            // Nobody listens any more, or there is nothing more to hear.
            if over || lines.is_closed() {
                return;
            }
            wait = if self.last == before { (wait * 2).min(BACK_OFF.1) } else { BACK_OFF.0 };
            sleep(wait).await;
        }
    }

    /// Whether this start of the container has ended, or nobody knows of it any more.
    async fn is_over(&self) -> bool {
        match answer::within(self.api.get_opt(&self.pod)).await {
            Ok(Some(pod)) => pods::container(&pod, &self.name).is_none_or(|status| {
                let ended = status.state.as_ref().is_some_and(|state| state.terminated.is_some());
                ended || status.restart_count != self.restarts
            }),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Takes in lines after those already taken, until the server ends the stream.
    async fn stream(&mut self, lines: &mpsc::Sender<Vec<LogLine>>) -> Result<(), kube::Error> {
        let since =
            self.last.and_then(|last| jiff::Timestamp::from_second((last / 1_000_000_000) as i64).ok());
        let params = LogParams {
            container: Some(self.name.clone()),
            follow: true,
            timestamps: true,
            since_time: since,
            ..LogParams::default()
        };
        let mut stream = pin!(answer::within(self.api.log_stream(&self.pod, &params)).await?);
        let mut lined = Lines::default();
        let known = self.last;
        loop {
            let chunk = stream.fill_buf().await.map_err(kube::Error::ReadEvents)?;
            let length = chunk.len();
            let whole = if length == 0 { lined.rest() } else { lined.push(chunk) };
            let mut taken = Vec::new();
            for line in whole {
                let Some((place, time, text)) = stamped(&line.text) else { continue };
                if known.is_none_or(|known| place > known) {
                    self.last = Some(place);
                    taken.push(LogLine { source: Arc::clone(&self.source), place, time, text });
                }
            }
            if !taken.is_empty() && lines.send(taken).await.is_err() {
                return Ok(());
            }
            if length == 0 {
                return Ok(());
            }
            stream.consume_unpin(length);
        }
    }
}

/// Pieces put together to lines.
#[derive(Default)]
pub(super) struct Lines {
    partial: Vec<u8>,
    /// Bytes of the line at hand that were passed over.
    over: u64,
}

/// A line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) text: Bytes,
    /// How long it is, with what was passed over.
    pub(super) length: u64,
}

impl Lines {
    /// The lines that are whole by now.
    pub(super) fn push(&mut self, chunk: &[u8]) -> Vec<Line> {
        let mut whole = Vec::new();
        let mut pieces = chunk.split(|byte| *byte == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            let room = MAX_LINE.saturating_sub(self.partial.len()).min(piece.len());
            self.partial.extend_from_slice(&piece[..room]);
            self.over += (piece.len() - room) as u64;
            if pieces.peek().is_some() {
                whole.push(self.take());
            }
        }
        whole
    }

    /// A last line without an end.
    pub(super) fn rest(&mut self) -> Vec<Line> {
        if self.partial.is_empty() { Vec::new() } else { vec![self.take()] }
    }

    fn take(&mut self) -> Line {
        let text = Bytes::from(std::mem::take(&mut self.partial));
        let length = text.len() as u64 + std::mem::take(&mut self.over);
        Line { text, length }
    }
}

/// A line as the server stamps it: nanoseconds since 1970, the same as a time, and what was printed.
pub(super) fn stamped(line: &Bytes) -> Option<(u64, Timestamp, Bytes)> {
    let space = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
    let stamp = std::str::from_utf8(&line[..space]).ok()?;
    let time = Timestamp::parse_rfc3339(stamp)?;
    let fraction = stamp.split_once('.').map_or("", |(_, rest)| rest);
    let below_micros = fraction.bytes().take_while(u8::is_ascii_digit).skip(6).take(3);
    let nanos =
        below_micros.zip([100, 10, 1]).map(|(digit, worth)| u64::from(digit - b'0') * worth).sum::<u64>();
    let place = u64::try_from(time.0).ok()? * 1000 + nanos;
    Some((place, time, line.slice((space + 1).min(line.len())..)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_s_place_is_the_nanosecond_of_its_stamp() {
        let of = |line: &'static str| {
            stamped(&Bytes::from_static(line.as_bytes())).map(|(place, time, text)| (place, time.0, text))
        };
        assert_eq!(
            of("1970-01-01T00:00:01.123456789Z loss=0.5 a"),
            Some((1_123_456_789, 1_123_456, Bytes::from_static(b"loss=0.5 a")))
        );
        assert_eq!(
            of("1970-01-01T01:00:01.5+01:00 x"),
            Some((1_500_000_000, 1_500_000, Bytes::from_static(b"x")))
        );
        assert_eq!(of("1970-01-01T00:00:01Z"), Some((1_000_000_000, 1_000_000, Bytes::new())));
        assert_eq!(of("unable to retrieve container logs"), None);
    }

    #[test]
    fn lines_are_the_same_however_they_are_cut() {
        let text = b"one\ntwo\n\nthree";
        for cut in 0..text.len() {
            let mut lines = Lines::default();
            let mut whole = lines.push(&text[..cut]);
            whole.extend(lines.push(&text[cut..]));
            whole.extend(lines.rest());
            let line = |text: &'static str| Line { text: text.into(), length: text.len() as u64 };
            assert_eq!(whole, ["one", "two", "", "three"].map(line), "cut at {cut}");
        }
    }
}
