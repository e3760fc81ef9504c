//! `cairn trials`

use clap::Args;

use super::connect::Connection;
use super::exit::Exit;
use super::output::{self, number, parameters, seconds, talk};
use crate::api::client::encode;
use crate::api::types::{Trial, Trials as Page};

/// List the trials of an experiment
///
/// Example: cairn trials digits --where 'state = Succeeded and lr > 0.01' --sort -value --limit 10
///
/// Example: cairn trials digits --front seconds    # what is to be had for how much time
#[derive(Debug, Args)]
pub(super) struct Trials {
    /// The experiment
    experiment: String,
    /// A condition over fields, parameters and metrics
    #[arg(long = "where", value_name = "CONDITION")]
    filter: Option<String>,
    /// Only trials that no other beats in the objective and all of these metrics or fields, with commas between them: the
    /// smaller the better, with a leading `-` the larger
    #[arg(long, value_name = "FIELDS", allow_hyphen_values = true)]
    front: Option<String>,
    /// A field, parameter or metric; with a leading `-` the largest first
    #[arg(long, value_name = "FIELD", allow_hyphen_values = true)]
    sort: Option<String>,
    /// How many at most; 0: all
    #[arg(long, default_value_t = 0)]
    limit: u32,
    /// How many to pass over
    #[arg(long, default_value_t = 0)]
    offset: u32,
}

impl Trials {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let mut query = format!("/trials?limit={}&offset={}", self.limit, self.offset);
        for (word, value) in [("where", &self.filter), ("front", &self.front), ("sort", &self.sort)] {
            if let Some(value) = value {
                query.push_str(&format!("&{word}={}", encode(value)));
            }
        }
        let page: Page = connection.client.get(&connection.path(&self.experiment, &query)).await?;
        output::write(connection.format, &page, table)?;
        if (page.items.len() as u64) < page.total {
            talk(&format!("{} of {} trials", page.items.len(), page.total));
        }
        Ok(Exit::Done)
    }
}

fn table(page: &Page) -> String {
    let has_steps = page.items.iter().any(|trial| trial.steps.is_some());
    let has_parents = page.items.iter().any(|trial| trial.parent.is_some());
    let text = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let row = |trial: &Trial| {
        let mut row = vec![
            trial.idx.to_string(),
            trial.name.clone(),
            trial.state.clone(),
            number(trial.value),
            trial.seconds.map(seconds).unwrap_or_default(),
        ];
        row.extend(has_steps.then(|| text(trial.steps)));
        row.extend(has_parents.then(|| text(trial.parent)));
        row.push(parameters(trial));
        row.push(if trial.state == "Succeeded" { String::new() } else { trial.message.clone() });
        row
    };
    let rows: Vec<Vec<String>> = page.items.iter().map(row).collect();
    let mut words = vec!["IDX", "NAME", "STATE", "VALUE", "TIME"];
    words.extend(has_steps.then_some("STEPS"));
    words.extend(has_parents.then_some("PARENT"));
    words.extend(["PARAMETERS", "MESSAGE"]);
    output::table(&words, &rows)
}
