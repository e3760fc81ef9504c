//! Passing requests on, and their answers back.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri, Version, header};
use bytes::Bytes;
use controller_core::time::Clock as _;
use hyper::body::{Frame, SizeHint};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

use super::copies::Copies;
use super::grpc;
use super::home::Routes;
use super::log::{Log, Tap};
use super::meters::{Meters, Ticket};
use super::shadow::Shadow;
use super::table::{Found, Sampled, Server, Table};
use crate::world::SystemClock;

/// How long a connection to a server may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// How long a connection may be idle before no request is put on it: servers close theirs after five seconds and more.
const IDLE: Duration = Duration::from_secs(3);
/// How long a server may take to begin its answer.
const ANSWER_WITHIN: Duration = Duration::from_mins(5);
/// Which version has answered.
const ANSWERED_BY: HeaderName = HeaderName::from_static("x-cairn-version");
/// What request and answer are called by.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The longest such name that is taken over from whoever asks.
const LONGEST_ID: usize = 128;
/// Headers that are for the next hop alone (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Everything that requests need.
pub(super) struct Proxy {
    table: RwLock<Arc<Table>>,
    meters: Meters,
    client: Client<HttpConnector, Body>,
    /// The same for servers that speak gRPC.
    calls: Client<HttpConnector, Body>,
    log: Arc<Log>,
    shadow: Arc<Shadow>,
    /// Whether another router has taken over.
    is_left: AtomicBool,
    /// How many requests were given an id.
    named: AtomicU64,
    /// When it began, in seconds.
    start: f64,
}

impl Proxy {
    /// A proxy that keeps requests in this log, and sends copies there.
    pub(super) fn new(log: Arc<Log>, shadow: Arc<Shadow>) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(CONNECT_WITHIN));
        let client = Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).build(connector.clone());
        let calls =
            Client::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).http2_only(true).build(connector);
        let start = SystemClock::start().now().0 as f64 / 1e6;
        let (table, meters, named) = (RwLock::default(), Meters::default(), AtomicU64::default());
        let is_left = AtomicBool::new(false);
        Self { table, meters, client, calls, log, shadow, is_left, named, start }
    }

    /// From now on every answer is the last on its connection.
    pub(super) fn leave(&self) {
        self.is_left.store(true, Relaxed);
    }

    /// What requests to servers go through.
    pub(super) fn client(&self) -> Client<HttpConnector, Body> {
        self.client.clone()
    }

    /// The id of a request: its own, if that is one that a log and a command line can hold, else a new one.
    fn id(&self, headers: &HeaderMap) -> String {
        let own = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(&b);
        let own = own.filter(|id| (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(is_plain));
        own.map_or_else(
            || format!("{:x}-{:x}", (self.start * 1e6) as u64, self.named.fetch_add(1, Relaxed)),
            str::to_owned,
        )
    }

    /// Goes by these routes from now on; what is on its way goes on as it began.
    pub(super) fn take(&self, routes: &[Routes]) {
        let before = self.table();
        if before.is_of(routes) {
            return;
        }
        let table = Arc::new(Table::new(routes, &before, &self.meters));
        for (namespace, model, generation) in table.generations() {
            tracing::info!(namespace, model, generation, "routes");
        }
        *self.table.write().unwrap_or_else(PoisonError::into_inner) = table;
    }

    fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Passes a request on to the first server that can be reached, without so much of its path.
    async fn pass(
        &self,
        servers: Vec<Server>,
        skip: usize,
        mut copies: Copies,
        request: Request<Body>,
    ) -> Response<Body> {
        let is_grpc = grpc::is_grpc(request.headers());
        let (client, version) =
            if is_grpc { (&self.calls, Version::HTTP_2) } else { (&self.client, Version::HTTP_11) };
        let refuse = if is_grpc { grpc::refusal } else { refusal };
        let (parts, body) = request.into_parts();
        let lent = Lent::new(body, copies.bodies());
        let mut headers = parts.headers;
        strip(&mut headers);
        if is_grpc {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
        }
        let path = parts.uri.path_and_query().and_then(|path| path.as_str().get(skip..)).unwrap_or("/");
        copies.asks(&parts.method, path, &headers);
        let mut why = String::new();
        for server in servers {
            let mut ticket = server.counter.begin();
            let Ok(uri) = format!("http://{}{path}", server.address).parse::<Uri>() else {
                why = format!("its address {} is none", server.address);
                continue;
            };
            let mut request = Request::new(Body::new(lent.again()));
            *request.method_mut() = parts.method.clone();
            *request.uri_mut() = uri;
            *request.version_mut() = version;
            request.headers_mut().clone_from(&headers);
            match tokio::time::timeout(ANSWER_WITHIN, client.request(request)).await {
                Ok(Ok(response)) => return back(response, &server, ticket, copies),
                Ok(Err(error)) => {
                    ticket.end(false);
                    why = cause(&error);
                    if error.is_connect() && !lent.is_touched() {
                        continue;
                    }
                    return refuse(
                        StatusCode::BAD_GATEWAY,
                        &format!("the server of the model failed: {why}"),
                    );
                }
                Err(_) => {
                    ticket.end(false);
                    return refuse(StatusCode::GATEWAY_TIMEOUT, "the server of the model does not answer");
                }
            }
        }
        refuse(StatusCode::BAD_GATEWAY, &format!("no server of the model can be reached: {why}"))
    }
}

