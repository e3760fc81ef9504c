//! Asking the suggestion service beside the driver.

use ::study::Study;
use controller_core::experiment::ExperimentRecord;
use controller_core::study;
use proto::cairn as wire;
use proto::cairn::search_client::SearchClient;
use suggest::{SearchLine, convert};
use tonic::Status;

use super::error::{ApiError, Code};
use crate::api::Api;

/// Largest message in bytes.
const MAX_MESSAGE: usize = 256 << 20;

/// A client of the suggestion service.
pub(super) fn client(api: &Api) -> SearchClient<SearchLine> {
    SearchClient::new(api.world.search.clone())
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE)
}

/// The study of a stored experiment.
pub(super) fn study(record: &ExperimentRecord) -> Result<Study, ApiError> {
    let (study, _) = study::of_spec(&record.spec, &record.name, record.seed);
    study.map_err(|problems| ApiError::invalid("the stored spec has no search space").with(problems))
}

/// A study as the service is told it, for a purpose: another name is another session, so the one of a running search
/// stays as it is.
pub(super) fn told(study: &Study, purpose: &str) -> wire::Study {
    let mut told = convert::study_to_proto(study);
    told.name = format!("{}-{purpose}", told.name);
    told
}

/// The error of a question without an answer.
#[expect(clippy::needless_pass_by_value, reason = "shaped for map_err")]
pub(super) fn failed(status: Status) -> ApiError {
    ApiError::new(Code::Unavailable, format!("the suggestion service did not answer: {}", status.message()))
}
