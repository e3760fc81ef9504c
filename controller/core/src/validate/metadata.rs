//! Where what becomes of a model is recorded.

use crate::report::{Problem, Report};
use crate::spec::MetadataSpec;

/// Every problem of where a model is to be recorded, at this path.
pub(super) fn check(metadata: &MetadataSpec, path: &str, report: &mut Report) {
    let Some(mlflow) = &metadata.mlflow else {
        let problem = Problem::new(path, "it names no place to record at");
        report.error(problem.hint("such as `mlflow: {uri: \"http://mlflow:5000\"}`, or leave it out"));
        return;
    };
    if let Some((message, hint)) = uri_problem(&mlflow.uri) {
        report.error(Problem::new(format!("{path}.mlflow.uri"), message).hint(hint));
    }
}

/// What is wrong with the address of a server, and what helps.
fn uri_problem(uri: &str) -> Option<(String, &'static str)> {
    let such_as = "such as `http://mlflow:5000`";
    if uri.is_empty() {
        return Some(("it is missing".into(), such_as));
    }
    if let Some((_, server)) = uri.rsplit_once('@') {
        // What stands before it may be a secret, and is said nowhere.
        return Some((
            format!("it holds a name or password for {server}, which everybody could read here"),
            "set MLFLOW_TRACKING_URI, MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD for the Cairn that delivers",
        ));
    }
    let Some(rest) = uri.strip_prefix("http://").or_else(|| uri.strip_prefix("https://")) else {
        return Some((format!("`{uri}` is no address of a server of MLflow"), such_as));
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let port_is_one = |port: &str| {
        port.parse::<u16>().is_ok_and(|port| port > 0) && port.bytes().all(|b| b.is_ascii_digit())
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port_is_one(port) => name,
        Some((name, _)) if host.starts_with('[') && host.ends_with(']') && name.contains(':') => host,
        Some(_) => return Some((format!("`{uri}` names no port between 1 and 65535"), such_as)),
        None => host,
    };
    if name.is_empty() {
        return Some((format!("`{uri}` names no server"), such_as));
    }
    if rest.contains(['?', '#']) || uri.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Some((format!("`{uri}` is more than an address and a path"), such_as));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::MlflowSpec;

    fn problems(uri: &str) -> String {
        let mut report = Report::default();
        let mlflow = Some(MlflowSpec { uri: uri.into(), registry: None });
        check(&MetadataSpec { mlflow }, "spec.promotion.metadata", &mut report);
        report.errors.iter().map(|problem| format!("{}: {}", problem.path, problem.message)).collect()
    }

    #[test]
    fn an_address_is_a_server_and_perhaps_a_path() {
        for uri in [
            "http://mlflow:5000",
            "https://mlflow.example.org/tracking/",
            "http://[::1]:5000",
            "http://[::1]",
        ] {
            assert_eq!(problems(uri), "", "{uri}");
        }
        for (uri, message) in [
            ("", "it is missing"),
            ("databricks", "no address of a server"),
            ("sqlite:///mlflow.db", "no address of a server"),
            ("http://", "names no server"),
            ("http://:5000", "names no server"),
            ("http://mlflow:x", "no port"),
            ("http://mlflow:0", "no port"),
            ("http://mlflow:5000?a=b", "more than an address"),
            ("http://ml flow:5000", "more than an address"),
        ] {
            let found = problems(uri);
            assert!(
                found.starts_with("spec.promotion.metadata.mlflow.uri: ") && found.contains(message),
                "{found}"
            );
        }
        for uri in [
            "https://ada:geheim@mlflow.example.org",
            "HTTPS://ada:geheim@mlflow.example.org",
            "postgresql://ada:geheim@mlflow.example.org/mlflow",
            "http://ada:80/geheim@mlflow.example.org",
            "ada:geheim@mlflow.example.org",
        ] {
            let secret = problems(uri);
            assert!(secret.contains("for mlflow.example.org") && !secret.contains("geheim"), "{secret}");
        }
    }

    #[test]
    fn nothing_named_is_nothing_recorded() {
        let mut report = Report::default();
        check(&MetadataSpec::default(), "metadata", &mut report);
        assert!(report.errors[0].message.contains("no place"), "{:?}", report.errors);
    }
}
