//! `cairn models watch` and `cairn models feedback`

use std::fs;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::connect::Connection;
use super::exit::{Exit, Wrong};
use super::output::{self, number, talk};
use crate::api::client::encode;
use crate::api::types::{FeedbackView, FindingView, LabelRequest, WatchView, WatchedView};

/// How often a model is looked at that is followed.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How many labels are sent at a time.
const AT_ONCE: usize = 1000;

/// Show requests, errors, latencies, quality and drift of each version that is served
///
/// Quality is the share of labels that say the answer was right; DRIFT names the features that differ most from the profile
/// of the trial, as of the last whole window of requests that were kept.
///
/// Example: cairn models watch digits --follow
#[derive(Debug, Args)]
pub(super) struct Watch {
    /// The model
    model: String,
    /// Look again every two seconds, until it is interrupted
    #[arg(short, long)]
    follow: bool,
}

/// Say what is true of requests that were answered
///
/// The file has a line of JSON for each: `{"requestId": ID, "label": VALUE}`, where ID is what the answer carried as
/// `x-request-id`, and VALUE a list where the request had several rows. Requests that were not kept are told and passed over.
///
/// Example: cairn models feedback digits --file labels.jsonl
#[derive(Debug, Args)]
pub(super) struct Feedback {
    /// The model
    model: String,
    /// The file of labels
    #[arg(long)]
    file: String,
}

impl Watch {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let (model, namespace) = (encode(&self.model), encode(&connection.namespace));
        let path = format!("/api/v1/models/{model}/watch?namespace={namespace}");
        loop {
            let view: WatchView = connection.client.get(&path).await?;
            output::write(connection.format, &view, table)?;
            if !view.counted {
                talk("the router does not say what it has counted");
            }
            if !self.follow {
                return Ok(Exit::Done);
            }
            tokio::select! {
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted?;
                    return Ok(Exit::Done);
                }
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }
}

impl Feedback {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let text = fs::read_to_string(&self.file)
            .map_err(|error| Wrong(format!("cannot read {}: {error}", self.file)))?;
        let labels = read(&text).map_err(|why| Wrong(format!("{}: {why}", self.file)))?;
        let (model, namespace) = (encode(&self.model), encode(&connection.namespace));
        let path = format!("/api/v1/models/{model}/feedback?namespace={namespace}");
        let mut all = FeedbackView::default();
        for labels in labels.chunks(AT_ONCE) {
            let more: FeedbackView = connection.client.post(&path, &labels).await?;
            all.joined += more.joined;
            all.known.extend(more.known);
            all.unknown.extend(more.unknown);
            all.refused.extend(more.refused);
        }
        output::write(connection.format, &all, told)?;
        for refused in &all.refused {
            talk(&format!("{}: {}", refused.request_id, refused.why));
        }
        Ok(Exit::Done)
    }
}

/// The labels of a file; what is wrong with which line, if something is.
fn read(text: &str) -> Result<Vec<LabelRequest>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let label = |(i, line): (usize, &str)| {
        let wrong =
            |why: &str| format!("line {}: {why}; write {{\"requestId\": ID, \"label\": VALUE}}", i + 1);
        let value: Value = serde_json::from_str(line).map_err(|error| wrong(&error.to_string()))?;
        match (value["requestId"].as_str(), value.get("label")) {
            (Some(id), Some(label)) => Ok(LabelRequest { request_id: id.to_owned(), label: label.clone() }),
            (None, _) => Err(wrong("it has no `requestId`")),
            (_, None) => Err(wrong("it has no `label`")),
        }
    };
    lines.map(label).collect()
}

fn told(view: &FeedbackView) -> String {
    let FeedbackView { joined, known, unknown, refused } = view;
    format!(
        "{joined} labels found their request; {} were known already, {} requests were not kept, {} labels do not fit",
        known.len(),
        unknown.len(),
        refused.len()
    )
}

fn table(view: &WatchView) -> String {
    let rows: Vec<Vec<String>> = view.servers.iter().map(row).collect();
    let headings =
        ["SERVER", "VERSION", "SHARE", "REQUESTS", "ERRORS", "P50 MS", "P95 MS", "KEPT", "QUALITY", "DRIFT"];
    let mut text = output::table(&headings, &rows);
    if view.n_breaches > 0 {
        let rows: Vec<Vec<String>> = view
            .breaches
            .iter()
            .map(|breach| {
                vec![breach.at.clone(), breach.server.clone(), breach.done.clone(), breach.detail.clone()]
            })
            .collect();
        text.push_str("\n\n");
        text.push_str(&output::table(&["BREACH", "SERVER", "DONE", "DETAIL"], &rows));
    }
    text
}

fn row(server: &WatchedView) -> Vec<String> {
    let millis = |value: Option<f64>| value.map(|value| format!("{value:.1}")).unwrap_or_default();
    let quality = server.quality.map(|quality| format!("{} of {}", number(Some(quality)), server.labelled));
    vec![
        server.server.clone(),
        server.version.map_or_else(|| "candidate".into(), |version| version.to_string()),
        format!("{} %", server.weight),
        server.requests.to_string(),
        server.errors.to_string(),
        millis(server.p50_ms),
        millis(server.p95_ms),
        server.kept.to_string(),
        quality.unwrap_or_default(),
        drift(server),
    ]
}

/// What the last window has shown, in words.
fn drift(server: &WatchedView) -> String {
    let worst = |finding: &FindingView| format!("{} (p {:.1e})", finding.feature, finding.p);
    match server.drifted {
        _ if !server.problem.is_empty() => server.problem.clone(),
        Some(true) => server.worst.iter().take(3).map(worst).collect::<Vec<_>>().join(", "),
        Some(false) => "none".into(),
        None if server.kept == 0 => String::new(),
        None => format!("{} of {} rows", server.rows, server.window),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_labels_is_read_line_by_line_and_says_where_it_is_wrong() {
        let labels =
            read("{\"requestId\": \"a\", \"label\": 3}\n\n{\"requestId\": \"b\", \"label\": [1, 2]}\n")
                .unwrap();
        assert_eq!((labels.len(), &labels[1].label[1]), (2, &Value::from(2)));
        let wrong =
            |line: &str| read(&format!("{{\"requestId\": \"a\", \"label\": 3}}\n{line}")).unwrap_err();
        assert!(wrong("{\"label\": 3}").starts_with("line 2: it has no `requestId`; write"));
        assert!(wrong("{\"requestId\": \"a\"}").starts_with("line 2: it has no `label`"));
        assert!(wrong("a,3").starts_with("line 2: "));
    }
}
