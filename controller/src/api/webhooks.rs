//! Webhooks of a cluster over HTTP.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use controller_kube::webhook::{Hook, Webhooks};

/// Largest question in bytes: an object and what it was, each as large as a cluster keeps.
const MAX_QUESTION: usize = 8 << 20;

/// Answers each where it is asked.
pub(crate) fn router(webhooks: Webhooks) -> Router {
    let webhooks = Arc::new(webhooks);
    let mut router = Router::new().route("/healthz", get(|| async { "ok" }));
    for hook in Hook::ALL {
        let webhooks = Arc::clone(&webhooks);
        let answer = async move |question: Bytes| match webhooks.answer(hook, &question).await {
            Ok(answer) => ([(header::CONTENT_TYPE, "application/json")], answer).into_response(),
            Err(error) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
        };
        router = router.route(hook.path(), post(answer));
    }
    router.layer(DefaultBodyLimit::max(MAX_QUESTION))
}
