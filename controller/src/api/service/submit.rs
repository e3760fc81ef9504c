//! Submitting an experiment: a new one, the same again, or new budgets.

use controller_core::experiment::{Birth, ExperimentRecord};
use controller_core::ports::{Door as _, StoreError};
use controller_core::report::{Problem, not_valid};
use controller_core::validate::{Changes, changes, space_edit};
use rand::Rng as _;

use super::check::{Checked, check};
use super::error::{ApiError, Code, problems};
use super::view;
use crate::api::Api;
use crate::api::types::{Submitted, called};

/// Submits the one Experiment of a text. The same name and spec again changes nothing; other budgets are an edit;
/// anything else is refused with the difference.
pub(crate) async fn submit(
    api: &Api,
    text: &str,
    namespace: &str,
    base_dir: Option<String>,
) -> Result<Submitted, ApiError> {
    if !api.world.cluster.is_empty() {
        let message = "experiments of a cluster are resources of it; `kubectl apply -f FILE` submits one";
        return Err(ApiError::new(Code::Conflict, message));
    }
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
    let birth = Birth { uid: uuid(draw()), base_dir, at: api.world.clock.now(), ..Birth::default() };
    api.take_in(&checked.document, birth).await
}

#[expect(
    clippy::disallowed_methods,
    reason = "the identity of a new experiment, and with it its seed, come from chance, here alone"
)]
fn draw() -> [u8; 16] {
    let mut bits = [0; 16];
    rand::rng().fill_bytes(&mut bits);
    bits
}

/// A random UUID (version 4).
fn uuid(bits: [u8; 16]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_says_its_version() {
        assert_eq!(uuid([0xff; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
