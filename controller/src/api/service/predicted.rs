//! The best trial by what the algorithm believes, which noise misleads less than the best value seen.

use std::collections::BTreeSet;

use ::study::{HistoryEvent, Study, Trial};
use controller_core::experiment::ExperimentRecord;
use controller_core::ports::{TrialOrder, TrialQuery};
use controller_core::telling::Telling;
use controller_core::trial::{TrialRecord, TrialState};
use proto::cairn as wire;
use suggest::convert;
use tonic::Code;

use super::error::ApiError;
use super::trials::placed;
use super::{find, search};
use crate::api::Api;
use crate::api::types::{Predicted, PredictedBest};
use crate::driver;

/// Most points asked about: those that did best.
const MAX_POINTS: u64 = 1000;
/// Events in one message.
const CHUNK: u64 = 1000;

/// The trial with the best expected objective, of those that have ended; none where the algorithm has no model.
pub(crate) async fn predicted_best(
    api: &Api,
    namespace: &str,
    name: &str,
) -> Result<PredictedBest, ApiError> {
    let record = find(api, namespace, name).await?;
    if record.spec.algorithm.as_ref().is_some_and(|algorithm| algorithm.endpoint.is_some()) {
        return Ok(PredictedBest::default());
    }
    let current = search::study(&record)?;
    let version = record.version(record.earlier.len(), &current);
    let telling = driver::telling(&*api.world.store, &record, version).await?;
    let trials = trials(api, &record).await?;
    let points: Vec<(&TrialRecord, Trial)> =
        trials.iter().filter_map(|trial| told(&telling, trial)).collect();
    let predictions = predictions(api, &record, &current, &telling, &points).await?;
    let lowest = points.iter().zip(&predictions).min_by(|(_, a), (_, b)| a.mean.total_cmp(&b.mean));
    let direction = record.spec.objective().direction();
    Ok(lowest.map_or_else(PredictedBest::default, |((trial, _), predicted)| PredictedBest {
        trial: Some(placed(api, &record, trial)),
        predicted: Some(Predicted { mean: direction.value(predicted.mean), std: predicted.std }),
    }))
}

/// A trial with its point in the space that is searched now; `None` if it lies outside.
fn told<'a>(telling: &Telling, trial: &'a TrialRecord) -> Option<(&'a TrialRecord, Trial)> {
    let seen = Trial { idx: trial.idx, suggestion: trial.suggestion.clone() };
    Some((trial, telling.trial(&seen)?))
}

/// The trials asked about, each point once, the best first.
async fn trials(api: &Api, record: &ExperimentRecord) -> Result<Vec<TrialRecord>, ApiError> {
    let query = TrialQuery {
        states: vec![TrialState::Succeeded],
        order: TrialOrder::Objective,
        descending: record.spec.objective().is_maximize(),
        limit: MAX_POINTS,
        ..TrialQuery::default()
    };
    let mut seen = BTreeSet::new();
    let mut trials = api.world.store.trials(record.id, &query).await?.items;
    trials.retain(|trial| !trial.objectives.is_empty() && seen.insert(trial.assignments.clone()));
    Ok(trials)
}

/// What is believed of the points of some trials; nothing where the algorithm has no model.
async fn predictions(
    api: &Api,
    record: &ExperimentRecord,
    study: &Study,
    telling: &Telling,
    points: &[(&TrialRecord, Trial)],
) -> Result<Vec<wire::Prediction>, ApiError> {
    let study = search::told(study, "predict");
    let mut chunks = vec![wire::LoadRequest { study: Some(study.clone()), events: Vec::new() }];
    let mut after = 0;
    loop {
        let page = api.world.store.events(record.id, after, CHUNK).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        let told: Vec<HistoryEvent> = page.iter().flat_map(|stored| stored.event.history(telling)).collect();
        let events = told.iter().map(convert::event_to_proto).collect();
        chunks.push(wire::LoadRequest { study: None, events });
    }
    let mut client = search::client(api);
    let loaded = client.load(tokio_stream::iter(chunks)).await.map_err(search::failed)?.into_inner();
    let point =
        |trial: &Trial| wire::Point { values: convert::assignment_to_proto(&trial.suggestion.assignment) };
    let request = wire::PredictRequest {
        study: Some(study),
        prefix: loaded.prefix,
        events: Vec::new(),
        points: points.iter().map(|(_, trial)| point(trial)).collect(),
    };
    match client.predict(request).await {
        Ok(reply) => Ok(reply.into_inner().predictions),
        // A service of another version knows no such question.
        Err(status) if status.code() == Code::Unimplemented => Ok(Vec::new()),
        Err(status) => Err(search::failed(status)),
    }
}
