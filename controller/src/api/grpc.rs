//! gRPC: the suggestion services, Katib's `DBManager` and `SetTrialStatus` over the store, and what sidecars speak.

mod artifacts;
mod manager;
mod observe;

use std::sync::Arc;

use axum::Router;
use controller_core::ports::{NotAllowed, Peers, Reporters};
use tonic::Status;
use tonic::service::Routes;

use super::Api;
use super::service;

/// What sidecars call: to report, to keep files, and to take them.
pub(crate) const OF_SIDECARS: [&str; 3] =
    ["/cairn.v1.Observe/Report", "/cairn.v1.Artifacts/Put", "/cairn.v1.Artifacts/Get"];

/// All gRPC services of `cairn serve`. `reporters` says which sidecars may report; without, whoever gets here may.
pub(crate) async fn router(api: Api, reporters: Option<Arc<dyn Reporters>>) -> Router {
    let manager = manager::service(api.clone(), None);
    let reporters = reporters.unwrap_or_else(|| Arc::new(observe::Admitted));
    let observe = observe::service(api.clone(), Arc::clone(&reporters));
    let artifacts = artifacts::service(api.clone(), reporters);
    let routes = suggest::routes(Some(Arc::new(Trials { api }))).await;
    routes.add_service(manager).add_service(observe).add_service(artifacts).into_axum_router()
}

/// The suggestion services alone.
pub(crate) async fn search_router() -> Router {
    suggest::routes(None).await.into_axum_router()
}

/// What sidecars speak, alone.
pub(crate) fn observe_router(api: Api, reporters: Arc<dyn Reporters>) -> Router {
    let artifacts = artifacts::service(api.clone(), Arc::clone(&reporters));
    Routes::new(observe::service(api, reporters)).add_service(artifacts).into_axum_router()
}

/// Katib's `DBManager` alone, with its health. With `peers` pods alone are served.
pub(crate) async fn manager_router(api: Api, peers: Option<Arc<dyn Peers>>) -> Router {
    let (reporter, health) = tonic_health::server::health_reporter();
    for name in ["", "grpc.health.v1.Health"] {
        reporter.set_service_status(name, tonic_health::ServingStatus::Serving).await;
    }
    Routes::new(manager::service(api, peers)).add_service(health).into_axum_router()
}

fn refusal(refusal: NotAllowed) -> Status {
    match refusal {
        NotAllowed::Unknown(why) => Status::unauthenticated(why),
        NotAllowed::Forbidden(why) => Status::permission_denied(why),
        NotAllowed::Unavailable(why) => Status::unavailable(why),
    }
}

/// Ends trials that a rule has stopped.
struct Trials {
    api: Api,
}

#[tonic::async_trait]
impl suggest::TrialStatus for Trials {
    async fn stop_early(&self, trial: &str) -> Result<(), Status> {
        service::stop_early(&self.api, trial).await.map_err(|error| match error.code {
            service::Code::NotFound => Status::not_found(error.message),
            service::Code::Conflict => Status::failed_precondition(error.message),
            service::Code::Unavailable => Status::unavailable(error.message),
            _ => Status::unknown(error.message),
        })
    }
}
