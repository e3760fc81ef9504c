//! Many trials for the price of few: trials that are judged while they run, wait with their checkpoints, go on from them, and
//! are copied.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use e2e::{Cairn, until};
use rustix::process::Signal;
use serde_json::Value;

/// A program of 27 epochs that goes on from its checkpoint. Told to end, it finishes its epoch first. `epochs` tells which
/// epoch each trial has run, and when.
const TRAIN: &str = r#"
trap stop=1 TERM
epoch=0
test -e "$CAIRN_CHECKPOINT_DIR/epoch" && epoch=$(cat "$CAIRN_CHECKPOINT_DIR/epoch")
while test $epoch -lt 27; do
  epoch=$((epoch + 1))
  sleep 0.1 & wait $!; wait
  (
    # The signal goes to all processes of the trial.
    trap '' TERM
    awk -v x="$1" -v epoch=$epoch 'BEGIN { printf "epoch=%d loss=%.6f\n", epoch, (x - 0.3) ^ 2 + 1 / epoch }'
    echo $epoch > "$CAIRN_CHECKPOINT_DIR/epoch.new"
    mv "$CAIRN_CHECKPOINT_DIR/epoch.new" "$CAIRN_CHECKPOINT_DIR/epoch"
    echo "$CAIRN_TRIAL_NAME $epoch" >> epochs
  )
  test -z "$stop" || exit 0
done
"#;

/// One that was never told that it may have to go on.
const FORGETFUL: &str = r#"
for epoch in 1 2 3 4 5 6 7 8 9; do
  sleep 0.1
  awk -v x="$1" -v epoch=$epoch 'BEGIN { printf "epoch=%d loss=%.6f\n", epoch, (x - 0.3) ^ 2 + 1 / epoch }'
done
"#;

fn experiment(rule: &str, parallel: u32, trials: u32) -> String {
    format!(
        r#"
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {{name: story}}
spec:
  seed: 11
  objective: {{type: minimize, objectiveMetricName: loss}}
  algorithm: {{algorithmName: random}}
  earlyStopping: {rule}
  parameters:
    - {{name: x, parameterType: double, feasibleSpace: {{min: "-1", max: "2"}}}}
  parallelTrialCount: {parallel}
  maxTrialCount: {trials}
  trialTemplate:
    trialParameters: [{{name: x, reference: x}}]
    trialSpec:
      apiVersion: cairn.dev/v1
      kind: Process
      command: [sh, train.sh, "${{trialParameters.x}}"]
"#
    )
}

const PROMOTE: &str = "{algorithmName: asha, algorithmSettings: [{name: r_l, value: '27'}, {name: r_min, value: '3'}, \
     {name: form, value: promote}]}";

fn story(program: &str, rule: &str, parallel: u32, trials: u32) -> Cairn {
    let cairn = Cairn::new();
    cairn.write("train.sh", program);
    cairn.write("experiment.yaml", experiment(rule, parallel, trials));
    cairn
}

/// Epochs that each trial has run, in the order in which it did.
fn epochs(cairn: &Cairn) -> BTreeMap<String, Vec<u64>> {
    let mut epochs: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for line in cairn.read("epochs").unwrap().lines() {
        let (name, epoch) = line.split_once(' ').unwrap();
        epochs.entry(name.to_owned()).or_default().push(epoch.parse().unwrap());
    }
    epochs
}

/// Every epoch was run once, in its order; who succeeded ran all 27, and of 9 trials 1 or more did so.
fn audit(cairn: &Cairn, trials: u64) -> Vec<Value> {
    let all = cairn.trials("story");
    assert_eq!(all.len() as u64, trials);
    let epochs = epochs(cairn);
    for trial in &all {
        let ran = &epochs[trial["name"].as_str().unwrap()];
        assert!(ran.iter().copied().eq(1..=ran.len() as u64), "{trial}: {ran:?}");
        match trial["state"].as_str().unwrap() {
            "Succeeded" => assert_eq!(ran.len(), 27, "{trial}"),
            state => assert!(state == "EarlyStopped" && (3..27).contains(&ran.len()), "{trial}: {ran:?}"),
        }
    }
    let csv = cairn.run(["export", "story", "--observations"]).ok().stdout;
    let told: usize = epochs.values().map(Vec::len).sum();
    assert_eq!(csv.lines().count(), 1 + told, "every value is kept once");
    all
}

