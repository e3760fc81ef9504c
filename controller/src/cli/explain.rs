//! `cairn explain`

use clap::Args;
use controller_core::fields;

use super::connect::Connection;
use super::exit::{Exit, Wrong};
use super::output;
use crate::api::client::encode;
use crate::api::types::Explanation;

/// Explain a trial, a field, or why nothing happens
///
/// Examples: cairn explain digits; cairn explain digits 17; cairn explain spec.parameters.feasibleSpace
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The experiment, or the path of a field such as spec.objective
    experiment: String,
    /// A trial (name or number) or a field; without one, why nothing happens
    subject: Option<String>,
}

impl Explain {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let asked = &*self.experiment;
        // The name of an experiment may have dots too.
        let is_field = asked == "spec"
            || asked.starts_with("spec.")
            || asked.contains('.') && !fields::find(asked).is_empty();
        let explanation = if is_field && self.subject.is_none() {
            Explanation {
                subject: self.experiment.clone(),
                lines: field(&self.experiment)?,
                ..Explanation::default()
            }
        } else {
            let subject = self.subject.map(|subject| format!("?subject={}", encode(&subject)));
            let rest = format!("/explain{}", subject.unwrap_or_default());
            connection.client.get(&connection.path(&self.experiment, &rest)).await?
        };
        output::write(connection.format, &explanation, |explanation| {
            let lines = explanation.lines.iter().map(|line| format!("  {line}"));
            std::iter::once(explanation.subject.clone()).chain(lines).collect::<Vec<_>>().join("\n")
        })?;
        Ok(Exit::Done)
    }
}

/// What a field is for, and what stands below it.
fn field(path: &str) -> anyhow::Result<Vec<String>> {
    let found = fields::find(path);
    let Some(field) = found.first() else {
        let known = fields::FIELDS.iter().map(|field| field.path);
        let hint =
            fields::nearest(path, known).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        return Err(Wrong(format!("`{path}` is no field of an Experiment{hint}")).into());
    };
    let mut lines = vec![format!("{} ({})", field.path, field.shape.word()), field.doc.to_owned()];
    let below =
        fields::below(field.path).map(|field| format!("  {}: {}", field.name(), first_sentence(field.doc)));
    lines.extend(below);
    Ok(lines)
}

fn first_sentence(doc: &str) -> &str {
    doc.find(". ").map_or(doc, |end| &doc[..=end])
}
