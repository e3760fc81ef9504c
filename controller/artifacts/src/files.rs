//! A folder as a store: of this machine, of the controller's volume, or a volume that is mounted into a pod.

use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use controller_core::artifacts::hex;
use controller_core::ports::{ArtifactError, ArtifactSink, ArtifactSource, ArtifactStore, Blob, Pieces};
use futures::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::fs::{self, File};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _, AsyncWriteExt as _};

/// Bytes read at once.
const CHUNK: usize = 256 * 1024;
/// What a file is called that is not whole.
const PART: &str = "part";

/// Keeps files in a folder.
#[derive(Clone, Debug)]
pub struct Files {
    root: PathBuf,
}

/// A file that comes in, perhaps after an earlier part of it.
pub struct Incoming {
    path: PathBuf,
    part: PathBuf,
    file: File,
    hasher: Sha256,
    size: u64,
    at: u64,
    sha256: String,
}

impl Files {
    /// In this folder, which need not be there.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where a key's file lies.
    ///
    /// # Errors
    /// If the key is no path within the folder.
    pub fn path(&self, key: &str) -> Result<PathBuf, ArtifactError> {
        let fits = !key.contains('\0') && key.split('/').all(|name| !matches!(name, "" | "." | ".."));
        if fits {
            Ok(self.root.join(key))
        } else {
            Err(ArtifactError::Refused(format!("`{key}` is no path of a file")))
        }
    }

    /// Begins to take in a file, or goes on with what has come of it before. `None` if it is there already.
    ///
    /// # Errors
    /// If it cannot be written.
    pub async fn take_in(
        &self,
        key: &str,
        size: u64,
        sha256: &str,
    ) -> Result<Option<Incoming>, ArtifactError> {
        let path = self.path(key)?;
        if self.holds(&path, size, sha256).await? {
            return Ok(None);
        }
        let folder = path.parent().unwrap_or(&self.root);
        fs::create_dir_all(folder).await.map_err(|error| failed(folder, &error))?;
        // What begins as another file is none of this one.
        let short = sha256.get(..16).unwrap_or(sha256);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let part = path.with_file_name(format!(".{name}.{short}.{PART}"));
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(&part).await;
        let mut file = opened.map_err(|error| failed(&part, &error))?;
        let (mut hasher, mut at) = (Sha256::new(), 0);
        let mut buffer = vec![0; CHUNK];
        loop {
            let n = file.read(&mut buffer).await.map_err(|error| failed(&part, &error))?;
            if n == 0 || at + n as u64 > size {
                break;
            }
            hasher.update(&buffer[..n]);
            at += n as u64;
        }
        if fs::metadata(&part).await.is_ok_and(|found| found.len() > at) {
            file.set_len(at).await.map_err(|error| failed(&part, &error))?;
        }
        file.seek(io::SeekFrom::Start(at)).await.map_err(|error| failed(&part, &error))?;
        Ok(Some(Incoming { path, part, file, hasher, size, at, sha256: sha256.to_owned() }))
    }

    /// Whether the file is there, whole.
    async fn holds(&self, path: &Path, size: u64, sha256: &str) -> Result<bool, ArtifactError> {
        match fs::metadata(path).await {
            Ok(found) if found.is_file() && found.len() == size => {}
            _ => return Ok(false),
        }
        let own = path.to_owned();
        let read = tokio::task::spawn_blocking(move || crate::seal::digest(&own)).await;
        let read = read.map_err(io::Error::other).and_then(|read| read);
        Ok(read.map_err(|error| failed(path, &error))?.1 == sha256)
    }
}

impl Incoming {
    /// How much of it is there.
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Whether all of it is there.
    pub fn is_whole(&self) -> bool {
        self.at == self.size
    }

