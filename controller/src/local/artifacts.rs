//! Sealing what a run leaves behind.
//!
//! A sealed model is the folder `model/` with `manifest.json` beside it, which names every file with its size and
//! SHA-256. Files are on disk before the manifest is; the digest of a model is the SHA-256 of its manifest.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use controller_core::run::Model;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::files::{RunFolder, write_new};

/// Formats that a `model.yaml` may name.
const FORMATS: [&str; 9] =
    ["onnx", "sklearn", "xgboost", "lightgbm", "tensorflow", "pytorch", "safetensors", "mlflow", "custom"];

/// Why a model cannot be kept.
#[derive(Debug, Error)]
pub(super) enum SealError {
    #[error(
        "`{path}` in CAIRN_MODEL_DIR is a link to {target}, which is not in that folder; copy the file instead"
    )]
    LinkOutside { path: String, target: String },
    #[error("`{path}` in CAIRN_MODEL_DIR is neither a file nor a folder; remove it")]
    Special { path: String },
    #[error("a file in CAIRN_MODEL_DIR has a name that is no UTF-8: {path}; rename it")]
    Name { path: String },
    #[error("cannot seal {path}: {source}")]
    Io { path: String, source: io::Error },
}

/// What sealing has found.
#[derive(Debug, Default)]
pub(super) struct Sealed {
    pub(super) model: Option<Model>,
    /// What a person should know.
    pub(super) note: Option<String>,
}

/// `manifest.json`.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Manifest {
    format: String,
    files: Vec<Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    path: String,
    size: u64,
    sha256: String,
    /// Where it leads, within the folder, if it is a link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

/// Seals the model of a run that has ended well. May be repeated: a sealed model stays as it is.
pub(super) fn seal(folder: &RunFolder) -> Result<Sealed, SealError> {
    let dir = folder.model();
    let path = folder.path().join("manifest.json");
    let (text, manifest) = if let Some(before) = sealed_before(&path) {
        before
    } else {
        let Some(manifest) = describe(&dir)? else {
            return Ok(reported(folder));
        };
        let text = serde_json::to_vec_pretty(&manifest).map_err(|error| io_error(&path, error.into()))?;
        write_safely(&path, &text).map_err(|error| io_error(&path, error))?;
        (text, manifest)
    };
    let model = Model {
        uri: file_uri(&dir),
        digest: hex(&Sha256::digest(&text)),
        bytes: manifest.files.iter().map(|file| file.size).sum(),
        format: manifest.format,
    };
    Ok(Sealed { model: Some(model), note: None })
}

/// Whether a run has left nothing at all.
pub(super) fn are_none(folder: &RunFolder) -> bool {
    let is_empty = fs::read_dir(folder.model()).is_ok_and(|mut entries| entries.next().is_none());
    is_empty && !folder.artifacts().exists()
}

fn sealed_before(path: &Path) -> Option<(Vec<u8>, Manifest)> {
    let text = fs::read(path).ok()?;
    let manifest = serde_json::from_slice(&text).ok()?;
    Some((text, manifest))
}

/// The manifest of what lies in the folder; `None` if that is nothing.
fn describe(dir: &Path) -> Result<Option<Manifest>, SealError> {
    match fs::read_dir(dir).map(|mut entries| entries.next().is_none()) {
        Ok(false) => {}
        Ok(true) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_error(dir, error)),
    }
    let root = dir.canonicalize().map_err(|error| io_error(dir, error))?;
    let mut files = Vec::new();
    walk(&root, &root, &mut files)?;
    files.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok((!files.is_empty()).then(|| Manifest { format: format_of(&root), files }))
}

fn walk(root: &Path, dir: &Path, files: &mut Vec<Entry>) -> Result<(), SealError> {
    for entry in fs::read_dir(dir).map_err(|error| io_error(dir, error))? {
        let path = entry.map_err(|error| io_error(dir, error))?.path();
        let kind = fs::symlink_metadata(&path).map_err(|error| io_error(&path, error))?.file_type();
        let name = path.strip_prefix(root).unwrap_or(&path);
        let Some(name) = name.to_str().map(str::to_owned) else {
            return Err(SealError::Name { path: path.display().to_string() });
        };
        if kind.is_dir() {
            walk(root, &path, files)?;
        } else if kind.is_symlink() {
            files.push(link(root, &path, name)?);
        } else if kind.is_file() {
            let (size, sha256) = digest(&path).map_err(|error| io_error(&path, error))?;
            files.push(Entry { path: name, size, sha256, link: None });
        } else {
            return Err(SealError::Special { path: name });
        }
    }
    // The names in it are on disk before the manifest is.
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| io_error(dir, error))
}

/// A link is kept as a link, if it leads to something in the folder.
fn link(root: &Path, path: &Path, name: String) -> Result<Entry, SealError> {
    let target = fs::read_link(path).map_err(|error| io_error(path, error))?;
    let inside = target.is_relative() && path.canonicalize().is_ok_and(|real| real.starts_with(root));
    match target.to_str() {
        Some(text) if inside => {
            let sha256 = hex(&Sha256::digest(text));
            Ok(Entry { path: name, size: 0, sha256, link: Some(text.to_owned()) })
        }
        _ => Err(SealError::LinkOutside { path: name, target: target.display().to_string() }),
    }
}

/// Size and SHA-256 of a file, which is on disk then.
fn digest(path: &Path) -> io::Result<(u64, String)> {
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
    file.sync_all()?;
    Ok((size, hex(&hasher.finalize())))
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

/// A model that the run says it has stored itself; the last one counts.
fn reported(folder: &RunFolder) -> Sealed {
    #[derive(Deserialize)]
    struct Line {
        model: Option<Reported>,
    }
    #[derive(Deserialize)]
    struct Reported {
        uri: String,
        #[serde(default)]
        sha256: Option<String>,
        #[serde(default)]
        bytes: u64,
        #[serde(default)]
        format: String,
    }
    let Ok(text) = fs::read_to_string(folder.artifacts()) else {
        return Sealed::default();
    };
    let mut sealed = Sealed::default();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str::<Line>(line) {
            Ok(Line { model: Some(Reported { uri, sha256, bytes, format }) }) => {
                let digest = sha256.unwrap_or_default();
                sealed.model = Some(Model { uri, digest, bytes, format });
            }
            Ok(Line { model: None }) => {}
            Err(error) => {
                sealed.note = Some(format!("line {} of artifacts.jsonl is passed over: {error}", number + 1));
            }
        }
    }
    sealed
}

fn write_safely(path: &Path, text: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("json.tmp");
    write_new(&temporary, text, 0o644)?;
    File::open(&temporary)?.sync_all()?;
    fs::rename(&temporary, path)?;
    let dir: PathBuf = path.parent().unwrap_or(path).to_owned();
    File::open(dir)?.sync_all()
}

fn file_uri(path: &Path) -> String {
    let mut uri = String::from("file://");
    for &byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~+@:=,".contains(&byte) {
            uri.push(byte.into());
        } else {
            uri.push('%');
            uri.extend(digits(byte).map(|digit| digit.to_ascii_uppercase()));
        }
    }
    uri
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|&byte| digits(byte)).collect()
}

fn digits(byte: u8) -> [char; 2] {
    [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).unwrap_or('0'))
}

fn io_error(path: &Path, source: io::Error) -> SealError {
    SealError::Io { path: path.display().to_string(), source }
}
