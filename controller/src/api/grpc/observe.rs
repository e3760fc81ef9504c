//! `cairn.v1.Observe`: what sidecars speak.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use controller_core::experiment::ExperimentId;
use controller_core::metrics::value::number;
use controller_core::ports::{Claim, Collected, Left, NotAllowed, ObservationRow, Reporters};
use controller_core::run::{Model, RunId, Sealed};
use controller_core::time::Timestamp;
use futures::stream::{self, BoxStream, StreamExt as _};
use proto::cairn as wire;
use proto::cairn::observe_server::{Observe, ObserveServer};
use proto::cairn::report_reply::What as Reply;
use proto::cairn::report_request::What;
use study::TrialIdx;
use tokio::time::{Interval, MissedTickBehavior, interval};
use tonic::{Request, Response, Status, Streaming};

use super::refusal;
use crate::api::Api;
use crate::api::service::{ApiError, Code, Collection};

/// Largest message in bytes: a few rows of the longest line there is.
const MAX_MESSAGE: usize = 16 << 20;
/// How often it is looked whether a run is still wanted.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a program has to end that is no longer wanted.
const GRACE: Duration = Duration::from_secs(10);

/// The service; `reporters` says who may report for which run.
pub(super) fn service(api: Api, reporters: Arc<dyn Reporters>) -> ObserveServer<Door> {
    ObserveServer::new(Door { api, reporters }).max_decoding_message_size(MAX_MESSAGE)
}

/// Whoever gets here may report for every run: the guard in front has asked for the token that all share.
pub(super) struct Admitted;

#[async_trait]
impl Reporters for Admitted {
    async fn check(&self, _: Option<&str>, _: &Claim) -> Result<(), NotAllowed> {
        Ok(())
    }
}

/// Where collectors come in.
pub(super) struct Door {
    api: Api,
    reporters: Arc<dyn Reporters>,
}

#[tonic::async_trait]
impl Observe for Door {
    type ReportStream = BoxStream<'static, Result<wire::ReportReply, Status>>;

    async fn report(
        &self,
        request: Request<Streaming<wire::ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let token = token(&request);
        let mut requests = request.into_inner();
        let first = requests.message().await?.and_then(|message| message.what);
        let Some(What::Hello(hello)) = first else {
            return Err(Status::invalid_argument("the first message has to be a hello"));
        };
        let claim = claim(&hello);
        self.reporters.check(token.as_deref(), &claim).await.map_err(refusal)?;
        let collection = Collection::of(&self.api, run(&hello), &claim.namespace, &claim.trial);
        let collection = collection.await.map_err(status)?;
        let positions = collection.positions().await.map_err(status)?;
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let line = Line { requests, collection, look };
        let welcome = stream::once(async { Ok(reply(Reply::Welcome(wire::Welcome { positions }))) });
        Ok(Response::new(welcome.chain(line.replies()).boxed()))
    }
}

/// The line to one collector.
struct Line {
    requests: Streaming<wire::ReportRequest>,
    collection: Collection,
    look: Interval,
}

impl Line {
    /// Replies as they are due, until the collector hangs up or something fails.
    fn replies(self) -> impl futures::Stream<Item = Result<wire::ReportReply, Status>> {
        stream::unfold(Some(self), |line| async {
            let mut line = line?;
            match line.next().await {
                Ok(Some(what)) => Some((Ok(reply(what)), Some(line))),
                Ok(None) => None,
                Err(status) => Some((Err(status), None)),
            }
        })
    }

    async fn next(&mut self) -> Result<Option<Reply>, Status> {
        loop {
            tokio::select! {
                request = self.requests.message() => {
                    let Some(request) = request? else { return Ok(None) };
                    self.take(request.what).await?;
                    return Ok(Some(Reply::Ack(request.number)));
                }
                _ = self.look.tick() => {
                    if !self.collection.goes_on().await.map_err(status)? {
                        let grace_millis = GRACE.as_millis() as u64;
                        return Ok(Some(Reply::Stop(wire::Stop { grace_millis })));
                    }
                }
            }
        }
    }

    async fn take(&self, what: Option<What>) -> Result<(), Status> {
        match what {
            Some(What::Rows(rows)) => self.collection.keep(rows.rows.into_iter().map(row).collect()).await,
            Some(What::Met(_)) => self.collection.met().await,
            Some(What::End(end)) => {
                let left = Left {
                    model: end.model.map(model),
                    checkpoint: end.checkpoint.map(sealed),
                    refused: end.refused,
                };
                self.collection
                    .end(end.stopped_by, Collected { stopped_by: None, notes: end.notes, left })
                    .await
            }
            Some(What::Hello(_)) | None => {
                return Err(Status::invalid_argument("a message has to hold rows, rules met, or an end"));
            }
        }
        .map_err(status)
    }
}

