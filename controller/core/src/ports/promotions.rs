//! Keeping promotions, versions and the audit log through any crash.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::store::{Lease, StoreError};
use crate::promotion::{
    AuditEntry, Change, Deed, Promotion, PromotionId, PromotionWish, Serving, StoredPromotionWish, Version,
};
use crate::time::Timestamp;

/// Which promotions are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PromotionQuery {
    /// Only of this namespace.
    pub namespace: Option<String>,
    /// Only of this model.
    pub model: Option<String>,
    /// Only those that have not ended.
    pub open: bool,
}

/// A model and its champion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelRecord {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The version that is champion.
    pub champion: u64,
    /// Since when.
    pub since: Timestamp,
}

/// Keeps promotions. Every method is one transaction; what it returned without error survives any crash.
#[async_trait]
pub trait Promotions: Send + Sync {
    /// Writes down a promotion and gives it the next number of its model; one with the same key is left as it is.
    /// Returns what is kept.
    async fn propose(&self, promotion: &Promotion) -> Result<Promotion, StoreError>;
    /// A promotion by key.
    async fn promotion(&self, id: PromotionId) -> Result<Option<Promotion>, StoreError>;
    /// Some promotions, newest first.
    async fn promotions(&self, query: &PromotionQuery) -> Result<Vec<Promotion>, StoreError>;
    /// Writes down a wish; returns its number.
    async fn wish_of_promotion(
        &self,
        id: PromotionId,
        wish: &PromotionWish,
        at: Timestamp,
    ) -> Result<i64, StoreError>;
    /// Wishes not yet carried out, oldest first.
    async fn wishes_of_promotion(&self, id: PromotionId) -> Result<Vec<StoredPromotionWish>, StoreError>;
    /// Writes what a step decided, if the lease of the model is still good: promotion, version, champion, audit log.
    async fn keep_promotion(&self, lease: &Lease, change: &Change) -> Result<(), StoreError>;
    /// All models that have a champion, by namespace and name.
    async fn models(&self) -> Result<Vec<ModelRecord>, StoreError>;
    /// The versions of a model, newest first.
    async fn versions(&self, namespace: &str, model: &str) -> Result<Vec<Version>, StoreError>;
    /// The champion of a model.
    async fn champion(&self, namespace: &str, model: &str) -> Result<Option<Version>, StoreError>;
    /// The servers of a model, if it has any.
    async fn serving(&self, namespace: &str, model: &str) -> Result<Option<Serving>, StoreError>;
    /// The servers of all models, by namespace and name.
    async fn all_serving(&self) -> Result<Vec<Serving>, StoreError>;
    /// Writes down the servers of a model, if its lease is still good.
    async fn keep_serving(&self, lease: &Lease, serving: &Serving) -> Result<(), StoreError>;
    /// Appends to the audit log what belongs to no step of a promotion.
    async fn note(&self, deed: &Deed) -> Result<(), StoreError>;
    /// The audit log after a number, oldest first.
    async fn audit(&self, after: u64) -> Result<Vec<AuditEntry>, StoreError>;
}
