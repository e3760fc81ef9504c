//! Asking servers and the router over HTTP.

use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// The longest answer that is read.
const LONGEST: usize = 64 << 20;

/// Asks, and waits for the whole answer.
#[derive(Clone)]
pub(super) struct Asker(Client<HttpConnector, Body>);

impl Asker {
    pub(super) fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    /// Asks with GET.
    pub(super) async fn get(&self, url: &str, within: Duration) -> Result<(StatusCode, Bytes), String> {
        self.ask(Method::GET, url, Body::empty(), within).await
    }

    /// Asks with POST and a JSON text.
    pub(super) async fn post(
        &self,
        url: &str,
        body: &Value,
        within: Duration,
    ) -> Result<(StatusCode, Bytes), String> {
        self.ask(Method::POST, url, Body::from(body.to_string()), within).await
    }

    async fn ask(
        &self,
        method: Method,
        url: &str,
        body: Body,
        within: Duration,
    ) -> Result<(StatusCode, Bytes), String> {
        let asked = async {
            let request = Request::builder()
                .method(method)
                .uri(url)
                .header(header::CONTENT_TYPE, "application/json")
                .body(body)
                .map_err(|error| error.to_string())?;
            let response = self.0.request(request).await.map_err(|error| error.to_string())?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LONGEST).collect().await;
            Ok((status, body.map_err(|error| error.to_string())?.to_bytes()))
        };
        tokio::time::timeout(within, asked)
            .await
            .unwrap_or_else(|_| Err(format!("{url} does not answer within {within:?}")))
    }
}
