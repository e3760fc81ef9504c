//! From the best trial to the champion of a model, and back.

use e2e::{Cairn, until};
use serde_json::Value;

/// A search whose trials leave a model that is right on the examples up to its skill, and how its winner is promoted.
fn experiment(name: &str, skill: f64, promotion: &str) -> String {
    format!(
        r#"
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {{name: {name}}}
spec:
  objective: {{type: maximize, objectiveMetricName: accuracy}}
  algorithm: {{algorithmName: grid}}
  parameters:
    - {{name: skill, parameterType: discrete, feasibleSpace: {{list: ["0.3", "{skill}"]}}}}
  parallelTrialCount: 2
  maxTrialCount: 2
  trialTemplate:
    trialParameters: [{{name: skill, reference: skill}}]
    trialSpec:
      apiVersion: cairn.dev/v1
      kind: Process
      command: [sh, -c]
      args: ['echo ${{trialParameters.skill}} > $CAIRN_MODEL_DIR/skill && echo accuracy=${{trialParameters.skill}}']
  promotion:
    model: digits
    gate: {{metric: accuracy, minimum: 0.9, improvesOn: champion, confidence: 0.95}}
    pipeline:
      steps:
        - name: evaluate
          data: holdout.txt
          process: {{command: [sh, evaluate.sh, "${{model.path}}", "${{data}}"]}}
    {promotion}
"#
    )
}

/// Prints whether the model is right on each example, and how often in all.
const EVALUATE: &str = r#"
echo $1 >> measured
test -e hold && while test -e hold; do sleep 0.02; done
awk -v skill="$(cat $1/skill)" \
  '{ right = $1 <= skill + 1e-9; sum += right; printf "step=%d score=%d\n", NR, right } END { printf "accuracy=%.4f\n", sum / NR }' $2
"#;

/// A folder with the step and its data.
fn prepared() -> Cairn {
    let cairn = Cairn::new().with("USER", "ada");
    let holdout: String = (1..=100).map(|i| format!("{:.2}\n", f64::from(i) / 100.0)).collect();
    cairn.write("holdout.txt", holdout);
    cairn.write("evaluate.sh", EVALUATE);
    cairn
}

/// Searches, and promotes what was found.
fn run(cairn: &Cairn, name: &str, skill: f64, promotion: &str) -> e2e::Output {
    let file = format!("{name}.yaml");
    cairn.write(&file, experiment(name, skill, promotion));
    cairn.run(["run", &file])
}

fn newest(cairn: &Cairn) -> Value {
    cairn.run(["promotion", "get", "digits", "-o", "json"]).ok().json()
}

fn model(cairn: &Cairn) -> Value {
    cairn.run(["models", "get", "digits", "-o", "json"]).ok().json()
}

fn measured(cairn: &Cairn) -> usize {
    cairn.read("measured").unwrap_or_default().lines().count()
}

