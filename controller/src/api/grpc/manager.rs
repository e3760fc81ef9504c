//! Katib's `DBManager`: for whoever gets here, or for pods alone, each known by its address.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::ConnectInfo;
use controller_core::ports::{NotAllowed, PeerPod, Peers};
use proto::katib;
use proto::katib::db_manager_server::{DbManager, DbManagerServer};
use tonic::{Request, Response, Status};

use super::refusal;
use crate::api::Api;
use crate::api::service::{self, ApiError};

/// The service. With `peers` pods alone are served: each may report for its own trial, and read its namespace's.
pub(super) fn service(api: Api, peers: Option<Arc<dyn Peers>>) -> DbManagerServer<Observations> {
    DbManagerServer::new(Observations { api, peers })
}

pub(super) struct Observations {
    api: Api,
    peers: Option<Arc<dyn Peers>>,
}

/// Katib's own answers every failure with UNKNOWN.
fn status(error: ApiError) -> Status {
    Status::unknown(error.message)
}

/// What somebody wants with a trial's observations.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wants {
    Write,
    Read,
    Delete,
}

/// Whether a pod may. `namespaces` are those of the trials of that name.
fn may(wants: Wants, pod: &PeerPod, trial: &str, namespaces: &[String]) -> Result<(), String> {
    let PeerPod { namespace, trial: own } = pod;
    let at_home = namespaces.iter().all(|other| other == namespace);
    match wants {
        Wants::Write if at_home && own.as_deref() == Some(trial) => Ok(()),
        Wants::Write => Err(format!("only pods of trial `{trial}` report for it")),
        Wants::Read if at_home => Ok(()),
        Wants::Read => Err(format!(
            "the log of trial `{trial}` is read from its own namespace alone, and this is a pod of `{namespace}`"
        )),
        Wants::Delete => Err("pods delete no observations".into()),
    }
}

impl Observations {
    async fn check<T>(&self, wants: Wants, trial: &str, request: &Request<T>) -> Result<(), Status> {
        let Some(peers) = &self.peers else { return Ok(()) };
        let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
        let address = address.map(|address| address.0.ip().to_canonical().to_string()).unwrap_or_default();
        let Some(pod) = peers.pod(&address).await.map_err(refusal)? else {
            let text = format!("no pod has the address {address}, and pods alone are served here");
            let hint = "`cairn serve --manager-open` lets others in";
            return Err(refusal(NotAllowed::Forbidden(format!("{text}; {hint}"))));
        };
        let namespaces = service::namespaces_of(&self.api, trial).await.map_err(status)?;
        may(wants, &pod, trial, &namespaces).map_err(|why| refusal(NotAllowed::Forbidden(why)))
    }
}

#[tonic::async_trait]
impl DbManager for Observations {
    async fn report_observation_log(
        &self,
        request: Request<katib::ReportObservationLogRequest>,
    ) -> Result<Response<katib::ReportObservationLogReply>, Status> {
        self.check(Wants::Write, &request.get_ref().trial_name, &request).await?;
        service::report(&self.api, request.get_ref()).await.map_err(status)?;
        Ok(Response::new(katib::ReportObservationLogReply {}))
    }

    async fn get_observation_log(
        &self,
        request: Request<katib::GetObservationLogRequest>,
    ) -> Result<Response<katib::GetObservationLogReply>, Status> {
        self.check(Wants::Read, &request.get_ref().trial_name, &request).await?;
        let metric_logs = service::log(&self.api, request.get_ref()).await.map_err(status)?;
        let observation_log = Some(katib::ObservationLog { metric_logs });
        Ok(Response::new(katib::GetObservationLogReply { observation_log }))
    }

    async fn delete_observation_log(
        &self,
        request: Request<katib::DeleteObservationLogRequest>,
    ) -> Result<Response<katib::DeleteObservationLogReply>, Status> {
        self.check(Wants::Delete, &request.get_ref().trial_name, &request).await?;
        service::delete_log(&self.api, &request.get_ref().trial_name).await.map_err(status)?;
        Ok(Response::new(katib::DeleteObservationLogReply {}))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_write_for_their_own_trial_and_read_in_their_own_namespace() {
        let pod = |namespace: &str, trial: Option<&str>| PeerPod {
            namespace: namespace.into(),
            trial: trial.map(str::to_owned),
        };
        let allowed = |wants, pod: &PeerPod| may(wants, pod, "demo-x", &["ns1".to_owned()]).is_ok();
        let own = pod("ns1", Some("demo-x"));
        assert!(allowed(Wants::Write, &own) && allowed(Wants::Read, &own));
        assert!(!allowed(Wants::Delete, &own));
        let neighbour = pod("ns1", Some("demo-y"));
        assert!(!allowed(Wants::Write, &neighbour) && allowed(Wants::Read, &neighbour));
        let notebook = pod("ns1", None);
        assert!(!allowed(Wants::Write, &notebook) && allowed(Wants::Read, &notebook));
        let elsewhere = pod("ns2", Some("demo-x"));
        assert!(!allowed(Wants::Write, &elsewhere) && !allowed(Wants::Read, &elsewhere));
    }
}