fn attempts(trials: &[Value]) -> BTreeSet<u64> {
    trials.iter().map(|trial| trial["attempt"].as_u64().unwrap()).collect()
}

/// Folders of attempts of all trials.
fn runs(cairn: &Cairn) -> Vec<PathBuf> {
    let entries =
        |path: PathBuf| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let trials = entries(cairn.at(".cairn/trials/story"));
    trials.flat_map(entries).filter(|path| path.join("run.json").exists()).collect()
}

/// How many checkpoints there are.
fn checkpoints(cairn: &Cairn) -> usize {
    runs(cairn).iter().filter(|run| run.join("checkpoint").exists()).count()
}

#[test]
fn who_is_not_among_the_best_waits_with_its_checkpoint_and_the_best_go_on() {
    let cairn = story(TRAIN, PROMOTE, 2, 9);
    cairn.run(["run", "experiment.yaml"]).ok();
    let trials = audit(&cairn, 9);
    assert!(attempts(&trials).contains(&2), "somebody has waited and gone on");
    let of = |state: &str| trials.iter().filter(|trial| trial["state"] == state).count();
    assert!((1..=3).contains(&of("Succeeded")), "{trials:?}");
    assert!(checkpoints(&cairn) <= 1, "nobody goes on from those of ended trials; that of the best stays");
    let replay = cairn.run(["replay", "story"]).ok();
    assert!(replay.stdout.contains("9 of 9"), "{replay}");
}

#[test]
fn who_is_not_among_the_best_ends_where_nobody_waits() {
    let rule =
        "{algorithmName: asha, algorithmSettings: [{name: r_l, value: '27'}, {name: r_min, value: '3'}]}";
    let cairn = story(TRAIN, rule, 2, 9);
    cairn.run(["run", "experiment.yaml"]).ok();
    let trials = audit(&cairn, 9);
    assert_eq!(attempts(&trials), [1].into());
    let stopped = trials.iter().find(|trial| trial["state"] == "EarlyStopped").unwrap();
    assert!(stopped["message"].as_str().unwrap().contains("the best 1 go on"), "{stopped}");
    let spared = "; those stopped early would have taken about ";
    for shown in [cairn.run(["get", "story"]).ok(), cairn.run(["explain", "story"]).ok()] {
        assert!(shown.stdout.contains(spared) && shown.stdout.contains(" of 243 steps; best"), "{shown}");
    }
    assert!(runs(&cairn).iter().all(|run| !run.join("checkpoint.json").exists()), "nobody wants checkpoints");
}

/// Killed once when a trial was told to wait and has not, and once when one is to go on and has not begun.
#[test]
fn killed_between_pause_and_seal_and_between_promotion_and_start() {
    let cairn = story(TRAIN, PROMOTE, 2, 9);
    let mut controller = cairn.start(["run", "experiment.yaml"]);
    let told = until("a trial is told to wait", || {
        // It does nothing between the look and its end.
        controller.signal(Signal::STOP);
        let mut runs = runs(&cairn).into_iter();
        let told = runs.find(|run| run.join("stop.json").exists() && !run.join("exit.json").exists());
        if told.is_some() {
            controller.kill();
        } else {
            controller.signal(Signal::CONT);
        }
        told
    });
    until("it has ended while nobody looked", || told.join("exit.json").exists().then_some(()));
    assert!(!told.join("checkpoint.json").exists(), "nobody has sealed anything");
    let mut controller = cairn.start(["run", "experiment.yaml"]);
    until("one that waited goes on", || {
        let mut seconds = runs(&cairn).into_iter().filter(|run| run.ends_with("2"));
        seconds.find(|run| !run.join("exit.json").exists())
    });
    controller.kill();
    cairn.run(["run", "experiment.yaml"]).ok();
    let trials = audit(&cairn, 9);
    assert!(attempts(&trials).contains(&2));
}

