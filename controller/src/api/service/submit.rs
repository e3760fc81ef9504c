//! Submitting an experiment: a new one, the same again, or new budgets.

use controller_core::conditions;
use controller_core::event::{Event, StoredEvent};
use controller_core::experiment::{ExperimentId, ExperimentRecord, ExperimentStatus, Hold};
use controller_core::ports::StoreError;
use controller_core::report::{Problem, not_valid};
use controller_core::spec::ExperimentSpec;
use controller_core::validate::{Changes, changes, space_edit};
use rand::Rng as _;

use super::check::{Checked, check};
use super::error::{ApiError, Code, problems};
use super::view;
use crate::api::Api;
use crate::api::types::{Submitted, called};

/// Ids and drawn seeds stay below what every JSON reader holds exactly.
const EXACT: u64 = (1 << 53) - 1;

/// Submits the one Experiment of a text. The same name and spec again changes nothing; other budgets are an edit;
/// anything else is refused with the difference.
pub(crate) async fn submit(
    api: &Api,
    text: &str,
    namespace: &str,
    base_dir: Option<String>,
) -> Result<Submitted, ApiError> {
    let checked = check(api, text, namespace).await?;
    if !checked.report.is_valid() {
        let message = not_valid(&checked.document.metadata.name);
        return Err(ApiError::invalid(message).with(checked.report.errors));
    }
    let (namespace, name) = (&checked.document.metadata.namespace, &checked.document.metadata.name);
    let outcome = match api.world.store.experiment(namespace, name).await? {
        Some(old) => again(api, &old, &checked).await?,
        None => match create(api, &checked, base_dir).await {
            Ok(()) => "created",
            // Somebody else was faster by a moment.
            Err(StoreError::AlreadyExists { .. }) => {
                let old = super::find(api, namespace, name).await?;
                again(api, &old, &checked).await?
            }
            Err(error) => return Err(error.into()),
        },
    };
    api.world.wake.notify_waiters();
    let record = super::find(api, namespace, name).await?;
    Ok(Submitted {
        outcome: outcome.into(),
        experiment: view::full(api, &record).await?,
        warnings: problems(&checked.report.warnings),
        notes: checked.report.notes,
    })
}

async fn again(api: &Api, old: &ExperimentRecord, checked: &Checked) -> Result<&'static str, ApiError> {
    match changes(&old.spec, &checked.document.spec) {
        Changes::None => Ok("unchanged"),
        Changes::Budgets(wish) => {
            api.world.store.wish(old.id, &wish, api.world.clock.now()).await?;
            Ok("edited")
        }
        Changes::More(differences) => {
            let mut message = format!(
                "experiment `{}` exists with another spec; give this one another name, or `cairn delete {}` first",
                old.name, old.name
            );
            if space_edit(&old.spec, &checked.document.spec).is_ok() {
                let called = called(&old.namespace, &old.name);
                message.push_str(&format!(
                    "; `cairn edit {called} --space FILE` searches this space from now on"
                ));
            }
            let problems = differences.iter().map(|line| {
                let (path, what) = line.split_once(": ").unwrap_or(("spec", line));
                Problem::new(path, what)
            });
            Err(ApiError::new(Code::Conflict, message).with(problems.collect()))
        }
    }
}

async fn create(api: &Api, checked: &Checked, base_dir: Option<String>) -> Result<(), StoreError> {
    let now = api.world.clock.now();
    let document = &checked.document;
    let spec = document.spec.clone();
    let mut bits = [0_u8; 32];
    draw(&mut bits);
    let number = |range: std::ops::Range<usize>| {
        bits[range].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
    };
    let record = ExperimentRecord {
        id: ExperimentId((number(0..8) & EXACT) as i64),
        uid: uuid(&bits[8..24]),
        cluster: String::new(),
        namespace: document.metadata.namespace.clone(),
        name: document.metadata.name.clone(),
        labels: document.metadata.labels.clone(),
        annotations: document.metadata.annotations.clone(),
        spec_digest: spec.digest(),
        seed: seed(&spec).unwrap_or(number(24..32) & EXACT),
        base_dir,
        created: now,
        earlier: Vec::new(),
        spec,
    };
    let mut status = ExperimentStatus { last_seq: 1, ..ExperimentStatus::default() };
    let (condition, reason, message) = ("Created", "ExperimentCreated", "Experiment is created");
    conditions::set(&mut status.conditions, now, condition, true, reason, message);
    if record.spec.suspend == Some(true) {
        status.hold = Hold::Draining;
        status.waiting = "submitted with `suspend: true`; `cairn resume` lets it begin".into();
    }
    let created = Event::Condition {
        condition: condition.into(),
        status: "True".into(),
        reason: reason.into(),
        message: message.into(),
    };
    let event = StoredEvent { seq: 1, at: now, event: created };
    api.world.store.create_experiment(&record, &status, &[event]).await
}

#[expect(
    clippy::disallowed_methods,
    reason = "identity and seed of a new experiment come from chance, here alone"
)]
fn draw(bits: &mut [u8]) {
    rand::rng().fill_bytes(bits);
}

/// A random UUID (version 4).
fn uuid(bits: &[u8]) -> String {
    let hex: String = bits
        .iter()
        .enumerate()
        .map(|(i, byte)| match i {
            6 => format!("{:02x}", byte & 0x0f | 0x40),
            8 => format!("{:02x}", byte & 0x3f | 0x80),
            _ => format!("{byte:02x}"),
        })
        .collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// The seed a spec names; `random_state` wins.
fn seed(spec: &ExperimentSpec) -> Option<u64> {
    let settings = spec.algorithm.iter().flat_map(|algorithm| &algorithm.algorithm_settings);
    let random_state =
        settings.filter(|setting| setting.name == "random_state").find_map(|s| s.value.parse().ok());
    random_state.or(spec.seed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_says_its_version() {
        assert_eq!(uuid(&[0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
