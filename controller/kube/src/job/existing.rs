//! Whose an object is that has the name of a run already.

use std::str::FromStr;

use controller_core::experiment::ExperimentId;
use controller_core::run::{Run, RunId};
use kube::core::DynamicObject;
use study::TrialIdx;

use crate::names;

/// What an object is to a run that is to have its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Existing {
    /// This run: there is nothing to do.
    This,
    /// Another attempt of the trial: it must be gone first.
    Attempt(RunId),
    /// Somebody else's, who may be named; never touched.
    Foreign(String),
}

/// What an object of a run's name is to it. `trial_uid` is that of the Trial resource.
pub fn existing(object: &DynamicObject, run: &Run, trial_uid: &str) -> Existing {
    let owners = object.metadata.owner_references.iter().flatten();
    let owner = owners.clone().find(|owner| owner.controller == Some(true));
    if owner.is_none_or(|owner| owner.uid != trial_uid) {
        let named = owner.map(|owner| format!("{} {}", owner.kind, owner.name));
        return Existing::Foreign(named.unwrap_or_else(|| "nobody".into()));
    }
    match run_id(object) {
        Some(id) if id == run.id => Existing::This,
        Some(id) => Existing::Attempt(id),
        None => Existing::Foreign("somebody who has removed its annotations".into()),
    }
}

/// The run that an object is, or that a pod belongs to.
pub fn run_id(object: &impl kube::ResourceExt) -> Option<RunId> {
    let text = object.annotations().get(names::RUN_ANNOTATION)?;
    let mut parts = text.split('/');
    let id = RunId {
        experiment: ExperimentId(next(&mut parts)?),
        trial: TrialIdx(next(&mut parts)?),
        attempt: next(&mut parts)?,
    };
    parts.next().is_none().then_some(id)
}

fn next<'a, T: FromStr>(parts: &mut impl Iterator<Item = &'a str>) -> Option<T> {
    parts.next()?.parse().ok()
}
