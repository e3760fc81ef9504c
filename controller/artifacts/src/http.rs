//! HTTP over hyper: for stores of objects, and for whoever else speaks with servers elsewhere.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
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
        let told = |error| HttpError::new(HttpErrorKind::Interrupted, error);
        Ok(answer.map(|body| HttpResponseBody::new(http_body_util::BodyExt::map_err(body, told))))
    }
}
