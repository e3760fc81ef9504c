//! Of which experiments something is wished: asked once for all drivers of this process.

use std::collections::BTreeSet;
use std::time::Duration;

use controller_core::experiment::ExperimentId;
use controller_core::ports::{Store, StoreError};
use tokio::sync::Mutex;
use tokio::time::Instant;

/// The answer that was last given, and when it was asked for.
#[derive(Debug, Default)]
pub(crate) struct Wished(Mutex<Option<(Instant, BTreeSet<ExperimentId>)>>);

impl Wished {
    /// Whether something is wished of an experiment that nobody has taken up yet. The answer may be of this age.
    pub(super) async fn of(
        &self,
        store: &dyn Store,
        id: ExperimentId,
        age: Duration,
    ) -> Result<bool, StoreError> {
        let now = Instant::now();
        let since = now.checked_sub(age).unwrap_or(now);
        let mut last = self.0.lock().await;
        if let Some((_, ids)) = last.as_ref().filter(|(at, _)| *at > since) {
            return Ok(ids.contains(&id));
        }
        let at = Instant::now();
        let ids = store.wished().await?;
        let is_wished = ids.contains(&id);
        *last = Some((at, ids));
        Ok(is_wished)
    }
}
