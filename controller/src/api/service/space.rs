//! Editing the search space of an experiment that goes on.

use controller_core::report::{Problem, not_valid};
use controller_core::validate::space_edit;

use super::check::check;
use super::error::ApiError;
use super::experiments::wish;
use super::find;
use crate::api::Api;
use crate::api::types::Wished;

/// Takes over the space of an Experiment as it is to be, for an experiment that exists: bounds, lists, parameters that
/// come and go, constraints.
pub(crate) async fn edit_space(
    api: &Api,
    namespace: &str,
    name: &str,
    text: &str,
) -> Result<Wished, ApiError> {
    let record = find(api, namespace, name).await?;
    if record.spec.algorithm.as_ref().is_some_and(|algorithm| algorithm.endpoint.is_some()) {
        let message = format!(
            "the points of `{name}` come from somebody else's service, which cannot be told of another space"
        );
        return Err(ApiError::invalid(message));
    }
    let checked = check(api, text, namespace).await?;
    let called = &checked.document.metadata.name;
    let mut problems = checked.report.errors;
    if problems.is_empty() && called != name {
        problems.push(Problem::new("metadata.name", format!("it is `{called}`; the experiment is `{name}`")));
    }
    if !problems.is_empty() {
        return Err(ApiError::invalid(not_valid(name)).with(problems));
    }
    let edit = space_edit(&record.spec, &checked.document.spec)
        .map_err(|problems| ApiError::invalid("the space cannot be edited so").with(problems))?;
    wish(api, &record, edit).await
}