/// Answers a request: with what a server says, or the router's own pages.
pub(super) async fn answer(State(proxy): State<Arc<Proxy>>, mut request: Request<Body>) -> Response<Body> {
    let id = proxy.id(request.headers());
    let name = HeaderValue::from_str(&id).ok();
    if let Some(name) = &name {
        request.headers_mut().insert(REQUEST_ID, name.clone());
    }
    let is_first = request.version() < Version::HTTP_2;
    let mut response = respond(&proxy, &id, request).await;
    if is_first && proxy.is_left.load(Relaxed) {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(name) = name {
        response.headers_mut().insert(REQUEST_ID, name);
    }
    response
}

async fn respond(proxy: &Proxy, id: &str, request: Request<Body>) -> Response<Body> {
    if grpc::is_grpc(request.headers()) {
        return call(proxy, request).await;
    }
    let table = proxy.table();
    match table.find(request.uri(), request.headers()) {
        Found::Servers(servers, skip, sampled, shadowed) => {
            let has = |sampled: &Arc<Sampled>| sampled.has(id);
            let kept = sampled.filter(has).and_then(|sampled| proxy.log.begin(&sampled, id));
            let copied = shadowed.and_then(|shadowed| proxy.shadow.begin(&shadowed));
            proxy.pass(servers, skip, Copies { kept, copied }, request).await
        }
        Found::Nobody(model) => {
            refusal(StatusCode::SERVICE_UNAVAILABLE, &format!("no version of model `{model}` is served now"))
        }
        Found::Unknown => match request.uri().path() {
            "/metrics" => {
                let counted = proxy.meters.page(proxy.start, &table.generations());
                page(counted + &proxy.log.page() + &proxy.shadow.page())
            }
            "/v2/health/live" | "/v2/health/ready" => Response::new(Body::empty()),
            path => refusal(StatusCode::NOT_FOUND, &format!("no model is served at {path}")),
        },
    }
}

/// Answers a call of gRPC.
async fn call(proxy: &Proxy, request: Request<Body>) -> Response<Body> {
    let (namespace, model, request) = grpc::named(request).await;
    let found = proxy.table().find_grpc(&namespace, model.as_deref(), request.headers());
    match found {
        Found::Servers(servers, ..) => proxy.pass(servers, 0, Copies::default(), request).await,
        Found::Nobody(model) => {
            let why = format!("no version of model `{model}` is served over gRPC now");
            grpc::refusal(StatusCode::SERVICE_UNAVAILABLE, &why)
        }
        Found::Unknown => {
            let why = model.map_or_else(
                || "the call names no model, and there is not one alone that is served over gRPC".to_owned(),
                |model| format!("no model `{model}` is served in namespace `{namespace}`"),
            );
            grpc::refusal(StatusCode::NOT_FOUND, &why)
        }
    }
}

/// An answer as it goes back.
fn back(
    response: Response<hyper::body::Incoming>,
    server: &Server,
    mut ticket: Ticket,
    mut copies: Copies,
) -> Response<Body> {
    ticket.answered();
    copies.answered(&server.name, response.status().as_u16());
    let (mut parts, body) = response.into_parts();
    strip(&mut parts.headers);
    if let Ok(name) = HeaderValue::from_str(&server.name) {
        parts.headers.insert(ANSWERED_BY, name);
    }
    parts.version = Version::default();
    // Who asks wrongly asks every version so; a version that refuses what others take is worse.
    let well =
        !parts.status.is_server_error() && !parts.status.is_client_error() && grpc::is_well(&parts.headers);
    Response::from_parts(parts, Body::new(Counted { body, ticket, well, copies }))
}

fn strip(headers: &mut HeaderMap) {
    // A header that is named in `connection` is for the next hop too.
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

fn refusal(status: StatusCode, why: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(serde_json::json!({"error": why}).to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn page(text: String) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let kind = HeaderValue::from_static("text/plain; version=0.0.4");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The last reason in a chain.
fn cause(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), cause)
}

/// A body that streams to one server, or to the next as long as nobody has read of it.
#[derive(Clone)]
struct Lent {
    body: Arc<Mutex<Body>>,
    touched: Arc<AtomicBool>,
    taps: Vec<Tap>,
    hint: SizeHint,
    ended: bool,
}

impl Lent {
    fn new(body: Body, taps: Vec<Tap>) -> Self {
        let (hint, ended) = (body.size_hint(), body.is_end_stream());
        Self { body: Arc::new(Mutex::new(body)), touched: Arc::default(), taps, hint, ended }
    }

    fn again(&self) -> Self {
        self.clone()
    }

    fn is_touched(&self) -> bool {
        self.touched.load(Relaxed)
    }
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.touched.store(true, Relaxed);
        let mut body = self.body.lock().unwrap_or_else(PoisonError::into_inner);
        let frame = std::task::ready!(Pin::new(&mut *body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.taps.iter().for_each(|tap| tap.add(data));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }

    fn size_hint(&self) -> SizeHint {
        self.hint
    }
}

/// The body of an answer, whose end counts.
struct Counted {
    body: hyper::body::Incoming,
    ticket: Ticket,
    well: bool,
    /// The request, where it is copied.
    copies: Copies,
}

impl Counted {
    fn end(&mut self) {
        let well = self.well;
        self.ticket.end(well);
        self.copies.end();
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(context));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.copies.add(data);
        }
        // What a call has come to is said after its last message.
        if let Some(Ok(frame)) = &frame
            && frame.trailers_ref().is_some_and(|trailers| !grpc::is_well(trailers))
        {
            self.well = false;
        }
        match &frame {
            None => self.end(),
            Some(Err(_)) => self.ticket.end(false),
            Some(Ok(_)) if self.body.is_end_stream() => self.end(),
            Some(Ok(_)) => {}
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        // One without a body is never polled.
        if self.body.is_end_stream() {
            self.end();
        }
    }
}
