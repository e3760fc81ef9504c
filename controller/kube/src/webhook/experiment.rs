//! Whether an Experiment is let in, or an edit of it.

use controller_core::experiment::Living;
use controller_core::report::Report;
use k8s_openapi::api::authentication::v1::UserInfo;
use kube::ResourceExt as _;
use kube::core::DynamicObject;

use super::refused::Refused;
use super::{Webhooks, access};
use crate::{template, wishes};

/// Says everything that is wrong with an Experiment at once; if nothing is, what is worth knowing.
pub(super) async fn check(
    hooks: &Webhooks,
    experiment: &DynamicObject,
    old: Option<&DynamicObject>,
    user: &UserInfo,
) -> Result<Vec<String>, Refused> {
    // Whatever it is, it may go, and bear other labels.
    let is_same = old.is_some_and(|old| old.data.get("spec") == experiment.data.get("spec"));
    if is_same || experiment.metadata.deletion_timestamp.is_some() {
        return Ok(Vec::new());
    }
    let read = template::document(hooks.discovery.cluster(), experiment).await;
    let (document, mut report) = read.map_err(Refused::later)?;
    let more = hooks.door.check(&document, &report).await;
    report.extend(more.map_err(|error| Refused::later(error.to_string()))?);
    if report.is_valid() && old.is_some() {
        report.errors = edit(hooks, experiment).await?;
    }
    let name = experiment.name_any();
    if !report.is_valid() {
        let errors = Report { errors: report.errors, ..Report::default() }.render(&name);
        return Err(Refused::bad(errors.trim_start_matches("error: ").trim_end()));
    }
    let namespace = experiment.namespace().unwrap_or_default();
    access::check(&hooks.discovery, user, &namespace, &document.spec).await?;
    let warning =
        |problem: controller_core::report::Problem| format!("{}: {}", problem.path, problem.message);
    Ok(report.warnings.into_iter().map(warning).collect())
}

/// Why an edit cannot be. One of an experiment that was not taken in yet is as good as a new one.
async fn edit(
    hooks: &Webhooks,
    experiment: &DynamicObject,
) -> Result<Vec<controller_core::report::Problem>, Refused> {
    let unknown = |error: controller_core::ports::StoreError| Refused::later(error.to_string());
    let known = hooks.store.experiments().await.map_err(unknown)?;
    let uid = experiment.uid().unwrap_or_default();
    let is_it = |cluster: &str, of: &str| cluster == hooks.discovery.cluster().uid() && of == uid;
    let it = known.iter().find(|living| is_it(&living.record.cluster, &living.record.uid));
    let Some(Living { record, status }) = it.map(AsRef::as_ref) else { return Ok(Vec::new()) };
    let open = hooks.store.open_wishes(record.id).await.map_err(unknown)?;
    Ok(wishes::of_experiment(experiment, record, status, &open).refused)
}
