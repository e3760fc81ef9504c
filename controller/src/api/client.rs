//! Speaking HTTP with a Cairn: one elsewhere, or the one in this process.

use std::fmt::Write as _;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode, header};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt as _};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tower::ServiceExt as _;

use super::types::{Change, ErrorBody, ErrorDetail};

/// Why a call had no good answer.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    /// It was refused, or failed there.
    #[error("{}", .0.message)]
    Refused(ErrorDetail),
    /// Nobody answers there.
    #[error("no Cairn answers at {server}: {reason}; `cairn serve` starts one")]
    Unreachable {
        /// Where.
        server: String,
        /// Why.
        reason: String,
    },
    /// The answer makes no sense.
    #[error("the answer to {what} cannot be understood: {reason}")]
    Nonsense {
        /// What was asked.
        what: String,
        /// Why.
        reason: String,
    },
}

impl ClientError {
    /// The word of a refusal.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Refused(detail) => &detail.code,
            Self::Unreachable { .. } => "unavailable",
            Self::Nonsense { .. } => "internal",
        }
    }
}

/// A Cairn to speak with. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Client {
    /// The one in this process.
    Here(Router),
    /// One elsewhere.
    There(Remote),
}

/// A Cairn elsewhere.
#[derive(Clone)]
pub(crate) struct Remote {
    base: String,
    token: Option<String>,
    http: HyperClient<HttpConnector, Body>,
}

impl Client {
    /// A client of the API in this process.
    pub(crate) fn here(router: Router) -> Self {
        Self::Here(router)
    }

    /// A client of the server at `url`, such as `http://127.0.0.1:7700` or `127.0.0.1:7700`.
    pub(crate) fn there(url: &str, token: Option<String>) -> Result<Self, String> {
        if url.starts_with("https://") {
            return Err(format!(
                "{url}: TLS is not built in; use http:// through a tunnel or proxy that adds it"
            ));
        }
        let base = if url.contains("://") { url.to_owned() } else { format!("http://{url}") };
        let base = base.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") || base.parse::<axum::http::Uri>().is_err() {
            return Err(format!("`{url}` is no address such as http://127.0.0.1:7700"));
        }
        let http = HyperClient::builder(TokioExecutor::new()).build_http();
        Ok(Self::There(Remote { base, token, http }))
    }

    /// Whether trials run on the machine of whoever calls.
    pub(crate) fn is_local(&self) -> bool {
        match self {
            Self::Here(_) => true,
            Self::There(remote) => {
                let host = remote.base.trim_start_matches("http://");
                ["127.0.0.1", "localhost", "[::1]"].iter().any(|name| host.starts_with(name))
            }
        }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Body,
        more: &[(header::HeaderName, String)],
    ) -> Result<Response<Body>, ClientError> {
        let what = format!("{method} {path}");
        let nonsense = |reason: String| ClientError::Nonsense { what: what.clone(), reason };
        let base = match self {
            Self::Here(_) => "",
            Self::There(remote) => &remote.base,
        };
        let mut request = Request::builder().method(method.clone()).uri(format!("{base}{path}"));
        for (name, value) in more {
            request = request.header(name, value);
        }
        if let Self::There(Remote { token: Some(token), .. }) = self {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(body).map_err(|error| nonsense(error.to_string()))?;
        match self {
            Self::Here(router) => match router.clone().oneshot(request).await {
                Ok(response) => Ok(response),
                Err(never) => match never {},
            },
            Self::There(remote) => match remote.http.request(request).await {
                Ok(response) => Ok(response.map(Body::new)),
                Err(error) => {
                    let cause = std::error::Error::source(&error)
                        .map_or_else(|| error.to_string(), ToString::to_string);
                    Err(ClientError::Unreachable { server: remote.base.clone(), reason: cause })
                }
            },
        }
    }

    /// Sends and looks whether the answer is good.
    async fn checked(
        &self,
        method: Method,
        path: &str,
        body: Body,
        more: &[(header::HeaderName, String)],
    ) -> Result<Response<Body>, ClientError> {
        let what = format!("{method} {path}");
        let response = self.send(method, path, body, more).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let bytes = read(response, &what).await?;
        Err(match serde_json::from_slice::<ErrorBody>(&bytes) {
            Ok(body) => ClientError::Refused(body.error),
            Err(_) => ClientError::Nonsense { what, reason: said(status, &bytes) },
        })
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Body,
        kind: &str,
    ) -> Result<T, ClientError> {
        let what = format!("{method} {path}");
        let response = self.checked(method, path, body, &[(header::CONTENT_TYPE, kind.into())]).await?;
        let bytes = read(response, &what).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| ClientError::Nonsense { what, reason: error.to_string() })
    }

    /// GET of JSON.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::GET, path, Body::empty(), "application/json").await
    }

    /// DELETE, answered with JSON.
    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.call(Method::DELETE, path, Body::empty(), "application/json").await
    }

    /// POST of JSON, answered with JSON.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).unwrap_or_default();
        self.call(Method::POST, path, Body::from(body), "application/json").await
    }

    /// PATCH of JSON, answered with JSON.
    pub(crate) async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, ClientError> {
        let body = serde_json::to_vec(body).unwrap_or_default();
        self.call(Method::PATCH, path, Body::from(body), "application/json").await
    }

    /// POST of an Experiment as text, answered with JSON.
    pub(crate) async fn post_document<T: DeserializeOwned>(
        &self,
        path: &str,
        text: &str,
    ) -> Result<T, ClientError> {
        self.call(Method::POST, path, Body::from(text.to_owned()), "application/yaml").await
    }

    /// GET of bytes as they come.
    pub(crate) async fn bytes(
        &self,
        path: &str,
    ) -> Result<BoxStream<'static, Result<Bytes, String>>, ClientError> {
        let response = self.checked(Method::GET, path, Body::empty(), &[]).await?;
        let bytes = response.into_body().into_data_stream();
        Ok(bytes.map(|chunk| chunk.map_err(|error| error.to_string())).boxed())
    }

    /// Changes of an experiment after a number, as they come. Ends when the connection or the experiment does.
    pub(crate) async fn changes(
        &self,
        namespace: &str,
        experiment: &str,
        after: u64,
    ) -> Result<BoxStream<'static, Result<Change, String>>, ClientError> {
        let path =
            format!("/api/v1/experiments/{}/events?namespace={}", encode(experiment), encode(namespace));
        let name = header::HeaderName::from_static("last-event-id");
        let response = self.checked(Method::GET, &path, Body::empty(), &[(name, after.to_string())]).await?;
        let bytes = response.into_body().into_data_stream();
        let chunks = bytes.map(|chunk| chunk.map_err(|error| error.to_string())).boxed();
        Ok(events(chunks))
    }
}

