//! Where artifacts are kept, and how much of them.

use crate::artifacts::StoreUri;
use crate::quantity;
use crate::report::{Problem, Report};
use crate::spec::{ArtifactsSpec, ExperimentSpec};

pub(super) fn check(spec: &ExperimentSpec, report: &mut Report) {
    let Some(artifacts) = &spec.artifacts else { return };
    let store = match artifacts.store.as_deref().map(StoreUri::of_store) {
        None => None,
        Some(Ok(store)) => Some(store),
        Some(Err(why)) => {
            report.error(Problem::new("spec.artifacts.store", why));
            None
        }
    };
    amounts(artifacts, report);
    if let Some(name) = artifacts.secret() {
        if name.is_empty() {
            report.error(Problem::new("spec.artifacts.secretRef.name", "it is missing"));
        }
        let wants_none = match (&artifacts.store, &store) {
            (None, _) => Some("Cairn's own store"),
            (_, Some(store)) if !store.scheme.is_bucket() => Some("this store"),
            _ => None,
        };
        if let Some(which) = wants_none {
            let problem = Problem::new("spec.artifacts.secretRef", format!("{which} asks for no keys"));
            report.error(problem.hint("leave it out, or name a bucket in spec.artifacts.store"));
        }
    }
}

fn amounts(artifacts: &ArtifactsSpec, report: &mut Report) {
    if let Some(text) = &artifacts.max_bytes
        && quantity::parse(text).is_none_or(|bytes| bytes < 1.0)
    {
        let problem = Problem::new("spec.artifacts.maxBytes", format!("`{text}` is no number of bytes"));
        report.error(problem.hint("write it as 500Mi or 10Gi"));
    }
    let Some(keep) = &artifacts.keep else { return };
    match keep.best {
        None => report.error(Problem::new("spec.artifacts.keep.best", "it is missing")),
        Some(best) if best < 1 => {
            let problem = Problem::new("spec.artifacts.keep.best", format!("{best} must be above 0"));
            report.error(problem.hint("leave spec.artifacts.keep out to keep every model"));
        }
        Some(_) => {}
    }
}

/// What of it is of a cluster alone.
pub fn local_problems(spec: &ExperimentSpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    let Some(artifacts) = &spec.artifacts else { return problems };
    if artifacts.store().is_some_and(|store| store.scheme == crate::artifacts::Scheme::Claim) {
        let problem = Problem::new("spec.artifacts.store", "volume claims are a cluster's");
        problems.push(problem.hint("name a folder: file:///folder"));
    }
    if artifacts.secret_ref.is_some() {
        let problem = Problem::new("spec.artifacts.secretRef", "Secrets are a cluster's");
        problems.push(problem.hint("leave it out: here the variables of Cairn's own process count"));
    }
    problems
}
