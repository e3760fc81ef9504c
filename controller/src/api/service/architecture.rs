//! The architecture of a trial, as graphs.

use std::collections::BTreeMap;

use controller_core::spec::ExperimentSpec;
use nas::graph::{self, Graph, GraphError, OperationWeights};
use serde_json::Value;

use super::error::ApiError;
use super::find;
use super::trials::{TrialsQuery, best, observations, trial, trials};
use crate::api::Api;
use crate::api::types::{Architecture, Member, Trial};

/// The architecture of a trial, or of the best one.
pub(crate) async fn architecture(
    api: &Api,
    namespace: &str,
    name: &str,
    wanted: Option<&str>,
) -> Result<Architecture, ApiError> {
    let trial = match wanted {
        Some(wanted) => trial(api, namespace, name, wanted).await?,
        None => best(api, namespace, name).await?,
    };
    let graphs = graphs(&trial).map_err(|error| {
        let what = if error == GraphError::Unknown { "is no architecture" } else { "cannot be drawn" };
        ApiError::invalid(format!("trial `{}` {what}: {error}", trial.name))
    })?;
    let weights = weights(api, namespace, name, &trial).await?;
    let population = population(api, namespace, name).await?;
    let texts = graphs.iter().map(Graph::to_text).chain(weights.as_ref().map(OperationWeights::to_text));
    let texts = texts.chain((!population.is_empty()).then(|| listed(&population)));
    Ok(Architecture {
        trial: trial.name,
        idx: trial.idx,
        value: trial.value,
        text: texts.collect::<Vec<_>>().join("\n"),
        svg: Graph::to_svg(&graphs, weights.as_ref()),
        population,
        weights: weights.as_ref().map(OperationWeights::to_json),
        dot: graphs.iter().map(Graph::to_dot).collect(),
        graphs: graphs.iter().map(Graph::to_json).collect(),
    })
}

/// What a trial's architecture looks like, if it has one.
fn graphs(trial: &Trial) -> Result<Vec<Graph>, GraphError> {
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    let parameters: BTreeMap<String, String> = trial.parameters.iter().filter_map(text).collect();
    let reported: Vec<&str> = trial.metrics.iter().map(|metric| metric.latest.as_str()).collect();
    graph::read(&parameters, &reported)
}

/// The population of an experiment's evolution: the measured trials that ended last.
async fn population(api: &Api, namespace: &str, name: &str) -> Result<Vec<Member>, ApiError> {
    let Some(size) = population_size(&find(api, namespace, name).await?.spec) else { return Ok(Vec::new()) };
    let query = TrialsQuery { sort: Some("-ended".into()), ..TrialsQuery::default() };
    let member = |trial: Trial| {
        let value = trial.value.filter(|_| matches!(trial.state.as_str(), "Succeeded" | "EarlyStopped"))?;
        let lines: Vec<String> = graphs(&trial).ok()?.iter().map(Graph::to_line).collect();
        Some(Member { trial: trial.name, idx: trial.idx, value, architecture: lines.join("; ") })
    };
    let ended = trials(api, namespace, name, &query).await?.items.into_iter().filter_map(member);
    let mut population: Vec<Member> = ended.take(size).collect();
    population.reverse();
    Ok(population)
}

/// How many trials may have children, if the algorithm is one that keeps a population of them.
fn population_size(spec: &ExperimentSpec) -> Option<usize> {
    const SETTING: &str = "population";
    let algorithm = spec.algorithm.as_ref()?;
    let rows = suggest::registry::list();
    let row = rows.iter().find(|row| row.name == algorithm.algorithm_name)?;
    let (_, default, _) = row.settings.iter().find(|(setting, ..)| *setting == SETTING)?;
    let given = algorithm.algorithm_settings.iter().find(|setting| setting.name == SETTING);
    given.map_or(*default, |setting| &setting.value).parse().ok()
}

/// A population as lines of text.
fn listed(population: &[Member]) -> String {
    let mut text = format!("population of {}, the oldest first\n", population.len());
    for Member { idx, value, architecture, .. } in population {
        text.push_str(&format!("  {idx:>4}  {value:<8.5}  {architecture}\n"));
    }
    text
}

/// What the operations of a trial's supernet weighed, if it has reported that as one of its metrics.
async fn weights(
    api: &Api,
    namespace: &str,
    name: &str,
    trial: &Trial,
) -> Result<Option<OperationWeights>, ApiError> {
    let is_of_weights = |text: &str| OperationWeights::read([text]).is_some();
    let Some(metric) = trial.metrics.iter().find(|metric| is_of_weights(&metric.latest)) else {
        return Ok(None);
    };
    let reported = observations(api, namespace, name, &trial.name, Some(&metric.name), 0).await?;
    // An epoch that was run again counts as it was then.
    let epochs: BTreeMap<i64, String> = reported.items.into_iter().map(|row| (row.step, row.text)).collect();
    Ok(OperationWeights::read(epochs.values().map(String::as_str)))
}
