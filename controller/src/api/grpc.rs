//! gRPC: the suggestion services, and Katib's `DBManager` and `SetTrialStatus` over the store.

use std::sync::Arc;

use axum::Router;
use proto::katib;
use proto::katib::db_manager_server::{DbManager, DbManagerServer};
use tonic::{Request, Response, Status};

use super::Api;
use super::service::{self, ApiError};

/// All gRPC services of `cairn serve`.
pub(crate) async fn router(api: Api) -> Router {
    let manager = DbManagerServer::new(Observations { api: api.clone() });
    suggest::routes(Some(Arc::new(Trials { api }))).await.add_service(manager).into_axum_router()
}

/// The suggestion services alone.
pub(crate) async fn search_router() -> Router {
    suggest::routes(None).await.into_axum_router()
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

struct Observations {
    api: Api,
}

/// Katib's own answers every failure with UNKNOWN.
fn status(error: ApiError) -> Status {
    Status::unknown(error.message)
}

#[tonic::async_trait]
impl DbManager for Observations {
    async fn report_observation_log(
        &self,
        request: Request<katib::ReportObservationLogRequest>,
    ) -> Result<Response<katib::ReportObservationLogReply>, Status> {
        service::report(&self.api, request.get_ref()).await.map_err(status)?;
        Ok(Response::new(katib::ReportObservationLogReply {}))
    }

    async fn get_observation_log(
        &self,
        request: Request<katib::GetObservationLogRequest>,
    ) -> Result<Response<katib::GetObservationLogReply>, Status> {
        let metric_logs = service::log(&self.api, request.get_ref()).await.map_err(status)?;
        let observation_log = Some(katib::ObservationLog { metric_logs });
        Ok(Response::new(katib::GetObservationLogReply { observation_log }))
    }

    async fn delete_observation_log(
        &self,
        request: Request<katib::DeleteObservationLogRequest>,
    ) -> Result<Response<katib::DeleteObservationLogReply>, Status> {
        service::delete_log(&self.api, &request.get_ref().trial_name).await.map_err(status)?;
        Ok(Response::new(katib::DeleteObservationLogReply {}))
    }
}
