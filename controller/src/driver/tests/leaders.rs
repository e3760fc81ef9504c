//! Which experiments want a driver.

use super::super::*;

#[test]
fn a_point_in_the_queue_of_a_held_experiment_calls_no_driver() {
    let point = Wish::Enqueue { assignments: Vec::new() };
    for hold in [Hold::Draining, Hold::Stopped] {
        let held = ExperimentStatus { hold, ..ExperimentStatus::default() };
        assert!(is_left(&held));
        assert!(!calls(&held, &point) && calls(&held, &Wish::Resume));
    }
    let deleting = ExperimentStatus { hold: Hold::Deleting, ..ExperimentStatus::default() };
    assert!(calls(&deleting, &point), "it is refused before all goes");
    assert!(!is_left(&ExperimentStatus::default()));
}
