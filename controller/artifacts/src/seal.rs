//! Sealing a folder: every file of it is known by size and SHA-256, and on disk.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

use controller_core::artifacts::{Entry, Manifest, hex};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// Formats that a `model.yaml` may name.
const FORMATS: [&str; 9] =
    ["onnx", "sklearn", "xgboost", "lightgbm", "tensorflow", "pytorch", "safetensors", "mlflow", "custom"];

/// Why what a trial has left cannot be kept.
#[derive(Debug, Error)]
pub enum SealError {
    /// A link leaves the folder.
    #[error(
        "`{path}` in {variable} is a link to {target}, which is not in that folder; copy the file instead"
    )]
    LinkOutside {
        /// The variable that names the folder.
        variable: &'static str,
        /// The link.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// A socket, a device, a pipe.
    #[error("`{path}` in {variable} is neither a file nor a folder; remove it")]
    Special {
        /// The variable that names the folder.
        variable: &'static str,
        /// Which.
        path: String,
    },
    /// A name that is no text.
    #[error("a file in {variable} has a name that is no UTF-8: {path}; rename it")]
    Name {
        /// The variable that names the folder.
        variable: &'static str,
        /// Which.
        path: String,
    },
    /// More than is allowed.
    #[error(
        "{variable} holds {bytes} bytes, and spec.artifacts.maxBytes allows {allowed}; leave less there, or raise it"
    )]
    TooLarge {
        /// The variable that names the folder.
        variable: &'static str,
        /// How much it is.
        bytes: u64,
        /// How much it may be.
        allowed: u64,
    },
    /// The system says no.
    #[error("cannot seal {path}: {source}")]
    Io {
        /// Which file or folder.
        path: String,
        /// Why.
        source: io::Error,
    },
}

/// A folder that is to be sealed.
#[derive(Clone, Copy, Debug)]
pub struct Folder<'a> {
    /// Where it lies.
    pub path: &'a Path,
    /// The variable by which programs know it.
    pub variable: &'static str,
    /// Most bytes that may lie in it.
    pub max_bytes: Option<u64>,
}

impl<'a> Folder<'a> {
    /// The folder of a trial's model.
    pub fn of_model(path: &'a Path, max_bytes: Option<u64>) -> Self {
        Self { path, variable: "CAIRN_MODEL_DIR", max_bytes }
    }

    /// The folder of a trial's checkpoint.
    pub fn of_checkpoint(path: &'a Path) -> Self {
        Self { path, variable: "CAIRN_CHECKPOINT_DIR", max_bytes: None }
    }

    /// Whether nothing at all lies in it.
    pub fn is_empty(&self) -> bool {
        fs::read_dir(self.path).map_or(true, |mut entries| entries.next().is_none())
    }

    /// The manifest of what lies in it; `None` if that is no file. What it names is on disk then.
    ///
    /// # Errors
    /// If something in it cannot be kept.
    pub fn seal(&self) -> Result<Option<Manifest>, SealError> {
        match fs::read_dir(self.path).map(|mut entries| entries.next().is_none()) {
            Ok(false) => {}
            Ok(true) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error(self.path, error)),
        }
        let root = self.path.canonicalize().map_err(|error| io_error(self.path, error))?;
        // What is too much is said before it is read.
        let bytes = self.measure(&root, &root)?;
        if let Some(allowed) = self.max_bytes.filter(|allowed| bytes > *allowed) {
            return Err(SealError::TooLarge { variable: self.variable, bytes, allowed });
        }
        let mut files = Vec::new();
        self.walk(&root, &root, &mut files)?;
        files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        Ok((!files.is_empty()).then(|| Manifest { format: format_of(&root), files }))
    }

    /// Reads every file and compares it with what was sealed.
    ///
    /// # Errors
    /// What differs, as the rest of a sentence.
    pub fn compare(&self, sealed: &Manifest) -> Result<(), String> {
        let now = self.seal().map_err(|error| format!("cannot be used: {error}"))?.unwrap_or_default();
        let differs = |path: &str, how: &str| Err(format!("is not what was sealed: {path} {how}"));
        for entry in &sealed.files {
            match now.files.iter().find(|file| file.path == entry.path) {
                None => return differs(&entry.path, "is gone"),
                Some(file) if file != entry => return differs(&entry.path, "has changed"),
                Some(_) => {}
            }
        }
        let is_new = |path: &str| sealed.files.iter().all(|entry| entry.path != path);
        match now.files.iter().find(|file| is_new(&file.path)) {
            Some(added) => differs(&added.path, "was added"),
            None => Ok(()),
        }
    }

    /// Bytes of all files; refuses what is none.
    fn measure(&self, root: &Path, dir: &Path) -> Result<u64, SealError> {
        let mut bytes = 0;
        for entry in fs::read_dir(dir).map_err(|error| io_error(dir, error))? {
            let path = entry.map_err(|error| io_error(dir, error))?.path();
            let found = fs::symlink_metadata(&path).map_err(|error| io_error(&path, error))?;
            bytes += match found.file_type() {
                kind if kind.is_dir() => self.measure(root, &path)?,
                kind if kind.is_file() => found.len(),
                kind if kind.is_symlink() => 0,
                _ => {
                    return Err(SealError::Special {
                        variable: self.variable,
                        path: self.name(root, &path)?,
                    });
                }
            };
        }
        Ok(bytes)
    }

    fn walk(&self, root: &Path, dir: &Path, files: &mut Vec<Entry>) -> Result<(), SealError> {
        for entry in fs::read_dir(dir).map_err(|error| io_error(dir, error))? {
            let path = entry.map_err(|error| io_error(dir, error))?.path();
            let kind = fs::symlink_metadata(&path).map_err(|error| io_error(&path, error))?.file_type();
            let name = self.name(root, &path)?;
            if kind.is_dir() {
                self.walk(root, &path, files)?;
            } else if kind.is_symlink() {
                files.push(self.link(root, &path, name)?);
            } else {
                let (size, sha256) = digest(&path).map_err(|error| io_error(&path, error))?;
                files.push(Entry { path: name, size, sha256, link: None });
            }
        }
        // The names in it are on disk before the manifest is. A folder that is only read may refuse, and need not.
        match File::open(dir).and_then(|dir| dir.sync_all()) {
            Err(error) if !is_read_only(&error) => Err(io_error(dir, error)),
            _ => Ok(()),
        }
    }

    fn name(&self, root: &Path, path: &Path) -> Result<String, SealError> {
        let name = path.strip_prefix(root).unwrap_or(path).to_str().map(str::to_owned);
        name.ok_or_else(|| SealError::Name { variable: self.variable, path: path.display().to_string() })
    }

    /// A link is kept as a link, if it leads to something in the folder.
    fn link(&self, root: &Path, path: &Path, name: String) -> Result<Entry, SealError> {
        let target = fs::read_link(path).map_err(|error| io_error(path, error))?;
        let inside = target.is_relative() && path.canonicalize().is_ok_and(|real| real.starts_with(root));
        match target.to_str() {
            Some(text) if inside => {
                let sha256 = hex(&Sha256::digest(text));
                Ok(Entry { path: name, size: 0, sha256, link: Some(text.to_owned()) })
            }
            _ => {
                let target = target.display().to_string();
                Err(SealError::LinkOutside { variable: self.variable, path: name, target })
            }
        }
    }
}

