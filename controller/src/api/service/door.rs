//! The door for experiments, as those see it who bring them from elsewhere.

use async_trait::async_trait;
use controller_core::document::ExperimentDocument;
use controller_core::experiment::{Birth, begin};
use controller_core::ports::{Door, DoorError, StoreError};
use controller_core::report::Report;

use super::check;
use crate::api::Api;

#[async_trait]
impl Door for Api {
    async fn check(&self, document: &ExperimentDocument, so_far: &Report) -> Result<Report, DoorError> {
        check::beyond(self, document, so_far).await.map_err(|error| DoorError(error.message))
    }

    async fn take_in(&self, document: &ExperimentDocument, birth: Birth) -> Result<(), StoreError> {
        let (record, status, event) = begin(document, birth);
        self.world.store.create_experiment(&record, &status, &[event]).await?;
        self.world.wake.notify_waiters();
        Ok(())
    }
}
