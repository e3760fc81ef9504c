//! What an API server means by an error.

use std::error::Error;
use std::future::Future;
use std::io;

use controller_core::ports::ExecutorError;
use kube::core::Status;

use crate::client::PATIENCE;

/// What was tried.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Doing<'a> {
    /// Such as `create`.
    pub(crate) verb: &'a str,
    /// Group of the resource; empty for the core.
    pub(crate) group: &'a str,
    /// The resource as rules name it.
    pub(crate) plural: &'a str,
}

/// An answer within a bounded time.
pub(crate) async fn within<T>(asked: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
    let late = |_| {
        let message = format!("no answer within {} s", PATIENCE.as_secs());
        kube::Error::Service(Box::new(io::Error::new(io::ErrorKind::TimedOut, message)))
    };
    tokio::time::timeout(PATIENCE, asked).await.map_err(late)?
}

fn status(error: &kube::Error) -> Option<&Status> {
    match error {
        kube::Error::Api(status) => Some(status),
        _ => None,
    }
}

/// Whether there is no such thing.
pub(crate) fn is_not_found(error: &kube::Error) -> bool {
    status(error).is_some_and(|status| status.code == 404)
}

/// Whether the server knows no such kind, or not any more; of a thing of a kind it would say which is not there.
pub(crate) fn is_no_kind(error: &kube::Error) -> bool {
    let is_of_none = |status: &Status| status.details.as_ref().is_none_or(|details| details.name.is_empty());
    is_not_found(error) && status(error).is_some_and(is_of_none)
}

/// Whether the right is missing.
pub(crate) fn is_forbidden(error: &kube::Error) -> bool {
    status(error).is_some_and(|status| status.code == 403)
}

/// Whether the object is there already, or has changed meanwhile.
pub(crate) fn is_conflict(error: &kube::Error) -> bool {
    status(error).is_some_and(|status| status.code == 409)
}

/// What a server says, in one line, with the rule that is missing where it is a right.
pub(crate) fn message(error: &kube::Error, doing: &Doing<'_>) -> String {
    let Some(status) = status(error) else { return chain(error) };
    let message = status.message.trim().to_owned();
    if status.code == 403 && message.contains(" cannot ") {
        let Doing { verb, group, plural } = doing;
        return format!(
            "{message}; add to its role: {{apiGroups: [\"{group}\"], resources: [\"{plural}\"], verbs: [\"{verb}\"]}}"
        );
    }
    message
}

/// What an error means for a run: whether it can never be, or may be later.
pub(crate) fn refusal(error: &kube::Error, doing: &Doing<'_>) -> ExecutorError {
    let message = message(error, doing);
    let Some(status) = status(error) else { return ExecutorError::Unavailable(message) };
    // A quota is full only until something ends, and a kind that is being deleted may be brought back.
    let may_pass = ["exceeded quota", "custom resource definition is terminating"];
    let for_good = matches!(status.code, 400 | 403 | 404 | 405 | 413 | 415 | 422)
        && !may_pass.iter().any(|may_pass| message.contains(may_pass));
    if for_good { ExecutorError::Refused(message) } else { ExecutorError::Unavailable(message) }
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOING: Doing<'_> = Doing { verb: "create", group: "batch", plural: "jobs" };

    fn error(code: u16, message: &str) -> kube::Error {
        kube::Error::Api(Box::new(Status { code, message: message.into(), ..Status::default() }))
    }

    #[test]
    fn a_missing_right_names_the_rule_that_gives_it() {
        let said = r#"jobs.batch is forbidden: User "u" cannot create resource "jobs" in API group "batch""#;
        let ExecutorError::Refused(text) = refusal(&error(403, said), &DOING) else { panic!("refused") };
        assert_eq!(
            text,
            format!(
                r#"{said}; add to its role: {{apiGroups: ["batch"], resources: ["jobs"], verbs: ["create"]}}"#
            )
        );
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let quota = r#"jobs.batch "x" is forbidden: exceeded quota: q, requested: count/jobs.batch=1"#;
        let going = "create not allowed while custom resource definition is terminating";
        let later =
            [(403, quota), (405, going), (429, "slow down"), (500, "failed calling webhook"), (503, "")];
        for (code, message) in later {
            assert!(
                matches!(refusal(&error(code, message), &DOING), ExecutorError::Unavailable(_)),
                "{message}"
            );
        }
        let denied = r#"admission webhook "v.example.com" denied the request: no"#;
        for (code, message) in [(400, denied), (422, "invalid"), (404, "the server could not find it")] {
            assert!(matches!(refusal(&error(code, message), &DOING), ExecutorError::Refused(_)), "{message}");
        }
    }
}
