//! Cairn among Katib's: its controller's client against `cairn suggest`, its services behind `algorithm.endpoint`.

use std::collections::BTreeSet;
use std::process::Command;

use e2e::{Cairn, Running, python};
use serde_json::Value;

/// A program of `peers/`, with Katib's own stubs at hand.
fn peer(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(python::with("katib"));
    command.arg(e2e::workspace().join("tests/it/peers").join(program)).args(args);
    command
}

#[test]
fn a_katib_controller_can_use_cairn_as_its_suggestion_service() {
    let cairn = Cairn::new();
    let server = cairn.start(["suggest", "--listen", "127.0.0.1:0"]);
    let address = server.said("serving suggestions on ");
    let algorithms = [
        "random",
        "grid",
        "sobol",
        "tpe",
        "multivariate-tpe",
        "bayesianoptimization",
        "cmaes",
        "hyperband",
        "asha",
        "auto",
    ];
    let output =
        Running::start(peer("katib_client.py", &[&[address.as_str()], &algorithms[..]].concat())).end();
    let found = output.ok().json();

    for algorithm in algorithms {
        let points = found["points"][algorithm].as_array().unwrap();
        let distinct: BTreeSet<String> = points.iter().map(Value::to_string).collect();
        assert_eq!((points.len(), distinct.len()), (12, 12), "{algorithm}: {points:?}");
        for point in points {
            let number = |name: &str| point[name].as_str().unwrap().parse::<f64>().unwrap();
            assert!((0.1..=0.9).contains(&number("lr")), "{algorithm}: {point}");
            assert!(!point["units"].as_str().unwrap().contains('.'), "{algorithm}: {point}");
            assert!((1.0..=9.0).contains(&number("units")), "{algorithm}: {point}");
            assert!(["16", "32"].contains(&point["batch"].as_str().unwrap()), "{algorithm}: {point}");
        }
    }
    let health = found["health"].as_object().unwrap();
    for (name, status) in health {
        let wanted = if name == "other" { "NOT_FOUND" } else { "SERVING" };
        assert_eq!(status, wanted, "{name}");
    }
    let services = found["services"].to_string();
    for service in ["api.v1.beta1.Suggestion", "api.v1.beta1.EarlyStopping", "cairn.v1.Search"] {
        assert!(services.contains(service), "{services}");
    }
    let refused = |what: &str| {
        let refusal = &found["refusals"][what];
        (refusal[0].as_str().unwrap(), refusal[1].as_str().unwrap())
    };
    assert_eq!(refused("gamma"), ("INVALID_ARGUMENT", "gamma should be in the range of (0, 1)"));
    assert_eq!(refused("unknown"), ("INVALID_ARGUMENT", "unknown algorithm name annealing"));
    assert_eq!(refused("pbt").0, "INVALID_ARGUMENT");
    assert_eq!(refused("rule"), ("INVALID_ARGUMENT", "start_step must be greater or equal than one (>=1)"));
    assert_eq!(refused("status").0, "UNIMPLEMENTED");
}