#[test]
fn winners_become_champions_only_if_they_are_better_and_a_rollback_goes_back() {
    let cairn = prepared();
    let first = run(&cairn, "first", 0.93, "").ok();
    assert!(first.stdout.contains("version 1 is the champion"), "{first}");
    // A second one, sure to be better on the same examples; the champion is not measured again.
    let second = run(&cairn, "second", 0.98, "").ok();
    assert!(second.stdout.contains("version 2 is the champion in place of version 1"), "{second}");
    assert_eq!(measured(&cairn), 2);
    let evidence = &newest(&cairn)["evidence"];
    assert_eq!(evidence["comparison"]["test"], "mcnemar", "{evidence}");
    assert_eq!(evidence["comparison"]["examples"], 100, "{evidence}");
    assert_eq!(evidence["data"].as_str().unwrap().len(), 64, "{evidence}");
    // One that is good and no better is passed over; one that is bad fails, and so does the command.
    let third = run(&cairn, "third", 0.97, "").ok();
    assert!(third.stdout.contains("skipped") && third.stdout.contains("not to 0.95"), "{third}");
    let bad = run(&cairn, "bad", 0.5, "");
    assert_eq!(bad.code, Some(3), "{bad}");
    assert!(bad.stdout.contains("`accuracy` is 0.5, below the minimum 0.9"), "{bad}");
    assert_eq!(model(&cairn)["champion"], 2);
    // The same command again promotes nothing twice.
    let again = cairn.run(["run", "second.yaml"]).ok();
    assert!(again.stdout.contains("version 2 is the champion"), "{again}");
    assert_eq!(model(&cairn)["versions"].as_array().unwrap().len(), 2);
    // Back to the first, and no further.
    let back = cairn.run(["promotion", "rollback", "digits"]).ok();
    assert!(back.stdout.contains("version 1 is the champion in place of version 2"), "{back}");
    let further = cairn.run(["promotion", "rollback", "digits", "--to", "1"]);
    assert!(further.stderr.contains("version 1 is the champion of `digits` already"), "{further}");
    let unknown = cairn.run(["promotion", "rollback", "digits", "--to", "7"]);
    assert!(unknown.stderr.contains("no version 7; it has 2, 1"), "{unknown}");
    // By hand, of any trial; where it is the champion there is nothing to do.
    let by_hand = cairn.run(["promote", "first", "--trial", "1"]).ok();
    assert!(by_hand.stdout.contains("the candidate is the champion already, as version 1"), "{by_hand}");
    // All of it is told, and nobody has changed the log.
    let lineage = cairn.run(["lineage", "digits"]).ok();
    for word in
        ["version 2", "of experiment second", "skill=0.98", "accuracy 0.98", "compared with: version 1"]
    {
        assert!(lineage.stdout.contains(word), "{word}: {lineage}");
    }
    lineage_is_exported(&cairn);
    let history = cairn.run(["promotion", "history", "digits"]).ok();
    assert_eq!(history.stdout.lines().count(), 1 + 6, "{history}");
    let audit = cairn.run(["audit", "verify"]).ok();
    assert!(audit.stdout.contains("every one as it was written"), "{audit}");
    // Tidying leaves what versions are made of, also once their experiments are gone.
    cairn.run(["delete", "first"]).ok();
    let purged = cairn.run(["purge", "first"]).ok();
    assert!(purged.stderr.contains("models that are versions, with their lineage: 1"), "{purged}");
    cairn.run(["delete", "second"]).ok();
    cairn.run(["gc"]).ok();
    cairn.run(["promotion", "rollback", "digits", "--to", "2"]).ok();
    let back = cairn.run(["promotion", "rollback", "digits", "--to", "1"]).ok();
    assert!(back.stdout.contains("version 1 is the champion"), "{back}");
}

/// As run events: a trial and a promotion a version, the same when it is exported again.
fn lineage_is_exported(cairn: &Cairn) {
    let all = cairn.run(["lineage", "export", "digits"]).ok();
    assert_eq!(all.stdout.lines().count(), 8, "{all}");
    assert_eq!(cairn.run(["lineage", "export", "digits"]).ok().stdout, all.stdout);
    cairn.run(["lineage", "export", "digits", "--version", "2", "-f", "lineage.jsonl"]).ok();
    let second = cairn.read("lineage.jsonl").unwrap();
    assert!(all.stdout.ends_with(&second) && second.lines().count() == 4, "{second}");
    let events: Vec<Value> = second.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(events[1]["job"]["name"], "second");
    assert_eq!(events[1]["run"]["facets"]["cairn_trial"]["parameters"]["skill"], "0.98");
    assert_eq!(events[1]["outputs"][0], events[3]["inputs"][0]);
    assert_eq!(events[3]["outputs"][0]["name"], "models/digits");
    let unknown = cairn.run(["lineage", "export", "digits", "--version", "7"]);
    assert_eq!(unknown.code, Some(2), "{unknown}");
    assert!(unknown.stderr.contains("no version 7; it has 2, 1"), "{unknown}");
}

#[test]
fn an_approval_is_for_what_was_shown() {
    let cairn = prepared();
    let waiting = run(&cairn, "first", 0.93, "approval: {expires: 1d}").ok();
    assert!(waiting.stdout.contains("waits for the approval of anyone but"), "{waiting}");
    assert!(waiting.stderr.contains("cairn promotion approve digits/1"), "{waiting}");
    let wrong = cairn.run(["promotion", "approve", "digits/1", "--digest", "abc"]);
    assert!(wrong.stderr.contains("look at the evidence again"), "{wrong}");
    // Whoever wanted it by hand cannot approve it.
    let mine = cairn.run(["promote", "first"]).ok();
    assert!(mine.stdout.contains("waiting"), "{mine}");
    let own = cairn.run(["promotion", "approve", "digits"]);
    assert!(own.stderr.contains("ada wanted promotion digits/2 and cannot approve it"), "{own}");
    let superseded = cairn.run(["promotion", "get", "digits/1", "-o", "json"]).ok().json();
    assert_eq!(superseded["state"], "superseded", "{superseded}");
    let given = cairn.run(["promotion", "approve", "digits", "--by", "bob", "--reason", "seen"]).ok();
    assert!(given.stdout.contains("version 1 is the champion"), "{given}");
    assert!(cairn.run(["lineage", "digits"]).ok().stdout.contains("approved by: bob (seen)"));
    // A model that was changed after it was shown does not become champion.
    let waiting = run(&cairn, "second", 0.99, "approval: {by: [bob, eve]}").ok();
    assert!(waiting.stdout.contains("waits for the approval of bob or eve"), "{waiting}");
    let stranger = cairn.run(["promotion", "approve", "digits"]);
    assert!(stranger.stderr.contains("ada may not approve"), "{stranger}");
    let uri = newest(&cairn)["uri"].as_str().unwrap().strip_prefix("file://").unwrap().to_owned();
    std::fs::write(format!("{uri}/skill"), "0.1").unwrap();
    let void = cairn.run(["promotion", "approve", "digits", "--by", "eve"]);
    assert_eq!(void.code, Some(3), "{void}");
    assert!(void.stdout.contains("skill has changed"), "{void}");
    assert_eq!(model(&cairn)["champion"], 1);
}

