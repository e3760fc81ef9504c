//! `cairn schedule`

use clap::{Args, Subcommand};

use super::connect::Connection;
use super::exit::Exit;
use super::output::{self, talk};
use crate::api::client::encode;
use crate::api::types::{ScheduleView, SchedulesView};

/// List schedules, suspend or resume one, ask for a run now
#[derive(Debug, Subcommand)]
pub(super) enum Schedule {
    List(List),
    Suspend(Suspend),
    Resume(Resume),
    RunNow(RunNow),
}

/// List scheduled experiments
///
/// Example: cairn schedule list
#[derive(Debug, Args)]
pub(super) struct List {
    /// Those of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

/// Let nothing of a schedule begin by itself; what runs goes on
///
/// Example: cairn schedule suspend digits
#[derive(Debug, Args)]
pub(super) struct Suspend {
    /// The scheduled experiment
    name: String,
}

/// Let a schedule go on
///
/// Of the times that went by meanwhile the newest is made up for, unless its `startingDeadline` is over.
///
/// Example: cairn schedule resume digits
#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The scheduled experiment
    name: String,
}

/// Ask for a run now, suspended or not
///
/// `cairn serve` makes it; while another run goes on, as `concurrency` says.
///
/// Example: cairn schedule run-now digits
#[derive(Debug, Args)]
pub(super) struct RunNow {
    /// The scheduled experiment
    name: String,
}

impl Schedule {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        match self {
            Self::List(args) => return args.run(connection).await,
            Self::Suspend(Suspend { name }) => {
                tell(connection, &name, "suspend").await?;
                talk(&format!("schedule `{name}` is suspended"));
            }
            Self::Resume(Resume { name }) => {
                tell(connection, &name, "resume").await?;
                talk(&format!("schedule `{name}` goes on"));
            }
            Self::RunNow(RunNow { name }) => {
                tell(connection, &name, "run").await?;
                talk(&format!("a run of `{name}` is asked for; `cairn serve` makes it"));
            }
        }
        Ok(Exit::Done)
    }
}

impl List {
    async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let filter = if self.all_namespaces {
            String::new()
        } else {
            format!("?namespace={}", encode(&connection.namespace))
        };
        let schedules: SchedulesView = connection.client.get(&format!("/api/v1/schedules{filter}")).await?;
        if schedules.items.is_empty() {
            talk("there are no schedules; an experiment with `spec.schedule` is one");
        }
        output::write(connection.format, &schedules, |schedules| table(&schedules.items))?;
        Ok(Exit::Done)
    }
}

/// Says a word to a schedule, and shows how it stands.
async fn tell(connection: &Connection, name: &str, word: &str) -> anyhow::Result<()> {
    let (name, namespace) = (encode(name), encode(&connection.namespace));
    let path = format!("/api/v1/schedules/{name}/{word}?namespace={namespace}");
    let view: ScheduleView = connection.client.post(&path, &serde_json::json!({})).await?;
    output::write(connection.format, &view, |view| table(std::slice::from_ref(view)))
}

fn table(schedules: &[ScheduleView]) -> String {
    let row = |view: &ScheduleView| {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        let next = if view.suspended { "suspended".into() } else { or_dash(&view.next) };
        let active = if view.active.is_empty() { "-".into() } else { view.active.join(" ") };
        vec![view.name.clone(), view.when.clone(), next, view.runs.to_string(), active, or_dash(&view.last)]
    };
    let rows: Vec<_> = schedules.iter().map(row).collect();
    output::table(&["NAME", "WHEN", "NEXT", "RUNS", "ACTIVE", "LAST"], &rows)
}
