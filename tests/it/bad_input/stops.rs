//! Ctrl-C, edits, and several controllers.

use e2e::{Cairn, Running, until};
use rustix::process::Signal;

use super::{all_ran_once, folder, ran, run, with_command};

/// Trials that wait for the file `go`.
fn waiting() -> Cairn {
    with_command(
        "echo $CAIRN_TRIAL_NAME >> ran\nwhile ! test -e go; do sleep 0.01; done\necho loss=${trialParameters.lr}",
        &[],
    )
}

fn begin(cairn: &Cairn) -> Running {
    let running = cairn.start(["run", "experiment.yaml"]);
    until("two trials run", || (ran(cairn).len() >= 2).then_some(()));
    running
}

#[test]
fn ctrl_c_once_lets_running_trials_finish() {
    let cairn = waiting();
    let running = begin(&cairn);
    running.signal(Signal::INT);
    running.said("stopping: running trials finish, no new ones begin (once more ends them now)");
    cairn.write("go", "");
    let output = running.end();
    assert_eq!(output.code, Some(4), "{output}");
    assert!(output.stderr.contains("the same command, or `cairn resume demo`, goes on"), "{output}");
    assert_eq!((ran(&cairn).len(), cairn.trials("demo").len()), (2, 2));
    run(&cairn).ok();
    all_ran_once(&cairn, 4);
}

#[test]
fn ctrl_c_twice_ends_trials_which_go_on_with_their_next_attempt() {
    let cairn = waiting();
    let running = begin(&cairn);
    running.signal(Signal::INT);
    running.said("stopping: ");
    running.signal(Signal::INT);
    let output = running.end();
    assert_eq!(output.code, Some(4), "{output}");
    let trials = cairn.trials("demo");
    assert!(trials.iter().all(|trial| trial["state"] == "Pending"), "{trials:?}");
    cairn.write("go", "");
    run(&cairn).ok();
    let attempts: Vec<u64> =
        cairn.trials("demo").iter().map(|trial| trial["attempt"].as_u64().unwrap()).collect();
    assert_eq!(attempts, [2, 2, 1, 1]);
}

#[test]
fn signals_at_any_moment_end_in_order() {
    for wait in [0, 3, 11, 40] {
        let edits = [("maxTrialCount: 4", "maxTrialCount: 1000")];
        let cairn = folder(&edits);
        let running = begin(&cairn);
        std::thread::sleep(std::time::Duration::from_millis(wait));
        running.signal(Signal::TERM);
        let output = running.end();
        assert_eq!(output.code, Some(4), "{output}");
        assert!(!output.stderr.contains("error"), "{output}");
    }
}

#[test]
fn another_spec_under_the_same_name_is_refused_and_other_budgets_are_not() {
    let cairn = folder(&[]);
    run(&cairn).ok();
    cairn.write("other.yaml", super::experiment(&[("max: \"1\"", "max: \"2\"")]));
    let output = cairn.run(["run", "other.yaml"]);
    assert_eq!(output.code, Some(2), "{output}");
    assert_eq!(
        output.stderr,
        "error: experiment `demo` exists with another spec; give this one another name, or `cairn delete demo` first; \
         `cairn edit demo --space FILE` searches this space from now on\n  \
         spec.parameters[0].feasibleSpace.max: \"1\" became \"2\"\n"
    );
    all_ran_once(&cairn, 4);
    let cairn = waiting();
    begin(&cairn).kill();
    cairn.write("go", "");
    let file = cairn.read("experiment.yaml").unwrap().replace("maxTrialCount: 4", "maxTrialCount: 6");
    cairn.write("experiment.yaml", file);
    let output = run(&cairn).ok();
    assert!(output.stderr.contains("experiment `demo` goes on with other budgets"), "{output}");
    all_ran_once(&cairn, 6);
}

#[test]
fn a_second_controller_waits_says_for_whom_and_takes_over() {
    let cairn = waiting();
    let mut first = begin(&cairn);
    let second = cairn.start(["run", "experiment.yaml"]);
    let said = second.said("the experiment is driven by another process; waiting for it");
    assert!(said.contains(&format!("(process {})", first.pid().as_raw_nonzero())), "{said}");
    first.kill();
    cairn.write("go", "");
    second.end().ok();
    all_ran_once(&cairn, 4);
}

#[test]
fn two_experiments_of_one_folder_run_at_once() {
    let cairn = waiting();
    let other = cairn.read("experiment.yaml").unwrap().replace("name: demo", "name: other");
    cairn.write("other.yaml", other);
    let (one, two) = (cairn.start(["run", "experiment.yaml"]), cairn.start(["run", "other.yaml"]));
    until("trials of both run", || (ran(&cairn).len() == 4).then_some(()));
    cairn.write("go", "");
    one.end().ok();
    two.end().ok();
    assert_eq!((cairn.trials("demo").len(), cairn.trials("other").len(), ran(&cairn).len()), (4, 4, 8));
}
