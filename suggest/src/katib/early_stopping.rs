//! `api.v1.beta1.EarlyStopping`: the median rule over what a database of observations says.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _};
use proto::katib as wire;
use proto::katib::db_manager_client::DbManagerClient;
use proto::katib::early_stopping_server::EarlyStopping;
use proto::katib::trial_status::TrialConditionType as Condition;
use study::Direction;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use super::{convert, python, validate};

/// Longest time to reach the database's manager.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest time for one of its answers.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Questions to it at once.
const AT_ONCE: usize = 16;
/// Largest answer of it in bytes.
const MAX_MESSAGE: usize = 256 << 20;

/// Whoever can end a trial that a rule has stopped.
#[tonic::async_trait]
pub trait TrialStatus: Send + Sync {
    /// Sees to it that the trial of this name ends as early stopped.
    ///
    /// # Errors
    /// If there is no such trial, or it has ended.
    async fn stop_early(&self, trial: &str) -> Result<(), Status>;
}

/// Katib's early stopping service. It holds nothing.
#[derive(Clone, Default)]
pub struct EarlyStoppingService {
    trials: Option<Arc<dyn TrialStatus>>,
}

impl EarlyStoppingService {
    /// A service that passes on which trials were stopped, if there is somebody to pass it on to.
    pub fn new(trials: Option<Arc<dyn TrialStatus>>) -> Self {
        Self { trials }
    }
}

#[tonic::async_trait]
impl EarlyStopping for EarlyStoppingService {
    async fn get_early_stopping_rules(
        &self,
        request: Request<wire::GetEarlyStoppingRulesRequest>,
    ) -> Result<Response<wire::GetEarlyStoppingRulesReply>, Status> {
        let request = request.into_inner();
        let spec = request.experiment.and_then(|experiment| experiment.spec).unwrap_or_default();
        let early_stopping = spec.early_stopping.unwrap_or_default();
        validate::early_stopping(&early_stopping).map_err(Status::invalid_argument)?;
        let settings = Settings::read(&early_stopping);
        let objective = convert::objective(spec.objective.as_ref());
        let ended = request.trials.into_iter().filter(|trial| {
            trial.status.as_ref().is_some_and(|status| status.condition() == Condition::Succeeded)
        });
        let ended: Vec<String> = ended.map(|trial| trial.name).collect();
        let mut early_stopping_rules = Vec::new();
        if ended.len() >= settings.min_trials_required {
            let manager = dial(&request.db_manager_address)?;
            let means = means(&manager, ended, &objective.metric, settings.start_step).await?;
            if means.len() >= settings.min_trials_required {
                let comparison = match objective.direction {
                    Direction::Maximize => wire::ComparisonType::Less,
                    Direction::Minimize => wire::ComparisonType::Greater,
                };
                early_stopping_rules.push(wire::EarlyStoppingRule {
                    name: objective.metric,
                    value: study::float_text(median(means)),
                    comparison: comparison.into(),
                    start_step: i32::try_from(settings.start_step).unwrap_or(i32::MAX),
                });
            }
        }
        Ok(Response::new(wire::GetEarlyStoppingRulesReply { early_stopping_rules }))
    }

    async fn set_trial_status(
        &self,
        request: Request<wire::SetTrialStatusRequest>,
    ) -> Result<Response<wire::SetTrialStatusReply>, Status> {
        let Some(trials) = &self.trials else {
            let reason = "this service alone knows no trials: the status of one is set where they are kept, in \
                          the API of `cairn serve`";
            return Err(Status::unimplemented(reason));
        };
        trials.stop_early(&request.get_ref().trial_name).await?;
        Ok(Response::new(wire::SetTrialStatusReply {}))
    }

    async fn validate_early_stopping_settings(
        &self,
        request: Request<wire::ValidateEarlyStoppingSettingsRequest>,
    ) -> Result<Response<wire::ValidateEarlyStoppingSettingsReply>, Status> {
        let spec = request.into_inner().early_stopping.unwrap_or_default();
        validate::early_stopping(&spec).map_err(Status::invalid_argument)?;
        Ok(Response::new(wire::ValidateEarlyStoppingSettingsReply {}))
    }
}

/// Settings of the median rule, checked before.
struct Settings {
    /// Trials with rows before there is a rule, at least 1.
    min_trials_required: usize,
    /// Rows of each that count, and the row from which on a trial is looked at; at least 1.
    start_step: usize,
}

impl Settings {
    fn read(spec: &wire::EarlyStoppingSpec) -> Self {
        let number = |name: &str, default: usize| {
            let setting = spec.algorithm_settings.iter().rfind(|setting| setting.name == name);
            let number = setting.and_then(|setting| python::int(&setting.value).ok());
            number.map_or(default, |number| usize::try_from(number).unwrap_or(usize::MAX))
        };
        Self { min_trials_required: number("min_trials_required", 3), start_step: number("start_step", 4) }
    }
}

fn dial(address: &str) -> Result<Channel, Status> {
    let invalid = || {
        Status::invalid_argument(format!(
            "Invalid Katib DB manager service address: `{address}` is no host:port"
        ))
    };
    let (host, port) = address.rsplit_once(':').ok_or_else(invalid)?;
    if host.is_empty() || port.parse::<u16>().is_err() {
        return Err(invalid());
    }
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|_| invalid())?;
    Ok(endpoint.connect_timeout(CONNECT).timeout(TIMEOUT).connect_lazy())
}

/// For each of these trials that has any, the mean of the first rows of the metric.
async fn means(
    manager: &Channel,
    trials: Vec<String>,
    metric: &str,
    rows: usize,
) -> Result<Vec<f64>, Status> {
    let asked =
        futures::stream::iter(trials).map(|trial| mean(manager.clone(), trial, metric.to_owned(), rows));
    let means: Vec<Option<f64>> = asked.buffered(AT_ONCE).try_collect().await?;
    Ok(means.into_iter().flatten().collect())
}

async fn mean(manager: Channel, trial: String, metric: String, rows: usize) -> Result<Option<f64>, Status> {
    let request = wire::GetObservationLogRequest {
        trial_name: trial.clone(),
        metric_name: metric,
        ..wire::GetObservationLogRequest::default()
    };
    let mut client = DbManagerClient::new(manager).max_decoding_message_size(MAX_MESSAGE);
    let reply = client.get_observation_log(request).await.map_err(|status| {
        let problem = format!("the observations of trial `{trial}` cannot be read: {}", status.message());
        Status::new(if status.code() == Code::Unknown { Code::Unavailable } else { status.code() }, problem)
    })?;
    let logs = reply.into_inner().observation_log.unwrap_or_default().metric_logs;
    let values = logs.iter().filter_map(|log| python::float(&log.metric.as_ref()?.value).ok());
    let values: Vec<f64> = values.filter(|value| value.is_finite()).take(rows).collect();
    Ok((!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64))
}

/// The middle one, or the mean of the two in the middle. `values` is not empty.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) }
}

#[cfg(test)]
mod tests;
