//! Finding the store of a place.

use std::path::Path;
use std::sync::Arc;

use controller_core::artifacts::{Scheme, StoreUri};
use controller_core::ports::{ArtifactError, ArtifactStore};

use crate::files::Files;
use crate::objects::Objects;

/// The store whose keys are below a place. `own` is the folder of Cairn's own store, if it is here. Buckets are spoken to
/// with the identity that this process has: its variables, else that of its machine or pod.
///
/// # Errors
/// If there is no such store here.
pub fn open(place: &StoreUri, own: Option<&Path>) -> Result<Arc<dyn ArtifactStore>, ArtifactError> {
    match place.scheme {
        Scheme::File => Ok(Arc::new(Files::new(Path::new("/").join(&place.path)))),
        Scheme::Cairn => {
            let own = own.ok_or_else(|| ArtifactError::Refused(format!("{place} is not kept here")))?;
            Ok(Arc::new(Files::new(own.join(&place.path))))
        }
        Scheme::Claim => Err(ArtifactError::Refused(format!(
            "{place} is a volume that is mounted into pods of trials alone; mount it yourself to read it"
        ))),
        Scheme::S3 | Scheme::Gcs | Scheme::Azure => Ok(Arc::new(Objects::open(place)?)),
    }
}
