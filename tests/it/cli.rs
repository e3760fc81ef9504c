//! The command line, as one reads and types it.

use e2e::Cairn;

/// Trials whose loss is their knob, from 0 to 1, and which fail beyond 0.8.
const EXPERIMENT: &str = r#"
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {name: knob}
spec:
  seed: 5
  objective: {type: minimize, objectiveMetricName: loss, additionalMetricNames: [twice]}
  algorithm: {algorithmName: sobol}
  parameters:
    - {name: lr, parameterType: double, feasibleSpace: {min: "0", max: "1"}}
    - {name: kind, parameterType: categorical, feasibleSpace: {list: [plain, "with, comma"]}}
  parallelTrialCount: 2
  maxTrialCount: 8
  trialTemplate:
    trialParameters: [{name: lr, reference: lr}, {name: kind, reference: kind}]
    trialSpec:
      apiVersion: cairn.dev/v1
      kind: Process
      command: [sh, -c]
      args:
        - |
          echo "kind: ${trialParameters.kind}"
          awk 'BEGIN { lr = ${trialParameters.lr}; if (lr > 0.8) { print "lr is too large"; exit 1 }; print "loss=" lr " twice=" 2 * lr }'
"#;

fn ran() -> Cairn {
    let cairn = Cairn::new();
    cairn.write("experiment.yaml", EXPERIMENT);
    let output = cairn.run(["run", "experiment.yaml"]);
    assert!(output.ok().stderr.contains("has succeeded"));
    cairn
}

#[test]
fn an_experiment_from_init_runs_as_it_is() {
    let cairn = Cairn::new();
    cairn.run(["init"]).ok();
    assert_eq!(cairn.run(["init"]).code, Some(2), "a file that exists is not overwritten");
    cairn.run(["validate", "experiment.yaml"]).ok();
    let output = cairn.run(["run", "experiment.yaml"]).ok();
    assert!(output.stderr.contains("has succeeded") && output.stdout.contains("parameters"), "{output}");
}