    /// The next bytes.
    ///
    /// # Errors
    /// If there are more than were announced, or they cannot be written.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), ArtifactError> {
        if self.at + bytes.len() as u64 > self.size {
            let text =
                format!("{} has more than the {} bytes that were announced", self.path.display(), self.size);
            return Err(ArtifactError::Damaged(text));
        }
        self.file.write_all(bytes).await.map_err(|error| failed(&self.path, &error))?;
        self.hasher.update(bytes);
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Gives the file its name, once all of it is there and safe.
    ///
    /// # Errors
    /// If it is not what was announced: then nothing of it stays.
    pub async fn finish(mut self) -> Result<(), ArtifactError> {
        let Self { path, part, .. } = &self;
        let found = hex(&self.hasher.clone().finalize());
        if self.at != self.size || found != self.sha256 {
            // It cannot become what it should be.
            fs::remove_file(part).await.ok();
            let text = format!(
                "{} has {} bytes with SHA-256 {found}, and {} with {} were announced; it changed on its way",
                path.display(),
                self.at,
                self.size,
                self.sha256
            );
            return Err(ArtifactError::Damaged(text));
        }
        let (path, part) = (path.clone(), part.clone());
        let safe = async {
            self.file.flush().await?;
            self.file.sync_all().await?;
            fs::rename(&part, &path).await?;
            File::open(path.parent().unwrap_or(&path)).await?.sync_all().await
        };
        safe.await.map_err(|error| failed(&path, &error))
    }
}

/// The bytes of a file from an offset on.
pub fn pieces(path: PathBuf, from: u64) -> Pieces {
    futures::stream::unfold(Reading::Not(path, from), |reading| async {
        match reading.next().await {
            Ok(Some((bytes, then))) => Some((Ok(bytes), then)),
            Ok(None) => None,
            Err(error) => Some((Err(error), Reading::Done)),
        }
    })
    .boxed()
}

/// How far the reading of a file is.
enum Reading {
    Not(PathBuf, u64),
    In(PathBuf, File),
    Done,
}

impl Reading {
    async fn next(self) -> Result<Option<(Bytes, Self)>, ArtifactError> {
        let (path, mut file) = match self {
            Self::Not(path, from) => {
                let mut file = File::open(&path).await.map_err(|error| failed(&path, &error))?;
                file.seek(io::SeekFrom::Start(from)).await.map_err(|error| failed(&path, &error))?;
                (path, file)
            }
            Self::In(path, file) => (path, file),
            Self::Done => return Ok(None),
        };
        let mut bytes = BytesMut::with_capacity(CHUNK);
        let n = file.read_buf(&mut bytes).await.map_err(|error| failed(&path, &error))?;
        Ok((n > 0).then(|| (bytes.freeze(), Self::In(path, file))))
    }
}

#[async_trait]
impl ArtifactSource for Files {
    async fn get(&self, key: &str) -> Result<Pieces, ArtifactError> {
        let path = self.path(key)?;
        // It is said now if there is none.
        fs::metadata(&path).await.map_err(|error| failed(&path, &error))?;
        Ok(pieces(path, 0))
    }
}

#[async_trait]
impl ArtifactSink for Files {
    async fn put(&self, key: &str, blob: &Blob<'_>) -> Result<(), ArtifactError> {
        let Some(mut incoming) = self.take_in(key, blob.size, blob.sha256).await? else { return Ok(()) };
        let mut bytes = (blob.read)(incoming.at());
        while let Some(chunk) = bytes.next().await {
            incoming.write(&chunk?).await?;
        }
        incoming.finish().await
    }
}

#[async_trait]
impl ArtifactStore for Files {
    async fn remove(&self, keys: &[&str]) -> Result<(), ArtifactError> {
        for key in keys {
            let path = self.path(key)?;
            let removed = match fs::symlink_metadata(&path).await {
                Ok(found) if found.is_dir() => fs::remove_dir_all(&path).await,
                Ok(_) => fs::remove_file(&path).await,
                Err(error) => Err(error),
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&path, &error)),
                _ => {}
            }
        }
        // What is empty now goes too, up to the store's own folder.
        let mut above = self.root.as_path();
        for _ in 0..2 {
            if fs::remove_dir(above).await.is_err() {
                break;
            }
            let Some(parent) = above.parent() else { break };
            above = parent;
        }
        Ok(())
    }
}

/// What the system says of a file.
pub(crate) fn failed(path: &Path, error: &io::Error) -> ArtifactError {
    let text = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::NotFound => ArtifactError::NotFound(text),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            ArtifactError::Full(format!(
                "{text}; make room there, or keep fewer models with spec.artifacts.keep"
            ))
        }
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::NotADirectory => ArtifactError::Refused(text),
        _ => ArtifactError::Unavailable(text),
    }
}

/// Bytes that are at hand.
pub(crate) fn at_hand(bytes: &Bytes, from: u64) -> Pieces {
    let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
    futures::stream::iter([Ok(bytes.slice(from..))]).boxed()
}
