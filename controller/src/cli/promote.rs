//! `cairn promote`

use std::time::Duration;

use clap::Args;
use controller_core::ports::PromotionQuery;
use controller_core::promotion::PromotionId;

use super::connect::Connection;
use super::exit::Exit;
use super::output::{self, talk};
use crate::api::client::encode;
use crate::api::types::{PromoteRequest, PromotionView, RecordView};
use crate::promote;
use crate::world::World;

/// How often a promotion at a server is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How long a command that is through with a promotion waits for others to record it.
const RECORD_WITHIN: Duration = Duration::from_secs(10);

/// Make the best trial of an experiment the champion of a model
///
/// The way is that of the experiment's `spec.promotion`: its model is read and compared with its digest, measured against the
/// champion where there is a gate, approved where that is asked for, and becomes a version of the model and its champion.
/// Whatever goes wrong, the champion stays.
///
/// Example: cairn promote digits --model digits
#[derive(Debug, Args)]
pub(super) struct Promote {
    /// The experiment
    experiment: String,
    /// The trial, by name or number [default: the best]
    #[arg(long, value_name = "TRIAL")]
    trial: Option<String>,
    /// The model [default: that of `spec.promotion`]
    #[arg(long, value_name = "MODEL")]
    model: Option<String>,
    /// Who wants it
    #[arg(long, value_name = "NAME", default_value_t = person())]
    by: String,
    /// Do not wait for its end
    #[arg(long)]
    no_wait: bool,
}

impl Promote {
    pub(super) async fn run(self, connection: &Connection) -> anyhow::Result<Exit> {
        let path = format!("/api/v1/promotions?namespace={}", encode(&connection.namespace));
        let request =
            PromoteRequest { experiment: self.experiment, trial: self.trial, model: self.model, by: self.by };
        let promotion: PromotionView = connection.client.post(&path, &request).await?;
        if self.no_wait {
            return tell(connection, &promotion);
        }
        follow(connection, promotion).await
    }
}

/// The person at this terminal, as the system names them.
pub(super) fn person() -> String {
    std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "somebody".into())
}

/// Where a promotion stands in the API.
pub(super) fn path(connection: &Connection, model: &str, number: u64, rest: &str) -> String {
    let (model, namespace) = (encode(model), encode(&connection.namespace));
    format!("/api/v1/promotions/{model}/{number}{rest}?namespace={namespace}")
}

/// Follows a promotion until it has ended or waits for a person; in this process it is carried out. An interrupt leaves it:
/// what it has begun goes on, and the same command finds it again.
pub(super) async fn follow(connection: &Connection, promotion: PromotionView) -> anyhow::Result<Exit> {
    tokio::select! {
        exit = to_its_end(connection, &promotion) => exit,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            let name = connection.called(&promotion.name);
            talk(&format!("promotion {name} is left as it is; `cairn promotion watch {name}` goes on with it"));
            Ok(Exit::Stopped)
        }
    }
}

async fn to_its_end(connection: &Connection, promotion: &PromotionView) -> anyhow::Result<Exit> {
    let carried = async {
        match &connection.engine {
            Some(engine) => carry_on(&engine.api.world, promotion).await,
            None => Ok(()),
        }
    };
    let ((), mut now) = tokio::try_join!(carried, progress(connection, promotion))?;
    if let Some(engine) = connection.engine.as_ref().filter(|_| !now.records.is_empty()) {
        let later = |what: &str, why: &str| {
            talk(&format!("{what} ({why}); the next promotion, or `cairn serve`, tries again"));
        };
        match promote::record_now(&engine.api.world, RECORD_WITHIN).await {
            Ok(left) => {
                left.iter()
                    .for_each(|(target, why)| later(&format!("{target} does not have all records yet"), why));
            }
            // The promotion itself has come to its end.
            Err(error) => later("what is recorded elsewhere cannot be told now", &error.to_string()),
        }
        now = connection.client.get(&path(connection, &now.model, now.number, "")).await?;
    }
    tell(connection, &now)
}

