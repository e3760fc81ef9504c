//! What somebody else's suggestion service can be told: Katib's wire has no place for Cairn's own words.

use crate::report::{Problem, Report};
use crate::spec::ExperimentSpec;

pub(super) fn check(spec: &ExperimentSpec, report: &mut Report) {
    let Some(endpoint) = spec.algorithm.as_ref().and_then(|algorithm| algorithm.endpoint.as_deref()) else {
        return;
    };
    if !is_address(endpoint) {
        let problem = Problem::new("spec.algorithm.endpoint", format!("`{endpoint}` is no address"));
        report.error(problem.hint("write it as host:port, such as `localhost:6789`"));
    }
    let mut refuse = |path: String, word: &str| {
        let message = format!("Katib's wire, which `{endpoint}` speaks, cannot carry {word}");
        report.error(Problem::new(path, message).hint("leave it out, or use an algorithm of Cairn's"));
    };
    for (i, parameter) in spec.parameters.iter().enumerate() {
        let path = |word: &str| format!("spec.parameters[{i}].{word}");
        if !parameter.when.is_empty() {
            refuse(path("when"), "conditions");
        }
        if parameter.ordered.is_some() {
            refuse(path("ordered"), "an order of names");
        }
        if parameter.prior.is_some() {
            refuse(path("prior"), "a belief");
        }
        if parameter.default_value.is_some() {
            refuse(path("default"), "a value to be tried first");
        }
    }
    if !spec.parameter_constraints.is_empty() {
        refuse("spec.parameterConstraints".into(), "constraints");
    }
    if spec.seed.is_some() {
        let message = format!("Katib's wire, which `{endpoint}` speaks, cannot carry a seed");
        let problem = Problem::new("spec.seed", message);
        report.warn(problem.hint("give the algorithm its own, mostly the setting `random_state`"));
    }
}

/// Whether a text is `host:port`.
fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| {
        let host_is_one = !host.is_empty() && !host.contains(['/', ' ', '@']);
        host_is_one && port.parse::<u16>().is_ok_and(|port| port > 0)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn problems(spec: serde_json::Value) -> Vec<String> {
        let spec: ExperimentSpec = serde_json::from_value(spec).unwrap();
        let mut report = Report::default();
        check(&spec, &mut report);
        report.errors.into_iter().map(|problem| problem.path).collect()
    }

    #[test]
    fn what_katibs_wire_cannot_carry_is_refused_by_name() {
        let words = json!({
            "algorithm": {"algorithmName": "mine", "endpoint": "localhost:6789"},
            "parameters": [
                {"name": "a", "default": "1"},
                {"name": "b", "when": {"a": "1"}, "ordered": true, "prior": {"mean": 1, "std": 1}},
            ],
            "parameterConstraints": ["a < 1"],
        });
        let paths = [
            "parameters[0].default",
            "parameters[1].ordered",
            "parameters[1].prior",
            "parameters[1].when",
            "parameterConstraints",
        ];
        let mut refused = problems(words.clone());
        refused.sort();
        let mut wanted = paths.map(|path| format!("spec.{path}"));
        wanted.sort();
        assert_eq!(refused, wanted);
        let mut ours = words;
        ours["algorithm"]["endpoint"].take();
        assert_eq!(problems(ours), Vec::<String>::new());
    }

    #[test]
    fn an_endpoint_is_a_host_and_a_port() {
        for (endpoint, is_one) in [
            ("localhost:6789", true),
            ("[::1]:6789", true),
            ("localhost", false),
            ("http://a:1", false),
            ("a:0", false),
        ] {
            let algorithm = json!({"algorithm": {"algorithmName": "mine", "endpoint": endpoint}});
            assert_eq!(problems(algorithm).is_empty(), is_one, "{endpoint}");
        }
    }
}
