//! `cairn models`, `cairn lineage` and `cairn audit`

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Subcommand};

use super::connect::Connection;
use super::exit::{Exit, Wrong};
use super::lineage;
use super::output::{self, number, talk};
use super::{stopped, watched};
use crate::api::client::encode;
use crate::api::types::{
    AuditLog, ModelView, ModelsView, PromotionView, ServedView, ServerView, Trial, VersionView,
};

/// Look at models, their versions and champions, stop and start serving them
#[derive(Debug, Subcommand)]
pub(super) enum Models {
    List(List),
    Get(One),
    Watch(watched::Watch),
    Feedback(watched::Feedback),
    Stop(stopped::Stop),
    Start(stopped::Start),
}

/// List models with their champions
///
/// Example: cairn models list
#[derive(Debug, Args)]
pub(super) struct List {
    /// Those of all namespaces
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

/// Show the versions of a model, newest first
///
/// Example: cairn models get digits -o json
#[derive(Debug, Args)]
pub(super) struct One {
    /// The model
    model: String,
}

/// Show where each version of a model comes from: experiment, trial, parameters, data, who wanted and approved it
///
/// Example: cairn lineage digits
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Lineage {
    #[command(subcommand)]
    what: Option<LineageOf>,
    /// The model
    #[arg(required = true)]
    model: Option<String>,
}

/// What is done with it instead of being shown
#[derive(Debug, Subcommand)]
enum LineageOf {
    Export(Export),
}

/// Write it as run events of OpenLineage, one in a line: the trial and the promotion that made each version
///
/// A second export writes the same. Trials of experiments that are deleted or purged are left out, and named.
///
/// Example: cairn lineage export digits --version 2 -f lineage.jsonl
#[derive(Debug, Args)]
#[command(disable_version_flag = true)]
struct Export {
    /// The model
    model: String,
    /// Only of this version
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// Where to; the output if not given
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Look at the log of everything that was done to models
#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// List its entries, oldest first
    List,
    /// Check that no entry was changed, removed or added; exits with 3 if one was
    Verify,
}

impl Models {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        match self {
            Self::List(args) => {
                let filter = if args.all_namespaces {
                    String::new()
                } else {
                    format!("?namespace={}", encode(&connection.namespace))
                };
                let models: ModelsView = connection.client.get(&format!("/api/v1/models{filter}")).await?;
                if models.items.is_empty() {
                    talk("there are no models; `cairn promote EXPERIMENT --model MODEL` makes the first");
                }
                output::write(connection.format, &models, list)?;
            }
            Self::Get(args) => {
                let model = get(connection, &args.model).await?;
                output::write(connection.format, &model, whole)?;
            }
            Self::Watch(args) => return args.run(connection).await,
            Self::Feedback(args) => return args.run(connection).await,
            Self::Stop(args) => return args.run(connection).await,
            Self::Start(args) => return args.run(connection).await,
        }
        Ok(Exit::Done)
    }
}

impl Lineage {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        match (self.what, self.model) {
            (Some(LineageOf::Export(args)), _) => args.run(connection).await?,
            (None, model) => {
                let model = get(connection, &model.unwrap_or_default()).await?;
                output::write(connection.format, &model, tree)?;
            }
        }
        Ok(Exit::Done)
    }
}

impl Export {
    async fn run(self, connection: &Connection) -> anyhow::Result<()> {
        let model = get(connection, &self.model).await?;
        let wanted = |version: &&VersionView| self.version.is_none_or(|number| version.number == number);
        let versions: Vec<&VersionView> = model.versions.iter().rev().filter(wanted).collect();
        if let (Some(number), true) = (self.version, versions.is_empty()) {
            let has: Vec<String> = model.versions.iter().map(|version| version.number.to_string()).collect();
            let text = format!("model `{}` has no version {number}; it has {}", model.name, has.join(", "));
            return Err(Wrong(text).into());
        }
        let mut lines = Vec::new();
        for version in versions {
            let trial = trial_of(connection, version).await?;
            if trial.is_none() {
                let (trial, number) = (&version.trial, version.number);
                talk(&format!("version {number}: its trial {trial} is deleted and left out"));
            }
            let (name, namespace) = (encode(&model.name), encode(&model.namespace));
            let path = format!("/api/v1/promotions/{name}/{}?namespace={namespace}", version.promotion);
            let promotion: PromotionView = connection.client.get(&path).await?;
            if promotion.ended_at.is_none() {
                talk(&format!(
                    "version {}: promotion {} has not ended and is left out",
                    version.number, promotion.name
                ));
            }
            let events =
                lineage::events((&model.namespace, &model.name), version, trial.as_ref(), &promotion);
            lines.extend(events.iter().map(|event| format!("{event}\n")));
        }
        let text = lines.concat();
        match &self.file {
            Some(file) => {
                std::fs::write(file, text).with_context(|| format!("cannot write {}", file.display()))?;
                talk(&format!("{} events are in {}", lines.len(), file.display()));
            }
            None if text.is_empty() => {}
            None => output::data(text.trim_end())?,
        }
        Ok(())
    }
}

