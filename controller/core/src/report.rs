//! What is wrong with a document: all problems at once, each with its place and a way out.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::yaml::Source;

/// One thing that is wrong, or worth knowing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Path in the document, such as `spec.parameters[2].feasibleSpace`.
    pub path: String,
    /// Line in the file, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// A way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem at a path.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), line: None, message: message.into(), hint: None }
    }

    /// The same with a way out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Everything there is to say about a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Reasons to refuse it.
    pub errors: Vec<Problem>,
    /// Reasons to look again.
    pub warnings: Vec<Problem>,
    /// What was decided for the user.
    pub notes: Vec<String>,
}

impl Report {
    /// Whether the document may be used.
    pub fn is_valid(&self) -> bool {
        self.errors.is_empty()
    }

    /// A reason to refuse it.
    pub fn error(&mut self, problem: Problem) {
        self.errors.push(problem);
    }

    /// A reason to look again.
    pub fn warn(&mut self, problem: Problem) {
        self.warnings.push(problem);
    }

    /// Takes in another report.
    pub fn extend(&mut self, other: Self) {
        self.errors.extend(other.errors);
        self.warnings.extend(other.warnings);
        self.notes.extend(other.notes);
    }

    /// The same with the line of each problem.
    #[must_use]
    pub fn with_lines(mut self, source: &Source) -> Self {
        for problem in self.errors.iter_mut().chain(&mut self.warnings) {
            problem.line = problem.line.or_else(|| source.line(&problem.path));
        }
        self
    }

    /// For people: the errors under one heading, then warnings and notes, then each hint once.
    pub fn render(&self, name: &str) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let mut line = |parts: std::fmt::Arguments<'_>| text.write_fmt(parts).unwrap_or_default();
        if !self.errors.is_empty() {
            line(format_args!("error: {}\n", not_valid(name)));
        }
        for problem in &self.errors {
            line(format_args!("  {}\n", one_line(problem)));
        }
        for problem in &self.warnings {
            line(format_args!("warning: {}\n", one_line(problem)));
        }
        for note in &self.notes {
            line(format_args!("note: {note}\n"));
        }
        let mut said: Vec<&str> = Vec::new();
        for hint in self.errors.iter().chain(&self.warnings).filter_map(|problem| problem.hint.as_deref()) {
            if !said.contains(&hint) {
                line(format_args!("hint: {hint}\n"));
                said.push(hint);
            }
        }
        text
    }
}

/// Says that an experiment cannot be used; it may have no name that could be read.
pub fn not_valid(name: &str) -> String {
    if name.is_empty() {
        "the experiment is not valid".into()
    } else {
        format!("experiment `{name}` is not valid")
    }
}

fn one_line(problem: &Problem) -> String {
    let place = problem.line.map_or_else(String::new, |line| format!(" (line {line})"));
    if problem.path.is_empty() {
        format!("{}{place}", problem.message)
    } else {
        format!("{}: {}{place}", problem.path, problem.message)
    }
}
