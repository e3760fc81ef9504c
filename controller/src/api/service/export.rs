//! Exporting trials as CSV and JSON.

use serde_json::{Value, json};

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
    let parameters = record.spec.parameters.iter().map(|parameter| format!("params.{}", parameter.name));
    let header: Vec<String> = fixed
        .into_iter()
        .chain(parameters)
        .chain(metrics.iter().map(|metric| format!("metrics.{metric}")))
        .collect();
    let mut text = line(&header);
    for trial in &all {
        let mut cells = own_cells(trial);
        cells.extend(record.spec.parameters.iter().map(|parameter| {
            trial.parameters.get(&parameter.name).and_then(Value::as_str).unwrap_or_default().to_owned()
        }));
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

/// The experiment with all its trials.
pub(crate) async fn json(api: &Api, namespace: &str, name: &str) -> Result<Value, ApiError> {
    let record = find(api, namespace, name).await?;
    let all = trials(api, namespace, name, &TrialsQuery::default()).await?.items;
    Ok(json!({ "experiment": view::full(api, &record).await?, "trials": all }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_with_commas_and_quotes_are_quoted() {
        assert_eq!(line(&["a,b".into(), "c\"d".into(), "e".into()]), "\"a,b\",\"c\"\"d\",e\n");
    }
}
