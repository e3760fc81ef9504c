//! `cairn gc`

use clap::Args;

use super::connect::Connection;
use super::exit::Exit;
use super::output::{self, talk};
use crate::api::types::Collected;

/// Erase deleted experiments and remove folders of runs that nobody knows any more
///
/// Folders of experiments that these records never had are left alone.
///
/// Example: cairn gc --older-than 7d --dry-run
#[derive(Debug, Args)]
pub(super) struct Gc {
    /// Only folders left alone for so long, such as 12h or 7d
    #[arg(long, value_name = "DURATION", value_parser = seconds)]
    older_than: Option<u32>,
    /// Count only
    #[arg(long)]
    dry_run: bool,
}

impl Gc {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let seconds = self.older_than.unwrap_or(0);
        let path = format!("/api/v1/gc?olderThanSeconds={seconds}&dryRun={}", self.dry_run);
        let collected: Collected = connection.client.post(&path, &serde_json::json!({})).await?;
        if collected.foreign > 0 {
            talk(&format!(
                "{} folders of runs are of no experiment in these records and stay: another --store may know them",
                collected.foreign
            ));
        }
        output::write(connection.format, &collected, |collected| {
            output::pairs(&[
                ("experiments", collected.experiments.to_string()),
                ("folders", collected.folders.to_string()),
                ("bytes", collected.bytes.to_string()),
            ])
        })?;
        Ok(Exit::Done)
    }
}

fn seconds(text: &str) -> Result<u32, String> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok()?.checked_mul(24 * 3600));
    let seconds = || u32::try_from(controller_core::duration::parse(text)?.as_secs()).ok();
    days.or_else(seconds).ok_or_else(|| format!("`{text}` is no duration such as 12h or 7d"))
}
