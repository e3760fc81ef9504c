//! Cairn's own store, behind the controller's door.

use async_trait::async_trait;
use controller_core::artifacts::StoreUri;
use controller_core::ports::{ArtifactError, ArtifactSink, ArtifactSource, Blob, Pieces};
use futures::StreamExt as _;
use proto::cairn as wire;
use proto::cairn::artifacts_client::ArtifactsClient;
use proto::cairn::put_reply::What as Reply;
use proto::cairn::put_request::What;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::door::Door;

/// Pieces between the file and the wire.
const ON_THE_WIRE: usize = 4;

/// A place in that store: to keep files at, if it is the own one of who speaks, and to read from.
pub(crate) struct Remote {
    door: Door,
    hello: wire::Hello,
    place: StoreUri,
}

impl Remote {
    pub(crate) fn new(door: Door, hello: wire::Hello, place: StoreUri) -> Self {
        Self { door, hello, place }
    }

    fn told(&self, key: &str, status: &Status) -> ArtifactError {
        let text = format!("{}: {}", self.place.join(key), status.message());
        match status.code() {
            Code::NotFound => ArtifactError::NotFound(text),
            // The server says it in full.
            Code::ResourceExhausted => ArtifactError::Full(status.message().to_owned()),
            Code::DataLoss => ArtifactError::Damaged(text),
            Code::PermissionDenied
            | Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::Unimplemented => ArtifactError::Refused(text),
            _ => ArtifactError::Unavailable(text),
        }
    }

    async fn send(&self, key: &str, blob: &Blob<'_>) -> Result<Result<(), ArtifactError>, Status> {
        let (send, requests) = mpsc::channel(ON_THE_WIRE);
        let file = wire::File {
            run: Some(self.hello.clone()),
            key: key.to_owned(),
            size: blob.size,
            sha256: blob.sha256.to_owned(),
        };
        // There is room for the first.
        let first = send.try_send(wire::PutRequest { what: Some(What::File(file)) });
        first.map_err(|error| Status::internal(error.to_string()))?;
        let mut client = ArtifactsClient::new(self.door.connect().await?);
        let mut replies = client.put(self.door.request(ReceiverStream::new(requests))?).await?.into_inner();
        let hung_up = || Status::unavailable("it has hung up");
        let at = match replies.message().await?.and_then(|reply| reply.what).ok_or_else(hung_up)? {
            Reply::Kept(_) => return Ok(Ok(())),
            Reply::At(at) => at,
        };
        let mut pieces = (blob.read)(at);
        while let Some(piece) = pieces.next().await {
            let piece = match piece {
                Ok(piece) => piece,
                Err(error) => return Ok(Err(error)),
            };
            let piece = wire::PutRequest { what: Some(What::Piece(piece.to_vec())) };
            // If nobody takes it any more, the reply says why.
            if send.send(piece).await.is_err() {
                break;
            }
        }
        drop(send);
        match replies.message().await?.and_then(|reply| reply.what) {
            Some(Reply::Kept(_)) => Ok(Ok(())),
            _ => Err(hung_up()),
        }
    }

    async fn read(&self, key: &str) -> Result<tonic::Streaming<wire::Piece>, Status> {
        // namespace/experiment/trial/attempt
        let mut names = self.place.path.rsplit('/');
        let attempt = names.next().and_then(|attempt| attempt.parse().ok()).unwrap_or(0);
        let mut name = || names.next().unwrap_or_default().to_owned();
        let (trial, experiment) = (name(), name());
        let request = wire::GetRequest {
            run: Some(self.hello.clone()),
            experiment,
            trial,
            attempt,
            key: key.to_owned(),
        };
        let mut client = ArtifactsClient::new(self.door.connect().await?);
        Ok(client.get(self.door.request(request)?).await?.into_inner())
    }
}

#[async_trait]
impl ArtifactSink for Remote {
    async fn put(&self, key: &str, blob: &Blob<'_>) -> Result<(), ArtifactError> {
        self.send(key, blob).await.map_err(|status| self.told(key, &status))?
    }
}

#[async_trait]
impl ArtifactSource for Remote {
    async fn get(&self, key: &str) -> Result<Pieces, ArtifactError> {
        let pieces = self.read(key).await.map_err(|status| self.told(key, &status))?;
        let text = self.place.join(key).to_string();
        let told = move |status: Status| ArtifactError::Unavailable(format!("{text}: {}", status.message()));
        Ok(pieces.map(move |piece| piece.map(|piece| piece.bytes.into()).map_err(&told)).boxed())
    }
}
