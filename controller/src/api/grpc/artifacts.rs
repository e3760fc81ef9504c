//! `cairn.v1.Artifacts`: Cairn's own store, for the sidecars of pods.

use std::sync::Arc;

use artifacts::Incoming;
use controller_core::artifacts::key_of;
use controller_core::ports::{ArtifactError, ArtifactSource as _, Claim, Reporters};
use futures::stream::{self, BoxStream, StreamExt as _};
use proto::cairn as wire;
use proto::cairn::artifacts_server::{Artifacts, ArtifactsServer};
use proto::cairn::put_reply::What as Reply;
use proto::cairn::put_request::What;
use tonic::{Request, Response, Status, Streaming};

use super::observe::{claim, run, status, token};
use super::refusal;
use crate::api::Api;
use crate::api::service::Collection;
use crate::artifacts::Own;

/// Largest message in bytes: a piece of a file, with room.
const MAX_MESSAGE: usize = 4 << 20;

/// The service; `reporters` says who may speak for which run.
pub(super) fn service(api: Api, reporters: Arc<dyn Reporters>) -> ArtifactsServer<Shelf> {
    ArtifactsServer::new(Shelf { api, reporters }).max_decoding_message_size(MAX_MESSAGE)
}

/// Where sidecars put files, and take them from.
pub(super) struct Shelf {
    api: Api,
    reporters: Arc<dyn Reporters>,
}

impl Shelf {
    /// Who speaks, if it may, and the run that it is of, which has to be there.
    async fn admit(
        &self,
        token: Option<&str>,
        hello: Option<wire::Hello>,
    ) -> Result<(Claim, Collection), Status> {
        let hello = hello.ok_or_else(|| Status::invalid_argument("nobody says for which run this is"))?;
        let claim = claim(&hello);
        self.reporters.check(token, &claim).await.map_err(refusal)?;
        let collection = Collection::of(&self.api, run(&hello), &claim.namespace, &claim.trial).await;
        Ok((claim, collection.map_err(status)?))
    }
}

#[tonic::async_trait]
impl Artifacts for Shelf {
    type PutStream = BoxStream<'static, Result<wire::PutReply, Status>>;
    type GetStream = BoxStream<'static, Result<wire::Piece, Status>>;

    async fn put(
        &self,
        request: Request<Streaming<wire::PutRequest>>,
    ) -> Result<Response<Self::PutStream>, Status> {
        let token = token(&request);
        let mut requests = request.into_inner();
        let Some(What::File(file)) = requests.message().await?.and_then(|message| message.what) else {
            return Err(Status::invalid_argument("the first message has to be a file"));
        };
        let (_, collection) = self.admit(token.as_deref(), file.run).await?;
        let place = collection.place();
        let own = Arc::clone(self.api.world.artifacts.own());
        let incoming = own.take_in(place, &file.key, file.size, &file.sha256).await.map_err(told)?;
        let Some(incoming) = incoming else {
            return Ok(Response::new(stream::iter([Ok(kept())]).boxed()));
        };
        let at = wire::PutReply { what: Some(Reply::At(incoming.at())) };
        let rest = stream::once(take_in(own, incoming, requests));
        Ok(Response::new(stream::iter([Ok(at)]).chain(rest).boxed()))
    }

    async fn get(&self, request: Request<wire::GetRequest>) -> Result<Response<Self::GetStream>, Status> {
        let token = token(&request);
        let wire::GetRequest { run, experiment, trial, attempt, key } = request.into_inner();
        let (claim, _) = self.admit(token.as_deref(), run).await?;
        if [&experiment, &trial]
            .iter()
            .any(|name| name.is_empty() || name.contains('/') || name.starts_with('.'))
        {
            return Err(Status::invalid_argument("experiment and trial have to be names"));
        }
        let place = key_of(&claim.namespace, &experiment, &trial, attempt);
        let pieces = self.api.world.artifacts.own().below(&place).get(&key).await.map_err(told)?;
        let piece = |piece: Result<bytes::Bytes, _>| {
            piece.map(|bytes| wire::Piece { bytes: bytes.to_vec() }).map_err(told)
        };
        Ok(Response::new(pieces.map(piece).boxed()))
    }
}

/// Takes in the rest of a file.
async fn take_in(
    own: Arc<Own>,
    incoming: Incoming,
    requests: Streaming<wire::PutRequest>,
) -> Result<wire::PutReply, Status> {
    let taken = rest_of(incoming, requests).await;
    if taken.is_err() {
        own.has_changed();
    }
    taken.map(|()| kept())
}

async fn rest_of(mut incoming: Incoming, mut requests: Streaming<wire::PutRequest>) -> Result<(), Status> {
    while !incoming.is_whole() {
        match requests.message().await?.and_then(|message| message.what) {
            Some(What::Piece(piece)) => incoming.write(&piece).await.map_err(told)?,
            Some(What::File(_)) => return Err(Status::invalid_argument("one call keeps one file")),
            None => return Err(Status::aborted("the file has broken off; what is there of it stays")),
        }
    }
    incoming.finish().await.map_err(told)
}

fn kept() -> wire::PutReply {
    wire::PutReply { what: Some(Reply::Kept(wire::Kept {})) }
}

fn told(error: ArtifactError) -> Status {
    match error {
        ArtifactError::NotFound(text) => Status::not_found(text),
        ArtifactError::Full(text) => Status::resource_exhausted(text),
        ArtifactError::Refused(text) => Status::invalid_argument(text),
        ArtifactError::Damaged(text) => Status::data_loss(text),
        ArtifactError::Unavailable(text) => Status::unavailable(text),
    }
}
