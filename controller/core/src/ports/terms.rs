//! Who may write at all, where several servers share a store.

use async_trait::async_trait;

use super::store::StoreError;

/// A time in which one server writes and no other of its scope. Raised with every server that takes over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    /// What is acted upon, such as a cluster; others have terms of their own.
    pub scope: String,
    /// Its number; writes under an older one are refused.
    pub number: i64,
    /// How far the store has come; a store that is put back from a copy is behind what was last said of it elsewhere.
    pub epoch: i64,
}

/// The terms of a store. Until one of these is called everything may be written.
#[async_trait]
pub trait Terms: Send + Sync {
    /// Refuses all writes from now on, and says this of it.
    fn stand_by(&self, why: &str);
    /// Begins a term: writes of this process check it from now on, and whatever an older term still writes is refused.
    /// What is under way is waited for, a while.
    async fn take_term(&self, scope: &str, holder: &str) -> Result<Term, StoreError>;
    /// How far the store has come in a scope; `None` if it knows nothing of it.
    async fn epoch(&self, scope: &str) -> Result<Option<i64>, StoreError>;
    /// Raises the epoch by one, or to this where that is more.
    ///
    /// # Errors
    /// If the term is over.
    async fn raise_epoch(&self, term: &Term, at_least: i64) -> Result<i64, StoreError>;
    /// How often this process has begun to write, epochs not counted: where it has not, no copy of the store can be older.
    fn written(&self) -> u64;
}