async fn read(response: Response<Body>, what: &str) -> Result<Bytes, ClientError> {
    let collected = response.into_body().collect().await;
    let broken = |error: axum::Error| ClientError::Nonsense { what: what.into(), reason: error.to_string() };
    Ok(collected.map_err(broken)?.to_bytes())
}

fn said(status: StatusCode, bytes: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(bytes).chars().take(200).collect();
    format!("{status} {text}")
}

/// Changes out of a stream of server-sent events.
fn events(chunks: BoxStream<'static, Result<Bytes, String>>) -> BoxStream<'static, Result<Change, String>> {
    let start = (chunks, Vec::<u8>::new());
    futures::stream::unfold(start, |(mut chunks, mut held)| async move {
        loop {
            if let Some(end) = held.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = held.drain(..end + 2).collect();
                let block = String::from_utf8_lossy(&block).into_owned();
                let data: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
                if data.is_empty() {
                    continue;
                }
                let change = serde_json::from_str(&data.join("\n")).map_err(|error| error.to_string());
                return Some((change, (chunks, held)));
            }
            match chunks.next().await? {
                Ok(chunk) => held.extend_from_slice(&chunk),
                Err(error) => return Some((Err(error), (futures::stream::empty().boxed(), held))),
            }
        }
    })
    .boxed()
}

/// A text as part of a path or query.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte as char);
        } else {
            // Writing to a string cannot fail.
            write!(encoded, "%{byte:02X}").unwrap_or_default();
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_plain_is_encoded() {
        assert_eq!(encode("lr > 0.1/é"), "lr%20%3E%200.1%2F%C3%A9");
    }

    #[tokio::test]
    async fn events_are_read_whole_however_they_are_cut() {
        let text = ": hello\n\nid: 1\nevent: x\ndata: {\"seq\":1,\"at\":\"\",\"kind\":\"x\",\"text\":\"t\",\"event\":{}}\n\n";
        let cut: Vec<Result<Bytes, String>> =
            text.as_bytes().chunks(7).map(|part| Ok(Bytes::copy_from_slice(part))).collect();
        let read: Vec<_> = events(futures::stream::iter(cut).boxed()).collect().await;
        assert_eq!(read.len(), 1);
        assert_eq!(read[0].as_ref().unwrap().seq, 1);
    }

    #[test]
    fn an_address_may_leave_out_its_scheme() {
        assert!(Client::there("127.0.0.1:7700", None).is_ok());
        assert!(Client::there("https://example", None).is_err());
        assert!(Client::there("ftp://example", None).is_err());
    }
}
