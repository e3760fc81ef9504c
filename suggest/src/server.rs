//! Serving: as routes to be mounted, on an address, or within one process.

use std::net::SocketAddr;
use std::sync::Arc;

use proto::cairn::search_server::SearchServer;
use proto::katib::early_stopping_server::EarlyStoppingServer;
use proto::katib::suggestion_server::SuggestionServer;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::service::Routes;
use tonic::transport::Server;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::katib::{EarlyStoppingService, SuggestionService, TrialStatus};
use crate::service::SearchService;

/// Largest message in bytes, either way.
const MAX_MESSAGE: usize = 256 << 20;

/// Services that are healthy as long as this process answers; Katib's probe asks for the third.
const HEALTHY: [&str; 4] = ["", "cairn.v1.Search", "manager.v1beta1.Suggestion", "api.v1.beta1.Suggestion"];

/// All services of the suggestion engine with health and reflection. `trials` ends those that a rule has stopped;
/// without it, being told of one is UNIMPLEMENTED.
pub async fn routes(trials: Option<Arc<dyn TrialStatus>>) -> Routes {
    let (health_reporter, health) = tonic_health::server::health_reporter();
    for name in HEALTHY {
        health_reporter.set_service_status(name, tonic_health::ServingStatus::Serving).await;
    }
    let suggestion = SuggestionServer::new(SuggestionService::default())
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let early_stopping = EarlyStoppingServer::new(EarlyStoppingService::new(trials))
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let mut routes =
        Routes::new(search()).add_service(suggestion).add_service(early_stopping).add_service(health);
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

/// The way to a search service: in this process ([`in_process`]) or over a [`Channel`](tonic::transport::Channel).
pub type SearchLine = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Status>;

/// The line to a search service of its own in this process. What goes over it are the messages of every other line;
/// no transport is between, whose tasks would wait for their turn on a machine full of trials.
#[must_use]
pub fn in_process() -> SearchLine {
    let service = ServiceExt::<http::Request<Body>>::map_err(search(), |never| match never {});
    BoxCloneSyncService::new(service)
}

fn search() -> SearchServer<SearchService> {
    SearchServer::new(SearchService::default())
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE)
}