/// Size and SHA-256 of a file, which is on disk then.
pub(crate) fn digest(path: &Path) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    let mut size = 0;
    loop {
        let n = file.read(&mut buffer)?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
        size += n as u64;
    }
    match file.sync_all() {
        Err(error) if !is_read_only(&error) => Err(error),
        _ => Ok((size, hex(&hasher.finalize()))),
    }
}

fn is_read_only(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::InvalidInput)
}

/// What the model says it is: `format` of `model.yaml`, or MLflow by its `MLmodel`.
fn format_of(root: &Path) -> String {
    if let Ok(text) = fs::read_to_string(root.join("model.yaml")) {
        let said = text.lines().find_map(|line| line.strip_prefix("format:"));
        let said =
            said.map(|said| said.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']));
        let known = |said: &&str| FORMATS.contains(said);
        return said.map_or("", |said| Some(said).filter(known).unwrap_or("custom")).to_owned();
    }
    if root.join("MLmodel").is_file() { "mlflow".into() } else { String::new() }
}

fn io_error(path: &Path, source: io::Error) -> SealError {
    SealError::Io { path: path.display().to_string(), source }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn seal(path: &Path, max_bytes: Option<u64>) -> Result<Option<Manifest>, SealError> {
        Folder::of_model(path, max_bytes).seal()
    }

    #[test]
    fn every_file_is_named_and_links_within_stay_links() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert_eq!(seal(&root.join("nothing"), None).unwrap(), None);
        assert_eq!(seal(root, None).unwrap(), None);
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/w"), "abc").unwrap();
        fs::write(root.join("model.yaml"), "format: onnx # as told\n").unwrap();
        symlink("d/w", root.join("w")).unwrap();
        let manifest = seal(root, Some(1000)).unwrap().unwrap();
        assert_eq!(manifest.format, "onnx");
        let paths: Vec<_> = manifest.files.iter().map(|file| &*file.path).collect();
        assert_eq!(paths, ["d/w", "model.yaml", "w"]);
        // echo -n abc | sha256sum
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!((manifest.files[0].size, &*manifest.files[0].sha256), (3, abc));
        assert_eq!(manifest.files[2].link.as_deref(), Some("d/w"));
        assert_eq!(seal(root, None).unwrap().unwrap().digest(), manifest.digest(), "it is the same again");
    }

    #[test]
    fn what_cannot_be_kept_is_refused_in_one_line_that_names_it() {
        for (target, wanted) in [("/etc/passwd", "`w`"), ("../x", "copy the file"), ("nowhere", "nowhere")] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("x"), "1").unwrap();
            symlink(target, folder.path().join("w")).unwrap();
            let error = seal(folder.path(), None).unwrap_err().to_string();
            assert!(error.contains(wanted) && error.contains(target) && !error.contains('\n'), "{error}");
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("m"), "12345").unwrap();
        let error = seal(folder.path(), Some(4)).unwrap_err().to_string();
        assert!(error.contains("holds 5 bytes") && error.contains("maxBytes allows 4"), "{error}");
    }
}