#[test]
fn a_damaged_checkpoint_ends_its_trial_with_what_it_had_reached_and_the_search_goes_on() {
    let cairn = story(TRAIN, PROMOTE, 1, 6);
    let controller = cairn.start(["run", "experiment.yaml"]);
    let mut damaged = BTreeSet::new();
    until("the search is over", || {
        for run in runs(&cairn) {
            if run.join("checkpoint.json").exists() && damaged.insert(run.clone()) {
                // That of a trial that has ended may go at any time.
                std::fs::write(run.join("checkpoint/epoch"), "26").ok();
            }
        }
        let trials = cairn.run(["get", "story", "-o", "json"]);
        (trials.code == Some(0) && trials.stdout.contains("ExperimentMaxTrialsReached")).then_some(())
    });
    controller.end().ok();
    let trials = cairn.trials("story");
    let cannot: Vec<&Value> = trials
        .iter()
        .filter(|trial| {
            trial["message"].as_str().unwrap().contains("is not what was sealed: epoch has changed")
        })
        .collect();
    assert!(!cannot.is_empty(), "{trials:?}");
    for trial in cannot {
        assert_eq!(trial["state"], "EarlyStopped", "{trial}");
        assert!(trial["value"].as_f64().is_some(), "{trial}");
    }
    let epochs = epochs(&cairn);
    assert!(epochs.values().all(|ran| ran.iter().copied().eq(1..=ran.len() as u64)), "{epochs:?}");
}

#[test]
fn a_program_that_cannot_go_on_is_stopped_and_that_is_said() {
    let rule = "{algorithmName: successive-halving, algorithmSettings: [{name: r_l, value: '9'}, {name: r_min, value: '3'}]}";
    let cairn = story(FORGETFUL, rule, 2, 3);
    cairn.run(["run", "experiment.yaml"]).ok();
    let trials = cairn.trials("story");
    let said = |trial: &&Value| {
        trial["message"].as_str().unwrap().contains("it left nothing in CAIRN_CHECKPOINT_DIR to go on from")
    };
    assert!(trials.iter().filter(said).count() >= 1, "{trials:?}");
    assert!(trials.iter().all(|trial| trial["value"].as_f64().is_some()), "{trials:?}");
}

/// Each turn of a member adds its name to what it was handed over.
#[test]
fn the_children_of_a_population_begin_from_what_their_parents_have_left() {
    let program = r#"
echo "$CAIRN_TRIAL_NAME" >> "$2/lineage"
cp "$CAIRN_CHECKPOINT_DIR/lineage" "lineage-$CAIRN_TRIAL_NAME"
awk -v x="$1" -v turns=$(wc -l < "$2/lineage") 'BEGIN { printf "loss=%.6f\n", (x - 0.3) ^ 2 + 1 / turns }'
"#;
    let cairn = story(program, "{algorithmName: medianstop}", 3, 20);
    let yaml = cairn.read("experiment.yaml").unwrap().replace(
        "algorithm: {algorithmName: random}",
        "algorithm: {algorithmName: pbt, algorithmSettings: [{name: n_population, value: '5'}, \
         {name: truncation_threshold, value: '0.4'}, {name: suggestion_trial_dir, value: /opt/checkpoints}]}",
    );
    let yaml = yaml.replace("  earlyStopping: {algorithmName: medianstop}\n", "");
    // As Katib's own example has it: every trial is told the same path.
    let yaml = yaml.replace("${trialParameters.x}\"]", "${trialParameters.x}\", /opt/checkpoints/]");
    cairn.write("experiment.yaml", yaml);
    cairn.run(["run", "experiment.yaml"]).ok();
    let trials = cairn.trials("story");
    assert_eq!(trials.len(), 20);
    let names: BTreeMap<u64, &str> = trials
        .iter()
        .map(|trial| (trial["idx"].as_u64().unwrap(), trial["name"].as_str().unwrap()))
        .collect();
    let lineage = |name: &str| cairn.read(format!("lineage-{name}")).unwrap();
    let mut copies = 0;
    for trial in &trials {
        assert_eq!(trial["state"], "Succeeded", "{trial}");
        let name = trial["name"].as_str().unwrap();
        let before = trial["parent"].as_u64().map_or_else(String::new, |parent| lineage(names[&parent]));
        assert_eq!(lineage(name), format!("{before}{name}\n"));
        copies += u32::from(!before.is_empty());
    }
    assert_eq!(copies, 15, "all but the first turns");
    let kept = checkpoints(&cairn);
    assert!((5..=6).contains(&kept), "{kept}: the newest of each member, and that of the best trial");
    let table = cairn.run(["trials", "story"]).ok().stdout;
    assert!(table.lines().next().unwrap().contains("PARENT"), "{table}");
}
