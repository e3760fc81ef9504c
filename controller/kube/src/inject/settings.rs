//! What all sidecars have in common.

use std::sync::{Arc, PoisonError, RwLock};

use controller_core::artifacts::{Scheme, StoreUri};
use controller_core::spec::ArtifactsSpec;
use serde_json::{Value, json};

use super::object::knows;
use super::pod::InjectError;
use crate::katib_config::KatibConfigs;

/// How sidecars are put in.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Their image; without one none are put in, and only what programs print is read.
    pub image: Option<String>,
    /// When it is pulled.
    pub pull_policy: String,
    /// Where pods find the controller, such as `http://cairn.cairn-system:7700`, if they do.
    pub server: Option<String>,
    /// Where sidecars report, such as `https://cairn.cairn-system.svc:6790`, if not there.
    pub observe: Option<String>,
    /// By what they know it over TLS.
    pub authorities: Authorities,
    /// Whether a webhook puts them into pods whose templates are not seen.
    pub webhook: bool,
    /// Whether they are init containers that go on (Kubernetes 1.29 and newer), which the cluster ends after the program,
    /// instead of ordinary ones, which see its end for themselves.
    pub native: bool,
    /// Whether those that see the program's end wait for all other containers too, as Katib's `waitAllProcesses` has it.
    pub waits_for_all: bool,
    /// What each asks for.
    pub resources: Value,
    /// Where artifacts are kept of experiments that name no store; without one they are not kept.
    pub store: Option<StoreUri>,
    /// Where Katib's configuration says otherwise.
    pub katib_config: KatibConfigs,
}

impl Default for Settings {
    /// No sidecars; one asks for what Katib's collectors ask for, except for storage: it writes nothing of its own.
    fn default() -> Self {
        Self {
            image: None,
            pull_policy: "IfNotPresent".into(),
            server: None,
            observe: None,
            authorities: Authorities::default(),
            webhook: false,
            native: false,
            waits_for_all: false,
            resources: json!({
                "requests": {"cpu": "50m", "memory": "10Mi"},
                "limits": {"cpu": "500m", "memory": "100Mi"},
            }),
            store: None,
            katib_config: KatibConfigs::default(),
        }
    }
}

impl Settings {
    /// Whether Cairn's own sidecars can be put in.
    pub fn has_sidecar(&self) -> bool {
        self.image.is_some() && self.reports_to().is_some()
    }

    /// Whether they can be put into pods whose templates are not seen.
    pub fn sees_pods(&self) -> bool {
        self.webhook && self.has_sidecar()
    }

    /// Whether a collector can do its work on objects of a kind, as far as that is known.
    ///
    /// # Errors
    /// What it needs and has not.
    pub(crate) fn can_collect(&self, collector: &str, kind: &str) -> Result<(), InjectError> {
        if !matches!(collector, "StdOut" | "Push" | "Custom") && !self.has_sidecar() {
            return Err(InjectError::NoSidecar(collector.to_owned()));
        }
        if kind.is_empty() || knows(kind) { Ok(()) } else { self.can_collect_unseen(collector, kind) }
    }

    /// The same where the templates of pods are not seen.
    ///
    /// # Errors
    /// If only a sidecar could do it, and nobody puts it in.
    pub(crate) fn can_collect_unseen(&self, collector: &str, kind: &str) -> Result<(), InjectError> {
        if self.sees_pods() || matches!(collector, "StdOut" | "Push") {
            return Ok(());
        }
        Err(InjectError::NoWebhook { collector: collector.to_owned(), kind: kind.to_owned() })
    }

    /// Whether Cairn's own store is there to keep artifacts.
    pub fn has_own_store(&self) -> bool {
        self.store.as_ref().is_some_and(|store| store.scheme == Scheme::Cairn)
    }

    /// Where what trials leave is kept; `None` where it is not.
    pub(crate) fn store_of(&self, artifacts: &ArtifactsSpec) -> Option<StoreUri> {
        artifacts.store().or_else(|| self.store.clone()).filter(|_| self.has_sidecar())
    }

    /// When the image of a sidecar that collects so is pulled, and what it asks for.
    pub(super) fn of_kind(&self, kind: &str) -> (String, Value) {
        let config = self.katib_config.get();
        let collector = config.collectors.get(kind).cloned().unwrap_or_default();
        let resources = collector.resources.unwrap_or_else(|| self.resources.clone());
        (collector.pull_policy.unwrap_or_else(|| self.pull_policy.clone()), resources)
    }

    /// Where sidecars report.
    pub(super) fn reports_to(&self) -> Option<&String> {
        self.observe.as_ref().or(self.server.as_ref())
    }
}

/// The authorities to trust, as PEM; none without TLS. Clones are one: sidecars to come are told of a new one.
#[derive(Clone, Debug, Default)]
pub struct Authorities(Arc<RwLock<Option<String>>>);

impl Authorities {
    /// Those of now.
    pub(super) fn get(&self) -> Option<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on these.
    pub fn set(&self, pem: String) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(pem);
    }
}

impl PartialEq for Authorities {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}
