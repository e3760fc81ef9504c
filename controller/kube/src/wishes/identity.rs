//! Which experiment of the store a resource is.

use std::collections::BTreeSet;

use controller_core::experiment::{ExperimentId, ExperimentRecord};
use kube::core::DynamicObject;

use crate::names;

/// What a resource is to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// An experiment that is known.
    Known(ExperimentId),
    /// One that was restored, with another uid, and names the experiment that it continues.
    Restored(ExperimentId),
    /// One that is not known yet, or has no uid to be known by.
    New,
}

/// Which of the living records of a cluster a resource is. The same name with another uid is another experiment, unless it
/// names a record whose own resource is gone. `listed` are the uids of all Experiments that the cluster has.
pub fn identity<'a>(
    resource: &DynamicObject,
    cluster: &str,
    records: impl Iterator<Item = &'a ExperimentRecord> + Clone,
    listed: &BTreeSet<String>,
) -> Identity {
    let metadata = &resource.metadata;
    let mut here = records.filter(|record| record.cluster == cluster);
    if let Some(record) = here.clone().find(|record| metadata.uid.as_deref() == Some(&record.uid)) {
        return Identity::Known(record.id);
    }
    let named = metadata.annotations.as_ref().and_then(|map| map.get(names::EXPERIMENT_ANNOTATION));
    let restored = here.find(|record| {
        named.is_some_and(|named| *named == record.id.0.to_string())
            && metadata.name.as_deref() == Some(&record.name)
            && metadata.namespace.as_deref() == Some(&record.namespace)
            && !listed.contains(&record.uid)
    });
    restored.map_or(Identity::New, |record| Identity::Restored(record.id))
}

/// The living records of a cluster whose Experiment is gone. `listed` are the uids of a complete list: after one that
/// failed, nothing can be said.
pub fn deleted<'a>(
    cluster: &'a str,
    records: impl Iterator<Item = &'a ExperimentRecord> + 'a,
    listed: &'a BTreeSet<String>,
) -> impl Iterator<Item = &'a ExperimentRecord> {
    records.filter(move |record| record.cluster == cluster && !listed.contains(&record.uid))
}
