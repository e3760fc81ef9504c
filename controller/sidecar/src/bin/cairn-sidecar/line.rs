//! The line to the controller: made anew whenever it breaks, for as long as there is something to say.

use std::convert::Infallible;
use std::time::Duration;

use controller_core::sidecar::Task;
use proto::cairn as wire;
use proto::cairn::observe_client::ObserveClient;
use proto::cairn::report_reply::What as Reply;
use proto::cairn::report_request::What;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};
use tracing::{debug, warn};

use crate::door::{Door, hello};
use crate::queue::Queue;

/// Messages between the queue and the wire.
const ON_THE_WIRE: usize = 4;
/// How long the controller may be silent while it is asked for something.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Waits between lines: first and longest.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// Where the controller is, and who speaks.
pub(crate) struct Line {
    door: Door,
    hello: wire::Hello,
    stop: mpsc::Sender<Duration>,
}

impl Line {
    /// To the controller behind a door. When it wants the program's end, `stop` hears of it.
    pub(crate) fn new(door: Door, task: &Task, stop: mpsc::Sender<Duration>) -> Self {
        let hello = hello(task.run, &task.namespace, &task.trial);
        Self { door, hello, stop }
    }

    /// Sends what is in the queue, for ever.
    pub(crate) async fn keep(&self, queue: &Queue) -> Infallible {
        let mut wait = BACK_OFF.0;
        loop {
            let mut welcomed = false;
            let status = match self.hold(queue, &mut welcomed).await {
                Ok(never) => match never {},
                Err(status) => status,
            };
            if status.code() == Code::NotFound {
                warn!(status = status.message(), "the run is gone; its metrics are of no use");
                queue.give_up();
            } else {
                warn!(code = ?status.code(), status = status.message(), "the controller is away; metrics wait here");
            }
            wait = if welcomed { BACK_OFF.0 } else { (wait * 2).min(BACK_OFF.1) };
            tokio::time::sleep(wait).await;
        }
    }

    /// One line, until it breaks.
    async fn hold(&self, queue: &Queue, welcomed: &mut bool) -> Result<Infallible, Status> {
        let channel = self.door.connect().await?;
        let (send, requests) = mpsc::channel(ON_THE_WIRE);
        let hello = wire::ReportRequest { number: 0, what: Some(What::Hello(self.hello.clone())) };
        // There is room for the first.
        send.try_send(hello).map_err(|error| Status::internal(error.to_string()))?;
        let request = self.door.request(ReceiverStream::new(requests))?;
        let mut client = ObserveClient::new(channel);
        let replies = tokio::time::timeout(TIMEOUT, client.report(request)).await;
        let mut replies = replies.map_err(|_| Status::deadline_exceeded("it does not answer"))??.into_inner();
        let mut next = None;
        loop {
            let silence = tokio::time::sleep(TIMEOUT);
            tokio::select! {
                reply = replies.message() => match reply?.and_then(|reply| reply.what) {
                    Some(Reply::Welcome(welcome)) => {
                        debug!("the controller listens");
                        queue.welcomed(welcome.positions);
                        *welcomed = true;
                    }
                    Some(Reply::Ack(number)) => queue.acknowledged(number),
                    // One that waits is enough.
                    Some(Reply::Stop(stop)) => {
                        self.stop.try_send(Duration::from_millis(stop.grace_millis)).ok();
                    }
                    None => return Err(Status::unavailable("it has hung up")),
                },
                message = queue.unsent(), if *welcomed && next.is_none() => next = Some(message),
                permit = send.reserve(), if next.is_some() => {
                    let permit = permit.map_err(|_| Status::unavailable("it has hung up"))?;
                    if let Some(message) = next.take() {
                        permit.send(message);
                    }
                }
                () = silence, if !*welcomed || queue.is_awaited() => {
                    return Err(Status::deadline_exceeded("it does not answer"));
                }
            }
        }
    }
}