#[test]
fn a_promotion_goes_on_after_a_kill_and_does_nothing_twice() {
    let cairn = prepared();
    cairn.write("hold", "");
    cairn.write("first.yaml", experiment("first", 0.93, ""));
    let mut controller = cairn.start(["run", "first.yaml"]);
    until("it is measured", || (measured(&cairn) == 1).then_some(()));
    controller.kill();
    assert_eq!(newest(&cairn)["state"], "running");
    std::fs::remove_file(cairn.at("hold")).unwrap();
    let output = cairn.run(["run", "first.yaml"]).ok();
    assert!(output.stdout.contains("version 1 is the champion"), "{output}");
    assert_eq!(measured(&cairn), 1, "the step went on without its controller");
    assert_eq!(model(&cairn)["versions"].as_array().unwrap().len(), 1);
}

#[test]
fn a_server_promotes_by_itself_and_the_other_way_round_says_what_is_missing() {
    let cairn = prepared();
    let (_server, url) = cairn.serve(&[]);
    cairn.write("first.yaml", experiment("first", 0.93, ""));
    cairn.run(["submit", "first.yaml", "--server", &url]).ok();
    let promoted = until("it is promoted", || {
        let got = cairn.run(["models", "get", "digits", "--server", &url, "-o", "json"]);
        (got.code == Some(0)).then(|| got.json())
    });
    assert_eq!(promoted["champion"], 1);
    // A winner without a model, and a step that cannot be run.
    let bare = experiment("bare", 0.99, "")
        .replace("echo ${trialParameters.skill} > $CAIRN_MODEL_DIR/skill && ", "");
    cairn.write("bare.yaml", bare);
    cairn.run(["submit", "bare.yaml", "--server", &url]).ok();
    let broken = experiment("broken", 0.99, "").replace("[sh, evaluate.sh,", "[./no-such-program,");
    let failed = |name: &str| {
        until("it has failed", || {
            let history = cairn.run(["promotion", "history", "--server", &url, "-o", "json"]).ok().json();
            let items = history["items"].as_array().unwrap().clone();
            items.into_iter().find(|item| item["experiment"] == name && item["ended"] == true)
        })
    };
    let message = failed("bare")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("left nothing in CAIRN_MODEL_DIR; save the model there"), "{message}");
    cairn.write("broken.yaml", broken);
    cairn.run(["submit", "broken.yaml", "--server", &url]).ok();
    let message = failed("broken")["message"].as_str().unwrap().to_owned();
    assert!(message.contains("no-such-program"), "{message}");
}

#[test]
fn what_is_wrong_with_a_promotion_is_said_at_once() {
    let cairn = prepared();
    let text = experiment("first", 0.93, "approval: {expires: soon}")
        .replace("model: digits", "model: Digits_1")
        .replace("minimum: 0.9, ", "")
        .replace("\"${model.path}\", ", "")
        .replace("confidence: 0.95", "confidence: 95");
    cairn.write("wrong.yaml", text);
    let output = cairn.run(["validate", "wrong.yaml"]);
    for word in [
        "`Digits_1` is no name of a model",
        "neither `minimum` nor `maximum`",
        "95 is not between 0.5 and 1",
        "`soon` is no duration",
        "nothing tells the program which model to measure",
    ] {
        assert!(output.stderr.contains(word), "{word}: {output}");
    }
    assert_eq!(output.code, Some(2), "{output}");
    let none = cairn.run(["promotion", "get", "nothing"]);
    assert!(none.stderr.contains("has no promotion"), "{none}");
}
