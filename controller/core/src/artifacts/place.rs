//! Where artifacts are kept, as one writes it.

use crate::run::RunId;

/// The kinds of stores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A folder of this machine.
    File,
    /// Cairn's own folder: of this machine, or of the controller's volume.
    Cairn,
    /// A bucket of S3, or of whatever speaks as it does.
    S3,
    /// A bucket of Google Cloud Storage.
    Gcs,
    /// A container of Azure Blob Storage.
    Azure,
    /// A volume of a cluster, mounted into the pods of trials.
    Claim,
}

/// A store, and a place in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreUri {
    /// Its kind.
    pub scheme: Scheme,
    /// The bucket, container or claim; empty for folders.
    pub host: String,
    /// The path in it, without slashes at its ends; of a folder the absolute path without its first slash.
    pub path: String,
}

/// Schemes by their words.
const SCHEMES: [(&str, Scheme); 6] = [
    ("file", Scheme::File),
    ("cairn", Scheme::Cairn),
    ("s3", Scheme::S3),
    ("gs", Scheme::Gcs),
    ("az", Scheme::Azure),
    ("pvc", Scheme::Claim),
];

/// Where a run's artifacts lie in a store.
pub fn key_of(namespace: &str, experiment: &str, trial: &str, attempt: u32) -> String {
    format!("{namespace}/{experiment}/{trial}/{attempt}")
}

impl StoreUri {
    /// Cairn's own.
    pub fn own() -> Self {
        Self { scheme: Scheme::Cairn, host: String::new(), path: String::new() }
    }

    /// A folder of this machine, by its absolute path.
    pub fn of_folder(path: &str) -> Self {
        Self { scheme: Scheme::File, host: String::new(), path: path.trim_matches('/').to_owned() }
    }

    /// The store of a text.
    ///
    /// # Errors
    /// Why it is none, and what would be one.
    pub fn parse(text: &str) -> Result<Self, String> {
        let none = || {
            Err(format!(
                "`{text}` is no store; write file:///folder, cairn://, s3://bucket/path, gs://bucket/path, \
                 az://container/path or pvc://claim/path"
            ))
        };
        let Some((word, rest)) = text.split_once("://") else { return none() };
        let Some((_, scheme)) = SCHEMES.iter().find(|(name, _)| *name == word) else { return none() };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = decode(path.trim_matches('/'));
        let Some(path) = path.filter(|path| path.split('/').all(|name| !matches!(name, "." | ".."))) else {
            return Err(format!(
                "the path of `{text}` cannot be understood; write it whole, without `.` and `..`"
            ));
        };
        match scheme {
            Scheme::File if !host.is_empty() || path.is_empty() => {
                Err(format!("`{text}` names no folder; a folder has three slashes: file:///folder"))
            }
            Scheme::Cairn if !host.is_empty() => {
                Err(format!("`{text}` names a server; Cairn's own store is `cairn://`"))
            }
            Scheme::S3 | Scheme::Gcs | Scheme::Azure | Scheme::Claim if host.is_empty() => {
                Err(format!("`{text}` names no {}", scheme.host_word()))
            }
            _ => Ok(Self { scheme: *scheme, host: host.to_owned(), path }),
        }
    }

    /// The store of a text, as an experiment names one.
    ///
    /// # Errors
    /// Why it is none, and what would be one.
    pub fn of_store(text: &str) -> Result<Self, String> {
        let store = Self::parse(text)?;
        if store.scheme == Scheme::Cairn && !store.path.is_empty() {
            return Err(format!("`{text}` names a folder; Cairn's own store has its own order: `cairn://`"));
        }
        Ok(store)
    }

    /// A place below this one.
    #[must_use]
    pub fn join(&self, key: &str) -> Self {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}/{key}", self.path) };
        Self { path, ..self.clone() }
    }

    /// The place above this one, and its own name there.
    pub fn split(&self) -> Option<(Self, &str)> {
        let (parent, name) = self.path.rsplit_once('/').unwrap_or(("", &self.path));
        (!name.is_empty()).then(|| (Self { path: parent.to_owned(), ..self.clone() }, name))
    }

    /// The place of a run's artifacts in this store.
    #[must_use]
    pub fn of_run(&self, namespace: &str, experiment: &str, trial: &str, run: RunId) -> Self {
        self.join(&key_of(namespace, experiment, trial, run.attempt))
    }
}

impl Scheme {
    /// What stands behind its slashes.
    fn host_word(self) -> &'static str {
        match self {
            Self::Azure => "container",
            Self::Claim => "claim",
            _ => "bucket",
        }
    }

    /// Whether it is reached over the network by keys of its own.
    pub fn is_bucket(self) -> bool {
        matches!(self, Self::S3 | Self::Gcs | Self::Azure)
    }
}

impl std::fmt::Display for StoreUri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = SCHEMES.iter().find(|(_, scheme)| *scheme == self.scheme).map_or("", |(word, _)| word);
        write!(f, "{word}://{}/{}", self.host, encode(&self.path))
    }
}

fn encode(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~+@:=,".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn decode(path: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        if byte == b'%' {
            let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok())?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(byte);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok().filter(|path| !path.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_read_and_written_again() {
        for text in [
            "file:///a%20b/c",
            "cairn:///",
            "s3://bucket/some/path",
            "gs://bucket/",
            "az://container/x",
            "pvc://claim/models",
        ] {
            assert_eq!(StoreUri::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(StoreUri::parse("cairn://").unwrap(), StoreUri::own());
        assert_eq!(StoreUri::parse("s3://b/x/").unwrap().join("k").to_string(), "s3://b/x/k");
        let model = StoreUri::parse("file:///a/1/model").unwrap();
        let (parent, name) = model.split().unwrap();
        assert_eq!((parent.to_string().as_str(), name), ("file:///a/1", "model"));
    }

    #[test]
    fn what_is_no_store_says_what_would_be_one() {
        for (text, wanted) in [
            ("models", "is no store"),
            ("http://x/y", "is no store"),
            ("file://models", "three slashes"),
            ("file:///", "three slashes"),
            ("cairn://server/x", "`cairn://`"),
            ("cairn:///x", "`cairn://`"),
            ("s3:///x", "names no bucket"),
            ("pvc://", "names no claim"),
            ("s3://b/a/../c", "without `.` and `..`"),
        ] {
            let error = StoreUri::of_store(text).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }
}
