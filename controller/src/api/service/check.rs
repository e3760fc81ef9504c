//! Checking a document before anything starts: the validator, the algorithms, the machine.

use controller_core::document::ExperimentDocument;
use controller_core::report::{Problem, Report};
use controller_core::spec::AlgorithmSpec;
use controller_core::study;
use controller_core::validate;
use controller_core::yaml::Source;
use proto::cairn as wire;
use proto::cairn::search_client::SearchClient;
use suggest::{convert, registry};
use tonic::Code as GrpcCode;

use super::error::{ApiError, Code, problems};
use crate::api::Api;
use crate::api::types::{Ladder, LadderRung, Validation};
use crate::driver;

/// A document with everything there is to say about it.
pub(crate) struct Checked {
    /// With all defaults.
    pub(crate) document: ExperimentDocument,
    /// Problems, warnings, notes.
    pub(crate) report: Report,
}

impl Checked {
    /// As it travels.
    pub(crate) fn view(&self) -> Validation {
        Validation {
            valid: self.report.is_valid(),
            name: self.document.metadata.name.clone(),
            errors: problems(&self.report.errors),
            warnings: problems(&self.report.warnings),
            notes: self.report.notes.clone(),
            plan: self.plan(),
            spec: serde_json::to_value(&self.document.spec).unwrap_or_default(),
        }
    }
}

impl Checked {
    /// What comes of its trials, where they climb rungs.
    fn plan(&self) -> Vec<Ladder> {
        let spec = &self.document.spec;
        let (study, _) = study::of_spec(spec, &self.document.metadata.name, spec.seed.unwrap_or(0));
        let ladders = study.ok().filter(|_| self.report.is_valid());
        let ladders = ladders.and_then(|study| registry::forecast(&study)).unwrap_or_default();
        let ladder = |of: &registry::Forecast| Ladder {
            rungs: of
                .rungs
                .iter()
                .map(|(step, trials)| LadderRung { step: *step, trials: *trials })
                .collect(),
            steps: of.steps(),
            whole: of.rungs.last().map_or(0, |(whole, _)| *whole) * of.n_trials(),
        };
        ladders.iter().map(ladder).collect()
    }
}

/// Checks the one Experiment of a text, all the way to what can be run here.
pub(crate) async fn check(api: &Api, text: &str, namespace: &str) -> Result<Checked, ApiError> {
    let (mut document, source, mut report) = validate::text(text);
    if document.metadata.namespace.is_empty() {
        document.metadata.namespace = namespace.into();
    }
    let more = beyond(api, &document, &report).await?;
    report.extend(more.with_lines(&source));
    order(&mut report, &source);
    Ok(Checked { document, report })
}

/// What those say of a document who propose points and who run trials, as far as its own problems let them.
pub(super) async fn beyond(
    api: &Api,
    document: &ExperimentDocument,
    so_far: &Report,
) -> Result<Report, ApiError> {
    let mut report = Report::default();
    let told = |word: &str| so_far.errors.iter().any(|problem| problem.path.starts_with(word));
    let elsewhere = document.spec.algorithm.as_ref().is_some_and(|algorithm| algorithm.endpoint.is_some());
    // Somebody else's service is not asked about what makes no sense.
    if so_far.is_valid() || !(elsewhere || told("spec.algorithm") || told("spec.earlyStopping")) {
        ask_the_search(api, document, &mut report).await?;
    }
    if !told("spec.trialTemplate") {
        report.extend(api.world.executor.check(&document.spec).await);
    }
    Ok(report)
}

/// Problems in the order of their lines.
fn order(report: &mut Report, _: &Source) {
    report.errors.sort_by_key(|problem| problem.line.unwrap_or(u32::MAX));
    report.errors.dedup();
}

/// Whether whoever proposes points takes the experiment. Somebody else's service may be started later.
async fn ask_the_search(
    api: &Api,
    document: &ExperimentDocument,
    report: &mut Report,
) -> Result<(), ApiError> {
    let spec = &document.spec;
    let elsewhere = spec.algorithm.as_ref().filter(|algorithm| algorithm.endpoint.is_some());
    let Some(algorithm) = elsewhere else { return ask_our_own(api, document, report).await };
    match driver::refusal(algorithm, &document.metadata.name, spec).await {
        Ok(None) => {}
        Ok(Some(refusal)) => report.error(Problem::new("spec.algorithm", refusal)),
        Err(status) => {
            let message = format!("the service does not answer yet: {}", status.message());
            let problem = Problem::new("spec.algorithm.endpoint", message);
            report.warn(problem.hint("the experiment waits for it"));
        }
    }
    if spec.early_stopping.is_none() {
        return Ok(());
    }
    // Rules are our own, whoever proposes the points.
    let mut judged = document.clone();
    judged.spec.algorithm =
        Some(AlgorithmSpec { algorithm_name: "random".into(), ..AlgorithmSpec::default() });
    ask_our_own(api, &judged, report).await
}

/// Whether algorithms exist, accept their settings and can search the space.
async fn ask_our_own(api: &Api, document: &ExperimentDocument, report: &mut Report) -> Result<(), ApiError> {
    let seed = document.spec.seed.unwrap_or(0);
    let (study, _) = study::of_spec(&document.spec, &document.metadata.name, seed);
    let Ok(study) = study else {
        // The space has been told of. Whether there are such algorithms can be said without one.
        let algorithms = document.spec.algorithm.iter().map(|algorithm| algorithm.algorithm_name.as_str());
        let rules = document.spec.early_stopping.iter().map(|rules| rules.algorithm_name.as_str());
        for error in registry::unknown(algorithms, rules) {
            report.error(Problem::new("spec.algorithm", error.to_string()));
        }
        return Ok(());
    };
    let request = wire::ValidateRequest { study: Some(convert::study_to_proto(&study)) };
    match SearchClient::new(api.world.search.clone()).validate(request).await {
        Ok(reply) => {
            if registry::keeps_checkpoints(&study) && !api.world.executor.keeps_checkpoints(&document.spec) {
                let by =
                    if registry::watch(&study).is_some() { "spec.earlyStopping" } else { "spec.algorithm" };
                let message = "its trials go on from checkpoints, and this server keeps none of those that a cluster's trials leave";
                let way_out = "name a store in spec.artifacts.store, or start the server with --artifacts; or use a rule that only ends trials, such as `asha` with form `stop`, or `evolution` in place of \
                               `pbt`; or run the experiment as processes of one machine";
                report.error(Problem::new(by, message).hint(way_out));
            }
            for warning in reply.into_inner().warnings {
                report.warn(Problem::new("spec.algorithm", warning));
            }
            Ok(())
        }
        Err(status) if matches!(status.code(), GrpcCode::InvalidArgument | GrpcCode::Unimplemented) => {
            for line in status.message().lines().flat_map(|line| line.split("; and ")) {
                report.error(Problem::new("spec.algorithm", line.trim()));
            }
            Ok(())
        }
        Err(status) => {
            let message = format!("the suggestion service did not answer: {}", status.message());
            Err(ApiError::new(Code::Unavailable, message))
        }
    }
}