#[test]
fn trials_are_filtered_sorted_compared_and_exported() {
    let cairn = ran();
    let failed = cairn.run(["trials", "knob", "--where", "state = Failed", "-o", "json"]).ok().json();
    let high = cairn.run(["trials", "knob", "--where", "lr > 0.8", "-o", "json"]).ok().json();
    assert!(high["total"].as_u64().unwrap() > 0);
    assert_eq!(failed, high);
    let sorted = cairn.run(["trials", "knob", "--sort", "loss", "--limit", "2", "-o", "json"]).ok().json();
    let best = cairn.run(["best", "knob", "-o", "json"]).ok().json();
    assert_eq!(sorted["items"][0]["name"], best["name"]);
    // Who has the lower loss has the lower `twice` too: one beats all, unless more of it is wanted.
    let front = |against: &str| {
        let found = cairn.run(["trials", "knob", "--front", against, "-o", "json"]).ok().json();
        let items = found["items"].as_array().unwrap().clone();
        items.iter().map(|trial| trial["name"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(front("twice"), [best["name"].clone()]);
    let all = front("-twice");
    assert_eq!((all.len() as u64, &all[0]), (8 - failed["total"].as_u64().unwrap(), &best["name"]));
    let unknown = cairn.run(["trials", "knob", "--front", "twice,thrice"]);
    assert_eq!(unknown.code, Some(2), "{unknown}");
    assert!(unknown.stderr.contains("`thrice` is no field of these trials"), "{unknown}");
    let yaml = cairn.run(["best", "knob", "-o", "yaml"]).ok().stdout;
    assert!(yaml.contains(best["name"].as_str().unwrap()), "{yaml}");
    // Sobol search has no model: nothing is believed, only seen.
    assert_eq!(best.get("predictedBest"), None);
    let shown = cairn.run(["best", "knob"]).ok().stdout;
    assert!(shown.contains("value") && !shown.contains("predicted"), "{shown}");
    let why = cairn.run(["explain", "knob", best["name"].as_str().unwrap()]).ok().stdout;
    assert!(why.contains("proposed by: sobol") && !why.contains("predicted"), "{why}");
    let other = sorted["items"][1]["name"].as_str().unwrap();
    let compared = cairn.run(["compare", "knob", best["name"].as_str().unwrap(), other]).ok().stdout;
    assert!(compared.lines().any(|line| line.starts_with('*') && line.contains("lr")), "{compared}");
    let csv = cairn.run(["export", "knob"]).ok().stdout;
    assert_eq!(csv.lines().count(), 9);
    assert!(csv.starts_with("idx,name,state,") && csv.contains("\"with, comma\""), "{csv}");
    let json = cairn.run(["export", "knob", "-o", "json", "--observations"]).ok().json();
    let succeeded = 8 - failed["total"].as_u64().unwrap();
    assert_eq!(json["observations"].as_array().unwrap().len() as u64, 2 * succeeded);
    assert_eq!(cairn.run(["export", "knob", "-o", "yaml"]).code, Some(2));
    let unknown = cairn.run(["trials", "knob", "--where", "nothing = 1"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("`nothing` is no field"), "{unknown}");
}

#[test]
fn failures_are_grouped_by_cause() {
    let cairn = ran();
    let output = cairn.run(["run", "experiment.yaml"]).ok();
    assert!(output.stderr.contains("failed alike") && output.stderr.contains("lr is too large"), "{output}");
    let failed = cairn.run(["trials", "knob", "--where", "state = Failed", "-o", "json"]).ok().json();
    let name = failed["items"][0]["name"].as_str().unwrap();
    let explained = cairn.run(["explain", "knob", name]).ok().stdout;
    assert!(explained.contains("exit code 1") && explained.contains("lr is too large"), "{explained}");
}

#[test]
fn a_completed_search_goes_on_with_points_of_a_person() {
    let cairn = ran();
    let over = cairn.run(["trial", "enqueue", "knob", "lr=0.001", "kind=plain"]);
    assert!(over.code == Some(2) && over.stderr.contains("cairn edit knob --max-trial-count"), "{over}");
    cairn.run(["edit", "knob", "--max-trial-count", "11", "--max-duration", "1h"]).ok();
    cairn.run(["trial", "enqueue", "knob", "lr=0.001", "kind=plain"]).ok();
    cairn.run(["trial", "retry", "knob", "0"]).ok();
    let before = cairn.run(["best", "knob", "-o", "json"]).ok().json();
    cairn.run(["trial", "enqueue", "knob", "lr=0.25"]).ok();
    cairn.run(["resume", "knob"]).ok();
    let shown = cairn.run(["get", "knob"]).ok().stdout;
    assert!(shown.contains("maxDuration 1h"), "{shown}");
    let trials = cairn.trials("knob");
    assert_eq!(trials.len(), 11);
    assert_eq!(trials[8]["parameters"]["lr"], "0.001");
    assert_eq!(trials[10]["parameters"]["lr"], "0.25");
    assert_eq!(
        trials[10]["parameters"]["kind"], before["parameters"]["kind"],
        "the rest as in the best so far"
    );
    assert_eq!(trials[9]["parameters"], trials[0]["parameters"]);
    let best = cairn.run(["best", "knob", "-o", "json"]).ok().json();
    assert_eq!(best["name"], trials[8]["name"]);
    let outside = cairn.run(["trial", "enqueue", "knob", "lr=7", "kind=plain"]);
    assert!(outside.code == Some(2) && outside.stderr.contains("lr"), "{outside}");
    let replayed = cairn.run(["replay", "knob"]).ok();
    assert!(
        replayed.stdout.contains("suggestions are the same") || replayed.stderr.contains("are the same"),
        "{replayed}"
    );
}

#[test]
fn a_space_is_edited_and_what_was_found_stays() {
    let cairn = ran();
    let other = EXPERIMENT
        .replace("max: \"1\"", "max: \"0.5\"")
        .replace("[plain,", "[plain, new,")
        .replace("maxTrialCount: 8", "maxTrialCount: 14")
        .replace(
            "  parallelTrialCount",
            "    - {name: depth, parameterType: int, feasibleSpace: {min: \"1\", max: \"3\"}}\n  parallelTrialCount",
        )
        .replace("{name: kind, reference: kind}]", "{name: kind, reference: kind}, {name: depth, reference: depth}]")
        .replace("echo \"kind:", "echo \"depth: ${trialParameters.depth}\"; echo \"kind:");
    cairn.write("experiment.yaml", &other);
    let edit = ["edit", "knob", "--space", "experiment.yaml", "--max-trial-count", "14"];
    let refused = cairn.run(edit);
    assert!(
        refused.code == Some(2) && refused.stderr.contains("`depth` is new and has no default"),
        "{refused}"
    );
    cairn.write("experiment.yaml", other.replace("max: \"3\"}}", "max: \"3\"}, default: \"2\"}"));
    let refused = cairn.run(["run", "experiment.yaml"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("cairn edit knob --space"), "{refused}");
    cairn.run(edit).ok();
    cairn.run(["resume", "knob"]).ok();
    let trials = cairn.trials("knob");
    let number =
        |trial: &serde_json::Value| trial["parameters"]["lr"].as_str().unwrap().parse::<f64>().unwrap();
    assert_eq!(trials.iter().filter(|trial| trial["parameters"].get("depth").is_some()).count(), 6);
    assert!(trials[8..].iter().all(|trial| number(trial) <= 0.5), "{trials:?}");
    assert!(trials[..8].iter().any(|trial| number(trial) > 0.5), "{trials:?}");
    let explained = cairn.run(["watch", "knob", "--after", "0"]).ok().stdout;
    assert!(explained.contains("`lr` was changed; `kind` was changed; `depth` was added"), "{explained}");
    // The file is what the experiment is now.
    cairn.run(["run", "experiment.yaml"]).ok();
    let replayed = cairn.run(["replay", "knob"]).ok();
    assert!(replayed.stdout.contains("14 of 14 suggestions are the same"), "{replayed}");
}

#[test]
fn what_is_deleted_is_gone_and_its_name_is_free() {
    let cairn = ran();
    cairn.run(["clone", "knob", "twin"]).ok();
    assert_eq!(cairn.run(["list", "-o", "json"]).ok().json()["items"].as_array().map(Vec::len), Some(2));
    cairn.run(["delete", "twin"]).ok();
    cairn.run(["delete", "knob"]).ok();
    assert_eq!(cairn.run(["get", "knob"]).code, Some(2));
    let collected = cairn.run(["gc", "-o", "json"]).ok().json();
    assert_eq!(collected["experiments"], 2, "{collected}");
    assert_eq!(std::fs::read_dir(cairn.at(".cairn/trials")).unwrap().count(), 0);
    cairn.run(["run", "experiment.yaml"]).ok();
    assert_eq!(cairn.trials("knob").len(), 8);
}

#[test]
fn what_is_purged_leaves_no_record_and_no_folder_and_nothing_else_is_touched() {
    let cairn = ran();
    let living = cairn.run(["purge", "knob"]);
    assert_eq!(living.code, Some(2), "{living}");
    assert!(living.stderr.contains("lives") && living.stderr.contains("`cairn delete knob`"), "{living}");
    cairn.run(["clone", "knob", "twin"]).ok();
    cairn.run(["delete", "twin"]).ok();
    cairn.run(["delete", "knob"]).ok();
    cairn.run(["run", "experiment.yaml"]).ok();
    let purged = cairn.run(["purge", "knob", "-o", "json"]).ok();
    assert!(purged.stderr.contains("left: the living experiment `knob`"), "{purged}");
    let purged = purged.json();
    assert_eq!(
        (&purged["experiments"], &purged["trials"], &purged["folders"]),
        (&1.into(), &8.into(), &8.into())
    );
    assert_eq!(cairn.trials("knob").len(), 8, "the living one stays");
    let best = cairn.run(["best", "knob", "-o", "json"]).ok().json();
    assert!(std::path::Path::new(best["place"].as_str().unwrap()).exists());
    let collected = cairn.run(["gc", "-o", "json"]).ok().json();
    assert_eq!((&collected["experiments"], &collected["foreign"]), (&1.into(), &0.into()), "{collected}");
    let again = cairn.run(["purge", "twin"]);
    assert_eq!(again.code, Some(2), "{again}");
    assert!(
        again.stderr.contains("no deleted experiment `twin` of namespace `default` is on record"),
        "{again}"
    );
}

#[test]
fn folders_of_another_store_are_left_alone() {
    let cairn = ran();
    let output = cairn.run(["gc", "--store", "other.db", "-o", "json"]).ok();
    assert_eq!((&output.json()["folders"], &output.json()["foreign"]), (&0.into(), &8.into()), "{output}");
    let best = cairn.run(["best", "knob", "-o", "json"]).ok().json();
    assert!(std::path::Path::new(best["place"].as_str().unwrap()).exists());
}

#[test]
fn a_held_search_begins_no_trials() {
    let cairn = Cairn::new();
    cairn.write("experiment.yaml", EXPERIMENT);
    cairn.run(["submit", "experiment.yaml"]).ok();
    let explained = cairn.run(["explain", "knob"]).ok().stdout;
    assert!(explained.contains("driven by nobody"), "{explained}");
    cairn.run(["stop", "knob"]).ok();
    let held = cairn.get("knob");
    assert_eq!(held["cairn"]["state"], "Stopped");
    assert_eq!(held["cairn"]["message"], "Experiment is stopped", "nothing runs that would finish");
    cairn.run(["resume", "knob"]).ok();
    assert_eq!(cairn.get("knob")["cairn"]["state"], "Succeeded");
}

#[test]
fn every_command_teaches_with_an_example() {
    let cairn = Cairn::new();
    let help = cairn.run(["--help"]).ok().stdout;
    let commands =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names: Vec<&str> = commands
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()))
        .collect();
    assert!(names.len() > 25, "{names:?}");
    for name in names.iter().filter(|name| !["help", "trial"].contains(name)) {
        let text = cairn.run([name, "--help"]).ok().stdout;
        assert!(text.contains(&format!(": cairn {name}")), "{name}: {text}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(cairn.run(["completions", shell]).ok().stdout.contains("cairn"));
    }
    let version = cairn.run(["version"]).ok().stdout;
    assert!(version.contains("built in      sqlite, postgres, kubernetes"), "{version}");
}

#[test]
fn the_namespace_that_a_file_names_is_where_its_experiment_lives() {
    let cairn = Cairn::new();
    let text = EXPERIMENT.replace("{name: knob}", "{name: knob, namespace: team}");
    cairn.write("experiment.yaml", &text);
    let ran = cairn.run(["run", "experiment.yaml"]).ok();
    assert!(ran.stderr.contains("cairn explain knob -n team"), "{ran}");
    let lost = cairn.run(["best", "knob"]);
    assert_eq!(lost.code, Some(2), "{lost}");
    assert!(lost.stderr.contains("there is `knob -n team`"), "{lost}");
    cairn.run(["best", "knob", "-n", "team"]).ok();
    let none = cairn.run(["list"]).ok();
    assert!(none.stderr.contains("no experiments in namespace `default`"), "{none}");
    let all = cairn.run(["list", "-A"]).ok();
    assert!(all.stdout.starts_with("NAMESPACE") && all.stdout.contains("\nteam "), "{all}");
}

#[test]
fn fields_are_explained_alike_with_and_without_an_experiment() {
    let cairn = Cairn::new();
    cairn.write("experiment.yaml", EXPERIMENT);
    cairn.run(["submit", "experiment.yaml"]).ok();
    let alone = cairn.run(["explain", "spec.seed"]).ok().stdout;
    let here = cairn.run(["explain", "knob", "spec.seed"]).ok().stdout;
    let meaning = alone.lines().last().unwrap();
    assert!(here.contains(meaning) && here.contains("here: 5"), "{alone}{here}");
    let unknown = cairn.run(["explain", "spec.sed"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("did you mean `spec.seed`"), "{unknown}");
}

#[test]
fn a_server_is_not_said_to_be_missing() {
    let cairn = Cairn::new();
    let (_server, url) = cairn.serve(&[]);
    cairn.write("experiment.yaml", EXPERIMENT);
    let at = |args: &[&str]| cairn.run(args.iter().copied().chain(["--server", &*url])).ok().stderr;
    let run = at(&["run", "experiment.yaml"]);
    let edited = at(&["edit", "knob", "--max-trial-count", "9"]);
    let cloned = at(&["clone", "knob", "twin"]);
    for said in [run, edited, cloned] {
        assert!(!said.contains("cairn serve"), "{said}");
    }
}
