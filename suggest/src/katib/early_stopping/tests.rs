use std::collections::BTreeMap;

use proto::katib::ParameterType as Kind;
use proto::katib::db_manager_server::{DbManager, DbManagerServer};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use super::*;
use crate::katib::testing::{experiment, parameter, trial};

/// Observations of the metric `accuracy` by trial.
#[derive(Default)]
struct Observations(BTreeMap<&'static str, &'static [&'static str]>);

#[tonic::async_trait]
impl DbManager for Observations {
    async fn report_observation_log(
        &self,
        _: Request<wire::ReportObservationLogRequest>,
    ) -> Result<Response<wire::ReportObservationLogReply>, Status> {
        Err(Status::unimplemented("it is read only"))
    }

    async fn get_observation_log(
        &self,
        request: Request<wire::GetObservationLogRequest>,
    ) -> Result<Response<wire::GetObservationLogReply>, Status> {
        let request = request.into_inner();
        assert_eq!(request.metric_name, "accuracy");
        let rows = self.0.get(request.trial_name.as_str()).copied().unwrap_or_default();
        let metric_logs = rows.iter().zip(1..).map(|(value, second)| wire::MetricLog {
            time_stamp: format!("2026-01-01T00:00:{second:02}Z"),
            metric: Some(wire::Metric { name: "accuracy".into(), value: (*value).into() }),
        });
        let observation_log = Some(wire::ObservationLog { metric_logs: metric_logs.collect() });
        Ok(Response::new(wire::GetObservationLogReply { observation_log }))
    }

    async fn delete_observation_log(
        &self,
        _: Request<wire::DeleteObservationLogRequest>,
    ) -> Result<Response<wire::DeleteObservationLogReply>, Status> {
        Err(Status::unimplemented("it is read only"))
    }
}

fn request(
    ended: &[&str],
    settings: &[(&str, &str)],
    address: &str,
) -> Request<wire::GetEarlyStoppingRulesRequest> {
    let mut experiment = experiment("random", vec![parameter("x", Kind::Double, "0,1")]);
    let settings = settings
        .iter()
        .map(|(name, value)| wire::EarlyStoppingSetting { name: (*name).into(), value: (*value).into() });
    experiment.spec.as_mut().unwrap().early_stopping = Some(wire::EarlyStoppingSpec {
        algorithm_name: "medianstop".into(),
        algorithm_settings: settings.collect(),
    });
    let trials = ended.iter().map(|name| trial(name, &[], Condition::Succeeded, Some("1"), (1, 2)));
    let running = trial("running", &[], Condition::Running, None, (1, 0));
    Request::new(wire::GetEarlyStoppingRulesRequest {
        experiment: Some(experiment),
        trials: trials.chain([running]).collect(),
        db_manager_address: address.into(),
    })
}

/// The service's answer while a database serves these observations.
async fn rules(
    ended: &[&'static str],
    settings: &[(&str, &str)],
    rows: &[(&'static str, &'static [&'static str])],
) -> Vec<wire::EarlyStoppingRule> {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let manager = DbManagerServer::new(Observations(rows.iter().copied().collect()));
    let served = Server::builder().add_service(manager).serve_with_incoming(TcpListenerStream::new(listener));
    let service = EarlyStoppingService::default();
    let answer = service.get_early_stopping_rules(request(ended, settings, &address));
    tokio::select! {
        answer = answer => answer.unwrap().into_inner().early_stopping_rules,
        ended = served => panic!("{ended:?}"),
    }
}

#[tokio::test]
async fn the_rule_is_the_true_median_of_the_means_of_first_rows() {
    let rows: &[(&str, &[&str])] = &[
        ("a", &["0.1", "0.3", "9"]),
        ("b", &["0.5", "n/a", "0.7", "9"]),
        ("c", &["100"]),
        ("silent", &[]),
        ("running", &["7"]),
    ];
    let settings = [("min_trials_required", "3"), ("start_step", "2")];
    let rules = rules(&["a", "b", "c", "silent"], &settings, rows).await;
    let wanted = wire::EarlyStoppingRule {
        name: "accuracy".into(),
        value: "0.6".into(),
        comparison: wire::ComparisonType::Less.into(),
        start_step: 2,
    };
    assert_eq!(rules, [wanted]);
}

#[tokio::test]
async fn there_is_no_rule_before_trials_enough_have_said_something() {
    let rows: &[(&str, &[&str])] = &[("a", &["0.1"]), ("b", &["0.2"]), ("c", &[])];
    assert_eq!(rules(&["a", "b", "c"], &[], rows).await, []);
    assert_eq!(rules(&["a", "b"], &[], rows).await, []);
    assert_eq!(rules(&["a", "b"], &[("min_trials_required", "2")], rows).await[0].start_step, 4);
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_said() {
    let service = EarlyStoppingService::default();
    let trials = ["a", "b", "c"];
    let status = service.get_early_stopping_rules(request(&trials, &[], "nowhere")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().starts_with("Invalid Katib DB manager service address"), "{status}");
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let status = service.get_early_stopping_rules(request(&trials, &[], &gone)).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(status.message().contains("trial `a`"), "{status}");
}

#[tokio::test]
async fn the_status_of_a_trial_is_passed_on_or_refused_with_the_reason() {
    struct Known;
    #[tonic::async_trait]
    impl TrialStatus for Known {
        async fn stop_early(&self, trial: &str) -> Result<(), Status> {
            if trial == "known" { Ok(()) } else { Err(Status::not_found("no such trial")) }
        }
    }
    let set = async |service: &EarlyStoppingService, trial: &str| {
        let request = Request::new(wire::SetTrialStatusRequest { trial_name: trial.into() });
        service.set_trial_status(request).await.map(|_| ()).map_err(|status| status.code())
    };
    let alone = EarlyStoppingService::default();
    assert_eq!(set(&alone, "known").await, Err(Code::Unimplemented));
    let joined = EarlyStoppingService::new(Some(Arc::new(Known)));
    assert_eq!(set(&joined, "known").await, Ok(()));
    assert_eq!(set(&joined, "other").await, Err(Code::NotFound));
}
