//! The real suggestion service behind a line that can be cut.

use std::io;
use std::sync::{Arc, Mutex};

use hyper_util::rt::TokioIo;
use suggest::SearchLine;
use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::transport::{Endpoint, Server};
use tower::ServiceExt as _;
use tower::util::BoxCloneSyncService;

/// Bytes on their way.
const PIPE: usize = 1 << 16;

/// The service and the line to it. Cut off, it forgets what it held.
#[derive(Clone, Default)]
pub(super) struct Search(Arc<Mutex<Line>>);

#[derive(Default)]
struct Line {
    connect: Option<mpsc::UnboundedSender<io::Result<DuplexStream>>>,
    tasks: JoinSet<()>,
    /// How often a history was sent.
    n_loads: usize,
}

impl Search {
    /// Starts a service that remembers nothing.
    pub(super) async fn up(&self) {
        let routes = suggest::routes(None).await;
        // Unbounded: one end of a pipe for each connection of one channel.
        let (connect, incoming) = mpsc::unbounded_channel();
        let mut line = self.0.lock().unwrap();
        line.connect = Some(connect);
        line.tasks.spawn(async move {
            let incoming = UnboundedReceiverStream::new(incoming);
            Server::builder().add_routes(routes).serve_with_incoming(incoming).await.unwrap();
        });
    }

    /// Ends the service and every connection to it.
    pub(super) fn down(&self) {
        let mut line = self.0.lock().unwrap();
        line.connect = None;
        line.tasks.abort_all();
    }

    /// The line to whatever service is up.
    pub(super) fn line(&self) -> SearchLine {
        let search = self.clone();
        let connector = tower::service_fn(move |_| {
            let connected = search.connect();
            async move { connected.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://simulated").connect_with_connector_lazy(connector);
        let search = self.clone();
        let counted = channel.map_request(move |request: http::Request<Body>| {
            let is_load = request.uri().path().ends_with("/Load");
            search.0.lock().unwrap().n_loads += usize::from(is_load);
            request
        });
        BoxCloneSyncService::new(counted.map_err(|error| Status::from_error(Box::new(error))))
    }

    /// How often a history was sent so far.
    pub(super) fn n_loads(&self) -> usize {
        self.0.lock().unwrap().n_loads
    }

    fn connect(&self) -> io::Result<DuplexStream> {
        let mut line = self.0.lock().unwrap();
        let connect = line.connect.clone().ok_or_else(|| io::Error::other("the line is cut"))?;
        let ((here, mut a), (mut b, there)) = (duplex(PIPE), duplex(PIPE));
        connect.send(Ok(there)).map_err(|_| io::Error::other("the service has ended"))?;
        line.tasks.spawn(async move {
            copy_bidirectional(&mut a, &mut b).await.ok();
        });
        Ok(here)
    }
}
