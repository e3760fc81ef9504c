//! What an experiment comes to, before it starts.

use super::connect::Connection;
use super::exit::Exit;
use super::output::{self, Format, talk};
use super::validate;
use crate::api::types::{Ladder, Validation};

/// Shows what comes of the trials of an Experiment.
pub(super) async fn show(connection: &Connection, text: &str) -> anyhow::Result<Exit> {
    let path = format!("/api/v1/validate?namespace={}", connection.namespace);
    let validation: Validation = connection.client.post_document(&path, text).await?;
    if !validation.valid {
        validate::tell(&validation);
        return Ok(Exit::Usage);
    }
    output::write(connection.format, &validation.plan, |plan| table(plan))?;
    if connection.format == Format::Table {
        talk(&in_all(&validation));
    }
    Ok(Exit::Done)
}

fn table(plan: &[Ladder]) -> String {
    let rows = (1..).zip(plan).flat_map(|(bracket, ladder)| {
        ladder.rungs.iter().enumerate().map(move |(i, rung)| {
            let (bracket, steps) = (i == 0).then(|| (bracket.to_string(), ladder.steps.to_string())).unzip();
            vec![
                bracket.unwrap_or_default(),
                rung.step.to_string(),
                rung.trials.to_string(),
                steps.unwrap_or_default(),
            ]
        })
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if rows.is_empty() {
        String::new()
    } else {
        output::table(&["BRACKET", "UP TO STEP", "TRIALS", "STEPS"], &rows)
    }
}

/// The price of all in one line.
fn in_all(validation: &Validation) -> String {
    let sum = |of: fn(&Ladder) -> u64| validation.plan.iter().map(of).sum::<u64>();
    let (steps, whole) = (sum(|ladder| ladder.steps), sum(|ladder| ladder.whole));
    match (steps * 100).checked_div(whole) {
        Some(share) => format!("{steps} of the {whole} steps that all would run to their ends: {share} %"),
        None => format!("every trial of `{}` runs to its end, or until a rule stops it", validation.name),
    }
}
