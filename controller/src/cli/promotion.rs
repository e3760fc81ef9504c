//! `cairn promotion`

use clap::{Args, Subcommand};

use super::connect::Connection;
use super::exit::{Exit, Wrong};
use super::output::{self, talk};
use super::promote::{follow, path, person, table};
use crate::api::client::encode;
use crate::api::types::{PromotionView, PromotionsView, RollbackRequest, WordRequest};

/// Look at promotions, approve, cancel, finish, go back
#[derive(Debug, Subcommand)]
pub(super) enum Promotion {
    History(History),
    Get(Get),
    Watch(Watch),
    Approve(Approve),
    Cancel(Cancel),
    Finish(Finish),
    Rollback(Rollback),
}

/// List promotions, newest first
///
/// Example: cairn promotion history digits
#[derive(Debug, Args)]
pub(super) struct History {
    /// Only of this model
    model: Option<String>,
}

/// Show a promotion with what speaks for it
///
/// Example: cairn promotion get digits/3
#[derive(Debug, Args)]
pub(super) struct Get {
    /// The promotion, as MODEL/NUMBER; a model alone: its newest
    promotion: String,
}

/// Follow a promotion until it has ended or waits for a person
///
/// Example: cairn promotion watch digits/3
#[derive(Debug, Args)]
pub(super) struct Watch {
    /// The promotion, as MODEL/NUMBER; a model alone: its newest
    promotion: String,
}

/// Agree to a promotion that waits for it
///
/// The approval is for the digest that is shown now, and void once the model has changed.
///
/// Example: cairn promotion approve digits/3 --reason 'better on every class'
#[derive(Debug, Args)]
pub(super) struct Approve {
    /// The promotion, as MODEL/NUMBER; a model alone: its newest
    promotion: String,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
    /// Digest of the model that was looked at [default: the one shown now]
    #[arg(long, value_name = "SHA256")]
    digest: Option<String>,
    /// Who agrees
    #[arg(long, value_name = "NAME", default_value_t = person())]
    by: String,
}

/// End a promotion; the champion stays
///
/// Example: cairn promotion cancel digits/3 --reason 'wrong data'
#[derive(Debug, Args)]
pub(super) struct Cancel {
    /// The promotion, as MODEL/NUMBER; a model alone: its newest
    promotion: String,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
    /// Who ends it
    #[arg(long, value_name = "NAME", default_value_t = person())]
    by: String,
}

/// Give the candidate of a promotion all requests now
///
/// It becomes the champion, whatever of its shares, its time or its copies is still to come. Ends a share that stands.
///
/// Example: cairn promotion finish digits/3 --reason 'it sells more'
#[derive(Debug, Args)]
pub(super) struct Finish {
    /// The promotion, as MODEL/NUMBER; a model alone: its newest
    promotion: String,
    /// Why
    #[arg(long, default_value = "")]
    reason: String,
    /// Who wants it
    #[arg(long, value_name = "NAME", default_value_t = person())]
    by: String,
}

/// Make an earlier version of a model its champion again
///
/// Its files are compared with their digest; nothing is deleted.
///
/// Example: cairn promotion rollback digits --to 2
#[derive(Debug, Args)]
pub(super) struct Rollback {
    /// The model
    model: String,
    /// The version [default: the one before the champion]
    #[arg(long, value_name = "VERSION")]
    to: Option<u32>,
    /// Who wants it
    #[arg(long, value_name = "NAME", default_value_t = person())]
    by: String,
}

impl Promotion {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        match self {
            Self::History(args) => args.run(connection).await,
            Self::Get(args) => {
                let promotion = find(connection, &args.promotion).await?;
                output::write(connection.format, &promotion, table)?;
                Ok(Exit::Done)
            }
            Self::Watch(args) => follow(connection, find(connection, &args.promotion).await?).await,
            Self::Approve(args) => {
                let promotion = find(connection, &args.promotion).await?;
                let digest = args.digest.unwrap_or_else(|| promotion.digest.clone());
                let word = WordRequest { by: args.by, reason: args.reason, digest };
                let at = path(connection, &promotion.model, promotion.number, "/approve");
                follow(connection, connection.client.post(&at, &word).await?).await
            }
            Self::Cancel(args) => {
                let promotion = find(connection, &args.promotion).await?;
                let word = WordRequest { by: args.by, reason: args.reason, digest: String::new() };
                let at = path(connection, &promotion.model, promotion.number, "/cancel");
                let promotion: PromotionView = connection.client.post(&at, &word).await?;
                follow(connection, promotion).await?;
                Ok(Exit::Done)
            }
            Self::Finish(args) => {
                let promotion = find(connection, &args.promotion).await?;
                let word = WordRequest { by: args.by, reason: args.reason, digest: String::new() };
                let at = path(connection, &promotion.model, promotion.number, "/finish");
                follow(connection, connection.client.post(&at, &word).await?).await
            }
            Self::Rollback(args) => {
                let (model, namespace) = (encode(&args.model), encode(&connection.namespace));
                let at = format!("/api/v1/models/{model}/rollback?namespace={namespace}");
                let request = RollbackRequest { to: args.to, by: args.by };
                follow(connection, connection.client.post(&at, &request).await?).await
            }
        }
    }
}

impl History {
    async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let all = list(connection, self.model.as_deref()).await?;
        if all.items.is_empty() {
            talk("there are no promotions; `cairn promote EXPERIMENT --model MODEL` makes the first");
        }
        output::write(connection.format, &all, |all| {
            let rows: Vec<Vec<String>> = all.items.iter().map(row).collect();
            output::table(&["PROMOTION", "STATE", "VERSION", "TRIAL", "BY", "CREATED", "REASON"], &rows)
        })?;
        Ok(Exit::Done)
    }
}

fn row(promotion: &PromotionView) -> Vec<String> {
    vec![
        promotion.name.clone(),
        promotion.state.clone(),
        promotion.version.map(|version| version.to_string()).unwrap_or_default(),
        promotion.trial.clone(),
        promotion.author.clone(),
        promotion.created.clone(),
        promotion.message.clone(),
    ]
}

async fn list(connection: &Connection, model: Option<&str>) -> anyhow::Result<PromotionsView> {
    let model = model.map(|model| format!("&model={}", encode(model))).unwrap_or_default();
    let at = format!("/api/v1/promotions?namespace={}{model}", encode(&connection.namespace));
    Ok(connection.client.get(&at).await?)
}

/// The promotion of a name: `model/number`, or the newest of a model.
async fn find(connection: &Connection, name: &str) -> anyhow::Result<PromotionView> {
    let (model, number) = if let Some((model, number)) = name.split_once('/') {
        (model, number.parse::<u32>().ok().map(u64::from))
    } else {
        let all = list(connection, Some(name)).await?;
        let none = || Wrong(format!("model `{name}` has no promotion; `cairn promotion history` lists all"));
        (name, Some(all.items.first().ok_or_else(none)?.number))
    };
    let wrong = || Wrong(format!("`{name}` is no promotion; write it as MODEL/NUMBER, such as digits/3"));
    Ok(connection.client.get(&path(connection, model, number.ok_or_else(wrong)?, "")).await?)
}
