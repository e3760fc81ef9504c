//! `cairn completions`

use std::io::Write as _;

use clap::Args;
use clap_complete::Shell;

use super::exit::Exit;

/// Print completions for a shell
///
/// Example: cairn completions bash > /etc/bash_completion.d/cairn
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut super::command(), "cairn", &mut text);
        std::io::stdout().lock().write_all(&text)?;
        Ok(Exit::Done)
    }
}
