//! The data that models are measured on.

use std::path::{Path, PathBuf};

use controller_core::promotion::Promotion;
use controller_core::promotion::plan::EVALUATE;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;

/// Where the data lies, if the step names some.
pub(super) fn path(promotion: &Promotion) -> Option<PathBuf> {
    let step = promotion.spec.pipeline.as_ref()?.step(EVALUATE)?;
    let data = step.data.as_ref()?;
    Some(promotion.base_dir.as_ref().map_or_else(|| data.into(), |dir| Path::new(dir).join(data)))
}

/// SHA-256 of the data in hex, empty if there is none; or why it cannot be read.
pub(super) async fn digest_of(promotion: &Promotion) -> Result<String, String> {
    let Some(path) = path(promotion) else { return Ok(String::new()) };
    digest(&path).await.map_err(|error| {
        format!(
            "the data {} cannot be read: {error}; it stands in the step `{EVALUATE}` as `data`",
            path.display()
        )
    })
}

async fn digest(path: &Path) -> std::io::Result<String> {
    let mut file = tokio::fs::File::open(path).await?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        let n = file.read(&mut buffer).await?;
        if n == 0 {
            break;
        }
        hasher.update(&buffer[..n]);
    }
    Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
