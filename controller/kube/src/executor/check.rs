//! What of a spec can never be run on a cluster.

use controller_core::artifacts::{Scheme, StoreUri};
use controller_core::ports::ExecutorError;
use controller_core::report::{Problem, Report};
use controller_core::spec::{ArtifactsSpec, ExperimentSpec};

use super::{Shared, kinds};
use crate::inject::Settings;

/// What is to be said of a spec before anything starts.
pub(super) async fn check(shared: &Shared, spec: &ExperimentSpec) -> Report {
    let mut report = Report::default();
    let (version, kind) = kinds::of_trials(spec);
    if let Err(error) = shared.settings.can_collect(spec.collector().kind(), &kind) {
        let problem = Problem::new("spec.metricsCollectorSpec.collector.kind", error.to_string());
        report.error(problem.hint("or print the metrics and use StdOut, or report them with Push"));
    }
    report.errors.extend(of_artifacts(&shared.settings, spec));
    report.errors.extend(of_promotion(spec));
    if let Err(ExecutorError::Refused(message)) = shared.kinds.of(&version, &kind).await {
        report.error(Problem::new("spec.trialTemplate.trialSpec.kind", message));
    }
    report
}

/// Why what trials leave cannot be kept as a spec wants it.
fn of_artifacts(settings: &Settings, spec: &ExperimentSpec) -> Vec<Problem> {
    let Some(artifacts) = &spec.artifacts else { return Vec::new() };
    let at_store = |text: &str| Problem::new("spec.artifacts.store", text);
    let Some(store) = artifacts.store().or_else(|| settings.store.clone()) else {
        let problem = at_store("this server keeps nothing that trials leave, unless a store is named");
        return vec![problem.hint("name a bucket or a volume claim, or start the server with --artifacts")];
    };
    if !settings.has_sidecar() {
        let problem = at_store("what trials leave is kept by their sidecars, and this server has none");
        return vec![problem.hint("start it with --sidecar-image, and --observe-listen or --pod-server")];
    }
    match store.scheme {
        Scheme::File => {
            let problem = at_store("a folder of one machine is none of a cluster");
            return vec![problem.hint("name a bucket, a volume claim, or cairn://")];
        }
        Scheme::Cairn if !settings.has_own_store() => {
            let problem = at_store("this server has no volume to keep models in");
            return vec![problem.hint("name a bucket or a volume claim")];
        }
        _ => {}
    }
    beyond(artifacts, &store, spec)
}

/// What the server is to do with a store that it cannot reach.
fn beyond(artifacts: &ArtifactsSpec, store: &StoreUri, spec: &ExperimentSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    if store.scheme != Scheme::Claim && artifacts.secret_ref.is_none() {
        return problems;
    }
    let has_none = "the server, which has neither the keys nor the volume of this store";
    let way = "or name a store that the server reaches with an identity of its own";
    if artifacts.best().is_some() {
        let problem = Problem::new("spec.artifacts.keep", format!("beaten models are removed by {has_none}"));
        problems.push(problem.hint(format!("leave it out and let the store's own rules remove them, {way}")));
    }
    if spec.promotion.is_some() {
        let problem = Problem::new("spec.promotion", format!("winners are read by {has_none}"));
        problems.push(problem.hint(format!("leave it out, {way}")));
    }
    problems
}

/// Why a winner cannot be promoted as a spec wants it.
fn of_promotion(spec: &ExperimentSpec) -> Option<Problem> {
    let promotion = spec.promotion.as_ref()?;
    if promotion.serving.is_some() {
        let problem = Problem::new("spec.promotion.serving", "models are not served on a cluster yet");
        return Some(problem.hint("leave it out, or run the experiment as processes of one machine"));
    }
    let pipeline = promotion.pipeline.as_ref()?;
    (!pipeline.steps.is_empty()).then(|| {
        Problem::new("spec.promotion.pipeline.steps", "steps are not run on a cluster yet")
            .hint("leave them out, and the winner becomes the champion as it is; or run the experiment as processes of one machine")
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn problems(settings: &Settings, spec: Value) -> String {
        let spec = serde_json::from_value(spec).unwrap();
        let all = of_artifacts(settings, &spec).into_iter().chain(of_promotion(&spec));
        all.map(|problem| format!("{}: {}\n", problem.path, problem.message)).collect()
    }

    #[test]
    fn a_store_that_is_out_of_reach_is_refused_with_what_wants_it() {
        let bare = Settings::default();
        let keeps_nothing = problems(&bare, json!({"artifacts": {"keep": {"best": 1}}}));
        assert_eq!(
            keeps_nothing,
            "spec.artifacts.store: this server keeps nothing that trials leave, unless a store is named\n"
        );
        let told = |store: &str| problems(&bare, json!({"artifacts": {"store": store}}));
        assert!(
            told("s3://b/x").contains("by their sidecars, and this server has none"),
            "{}",
            told("s3://b/x")
        );
        let image = Some("sidecar".to_owned());
        let settings = Settings { image, server: Some("http://cairn".into()), ..Settings::default() };
        let told = |artifacts: Value| {
            problems(&settings, json!({"artifacts": artifacts, "promotion": {"model": "m"}}))
        };
        assert_eq!(told(json!({"store": "s3://b/x", "keep": {"best": 1}})), "");
        assert!(told(json!({"store": "file:///x"})).contains("one machine is none of a cluster"));
        assert!(told(json!({"store": "cairn://"})).contains("no volume to keep models in"));
        for keys in [
            json!({"store": "pvc://claim/x", "keep": {"best": 1}}),
            json!({"store": "s3://b/x", "keep": {"best": 1}, "secretRef": {"name": "keys"}}),
        ] {
            let told = told(keys);
            assert!(
                told.contains(
                    "spec.artifacts.keep: beaten models are removed by the server, which has neither"
                )
            );
            assert!(told.contains("spec.promotion: winners are read by the server"), "{told}");
        }
    }

    #[test]
    fn a_winner_is_promoted_as_it_is() {
        let step = json!({"name": "evaluate", "process": {"command": ["true"]}});
        let with = |steps: Value| {
            problems(&Settings::default(), json!({"promotion": {"model": "m", "pipeline": {"steps": steps}}}))
        };
        assert_eq!(with(json!([])), "");
        assert!(with(json!([step])).contains("steps are not run on a cluster yet"));
    }
}