/// Tells how a promotion goes on, until it has ended or waits for a person.
async fn progress(connection: &Connection, promotion: &PromotionView) -> anyhow::Result<PromotionView> {
    let at = path(connection, &promotion.model, promotion.number, "");
    let mut told = String::new();
    loop {
        let now: PromotionView = connection.client.get(&at).await?;
        if now.ended || (waits_for_person(&now) && !now.heeding) {
            return Ok(now);
        }
        if now.message != told && !now.message.is_empty() {
            talk(&format!("promotion {} is {}: {}", now.name, now.state, now.message));
            told.clone_from(&now.message);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Carries out a promotion in this process, with the others of its model that are open.
async fn carry_on(world: &World, promotion: &PromotionView) -> anyhow::Result<()> {
    let query = PromotionQuery {
        namespace: Some(promotion.namespace.clone()),
        model: Some(promotion.model.clone()),
        open: true,
    };
    let open = world.promotions.promotions(&query).await?;
    let Some(own) = open.iter().find(|open| open.number == promotion.number).map(|open| open.id) else {
        return Ok(());
    };
    // The oldest first: the others wait for what it does to the requests.
    for open in open.iter().rev() {
        let carried = promote::carry_on(world, open.id);
        if open.number >= promotion.number {
            carried.await?;
            continue;
        }
        tokio::select! {
            carried = carried => drop(carried?),
            ended = until_ended(world, own) => return ended,
        }
    }
    Ok(())
}

/// Waits until a promotion has ended, whoever ends it.
async fn until_ended(world: &World, id: PromotionId) -> anyhow::Result<()> {
    while world.promotions.promotion(id).await?.is_some_and(|now| !now.state.is_final()) {
        tokio::time::sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// Tells how a promotion stands: as data, and what a person can do now.
pub(super) fn tell(connection: &Connection, promotion: &PromotionView) -> anyhow::Result<Exit> {
    output::write(connection.format, promotion, table)?;
    let name = connection.called(&promotion.name);
    match promotion.state.as_str() {
        "waiting" if waits_for_person(promotion) => {
            talk(&format!(
                "look on with: cairn promotion get {name}; cairn promotion approve {name} --reason WHY"
            ));
            Ok(Exit::Done)
        }
        "failed" | "rolledBack" | "rollbackFailed" => Ok(Exit::ExperimentFailed),
        "cancelled" | "superseded" => Ok(Exit::Stopped),
        _ => Ok(Exit::Done),
    }
}

fn waits_for_person(promotion: &PromotionView) -> bool {
    promotion.waits_for.as_deref() == Some("approval")
}

/// A promotion with all that is to be known of it.
pub(super) fn table(promotion: &PromotionView) -> String {
    let evidence = |path: &str| promotion.evidence.pointer(path).filter(|value| !value.is_null());
    let text = |path: &str| {
        evidence(path)
            .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
            .unwrap_or_default()
    };
    let comparison = evidence("/comparison").map(|_| {
        let sure = evidence("/comparison/confidence")
            .map(|sure| format!(", sure to {sure} by {}", text("/comparison/test")))
            .unwrap_or_default();
        format!("better by {} than version {}{sure}", text("/comparison/difference"), text("/against"))
    });
    let approval = promotion.approval.as_ref().map(|approval| {
        let part = |name: &str| approval.get(name).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
        format!("{}: {}", part("by"), part("reason"))
    });
    let number = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let rollout = promotion.rollout.clone().unwrap_or_default();
    output::pairs(&[
        ("promotion", promotion.name.clone()),
        ("state", format!("{} ({})", promotion.state, promotion.stage)),
        ("reason", promotion.message.clone()),
        ("candidate", format!("{} of {}", promotion.trial, promotion.experiment)),
        ("model", promotion.uri.clone()),
        ("digest", promotion.digest.clone()),
        ("data", text("/data")),
        ("reached", text("/candidate/value")),
        ("champion reached", text("/champion/value")),
        ("comparison", comparison.unwrap_or_default()),
        ("approved by", approval.unwrap_or_default()),
        ("smoke test", rollout.smoke.clone()),
        ("requests", requests(promotion)),
        ("guards", rollout.guards.join("; ")),
        ("version", number(promotion.version)),
        ("replaced", number(promotion.replaced)),
        ("recorded at", promotion.records.iter().map(record).collect::<Vec<_>>().join("; ")),
        ("wanted by", promotion.author.clone()),
        ("wanted at", promotion.created.clone()),
        ("ended at", promotion.ended_at.clone().unwrap_or_default()),
    ])
}

/// What has come of a record elsewhere, in a sentence.
fn record(record: &RecordView) -> String {
    let RecordView { target, error, tries, queued, .. } = record;
    match record.state.as_str() {
        "delivered" => target.clone(),
        "refused" => format!("{target} (refused: {error})"),
        _ if error.is_empty() => format!("{target} (queued, {queued} in all)"),
        _ => format!("{target} (queued, {queued} in all, tried {tries} times: {error})"),
    }
}

/// How far requests have moved to the candidate, in a sentence.
fn requests(promotion: &PromotionView) -> String {
    let Some(rollout) =
        promotion.rollout.as_ref().filter(|rollout| rollout.weight > 0 || rollout.requests > 0)
    else {
        return String::new();
    };
    let ladder: Vec<String> = rollout.ladder.iter().map(u32::to_string).collect();
    let of = |requests: u64, errors: u64, p95: Option<f64>| {
        let p95 = p95.map(|p95| format!(", 95 % within {p95:.1} ms")).unwrap_or_default();
        format!("{requests} answered, {errors} failed{p95}")
    };
    let mut text = format!(
        "{} % since {} (of {}): {}",
        rollout.weight,
        rollout.since,
        ladder.join(", "),
        of(rollout.requests, rollout.errors, rollout.p95_ms)
    );
    if rollout.champion_requests > 0 {
        let champion = of(rollout.champion_requests, rollout.champion_errors, rollout.champion_p95_ms);
        text.push_str(&format!("; champion: {champion}"));
    }
    if rollout.compared > 0 {
        text.push_str(&format!(
            "; {} of {} answers to copies other than the champion's",
            rollout.disagreed, rollout.compared
        ));
    }
    let is_watched =
        rollout.phase.as_deref().is_some_and(|phase| ["shadow", "canary", "bake"].contains(&phase));
    if is_watched && rollout.min_requests > 0 {
        text.push_str(&format!("; {} of {} in this share", rollout.step_requests, rollout.min_requests));
    }
    text
}
