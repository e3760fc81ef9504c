//! Serving: as routes to be mounted, on an address, or through a pipe within one process.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use proto::cairn::search_server::SearchServer;
use proto::katib::early_stopping_server::EarlyStoppingServer;
use proto::katib::suggestion_server::SuggestionServer;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Server};

use crate::katib::{EarlyStoppingService, SuggestionService, TrialStatus};
use crate::service::SearchService;

/// Largest message in bytes, either way.
const MAX_MESSAGE: usize = 256 << 20;
/// Bytes buffered in each direction of an in-process pipe.
const PIPE: usize = 1 << 20;

/// Services that are healthy as long as this process answers; Katib's probe asks for the third.
const HEALTHY: [&str; 4] = ["", "cairn.v1.Search", "manager.v1beta1.Suggestion", "api.v1.beta1.Suggestion"];

/// All services of the suggestion engine with health and reflection. `trials` ends those that a rule has stopped;
/// without it, being told of one is UNIMPLEMENTED.
pub async fn routes(trials: Option<Arc<dyn TrialStatus>>) -> Routes {
    let (health_reporter, health) = tonic_health::server::health_reporter();
    for name in HEALTHY {
        health_reporter.set_service_status(name, tonic_health::ServingStatus::Serving).await;
    }
    let search = SearchServer::new(SearchService::default())
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let suggestion = SuggestionServer::new(SuggestionService)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let early_stopping = EarlyStoppingServer::new(EarlyStoppingService::new(trials))
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let mut routes =
        Routes::new(search).add_service(suggestion).add_service(early_stopping).add_service(health);
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    if let Ok(v1) = reflection().build_v1() {
        routes = routes.add_service(v1);
    }
    if let Ok(v1alpha) = reflection().build_v1alpha() {
        routes = routes.add_service(v1alpha);
    }
    routes
}

/// Serves on an address until `shutdown` is done.
///
/// # Errors
/// If the address cannot be used.
pub async fn serve(
    address: SocketAddr,
    shutdown: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let routes = routes(None).await;
    Server::builder().add_routes(routes).serve_with_shutdown(address, shutdown).await
}

/// A channel to the services in this process, and the server's side of it, which must be polled for it to work.
pub async fn in_memory() -> (Channel, impl Future<Output = Result<(), tonic::transport::Error>>) {
    let routes = routes(None).await;
    // Unbounded: it holds one end of a pipe for each reconnection of one channel.
    let (connect, incoming) = mpsc::unbounded_channel::<io::Result<DuplexStream>>();
    let server =
        Server::builder().add_routes(routes).serve_with_incoming(UnboundedReceiverStream::new(incoming));
    let connector = tower::service_fn(move |_| {
        let (here, there) = tokio::io::duplex(PIPE);
        let sent = connect.send(Ok(there)).map_err(|_| io::Error::other("the suggestion service has ended"));
        async move { sent.map(|()| hyper_util::rt::TokioIo::new(here)) }
    });
    (Endpoint::from_static("http://in-process").connect_with_connector_lazy(connector), server)
}
