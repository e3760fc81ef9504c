//! HTTP over hyper: for stores of objects, and for whoever else speaks with servers elsewhere.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Body, Frame};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector as Connect, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a store may take to begin its answer, a part of a file sent meanwhile.
const ANSWER: Duration = Duration::from_mins(3);
/// How long it may be silent in the middle of one.
const SILENCE: Duration = Duration::from_mins(1);

/// Makes clients of hyper.
#[derive(Debug)]
pub(crate) struct Hyper;

#[derive(Debug)]
struct Speaker(Client<Https, HttpRequestBody>);

/// Connects by HTTP, with TLS or without.
pub type Https = HttpsConnector<HttpConnector>;

/// What connects to servers elsewhere: it trusts whom this machine trusts, and gives up on a connection after ten seconds.
///
/// # Errors
/// If TLS cannot be set up at all.
pub fn https() -> Result<Https, tokio_rustls::rustls::Error> {
    let provider = Arc::new(ring::default_provider());
    let mut http = HttpConnector::new();
    http.set_connect_timeout(Some(CONNECT));
    http.enforce_http(false);
    let builder = HttpsConnectorBuilder::new();
    let trusting = builder.with_provider_and_native_roots(Arc::clone(&provider));
    let builder = if let Ok(builder) = trusting {
        builder
    } else {
        // A machine that trusts nobody still speaks without TLS, to a server beside it.
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        HttpsConnectorBuilder::new().with_tls_config(config)
    };
    Ok(builder.https_or_http().enable_http1().wrap_connector(http))
}

impl Connect for Hyper {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        let connector = https()
            .map_err(|error| object_store::Error::Generic { store: "HTTP", source: Box::new(error) })?;
        Ok(HttpClient::new(Speaker(Client::builder(TokioExecutor::new()).build(connector))))
    }
}

#[async_trait]
impl HttpService for Speaker {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let answer = tokio::time::timeout(ANSWER, self.0.request(request)).await;
        let answer = answer.map_err(|late| HttpError::new(HttpErrorKind::Timeout, late))?;
        let answer = answer.map_err(|error| {
            let kind = if error.is_connect() { HttpErrorKind::Connect } else { HttpErrorKind::Request };
            HttpError::new(kind, error)
        })?;
        Ok(answer.map(|body| HttpResponseBody::new(StreamBody::new(frames(body, SILENCE)))))
    }
}

/// The frames of an answer, which ends with an error when none has come for so long.
fn frames<B>(body: B, silence: Duration) -> impl Stream<Item = Result<Frame<Bytes>, HttpError>>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Unpin,
{
    futures::stream::unfold(Some(body), move |body| async move {
        let mut body = body?;
        let error = match tokio::time::timeout(silence, body.frame()).await {
            Ok(None) => return None,
            Ok(Some(Ok(frame))) => return Some((Ok(frame), Some(body))),
            Ok(Some(Err(error))) => HttpError::new(HttpErrorKind::Interrupted, error),
            Err(late) => HttpError::new(HttpErrorKind::Timeout, late),
        };
        Some((Err(error), None))
    })
    // Who reads a body asks once more after its end.
    .fuse()
}

#[cfg(test)]
mod tests {
    use futures::channel::mpsc;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_falls_silent_ends_with_an_error() {
        let (mut send, receive) = mpsc::channel::<Result<_, std::io::Error>>(1);
        send.try_send(Ok(Frame::data(Bytes::from_static(b"half")))).unwrap();
        let mut frames = std::pin::pin!(frames(StreamBody::new(receive), SILENCE));
        assert_eq!(frames.next().await.unwrap().unwrap().into_data().unwrap(), "half");
        let error = frames.next().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), HttpErrorKind::Timeout);
        for _ in 0..2 {
            assert!(frames.next().await.is_none());
        }
    }
}