fn reply(what: Reply) -> wire::ReportReply {
    wire::ReportReply { what: Some(what) }
}

/// The token that a request shows.
pub(super) fn token<T>(request: &Request<T>) -> Option<String> {
    let token = request.metadata().get("authorization").and_then(|value| value.to_str().ok());
    token.and_then(|text| text.split_once(' ')).map(|(_, token)| token.trim().to_owned())
}

/// The run that somebody wants to speak for.
pub(super) fn claim(hello: &wire::Hello) -> Claim {
    Claim { namespace: hello.namespace.clone(), trial: hello.trial_name.clone(), attempt: hello.attempt }
}

fn model(model: wire::Model) -> Model {
    let wire::Model { uri, digest, bytes, format, elsewhere } = model;
    Model { uri, digest, bytes, format, elsewhere, removed: None }
}

fn sealed(model: wire::Model) -> Sealed {
    Sealed { uri: model.uri, digest: model.digest, bytes: model.bytes }
}

pub(super) fn run(hello: &wire::Hello) -> RunId {
    RunId { experiment: ExperimentId(hello.experiment), trial: TrialIdx(hello.trial), attempt: hello.attempt }
}

fn row(row: wire::Row) -> ObservationRow {
    ObservationRow {
        source: row.source.into(),
        offset: row.offset,
        nth: row.nth,
        metric: row.metric.into(),
        time: row.time.map(Timestamp),
        step: row.step,
        value: number(&row.text),
        text: row.text,
    }
}

pub(super) fn status(error: ApiError) -> Status {
    match error.code {
        Code::NotFound => Status::not_found(error.message),
        Code::Invalid => Status::invalid_argument(error.message),
        Code::Conflict => Status::failed_precondition(error.message),
        Code::Unavailable => Status::unavailable(error.message),
        _ => Status::internal(error.message),
    }
}

#[cfg(test)]
mod tests {
    use controller_kube::inject::Settings;
    use proto::cairn::observe_client::ObserveClient;
    use tonic::Code as Answer;

    use super::*;
    use crate::Engine;
    use crate::config::Config;

    /// Lets in nobody but whoever shows this token for this trial.
    struct Only(&'static str);

    #[async_trait]
    impl Reporters for Only {
        async fn check(&self, token: Option<&str>, claim: &Claim) -> Result<(), NotAllowed> {
            match token {
                None => Err(NotAllowed::Unknown("there is no token".into())),
                Some("later") => Err(NotAllowed::Unavailable("nobody can tell now".into())),
                Some(token) if token == self.0 && claim.trial == "demo-x" => Ok(()),
                Some(_) => Err(NotAllowed::Forbidden("it is somebody else's".into())),
            }
        }
    }

    #[tokio::test]
    async fn whoever_may_not_report_is_told_nothing_of_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config {
            dir: folder.path().to_owned(),
            store: None,
            server: None,
            kubernetes: None,
            quota: None,
            router: None,
            sidecar: Settings::default(),
        };
        let api = Engine::open(&config).await.unwrap().api;
        let answer = async |token: Option<&str>, trial: &str| {
            let mut client = ObserveClient::new(service(api.clone(), Arc::new(Only("good"))));
            let hello =
                wire::Hello { trial_name: trial.into(), namespace: "ns1".into(), ..wire::Hello::default() };
            let hello = wire::ReportRequest { number: 0, what: Some(What::Hello(hello)) };
            let mut request = Request::new(stream::iter([hello]));
            if let Some(token) = token {
                request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
            }
            client.report(request).await.err().map(|status| status.code())
        };
        assert_eq!(answer(None, "demo-x").await, Some(Answer::Unauthenticated));
        assert_eq!(answer(Some("bad"), "demo-x").await, Some(Answer::PermissionDenied));
        assert_eq!(answer(Some("good"), "demo-y").await, Some(Answer::PermissionDenied));
        assert_eq!(answer(Some("later"), "demo-x").await, Some(Answer::Unavailable));
        assert_eq!(answer(Some("good"), "demo-x").await, Some(Answer::NotFound), "it may know that");
    }
}
