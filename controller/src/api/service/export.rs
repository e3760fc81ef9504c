//! Exporting trials and their observations as CSV and JSON.

use std::collections::BTreeMap;

use controller_core::experiment::ExperimentRecord;
use controller_core::ports::{Observation, ObservationQuery};
use controller_core::time::Timestamp;
use serde_json::{Value, json};
use study::TrialIdx;

use super::error::ApiError;
use super::trials::{TrialsQuery, trials};
use super::{find, view};
use crate::api::Api;
use crate::api::types::Trial;

/// One row a trial: number, name, state, times, objective, then a column for each parameter and metric.
pub(crate) async fn csv(api: &Api, namespace: &str, name: &str) -> Result<String, ApiError> {
    let record = find(api, namespace, name).await?;
    let all = trials(api, namespace, name, &TrialsQuery::default()).await?.items;
    let metrics = record.spec.objective().metrics();
    let fixed =
        ["idx", "name", "state", "created", "started", "ended", "seconds", "value"].map(str::to_owned);
    let given = record.spec.given();
    let parameters = given.iter().map(|name| format!("params.{name}"));
    let header: Vec<String> = fixed
        .into_iter()
        .chain(parameters)
        .chain(metrics.iter().map(|metric| format!("metrics.{metric}")))
        .collect();
    let mut text = line(&header);
    for trial in &all {
        let mut cells = own_cells(trial);
        cells.extend(
            given.iter().map(|name| {
                trial.parameters.get(*name).and_then(Value::as_str).unwrap_or_default().to_owned()
            }),
        );
        cells.extend(metrics.iter().map(|metric| {
            let found = trial.metrics.iter().find(|found| found.name == *metric);
            found.map(|found| found.latest.clone()).unwrap_or_default()
        }));
        text.push_str(&line(&cells));
    }
    Ok(text)
}

fn own_cells(trial: &Trial) -> Vec<String> {
    let number = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    vec![
        trial.idx.to_string(),
        trial.name.clone(),
        trial.state.clone(),
        trial.created.clone(),
        trial.started.clone().unwrap_or_default(),
        trial.ended.clone().unwrap_or_default(),
        number(trial.seconds),
        number(trial.value),
    ]
}

/// Cells as RFC 4180 wants them.
fn line(cells: &[String]) -> String {
    let quoted: Vec<String> = cells
        .iter()
        .map(|cell| {
            if cell.contains([',', '"', '\n', '\r']) {
                format!("\"{}\"", cell.replace('"', "\"\""))
            } else {
                cell.clone()
            }
        })
        .collect();
    quoted.join(",") + "\n"
}

/// One row an observation, in the order in which they were kept: trial, attempt, metric, step, time, text, value.
pub(crate) async fn observations_csv(api: &Api, namespace: &str, name: &str) -> Result<String, ApiError> {
    let record = find(api, namespace, name).await?;
    let names = names(api, namespace, name).await?;
    let header = ["trial", "attempt", "metric", "step", "time", "text", "value"].map(str::to_owned);
    let mut text = line(&header);
    for observation in all_observations(api, &record).await? {
        let row = observation.row;
        text.push_str(&line(&[
            names.get(&observation.trial).cloned().unwrap_or_default(),
            observation.attempt.to_string(),
            row.metric.to_string(),
            row.step.to_string(),
            row.time.map(Timestamp::to_rfc3339_micros).unwrap_or_default(),
            row.text,
            row.value.map(|value| value.to_string()).unwrap_or_default(),
        ]));
    }
    Ok(text)
}

async fn all_observations(api: &Api, record: &ExperimentRecord) -> Result<Vec<Observation>, ApiError> {
    Ok(api.world.store.observations(record.id, &ObservationQuery::default()).await?)
}

/// Names of trials by number.
async fn names(api: &Api, namespace: &str, name: &str) -> Result<BTreeMap<TrialIdx, String>, ApiError> {
    let all = trials(api, namespace, name, &TrialsQuery::default()).await?.items;
    Ok(all.into_iter().map(|trial| (TrialIdx(trial.idx), trial.name)).collect())
}

/// The experiment with all its trials, and with their observations if they are wanted.
pub(crate) async fn json(api: &Api, namespace: &str, name: &str, observed: bool) -> Result<Value, ApiError> {
    let record = find(api, namespace, name).await?;
    let all = trials(api, namespace, name, &TrialsQuery::default()).await?.items;
    let mut export = json!({ "experiment": view::full(api, &record).await?, "trials": all });
    if observed {
        export["observations"] = json!(all_observations(api, &record).await?);
    }
    Ok(export)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_commas_and_quotes_are_quoted() {
        assert_eq!(line(&["a,b".into(), "c\"d".into(), "e".into()]), "\"a,b\",\"c\"\"d\",e\n");
    }
}