/// The trial behind a version; nothing once it is deleted. Its name is drawn from the uid of its experiment, so it is no
/// other's.
async fn trial_of(connection: &Connection, version: &VersionView) -> anyhow::Result<Option<Trial>> {
    let (experiment, trial) = (encode(&version.experiment), encode(&version.trial));
    let namespace = encode(&connection.namespace);
    let path = format!("/api/v1/experiments/{experiment}/trials/{trial}?namespace={namespace}");
    match connection.client.get(&path).await {
        Ok(trial) => Ok(Some(trial)),
        Err(error) if error.code() == "not_found" => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Audit {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let log: AuditLog = connection.client.get("/api/v1/audit").await?;
        if matches!(self, Self::List) {
            output::write(connection.format, &log, entries)?;
        }
        match (&log.problem, &self) {
            (Some(problem), _) => {
                talk(&format!("the audit log is not whole: {problem}"));
                Ok(Exit::ExperimentFailed)
            }
            (None, Self::Verify) => {
                output::data(&format!("{} entries, every one as it was written", log.items.len()))?;
                Ok(Exit::Done)
            }
            (None, Self::List) => Ok(Exit::Done),
        }
    }
}

async fn get(connection: &Connection, model: &str) -> anyhow::Result<ModelView> {
    let (model, namespace) = (encode(model), encode(&connection.namespace));
    Ok(connection.client.get(&format!("/api/v1/models/{model}?namespace={namespace}")).await?)
}

fn list(models: &ModelsView) -> String {
    let row = |model: &ModelView| {
        let champion = model.versions.iter().find(|version| version.champion);
        vec![
            model.name.clone(),
            model.champion.to_string(),
            champion.map(reached).unwrap_or_default(),
            champion.map(|version| version.trial.clone()).unwrap_or_default(),
            model.versions.len().to_string(),
            model.since.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = models.items.iter().map(row).collect();
    output::table(&["MODEL", "CHAMPION", "REACHED", "TRIAL", "VERSIONS", "SINCE"], &rows)
}

/// Address, servers and versions.
fn whole(model: &ModelView) -> String {
    let versions = versions(model);
    let Some(url) = &model.url else { return versions };
    let row = |server: &ServerView| {
        vec![
            server.name.clone(),
            server.version.map_or_else(|| "candidate".into(), |version| version.to_string()),
            format!("{} %", server.weight),
            server.address.clone().unwrap_or_default(),
            server.since.clone(),
            server.warm_until.clone().unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = model.servers.iter().map(row).collect();
    let servers = output::table(&["SERVER", "VERSION", "REQUESTS", "ADDRESS", "SINCE", "WARM UNTIL"], &rows);
    format!("{url}/infer\n\n{servers}\n\n{versions}")
}

fn versions(model: &ModelView) -> String {
    let row = |version: &VersionView| {
        vec![
            version.number.to_string(),
            if version.champion { "champion" } else { "" }.to_owned(),
            reached(version),
            version.trial.clone(),
            version.author.clone(),
            version.approved_by.clone().unwrap_or_default(),
            version.at.clone(),
            version.digest.get(..12).unwrap_or_default().to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = model.versions.iter().map(row).collect();
    output::table(&["VERSION", "", "REACHED", "TRIAL", "BY", "APPROVED BY", "SINCE", "DIGEST"], &rows)
}

fn reached(version: &VersionView) -> String {
    if version.metric.is_empty() {
        return String::new();
    }
    format!("{} {}", version.metric, number(version.value))
}

/// Where each version comes from, a branch each.
fn tree(model: &ModelView) -> String {
    let mut text = format!("{} (champion: version {})\n", model.name, model.champion);
    let last = model.versions.len();
    for (i, version) in model.versions.iter().enumerate() {
        let (branch, stem) = if i + 1 == last { ("└─", "  ") } else { ("├─", "│ ") };
        let mark = if version.champion { ", champion" } else { "" };
        // A text never refuses what is written into it.
        writeln!(text, "{branch} version {}{mark}, since {}", version.number, version.at).ok();
        let facts = facts(version);
        for (j, (name, value)) in facts.iter().enumerate() {
            let twig = if j + 1 == facts.len() { "└─" } else { "├─" };
            writeln!(text, "{stem} {twig} {name}: {value}").ok();
        }
    }
    text
}

fn facts(version: &VersionView) -> Vec<(&'static str, String)> {
    let joined = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
    };
    let approved = version.approved_by.as_ref().map(|by| {
        let reason = version.approval_reason.clone().unwrap_or_default();
        if reason.is_empty() { by.clone() } else { format!("{by} ({reason})") }
    });
    let spec = version.spec_digest.get(..12).unwrap_or_default();
    let facts = [
        ("model", format!("{} sha256 {}", version.uri, version.digest)),
        ("trial", format!("{} of experiment {}", version.trial, version.experiment)),
        ("search", format!("spec {spec}, seed {}", version.seed)),
        ("parameters", joined(&version.parameters)),
        ("metrics of the trial", joined(&version.metrics)),
        ("measured", reached(version)),
        ("on data", if version.data.is_empty() { String::new() } else { format!("sha256 {}", version.data) }),
        ("compared with", version.against.map(|number| format!("version {number}")).unwrap_or_default()),
        ("wanted by", version.author.clone()),
        ("approved by", approved.unwrap_or_default()),
        ("promotion", version.promotion.to_string()),
        ("served", version.served.iter().map(served).collect::<Vec<_>>().join("; ")),
    ];
    facts.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}

/// When it got requests, and how many of a hundred.
fn served(period: &ServedView) -> String {
    let shares: Vec<String> = period.shares.iter().map(u32::to_string).collect();
    let to = period.to.as_ref().map(|to| format!(" to {to}")).unwrap_or_default();
    format!("{} % from {}{to}", shares.join(", "), period.from)
}

fn entries(log: &AuditLog) -> String {
    let row = |entry: &crate::api::types::AuditView| {
        vec![
            entry.seq.to_string(),
            entry.at.clone(),
            entry.promotion.clone(),
            entry.actor.clone(),
            entry.deed.clone(),
            entry.detail.clone(),
        ]
    };
    let rows: Vec<Vec<String>> = log.items.iter().map(row).collect();
    output::table(&["SEQ", "AT", "PROMOTION", "BY", "DEED", "DETAIL"], &rows)
}
