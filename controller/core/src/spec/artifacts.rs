//! `spec.artifacts`.

use serde::{Deserialize, Serialize};

use crate::artifacts::StoreUri;
use crate::quantity;

/// Where what trials leave is kept, and how much of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ArtifactsSpec {
    /// The store; Cairn's own where unset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<String>,
    /// Which models stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<KeepSpec>,
    /// Most bytes of one model, as a quantity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<String>,
    /// The Secret with the keys of the store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

/// Which models stay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KeepSpec {
    /// How many of the best.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub best: Option<i32>,
}

/// A Secret of the experiment's namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SecretRef {
    /// Its name.
    pub name: String,
}

impl ArtifactsSpec {
    /// The store of a valid spec, if it names one.
    pub fn store(&self) -> Option<StoreUri> {
        StoreUri::of_store(self.store.as_ref()?).ok()
    }

    /// Most bytes of one model, if that is said.
    pub fn max_bytes(&self) -> Option<u64> {
        quantity::parse(self.max_bytes.as_ref()?).map(|bytes| bytes as u64)
    }

    /// How many of the best models stay, if others go.
    pub fn best(&self) -> Option<usize> {
        self.keep.as_ref()?.best.and_then(|best| usize::try_from(best).ok())
    }

    /// The name of the Secret, if there is one.
    pub fn secret(&self) -> Option<&str> {
        self.secret_ref.as_ref().map(|secret| &*secret.name)
    }
}
