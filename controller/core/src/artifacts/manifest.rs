//! The manifest of a sealed folder.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// What is in a sealed folder, in the order of paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What it is, such as `onnx`; empty if not said.
    pub format: String,
    /// Its files.
    pub files: Vec<Entry>,
}

/// A file of a sealed folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Path within the folder.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// SHA-256 of its bytes, or of where it leads, in hex.
    pub sha256: String,
    /// Where it leads, within the folder, if it is a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
}

/// Why a manifest cannot be used.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// It is another than the one whose digest is known.
    #[error("its manifest has SHA-256 {found}, and {wanted} was recorded; it was changed or damaged")]
    Digest {
        /// What was recorded.
        wanted: String,
        /// What was found.
        found: String,
    },
    /// It is none.
    #[error("its manifest cannot be read")]
    Syntax(#[source] serde_json::Error),
    /// It names a file that would lie elsewhere.
    #[error("its manifest names `{0}`, which is no path within it")]
    Path(String),
}

/// The name of the manifest of a folder, beside it.
pub fn manifest_of(folder: &str) -> String {
    format!("{folder}.manifest.json")
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Manifest {
    /// As it is written, whose SHA-256 is the digest.
    pub fn text(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// The digest of the whole.
    pub fn digest(&self) -> String {
        digest(&self.text())
    }

    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// The manifest of a text, which has to be the one of this digest, if one is known.
    ///
    /// # Errors
    /// If it is another, or names what does not lie in its folder. Nothing of the folder is to be used then.
    pub fn read(text: &[u8], wanted: Option<&str>) -> Result<Self, ManifestError> {
        let found = digest(text);
        if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
            return Err(ManifestError::Digest { wanted: wanted.to_owned(), found });
        }
        let manifest: Self = serde_json::from_slice(text).map_err(ManifestError::Syntax)?;
        let links: BTreeSet<&str> =
            manifest.files.iter().filter(|file| file.link.is_some()).map(|file| &*file.path).collect();
        for file in &manifest.files {
            let lies_within = is_within(&file.path) && !goes_through(&file.path, &links);
            let leads_within = file.link.as_ref().is_none_or(|link| leads_within(&file.path, link));
            if !lies_within || !leads_within {
                return Err(ManifestError::Path(file.path.clone()));
            }
        }
        Ok(manifest)
    }
}

fn digest(text: &[u8]) -> String {
    hex(&Sha256::digest(text))
}

/// Whether a path stays where it begins, whatever is there.
fn is_within(path: &str) -> bool {
    !path.contains('\0') && path.split('/').all(|name| !matches!(name, "" | "." | ".."))
}

/// Whether a path has a link above it, which may lead anywhere by the time it is followed.
fn goes_through(path: &str, links: &BTreeSet<&str>) -> bool {
    path.match_indices('/').any(|(at, _)| links.contains(&path[..at]))
}

/// Whether a link stays within the folder by its words.
fn leads_within(path: &str, link: &str) -> bool {
    if link.is_empty() || link.starts_with('/') || link.contains('\0') {
        return false;
    }
    let mut depth = path.matches('/').count();
    for name in link.split('/') {
        match name {
            "" | "." => {}
            ".." if depth == 0 => return false,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, link: Option<&str>) -> Entry {
        Entry { path: path.into(), size: 3, sha256: "0".repeat(64), link: link.map(str::to_owned) }
    }

    fn read(files: Vec<Entry>) -> Result<Manifest, ManifestError> {
        Manifest::read(&Manifest { format: String::new(), files }.text(), None)
    }

    #[test]
    fn a_manifest_is_known_by_its_digest() {
        let manifest =
            Manifest { format: "onnx".into(), files: vec![file("a/b", None), file("c", Some("a/b"))] };
        let text = manifest.text();
        assert_eq!(Manifest::read(&text, Some(&manifest.digest())).unwrap(), manifest);
        assert_eq!(manifest.bytes(), 6);
        let mut other = text;
        let at = other.iter().position(|byte| *byte == b'3').unwrap();
        other[at] = b'4';
        let error = Manifest::read(&other, Some(&manifest.digest())).unwrap_err();
        assert!(error.to_string().contains("changed or damaged"), "{error}");
    }

    #[test]
    fn paths_and_links_that_leave_the_folder_are_refused() {
        for path in ["/etc/passwd", "../x", "a/../../x", "a//b", "", "a/./b"] {
            assert!(matches!(read(vec![file(path, None)]), Err(ManifestError::Path(_))), "{path}");
        }
        for (path, link) in [("a", "../x"), ("a", "/etc"), ("d/a", "../../x"), ("a", "b/../../x"), ("a", "")]
        {
            assert!(
                matches!(read(vec![file(path, Some(link))]), Err(ManifestError::Path(_))),
                "{path} {link}"
            );
        }
        assert!(read(vec![file("d/a", Some("../b")), file("b", None)]).is_ok());
        let through = vec![file("d", Some("e")), file("d/x", None)];
        assert!(matches!(read(through), Err(ManifestError::Path(_))), "a file behind a link");
    }
}
