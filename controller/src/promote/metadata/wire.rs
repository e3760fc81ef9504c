//! HTTP with a server of somebody else's: bounded in time and size, and every way it can go wrong has a name.

use std::sync::Arc;
use std::time::Duration;

use artifacts::{Https, https};
use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header};
use bytes::Bytes;
use chrono::DateTime;
use controller_core::ports::TargetError;
use controller_core::time::{Clock, Timestamp};
use http_body_util::{BodyExt as _, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;

/// The longest answer that is read.
const LONGEST: usize = 8 << 20;
/// How long a server may take for an answer.
const WITHIN: Duration = Duration::from_secs(30);
/// How much of what a server says is told.
const TOLD: usize = 300;

/// Speaks with one server.
pub(super) struct Wire {
    client: Result<Client<Https, Body>, String>,
    clock: Arc<dyn Clock>,
    authorization: Option<HeaderValue>,
    within: Duration,
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
    /// How long the server wants to be left alone.
    pub(super) after: Option<Duration>,
    /// Where it sends us.
    location: String,
}

impl Wire {
    /// With what goes into `Authorization`, if anything does.
    pub(super) fn new(clock: Arc<dyn Clock>, authorization: Option<HeaderValue>) -> Self {
        let client = https().map(|https| Client::builder(TokioExecutor::new()).build(https));
        Self { client: client.map_err(|error| error.to_string()), clock, authorization, within: WITHIN }
    }

    /// The same for servers that have less time.
    #[cfg(test)]
    pub(super) fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Asks, and waits for the whole answer.
    pub(super) async fn ask(
        &self,
        method: Method,
        url: &str,
        body: Option<&Value>,
    ) -> Result<Answer, TargetError> {
        let away = |why: String| TargetError::Away { why, after: None };
        let client = self.client.as_ref().map_err(|why| away(format!("TLS cannot be set up: {why}")))?;
        let makes = method == Method::POST;
        let mut request = Request::builder().method(method).uri(url);
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = request
            .body(body)
            .map_err(|error| TargetError::Closed(format!("{url} cannot be asked: {error}")))?;
        let asked = async {
            let failed = |error: hyper_util::client::legacy::Error| {
                away(format!("it cannot be reached: {}", innermost(&error)))
            };
            let response = client.request(request).await.map_err(failed)?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, LONGEST).collect().await.map_err(|error| {
                if error.is::<http_body_util::LengthLimitError>() {
                    away(format!("its answer is longer than {} MiB", LONGEST >> 20))
                } else {
                    away(format!("its answer breaks off: {}", innermost(error.as_ref())))
                }
            })?;
            let text = |name| head.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
            Ok(Answer {
                status: head.status,
                body: body.to_bytes(),
                after: retry_after(&head.headers, self.clock.now()),
                location: text(header::LOCATION).unwrap_or_default().to_owned(),
            })
        };
        // What it makes after that is looked up once it should be there.
        let after = makes.then(|| self.within.saturating_mul(2));
        let late =
            |_| TargetError::Away { why: format!("it has not answered within {:?}", self.within), after };
        tokio::time::timeout(self.within, asked).await.map_err(late)?
    }
}

impl Answer {
    /// What an answer that is no success means, where the protocol behind it says no more of it.
    pub(super) fn problem(&self) -> TargetError {
        let status = self.status;
        let said = self.said();
        match status.as_u16() {
            401 | 403 => TargetError::Closed(format!("it does not let us in ({status}){said}")),
            404 => TargetError::Closed(format!("there is nothing that we know at this address ({status})")),
            300..=399 => TargetError::Closed(format!(
                "it sends us to `{}` ({status}); write that address",
                // What follows may let somebody in.
                short(self.location.split(['?', '#']).next().unwrap_or_default())
            )),
            // Whoever came first may be through later; then what is there is looked up again.
            408 | 409 | 425 | 429 | 500.. => {
                TargetError::Away { why: format!("it answers {status}{said}"), after: self.after }
            }
            // Who stands before it, or at its address, has not seen what is to be recorded.
            _ => TargetError::Closed(format!("what answers there refuses ({status}){said}")),
        }
    }

    /// That the target itself will never take this.
    pub(super) fn refusal(&self) -> TargetError {
        TargetError::Refused(format!("it refuses this ({}){}", self.status, self.said()))
    }

    /// What it has said, in short.
    fn said(&self) -> String {
        let said: Option<Value> = serde_json::from_slice(&self.body).ok();
        let said = said.as_ref().and_then(|said| said.get("message")).and_then(Value::as_str);
        let text = said.map_or_else(|| String::from_utf8_lossy(&self.body).into_owned(), str::to_owned);
        if text.trim().is_empty() || text.trim_start().starts_with('<') {
            return String::new();
        }
        format!(": {}", short(&text))
    }
}

/// A text on one line, cut where it is too long.
fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(TOLD) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

/// The last cause of an error: those before it only say that something went wrong.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

/// How long a server wants to be left alone: a number of seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = DateTime::parse_from_rfc2822(text).ok()?;
    Some(Timestamp(date.timestamp_micros()).since(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_names_a_time_in_either_way() {
        let now = Timestamp::parse_rfc3339("1994-11-06T08:49:00Z").unwrap();
        let read = |text: &str| {
            let value = HeaderValue::from_str(text).unwrap();
            retry_after(&HeaderMap::from_iter([(header::RETRY_AFTER, value)]), now)
        };
        assert_eq!(read("120"), Some(Duration::from_mins(2)));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(37)));
        assert_eq!(read("Sun, 06 Nov 1994 08:48:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("soon"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
