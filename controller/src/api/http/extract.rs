//! Reading requests: what cannot be read is refused with our own error.

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use bytes::Bytes;
use controller_core::report::Problem;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::IntoParams;

use crate::api::service::ApiError;

/// Query parameters.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let read = Query::<T>::from_request_parts(parts, state).await;
        read.map(|Query(value)| Self(value)).map_err(|error| ApiError::invalid(error.body_text()))
    }
}

/// Parts of the path.
pub(super) struct Place<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Place<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let read = Path::<T>::from_request_parts(parts, state).await;
        read.map(|Path(value)| Self(value)).map_err(|error| ApiError::invalid(error.body_text()))
    }
}

/// A body of JSON; none is the same as `{}`.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|error| ApiError::invalid(error.body_text()))?;
        let text: &[u8] = if bytes.trim_ascii().is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text)
            .map(Self)
            .map_err(|error| ApiError::invalid(format!("the body is not right: {error}")))
    }
}

/// A body of text; never empty.
pub(super) struct Text(pub(super) String);

impl<S: Send + Sync> FromRequest<S> for Text {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|error| ApiError::invalid(error.body_text()))?;
        if bytes.trim_ascii().is_empty() {
            let hint = "`cairn init` writes an Experiment to start from";
            return Err(ApiError::invalid("the file is empty")
                .with(vec![Problem::new("", "nothing in it").hint(hint)]));
        }
        String::from_utf8(bytes.to_vec()).map(Self).map_err(|_| ApiError::invalid("the body is not UTF-8"))
    }
}

/// Whose experiment.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Namespace {
    /// Namespace of the experiment.
    #[serde(default = "default_namespace")]
    #[param(required = false, default = "default")]
    pub(super) namespace: String,
}

/// The namespace of those who name none.
pub(super) fn default_namespace() -> String {
    "default".into()
}
