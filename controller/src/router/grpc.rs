//! Requests of gRPC: which model they are for, and how they are refused.
//!
//! The Open Inference Protocol names the model in the message itself, in its first field. So much of a request is read
//! before it is known where it goes; all of it is passed on, in both directions as it comes.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Frame;

/// What a call has come to; `0` is well.
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The same in words.
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// The model, of calls whose message does not name it.
const MODEL: HeaderName = HeaderName::from_static("x-cairn-model");
/// Its namespace.
const NAMESPACE: HeaderName = HeaderName::from_static("x-cairn-namespace");
/// The service whose messages name their model first.
const INFERENCE: &str = "/inference.GRPCInferenceService/";
/// How long the name of the model may be on its way.
const NAMED_WITHIN: Duration = Duration::from_secs(10);
/// The flag and the length before each message.
const PREFIX: usize = 5;
/// The tag of a first field that is a text.
const FIRST_TEXT: u8 = 0x0a;

/// Whether a request is one of gRPC.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    // What browsers send is another protocol.
    kind.is_some_and(|kind| {
        kind.starts_with(b"application/grpc") && !kind.starts_with(b"application/grpc-web")
    })
}

/// Whether headers or trailers say that a call went well, or say nothing of it.
pub(super) fn is_well(headers: &HeaderMap) -> bool {
    headers.get(STATUS).is_none_or(|status| status == "0")
}

/// Refuses a call.
pub(super) fn refusal(status: StatusCode, why: &str) -> Response<Body> {
    // The numbers are those of gRPC: deadline exceeded, not found, unavailable.
    let code = match status {
        StatusCode::GATEWAY_TIMEOUT => "4",
        StatusCode::NOT_FOUND => "5",
        _ => "14",
    };
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(STATUS, HeaderValue::from_static(code));
    // What no header can hold is left out; the status says enough.
    if let Ok(why) = HeaderValue::from_str(&why.replace('%', "%25")) {
        headers.insert(MESSAGE, why);
    }
    response
}

/// Namespace and name of the model that a call is for, as far as it says so, and the call, of which nothing is lost.
pub(super) async fn named(request: Request<Body>) -> (String, Option<String>, Request<Body>) {
    let namespace = text(request.headers(), NAMESPACE).unwrap_or_else(|| "default".into());
    if let Some(model) = text(request.headers(), MODEL) {
        return (namespace, Some(model), request);
    }
    if !request.uri().path().starts_with(INFERENCE) {
        return (namespace, None, request);
    }
    let (parts, mut rest) = request.into_parts();
    let mut front: VecDeque<Bytes> = VecDeque::new();
    let mut model = None;
    let read = async {
        let mut seen = Vec::new();
        while let Some(Ok(frame)) = rest.frame().await {
            let Ok(data) = frame.into_data() else { break };
            seen.extend_from_slice(&data);
            front.push_back(data);
            match first_text(&seen) {
                First::NotYet => {}
                First::Other => break,
                First::Text(name) => {
                    model = Some(name);
                    break;
                }
            }
        }
    };
    // One that never says its model goes where one without a name goes.
    tokio::time::timeout(NAMED_WITHIN, read).await.ok();
    (namespace, model, Request::from_parts(parts, Body::new(Read { front, rest })))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}

/// The first field of the first message.
#[derive(Debug, PartialEq, Eq)]
enum First {
    /// More has to come.
    NotYet,
    /// It is a text.
    Text(String),
    /// It is none, or cannot be read.
    Other,
}

fn first_text(bytes: &[u8]) -> First {
    as_far_as_there(bytes).unwrap_or(First::NotYet)
}

fn as_far_as_there(bytes: &[u8]) -> Option<First> {
    let (prefix, message) = (bytes.get(..PREFIX)?, bytes.get(PREFIX..)?);
    let length = prefix.get(1..)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
    let is_packed = prefix.first() != Some(&0);
    if length == 0 || is_packed {
        return Some(First::Other);
    }
    if *message.first()? != FIRST_TEXT {
        return Some(First::Other);
    }
    let size = usize::from(*message.get(1)?);
    // Longer names than one byte of length can tell are none of models.
    if size >= 0x80 || size + 2 > length {
        return Some(First::Other);
    }
    let text = String::from_utf8(message.get(2..2 + size)?.to_vec());
    Some(text.map_or(First::Other, First::Text))
}

/// A body of which the beginning was read already.
#[derive(Debug)]
struct Read {
    front: VecDeque<Bytes>,
    rest: Body,
}

impl HttpBody for Read {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.front.pop_front() {
            Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
            None => Pin::new(&mut self.rest).poll_frame(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.front.is_empty() && self.rest.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(field: &[u8]) -> Vec<u8> {
        let length = u32::try_from(field.len()).unwrap().to_be_bytes();
        [&[0_u8][..], &length, field].concat()
    }

    #[test]
    fn the_model_is_known_as_soon_as_its_name_is_there() {
        let all = message(b"\x0a\x06digits\x12\x011");
        let named = (0..=all.len()).find(|end| first_text(&all[..*end]) != First::NotYet).unwrap();
        assert_eq!((named, first_text(&all[..named])), (PREFIX + 8, First::Text("digits".into())));
    }

    #[test]
    fn what_names_no_model_is_known_at_once() {
        assert_eq!(first_text(&message(b"")), First::Other);
        assert_eq!(first_text(&message(b"\x12\x011")), First::Other);
        assert_eq!(first_text(&[1, 0, 0, 0, 9]), First::Other, "it is packed");
        assert_eq!(first_text(&message(b"\x0a\x09digits")), First::Other, "its length lies");
    }

    #[tokio::test]
    async fn nothing_of_what_was_read_is_lost() {
        let sent = message(b"\x0a\x06digits\x12\x011");
        let mut request = Request::new(Body::from(sent.clone()));
        *request.uri_mut() = "/inference.GRPCInferenceService/ModelInfer".parse().unwrap();
        let (namespace, model, request) = named(request).await;
        assert_eq!((namespace.as_str(), model.as_deref()), ("default", Some("digits")));
        assert_eq!(request.into_body().collect().await.unwrap().to_bytes(), sent);
    }
}
