//! The Lease itself, as an object of the cluster.

use std::time::Duration;

use controller_core::time::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff;
use kube::ResourceExt as _;
use kube::api::{Api, PostParams};
use kube::core::ObjectMeta;

use super::decide::Seen;
use super::{Candidate, DURATION, Obstacle};
use crate::answer::{self, Doing};
use crate::client::Cluster;
use crate::names;

/// Its name.
pub(super) const NAME: &str = "cairn";

/// A Lease, and how it was last seen.
pub(super) struct Record {
    api: Api<Lease>,
    namespace: String,
    last: Option<Lease>,
}

impl Record {
    /// The Lease of what is looked at.
    pub(super) fn new(cluster: &Cluster) -> Self {
        let namespace = cluster.namespace.as_ref().unwrap_or(&cluster.home).clone();
        Self::of(cluster, namespace)
    }

    /// The Lease of a namespace.
    pub(super) fn of(cluster: &Cluster, namespace: String) -> Self {
        Self { api: Api::namespaced(cluster.client.clone(), &namespace), namespace, last: None }
    }

    /// Where it is.
    pub(super) fn place(&self) -> String {
        format!("{}/{NAME}", self.namespace)
    }

    /// What it says, if there is one.
    pub(super) async fn read(&mut self) -> Result<Option<Seen>, Obstacle> {
        self.last = self.api.get_opt(NAME).await.map_err(|error| Obstacle::of(&error, &doing("get")))?;
        Ok(self.last.as_ref().map(seen))
    }

    /// How far it says that a store had come, as it was last seen.
    pub(super) fn epoch(&self) -> Option<i64> {
        self.last.as_ref().and_then(epoch)
    }

    /// Makes it this one's, as it was last seen: whoever was faster has it. An epoch that is less than what it says is not
    /// written: it tells how far any store has come.
    pub(super) async fn write(&mut self, me: &Candidate, epoch: i64, now: Timestamp) -> Result<(), Obstacle> {
        let now = jiff::Timestamp::from_microsecond(now.0).map(MicroTime).ok();
        let mut lease = self.last.clone().unwrap_or_else(|| Lease {
            metadata: ObjectMeta { name: Some(NAME.into()), ..ObjectMeta::default() },
            spec: None,
        });
        let before = lease.spec.take().unwrap_or_default();
        let is_new = before.holder_identity.as_ref() != Some(&me.name);
        lease.spec = Some(LeaseSpec {
            holder_identity: Some(me.name.clone()),
            lease_duration_seconds: Some(DURATION.as_secs() as i32),
            acquire_time: if is_new { now.clone() } else { before.acquire_time },
            renew_time: now,
            lease_transitions: Some(before.lease_transitions.unwrap_or(0) + i32::from(is_new)),
            ..LeaseSpec::default()
        });
        lease.annotations_mut().insert(names::PROCESS_ANNOTATION.into(), me.process.clone());
        let epoch = epoch.max(self::epoch(&lease).unwrap_or(0));
        lease.annotations_mut().insert(names::EPOCH_ANNOTATION.into(), epoch.to_string());
        self.put(lease).await
    }

    /// Frees it, if it is still this one's.
    pub(super) async fn give_back(&mut self, me: &Candidate) -> Result<(), Obstacle> {
        if self.read().await?.is_none_or(|seen| seen.holder != me.name) {
            return Ok(());
        }
        let Some(mut lease) = self.last.clone() else { return Ok(()) };
        if let Some(spec) = &mut lease.spec {
            spec.holder_identity = None;
        }
        self.put(lease).await
    }

    async fn put(&mut self, lease: Lease) -> Result<(), Obstacle> {
        let params = PostParams::default();
        let (verb, written) = if lease.metadata.resource_version.is_none() {
            ("create", self.api.create(&params, &lease).await)
        } else {
            ("update", self.api.replace(NAME, &params, &lease).await)
        };
        match written {
            Ok(lease) => {
                self.last = Some(lease);
                Ok(())
            }
            Err(error) if answer::is_conflict(&error) => {
                Err(Obstacle::Cluster("another has written it this moment".into()))
            }
            Err(error) => Err(Obstacle::of(&error, &doing(verb))),
        }
    }
}

fn doing(verb: &str) -> Doing<'_> {
    Doing { verb, group: "coordination.k8s.io", plural: "leases" }
}

fn seen(lease: &Lease) -> Seen {
    let spec = lease.spec.clone().unwrap_or_default();
    let annotation = |name: &str| lease.annotations().get(name).cloned();
    Seen {
        holder: spec.holder_identity.unwrap_or_default(),
        process: annotation(names::PROCESS_ANNOTATION).unwrap_or_default(),
        renewed: spec.renew_time.map(|time| time.0.to_string()).unwrap_or_default(),
        duration: spec.lease_duration_seconds.map(|seconds| Duration::from_secs(seconds.max(0) as u64)),
        epoch: epoch(lease),
    }
}

fn epoch(lease: &Lease) -> Option<i64> {
    lease.annotations().get(names::EPOCH_ANNOTATION)?.parse().ok()
}
