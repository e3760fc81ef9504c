//! Writing resources, where they differ from what the cluster has.

use kube::ResourceExt as _;
use kube::api::{DeleteParams, PostParams};
use kube::core::DynamicObject;
use serde_json::Value;

use super::{ReconcileError, Reconciler};
use crate::answer::{self, Doing};
use crate::project::{self, Difference};
use crate::resources::Kind;
use crate::watched::Changed;

impl Reconciler {
    /// Makes an object, or brings it up to date; what was not as it should be in one that was there.
    pub(super) async fn put(&self, kind: Kind, wanted: DynamicObject) -> Result<Difference, ReconcileError> {
        let (namespace, name) = (wanted.namespace().unwrap_or_default(), wanted.name_any());
        let Some(seen) = self.watched.of(kind).get(&namespace, &name) else {
            self.create(kind, wanted).await?;
            return Ok(Difference::default());
        };
        // What goes away, or was somebody's before, is made anew once it is gone.
        let owner = |object: &DynamicObject| object.owner_references().first().map(|owner| owner.uid.clone());
        let foreign = owner(&seen).is_some() && owner(&seen) != owner(&wanted);
        if foreign || seen.metadata.deletion_timestamp.is_some() {
            return Ok(Difference::default());
        }
        self.update(kind, &wanted, &seen).await
    }

    async fn create(&self, kind: Kind, wanted: DynamicObject) -> Result<(), ReconcileError> {
        let resource = kind.resource();
        let api = self.cluster.api(&resource, &wanted.namespace().unwrap_or_default());
        match answer::within(api.create(&PostParams::default(), &wanted)).await {
            Ok(made) => self.update(kind, &wanted, &made).await.map(drop),
            Err(error) if answer::is_conflict(&error) => {
                self.watched.changes.add(Changed::of(kind, &wanted));
                Ok(())
            }
            Err(error) => Err(failed(&error, kind, "create")),
        }
    }

    async fn update(
        &self,
        kind: Kind,
        wanted: &DynamicObject,
        seen: &DynamicObject,
    ) -> Result<Difference, ReconcileError> {
        let changed = Changed::of(kind, wanted);
        let difference @ Difference { object, status } = project::difference(wanted, seen);
        // What could not be written before is no edit.
        let was_behind = self.behind.lock().remove(&changed).is_some();
        let mut seen = seen.clone();
        let api = self.cluster.api(&kind.resource(), &wanted.namespace().unwrap_or_default());
        let (name, params) = (wanted.name_any(), PostParams::default());
        if object {
            seen.labels_mut().extend(wanted.metadata.labels.clone().unwrap_or_default());
            seen.annotations_mut().extend(wanted.metadata.annotations.clone().unwrap_or_default());
            seen.metadata.owner_references.clone_from(&wanted.metadata.owner_references);
            seen.data["spec"] = wanted.data["spec"].clone();
            match answer::within(api.replace(&name, &params, &seen)).await {
                Ok(written) => seen = written,
                Err(error) => return self.not_written(kind, changed, &error),
            }
        }
        if status {
            seen.data["status"] = wanted.data["status"].clone();
            if let Err(error) = answer::within(api.replace_status(&name, &params, &seen)).await {
                return self.not_written(kind, changed, &error);
            }
        }
        Ok(if was_behind { Difference::default() } else { difference })
    }

    /// Writes the status of an Experiment, if it differs.
    pub(super) async fn write_status(
        &self,
        seen: &DynamicObject,
        status: Value,
    ) -> Result<Difference, ReconcileError> {
        let mut wanted = seen.clone();
        wanted.data["status"] = status;
        self.update(Kind::Experiment, &wanted, seen).await
    }

    /// Deletes an object, if it is still this one.
    pub(super) async fn remove(&self, kind: Kind, object: &DynamicObject) -> Result<(), ReconcileError> {
        let api = self.cluster.api(&kind.resource(), &object.namespace().unwrap_or_default());
        match answer::within(api.delete(&object.name_any(), &DeleteParams::background())).await {
            Err(error) if !answer::is_not_found(&error) => Err(failed(&error, kind, "delete")),
            _ => Ok(()),
        }
    }

    /// The cluster has something newer, which the watch brings; or it fails.
    fn not_written(
        &self,
        kind: Kind,
        changed: Changed,
        error: &kube::Error,
    ) -> Result<Difference, ReconcileError> {
        if answer::is_conflict(error) {
            self.behind.lock().insert(changed.clone(), ());
            self.watched.changes.add(changed);
            return Ok(Difference::default());
        }
        if answer::is_not_found(error) {
            // It was deleted this moment, which the watch says.
            return Ok(Difference::default());
        }
        Err(failed(error, kind, "update"))
    }
}

fn failed(error: &kube::Error, kind: Kind, verb: &str) -> ReconcileError {
    let resource = kind.resource();
    let doing = Doing { verb, group: &resource.group, plural: &resource.plural };
    ReconcileError::Cluster(answer::message(error, &doing))
}
