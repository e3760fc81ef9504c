//! How much an experiment asks of an API server.

use std::time::Instant;

use e2e::until;

use super::experiments::{Story, experiment};

#[test]
fn a_trial_costs_the_api_server_few_writes_and_an_experiment_no_more_than_two_looks_a_second() {
    let Some(story) = Story::begin("counts") else { return };
    let server = story.serve();
    let trials = 8;
    let begun = Instant::now();
    story.apply(&experiment("story", 8, 4, "echo loss=$X"));
    story.until_is("story", "Succeeded");
    until("Jobs are gone", || story.items("jobs").is_empty().then_some(()));
    let seconds = begun.elapsed().as_secs_f64().ceil() as usize;
    let writes = story.cluster.writes("cairn/", story.namespace);
    let of = |what: &str| writes.get(what).copied().unwrap_or(0);
    for once in ["create trials", "create jobs", "delete jobs"] {
        assert_eq!(of(once), trials, "{once}: {writes:?} {}", server.stderr());
    }
    // That it waits, if it does for long; that it runs; that it has ended.
    assert!((trials..=3 * trials).contains(&of("update trials/status")), "{writes:?}");
    assert!(of("update experiments/status") <= 2 * seconds + 2, "{writes:?} in {seconds} s");
    assert_eq!(of("create suggestions"), 1, "{writes:?}");
    assert!(of("update suggestions/status") + of("update suggestions") <= 4 * seconds + 2, "{writes:?}");
    assert_eq!(writes.len(), 8, "nothing else is written: {writes:?}");
}
