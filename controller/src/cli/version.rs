//! `cairn version`

use clap::Args;

use super::exit::Exit;
use super::output::{self, Format};
use crate::config;

/// Say which Cairn this is, and what is built in
#[derive(Debug, Args)]
pub(super) struct Version {}

impl Version {
    #[expect(clippy::unused_self, reason = "as every command")]
    pub(super) fn run(self, format: Format) -> anyhow::Result<Exit> {
        output::write(format, &config::version(), |version| {
            output::pairs(&[
                ("cairn", version.version.clone()),
                ("built in", version.features.join(", ")),
                ("not built in", version.missing.join(", ")),
            ])
        })?;
        Ok(Exit::Done)
    }
}
