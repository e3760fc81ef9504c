//! `cairn init`

use std::io::{ErrorKind, Write as _};

use anyhow::Context as _;
use clap::Args;

use super::exit::{Exit, Wrong};
use super::output::talk;

/// Write a commented Experiment to start from
///
/// It runs as it is: `cairn run experiment.yaml`.
///
/// Example: cairn init experiment.yaml
#[derive(Debug, Args)]
pub(super) struct Init {
    /// The file; `-` for standard output
    #[arg(default_value = "experiment.yaml")]
    file: String,
    /// Replace a file that exists
    #[arg(long)]
    force: bool,
}

const TEMPLATE: &str = include_str!("init.yaml");

impl Init {
    pub(super) fn run(self) -> anyhow::Result<Exit> {
        if self.file == "-" {
            std::io::stdout().lock().write_all(TEMPLATE.as_bytes())?;
            return Ok(Exit::Done);
        }
        let mut options = std::fs::OpenOptions::new();
        options.write(true);
        if self.force {
            options.create(true).truncate(true)
        } else {
            options.create_new(true)
        };
        let mut file = options.open(&self.file).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                Wrong(format!("{} exists; name another file, or replace it with --force", self.file))
            }
            _ => Wrong(format!("cannot write {}: {error}; name another file", self.file)),
        })?;
        file.write_all(TEMPLATE.as_bytes()).with_context(|| format!("cannot write {}", self.file))?;
        talk(&format!("wrote {0}; `cairn run {0}` runs it", self.file));
        Ok(Exit::Done)
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_template_is_valid() {
        let (_, _, report) = controller_core::validate::text(super::TEMPLATE);
        assert_eq!(report.errors, []);
        assert_eq!(report.warnings, []);
    }

    #[test]
    fn what_the_template_holds_in_comments_is_valid_too() {
        let words = [
            "goal:",
            "algorithm:",
            "algorithmName:",
            "- name: momentum",
            "when:",
            "default:",
            "prior:",
            "maxDuration:",
        ];
        let words =
            [&words[..], &["  parameterType:", "  feasibleSpace:", "resources:", "timeout:", "retries:"]]
                .concat();
        let uncommented: Vec<String> = super::TEMPLATE
            .lines()
            .map(|line| match line.split_once("# ") {
                Some((indent, rest)) if words.iter().any(|word| rest.starts_with(word)) => {
                    format!("{indent}{rest}")
                }
                _ => line.to_owned(),
            })
            .collect();
        let text = uncommented.join("\n").replace(
            "- { name: lr, reference: lr }",
            "- { name: lr, reference: lr }\n      - { name: momentum, reference: momentum }",
        );
        let text = text.replace("- |\n", "- |\n          : ${trialParameters.momentum}\n");
        let (document, _, report) = controller_core::validate::text(&text);
        assert_eq!(report.errors, [], "{text}");
        assert_eq!(document.spec.parameters.len(), 4, "{text}");
        assert!(document.spec.algorithm.is_some() && document.spec.max_duration.is_some());
    }
}
