//! Copies of requests for a candidate whose answers go to nobody.
//!
//! A request is copied as it passes, and so is its answer. When that has ended, the copy is asked of the candidate, and its
//! answer compared. Nobody waits for any of it: copies that are under way are bounded, each has a limit, and what does not
//! fit is left out and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, header};
use controller_core::promotion::smoke::{Answered, agree};
use controller_core::spec::CompareSpec;
use futures::StreamExt as _;
use futures::stream::unfold;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::log::{AT_ONCE, LONGEST, Tap};
use super::table::Server;

/// How long a candidate may take for a copy.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Says that nobody waits for the answer, so that a server may leave out what it would do to the world.
const IS_COPY: HeaderName = HeaderName::from_static("x-cairn-shadow");

/// A candidate that gets copies.
#[derive(Debug)]
pub(super) struct Shadowed {
    /// Its server, whose counter is that of copies.
    pub(super) server: Server,
    /// How its answers are compared.
    pub(super) compare: CompareSpec,
}

/// Where copies go.
#[derive(Debug)]
pub(super) struct Shadow {
    queue: Sender<Copied>,
    room: Arc<Semaphore>,
    /// Those that were left out.
    dropped: AtomicU64,
}

/// A copy on its way.
#[derive(Debug)]
pub(super) struct Copied {
    to: Arc<Shadowed>,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Tap,
    /// What the champion has answered.
    status: u16,
    answer: Tap,
    shadow: Arc<Shadow>,
    _permit: OwnedSemaphorePermit,
}

impl Shadow {
    /// Where copies go, and what [`ask_all()`] is to ask.
    pub(super) fn new() -> (Arc<Self>, Receiver<Copied>) {
        let (queue, copies) = channel(AT_ONCE);
        let room = Arc::new(Semaphore::new(AT_ONCE));
        (Arc::new(Self { queue, room, dropped: AtomicU64::new(0) }), copies)
    }

    /// Begins to copy a request, if there is room.
    pub(super) fn begin(self: &Arc<Self>, to: &Arc<Shadowed>) -> Option<Copied> {
        let Ok(permit) = Arc::clone(&self.room).try_acquire_owned() else {
            self.dropped.fetch_add(1, Relaxed);
            return None;
        };
        Some(Copied {
            to: Arc::clone(to),
            method: Method::POST,
            path: String::new(),
            headers: HeaderMap::new(),
            body: Tap::default(),
            status: 0,
            answer: Tap::default(),
            shadow: Arc::clone(self),
            _permit: permit,
        })
    }

    /// What the page for Prometheus says of it.
    pub(super) fn page(&self) -> String {
        let dropped = self.dropped.load(Relaxed);
        format!(
            "# TYPE cairn_router_shadow_dropped_total counter\ncairn_router_shadow_dropped_total {dropped}\n"
        )
    }
}

impl Copied {
    /// What is asked, as it goes to servers.
    pub(super) fn asks(&mut self, method: &Method, path: &str, headers: &HeaderMap) {
        (self.method, self.path, self.headers) = (method.clone(), path.to_owned(), headers.clone());
    }

    /// Where the body is copied to.
    pub(super) fn body(&self) -> Tap {
        self.body.clone()
    }

    /// Where the answer is copied to.
    pub(super) fn answer(&self) -> &Tap {
        &self.answer
    }

    /// The head of the answer is there.
    pub(super) fn answered(&mut self, status: u16) {
        self.status = status;
    }

    /// The answer has ended: the candidate is asked too.
    pub(super) fn end(self) {
        let shadow = Arc::clone(&self.shadow);
        if shadow.queue.try_send(self).is_err() {
            shadow.dropped.fetch_add(1, Relaxed);
        }
    }

    async fn ask(self, client: &Client<HttpConnector, Body>) {
        let uri = format!("http://{}{}", self.to.server.address, self.path).parse::<Uri>().ok();
        let (Some(uri), Some(body), Some(answer)) = (uri, self.body.bytes(), self.answer.bytes()) else {
            self.shadow.dropped.fetch_add(1, Relaxed);
            return;
        };
        let mut request = Request::new(Body::from(body));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        request.headers_mut().clone_from(&self.headers);
        // The body is whole now, however it came.
        request.headers_mut().remove(header::CONTENT_LENGTH);
        request.headers_mut().remove(header::EXPECT);
        request.headers_mut().insert(IS_COPY, HeaderValue::from_static("true"));
        let counter = &self.to.server.counter;
        let mut ticket = counter.begin();
        let asked = async {
            let response = client.request(request).await.ok()?;
            ticket.answered();
            let status = response.status();
            let body = to_bytes(Body::new(response.into_body()), LONGEST).await.ok();
            ticket.end(status.as_u16() < 400);
            Some((status.as_u16(), body))
        };
        match tokio::time::timeout(ANSWER_WITHIN, asked).await {
            Ok(Some((status, Some(body)))) => {
                let champion = Answered { status: self.status, body: &answer };
                let found = agree(&self.to.compare, champion, Answered { status, body: &body });
                if let Err(why) = &found {
                    tracing::debug!(server = self.to.server.name, why, "a candidate answers otherwise");
                }
                counter.compared(found.is_ok());
            }
            // Too long for a comparison.
            Ok(Some((_, None))) => {
                self.shadow.dropped.fetch_add(1, Relaxed);
            }
            // The champion has answered, and it has not.
            Ok(None) | Err(_) => {
                ticket.end(false);
                counter.compared(false);
            }
        }
    }
}

/// Asks candidates what comes, until there is nobody left to send.
pub(super) async fn ask_all(copies: Receiver<Copied>, client: Client<HttpConnector, Body>) {
    unfold(copies, |mut copies| async move { copies.recv().await.map(|copy| (copy, copies)) })
        .for_each_concurrent(AT_ONCE, |copy| copy.ask(&client))
        .await;
}
