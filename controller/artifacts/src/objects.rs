//! A bucket as a store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use controller_core::artifacts::{Scheme, StoreUri, hex};
use controller_core::ports::{ArtifactError, ArtifactSink, ArtifactSource, ArtifactStore, Blob, Pieces};
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Error, GetOptions, ObjectStore, ObjectStoreExt as _, PutMultipartOptions,
    PutOptions, RetryConfig, WriteMultipart,
};
use sha2::{Digest as _, Sha256};

use crate::http::Hyper;

/// Bytes of the smallest part of a large file; what is smaller goes in one.
const PART: u64 = 8 << 20;
/// Most parts of one file that stores take, with some room.
const PARTS: u64 = 9_000;
/// How long a request is tried again.
const RETRY: Duration = Duration::from_secs(20);
/// Parts on their way at once, so that a sidecar stays small.
const AT_ONCE: usize = 2;
/// The word beside an object with the SHA-256 of its bytes.
const SHA256: &str = "sha256";

/// Keeps files in a bucket.
pub(crate) struct Objects {
    store: Arc<dyn ObjectStore>,
    place: StoreUri,
}

impl Objects {
    /// The bucket of a place, with the identity that this process has.
    pub(crate) fn open(place: &StoreUri) -> Result<Self, ArtifactError> {
        // Whoever waits longer does so knowingly, and says so.
        let retry = RetryConfig { max_retries: 3, retry_timeout: RETRY, ..RetryConfig::default() };
        let host = &place.host;
        let built: object_store::Result<Arc<dyn ObjectStore>> = match place.scheme {
            Scheme::Gcs => GoogleCloudStorageBuilder::from_env()
                .with_bucket_name(host)
                .with_http_connector(Hyper)
                .with_retry(retry.clone())
                .build()
                .map(|store| Arc::new(store) as _),
            Scheme::Azure => MicrosoftAzureBuilder::from_env()
                .with_container_name(host)
                .with_http_connector(Hyper)
                .with_retry(retry.clone())
                .build()
                .map(|store| Arc::new(store) as _),
            _ => AmazonS3Builder::from_env()
                .with_bucket_name(host)
                .with_http_connector(Hyper)
                .with_retry(retry.clone())
                .build()
                .map(|store| Arc::new(store) as _),
        };
        let store = built.map_err(|error| {
            ArtifactError::Refused(format!("{place} cannot be reached: {}", chain(&error)))
        })?;
        Ok(Self { store, place: place.clone() })
    }

    fn path(&self, key: &str) -> Path {
        Path::from(self.place.join(key).path)
    }

    fn failed(&self, key: &str, error: &Error) -> ArtifactError {
        let text = format!("{}: {}", self.place.join(key), chain(error));
        match error {
            Error::NotFound { .. } => ArtifactError::NotFound(text),
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                ArtifactError::Refused(format!(
                    "{text}; give the pod an identity that may, or name the Secret with its keys in \
                 spec.artifacts.secretRef"
                ))
            }
            Error::InvalidPath { .. } | Error::NotSupported { .. } | Error::NotImplemented { .. } => {
                ArtifactError::Refused(text)
            }
            _ => ArtifactError::Unavailable(text),
        }
    }

    /// Whether these very bytes are there, by what was written beside them.
    async fn holds(&self, path: &Path, blob: &Blob<'_>) -> bool {
        let found = self.store.get_opts(path, GetOptions::new().with_head(true)).await;
        found.is_ok_and(|found| {
            let said = found.attributes.get(&Attribute::Metadata(SHA256.into()));
            found.meta.size == blob.size && said.is_some_and(|said| said.as_ref() == blob.sha256)
        })
    }

    /// Sends the bytes, and says what their SHA-256 is. Nothing is there before the last of them is.
    async fn send(&self, path: &Path, key: &str, blob: &Blob<'_>) -> Result<(), ArtifactError> {
        let failed = |error: Error| self.failed(key, &error);
        let attributes: Attributes =
            [(Attribute::Metadata(SHA256.into()), blob.sha256.to_owned())].into_iter().collect();
        let mut bytes = (blob.read)(0);
        let (mut hasher, mut size) = (Sha256::new(), 0);
        if blob.size <= PART {
            let mut all = Vec::with_capacity(blob.size as usize);
            while let Some(piece) = bytes.next().await {
                all.extend_from_slice(&piece?);
            }
            self.check(key, blob, all.len() as u64, &Sha256::digest(&all))?;
            let options = PutOptions { attributes, ..PutOptions::default() };
            return self.store.put_opts(path, all.into(), options).await.map(|_| ()).map_err(failed);
        }
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        let upload = self.store.put_multipart_opts(path, options).await.map_err(failed)?;
        let part = PART.max(blob.size.div_ceil(PARTS));
        let mut upload = WriteMultipart::new_with_chunk_size(upload, part as usize);
        let sent = async {
            while let Some(piece) = bytes.next().await {
                let piece = piece?;
                hasher.update(&piece);
                size += piece.len() as u64;
                upload.wait_for_capacity(AT_ONCE).await.map_err(failed)?;
                upload.put(piece);
            }
            self.check(key, blob, size, &hasher.finalize())
        };
        match sent.await {
            Ok(()) => upload.finish().await.map(|_| ()).map_err(failed),
            Err(error) => {
                // The parts are of no use; a store that keeps them has a rule for them.
                upload.abort().await.ok();
                Err(error)
            }
        }
    }

    fn check(&self, key: &str, blob: &Blob<'_>, size: u64, found: &[u8]) -> Result<(), ArtifactError> {
        if size == blob.size && hex(found) == blob.sha256 {
            return Ok(());
        }
        let text = format!("{}: the file has changed since it was sealed", self.place.join(key));
        Err(ArtifactError::Damaged(text))
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects({})", self.place)
    }
}

#[async_trait]
impl ArtifactSource for Objects {
    async fn get(&self, key: &str) -> Result<Pieces, ArtifactError> {
        let found = self.store.get(&self.path(key)).await.map_err(|error| self.failed(key, &error))?;
        let text = self.place.join(key).to_string();
        let told = move |error: Error| ArtifactError::Unavailable(format!("{text}: {}", chain(&error)));
        Ok(found.into_stream().map_err(told).boxed())
    }
}

#[async_trait]
impl ArtifactSink for Objects {
    async fn put(&self, key: &str, blob: &Blob<'_>) -> Result<(), ArtifactError> {
        let path = self.path(key);
        if self.holds(&path, blob).await { Ok(()) } else { self.send(&path, key, blob).await }
    }
}

#[async_trait]
impl ArtifactStore for Objects {
    async fn remove(&self, keys: &[&str]) -> Result<(), ArtifactError> {
        for key in keys {
            let path = self.path(key);
            let below = self.store.list(Some(&path)).map_ok(|found| found.location);
            let all = futures::stream::iter([Ok(path.clone())]).chain(below).boxed();
            let mut removed = self.store.delete_stream(all);
            while let Some(done) = removed.next().await {
                match done {
                    Ok(_) | Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(self.failed(key, &error)),
                }
            }
        }
        Ok(())
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let more = cause.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = cause.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
