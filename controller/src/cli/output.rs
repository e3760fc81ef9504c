//! Writing data to stdout, as a table or for programs, and talk to stderr.

use std::io::{self, Write as _};

use clap::ValueEnum;
use serde::Serialize;

use super::yaml;
use crate::api::types::{ProblemView, Trial};

/// How data is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// For programs
    Json,
    /// For people and programs
    Yaml,
}

/// Writes a line of data.
pub(super) fn data(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())?;
    out.write_all(b"\n")
}

/// Says something to the person; nobody listening is no error.
pub(super) fn talk(line: &str) {
    writeln!(io::stderr().lock(), "{line}").ok();
}

/// Writes a value in a format; as a table by `table`.
pub(super) fn write<T: Serialize>(
    format: Format,
    value: &T,
    table: impl FnOnce(&T) -> String,
) -> anyhow::Result<()> {
    let text = match format {
        Format::Table => table(value),
        Format::Json => serde_json::to_string_pretty(value)?,
        Format::Yaml => yaml::write(&serde_json::to_value(value)?),
    };
    data(text.trim_end_matches('\n'))?;
    Ok(())
}

/// Rows under their headings, columns as wide as their widest cell.
pub(super) fn table(headings: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headings.iter().map(|heading| heading.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(headings.to_vec())];
    lines.extend(rows.iter().map(|row| line(row.iter().map(String::as_str).collect())));
    lines.join("\n")
}

/// Names with their values below each other.
pub(super) fn pairs(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines = rows.iter().filter(|(_, value)| !value.is_empty());
    lines.map(|(name, value)| format!("{name:<width$}  {value}")).collect::<Vec<_>>().join("\n")
}

/// A problem on one line.
pub(super) fn problem(problem: &ProblemView) -> String {
    let place = match (problem.path.as_str(), problem.line) {
        ("", None) => return problem.message.clone(),
        ("", Some(line)) => format!("line {line}"),
        (path, None) => path.to_owned(),
        (path, Some(line)) => format!("{path} (line {line})"),
    };
    format!("{place}: {}", problem.message)
}

/// Warnings and notes, to the person.
pub(super) fn remarks(warnings: &[ProblemView], notes: &[String]) {
    for warning in warnings {
        talk(&format!("warning: {}", problem(warning)));
        if let Some(hint) = &warning.hint {
            talk(&format!("hint: {hint}"));
        }
    }
    notes.iter().for_each(|note| talk(&format!("note: {note}")));
}

/// Parameters of a trial on one line.
pub(super) fn parameters(trial: &Trial) -> String {
    let text = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    trial
        .parameters
        .iter()
        .map(|(name, value)| format!("{name}={}", text(value)))
        .collect::<Vec<_>>()
        .join(" ")
}

/// A number for people; nothing for none.
pub(super) fn number(value: Option<f64>) -> String {
    match value {
        None => String::new(),
        Some(value) if value != 0.0 && (value.abs() < 1e-4 || value.abs() >= 1e7) => format!("{value:.5e}"),
        Some(value) => {
            let text = format!("{value:.6}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
    }
}

/// Seconds for people.
pub(super) fn seconds(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..=9 => format!("{seconds:.1}s"),
        10..=59 => format!("{whole}s"),
        60..=3599 => format!("{}m{:02}s", whole / 60, whole % 60),
        _ => format!("{}h{:02}m", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["long".to_owned(), String::new()]];
        assert_eq!(table(&["NAME", "N"], &rows), "NAME  N\na     1\nlong");
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(number(Some(0.5)), "0.5");
        assert_eq!(number(Some(1.0)), "1");
        assert_eq!(number(Some(1.5e-7)), "1.50000e-7");
        assert_eq!(number(None), "");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(
            [seconds(1.25), seconds(59.9), seconds(61.0), seconds(7322.0)],
            ["1.2s", "59s", "1m01s", "2h02m"]
        );
    }
}
