//! Trials that go wrong in every way.

use e2e::{Cairn, Output};

use super::{folder, run, with_command};

/// The experiment fails by its trials, which are all still there.
fn failed(cairn: &Cairn) -> Output {
    let output = run(cairn);
    assert_eq!(output.code, Some(3), "{output}");
    assert!(output.stderr.contains("max failed count has reached"), "{output}");
    assert!(cairn.trials("demo").len() >= 2, "{output}");
    output
}

#[test]
fn a_command_that_cannot_be_run_is_named_with_the_way_out() {
    let command = "[sh, -c, \"echo $CAIRN_TRIAL_NAME >> ran; echo loss=${trialParameters.lr}\"]";
    for (program, wanted) in [
        ("trainn", "command `trainn` was not found in PATH; install it, or write its path"),
        ("./train.py", "command `./train.py` is not executable; run `chmod +x "),
        ("./folder", "command `./folder` is a folder; name the program in it"),
    ] {
        let cairn = folder(&[(command, &format!("[\"{program}\", \"${{trialParameters.lr}}\"]"))]);
        cairn.write("train.py", "print(1)");
        std::fs::create_dir(cairn.at("folder")).unwrap();
        let said = failed(&cairn).stderr;
        assert!(
            said.contains("failed alike: Trial has failed. Job message: ") && said.contains(wanted),
            "{said}"
        );
    }
    let cairn = folder(&[("command:", "workingDir: nowhere\n      command:")]);
    let said = failed(&cairn).stderr;
    assert!(said.contains("/nowhere does not exist; create it, or change `workingDir`"), "{said}");
}

#[test]
fn a_trial_that_fails_says_its_last_words() {
    for (command, wanted) in [
        ("echo cannot open data.csv >&2; exit 7 ${trialParameters.lr}", "exit code 7: cannot open data.csv"),
        ("kill -SEGV $$; echo ${trialParameters.lr}", "killed by signal 11"),
        ("echo Loss=${trialParameters.lr}", "the objective `loss` was never reported"),
        ("head -c 300000 /dev/urandom; : ${trialParameters.lr}", "the objective `loss` was never reported"),
    ] {
        let said = failed(&with_command(command, &[])).stderr;
        assert!(said.contains(wanted) && said.contains("  see: cairn logs demo demo-"), "{said}");
    }
}

#[test]
fn failures_are_grouped_by_what_they_share() {
    let space = "parameterType: discrete, feasibleSpace: {list: [\"64\", \"128\", \"512\", \"1024\"]}";
    let cairn = with_command(
        "if test ${trialParameters.lr} -ge 512; then echo CUDA out of memory; exit 1; fi; echo loss=1",
        &[
            ("parameterType: double, feasibleSpace: {min: \"0.1\", max: \"1\"}", space),
            ("random", "grid"),
            ("parallelTrialCount: 2", "parallelTrialCount: 1"),
        ],
    );
    let said = failed(&cairn).stderr;
    let wanted = "2 of 2 failed alike: Trial has failed. Job message: exit code 1: CUDA out of memory, all with lr >= 512\n";
    assert!(said.contains(wanted), "{said}");
}

#[test]
fn values_that_are_no_numbers_are_kept_and_never_best() {
    let cairn = with_command("echo loss=nan; : ${trialParameters.lr}", &[]);
    let output = run(&cairn).ok();
    assert!(output.stderr.contains("has no trial with a value of `loss`"), "{output}");
    let trials = cairn.trials("demo");
    assert!(trials.iter().all(|trial| trial["metrics"][0]["latest"] == "nan"), "{trials:?}");
    // One that is infinite is beaten by any other, also after a restart.
    let script = "if mkdir first; then echo loss=inf; exit; fi\n\
                  test -e go || exit 1\necho loss=${trialParameters.lr}";
    let edits = [
        ("parallelTrialCount: 2", "parallelTrialCount: 1"),
        ("maxTrialCount: 4", "maxTrialCount: 1"),
        ("maxFailedTrialCount: 2", "resumePolicy: LongRunning"),
    ];
    let cairn = with_command(script, &edits);
    run(&cairn).ok();
    cairn.write("go", "");
    let file = cairn.read("experiment.yaml").unwrap().replace("maxTrialCount: 1", "maxTrialCount: 3");
    cairn.write("experiment.yaml", file);
    run(&cairn).ok();
    let best = cairn.run(["best", "demo", "-o", "json"]).ok().json();
    assert!(best["value"].as_f64().is_some_and(|value| value <= 1.0), "{best}");
}

#[test]
fn a_log_that_floods_loses_no_value() {
    let script = "echo loss=7; yes 'nothing to see here, nothing at all' | head -n 800000; echo loss=${trialParameters.lr}";
    let cairn = with_command(script, &[("maxTrialCount: 4", "maxTrialCount: 2")]);
    run(&cairn).ok();
    let rows = cairn.run(["export", "demo", "--observations"]).ok().stdout;
    assert_eq!(rows.lines().count(), 1 + 2 * 2, "{rows}");
}

#[test]
fn what_ignores_its_end_is_killed_after_a_grace() {
    let script = "trap : TERM\nwhile :; do echo ${trialParameters.lr}; sleep 0.2; done";
    let edits = [("command:", "timeout: 1s\n      command:"), ("maxTrialCount: 4", "maxTrialCount: 2")];
    let cairn = with_command(script, &edits);
    let said = failed(&cairn).stderr;
    assert!(
        said.contains("2 of 2 failed alike: Trial has failed. Job message: timed out after 1 s"),
        "{said}"
    );
    assert!(cairn.trials("demo").iter().all(|trial| trial["reason"] == "TrialTimedOut"));
}

#[test]
fn children_that_are_left_behind_are_killed_and_named() {
    let script = "sleep 1000 & echo $! >> pids\n\
                  setsid sh -c 'echo $$ >> pids; exec sleep 1000' &\n\
                  while test $(wc -l < pids) -lt 2; do sleep 0.01; done\n\
                  echo loss=${trialParameters.lr}";
    let edits = [
        ("maxTrialCount: 4", "maxTrialCount: 1"),
        ("parallelTrialCount: 2", "parallelTrialCount: 1"),
        ("maxFailedTrialCount: 2", "maxFailedTrialCount: 1"),
    ];
    let cairn = with_command(script, &edits);
    run(&cairn).ok();
    let pids = cairn.read("pids").unwrap();
    assert_eq!(pids.lines().count(), 2);
    for pid in pids.lines() {
        let pid = rustix::process::Pid::from_raw(pid.parse().unwrap()).unwrap();
        assert!(rustix::process::test_kill_process(pid).is_err(), "{pid:?} still runs");
    }
}

#[test]
fn a_model_with_links_out_of_its_folder_is_refused() {
    let script = "ln -s /etc/passwd $CAIRN_MODEL_DIR/weights; echo loss=${trialParameters.lr}";
    let said = failed(&with_command(script, &[])).stderr;
    assert!(said.contains("weights") && said.contains("link"), "{said}");
}

#[test]
fn a_trial_may_fail_as_often_as_it_may_be_tried_again() {
    let script = "echo x >> tries-$CAIRN_TRIAL_NAME\n\
                  test $(wc -l < tries-$CAIRN_TRIAL_NAME) -gt 2 || exit 1\n\
                  echo loss=${trialParameters.lr}";
    let cairn = with_command(script, &[("command:", "retries: 2\n      command:")]);
    run(&cairn).ok();
    assert!(cairn.trials("demo").iter().all(|trial| trial["attempt"] == 3));
    let cairn = with_command(script, &[("command:", "retries: 1\n      command:")]);
    failed(&cairn);
}
