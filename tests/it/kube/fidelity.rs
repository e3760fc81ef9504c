//! Little of a resource for many trials, on a cluster.

use std::collections::BTreeMap;

use serde_json::json;

use super::artifacts::ask;
use super::sidecars::{Watched, experiment, pod, stdout};

/// As Katib's own example has it: the resource is a parameter, which Jobs get as an argument.
#[test]
fn hyperband_gives_more_epochs_to_the_best_of_its_jobs() {
    let Some(watched) = Watched::begin("hyperband", 7713) else { return };
    let server = watched.serve();
    // The less x the better, however long it trains.
    let script = "(for e in $(seq $EPOCHS); do echo \"loss=$X\"; done)";
    let mut story = experiment("hyperband", 18, &stdout(), script);
    let spec = &mut story["spec"];
    spec["parallelTrialCount"] = json!(3);
    spec["algorithm"] = json!({"algorithmName": "hyperband", "algorithmSettings": [
        {"name": "resource_name", "value": "num-epochs"}, {"name": "eta", "value": "3"}, {"name": "r_l", "value": "9"},
    ]});
    let epochs =
        json!({"name": "num-epochs", "parameterType": "int", "feasibleSpace": {"min": "1", "max": "9"}});
    spec["parameters"].as_array_mut().unwrap().push(epochs);
    let reference = json!({"name": "numberEpochs", "reference": "num-epochs"});
    spec["trialTemplate"]["trialParameters"].as_array_mut().unwrap().push(reference);
    let variable = json!({"name": "EPOCHS", "value": "${trialParameters.numberEpochs}"});
    pod(&mut story)["containers"][0]["env"].as_array_mut().unwrap().push(variable);
    watched.apply(&story);
    let done = watched.story.until_is("hyperband", "Succeeded");
    assert_eq!(done["status"]["trialsSucceeded"], 18, "{}", server.stderr());
    let trials = ask(&watched, &["trials", "hyperband", "-o", "json"]).ok().json();
    // Which epochs each x was given: more only where it was among the best of its rung.
    let mut given: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for trial in trials["items"].as_array().unwrap() {
        let parameter = |name: &str| trial["parameters"][name].as_str().unwrap();
        given.entry(parameter("x")).or_default().push(parameter("num-epochs"));
    }
    let of = |epochs: &str| -> Vec<f64> {
        let had = given.iter().filter(|(_, all)| all.contains(&epochs));
        had.map(|(x, _)| x.parse().unwrap()).collect()
    };
    let (low, middle, high) = (of("1"), of("3"), of("9"));
    // The first bracket begins nine; whose rank changed later may have gone on too.
    assert_eq!(low.len(), 9, "{given:?}");
    assert!(!high.is_empty() && high.len() < middle.len(), "{given:?}");
    assert_eq!(low.len() + middle.len() + high.len(), 18, "{given:?}");
    let risen: Vec<f64> = middle.iter().copied().filter(|x| low.contains(x)).collect();
    let lowest = |from: &[f64]| from.iter().copied().fold(f64::INFINITY, f64::min);
    assert!(risen.contains(&lowest(&low)), "the best of the lowest rung goes on: {given:?}");
}
