//! What becomes of a model, told to a real MLflow: also when that was away, and once however often Cairn dies.

use e2e::{Cairn, Door, Mlflow, Mode, until};
use serde_json::{Value, json};

/// A search whose winner leaves a model of this skill, and is recorded at this address.
fn experiment(name: &str, skill: f64, uri: &str) -> String {
    format!(
        r#"
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {{name: {name}}}
spec:
  objective: {{type: maximize, objectiveMetricName: accuracy, additionalMetricNames: [loss]}}
  algorithm: {{algorithmName: grid}}
  parameters:
    - {{name: "skill*", parameterType: discrete, feasibleSpace: {{list: ["{skill}"]}}}}
  parallelTrialCount: 1
  maxTrialCount: 1
  trialTemplate:
    trialParameters: [{{name: skill, reference: "skill*"}}]
    trialSpec:
      apiVersion: cairn.dev/v1
      kind: Process
      command: [sh, -ec]
      args:
        - |
          echo ${{trialParameters.skill}} > $CAIRN_MODEL_DIR/skill
          for step in 1 2 3; do echo step=$step loss=0.$step; done
          echo step=4 loss=nan
          echo accuracy=${{trialParameters.skill}}
  promotion:
    model: digits
    gate: {{metric: accuracy, minimum: 0.5}}
    pipeline:
      steps:
        - name: evaluate
          data: holdout.txt
          process: {{command: [sh, -c, 'cat $0/skill > /dev/null && echo accuracy=$(cat $0/skill)', "${{model.path}}"]}}
    metadata: {{mlflow: {{uri: "{uri}"}}}}
"#
    )
}

/// A user with an MLflow behind a door.
struct Story {
    cairn: Cairn,
    mlflow: Mlflow,
    door: Door,
}

impl Story {
    fn begin() -> Self {
        let mlflow = Mlflow::start();
        let door = Door::before(&mlflow.url);
        let cairn = Cairn::new().with("USER", "ada");
        cairn.write("holdout.txt", "1\n");
        Self { cairn, mlflow, door }
    }

    fn write(&self, name: &str, skill: f64, uri: &str) -> String {
        let file = format!("{name}.yaml");
        self.cairn.write(&file, experiment(name, skill, uri));
        file
    }

    fn promotion(&self, number: u64) -> Value {
        self.cairn.run(["promotion", "get", &format!("digits/{number}"), "-o", "json"]).ok().json()
    }

    /// A promotion, once its record is queued.
    fn recorded_if(&self, number: u64) -> Option<Value> {
        let got = self.cairn.run(["promotion", "get", &format!("digits/{number}"), "-o", "json"]);
        let got = (got.code == Some(0)).then(|| got.json())?;
        got["records"].is_array().then_some(got)
    }

    /// Waits until the record of a promotion stands so.
    fn recorded(&self, number: u64, state: &str) -> Value {
        until("it is recorded so", || {
            self.recorded_if(number).filter(|got| got["records"][0]["state"] == state)
        })
    }

    /// What MLflow keeps of the runs of an experiment.
    fn runs(&self, experiment: &str) -> Vec<Value> {
        let found =
            self.mlflow.get(&format!("experiments/get-by-name?experiment_name=default%2F{experiment}"));
        let search = json!({"experiment_ids": [found["experiment"]["experiment_id"]]});
        self.mlflow.post("runs/search", &search)["runs"].as_array().cloned().unwrap_or_default()
    }

    /// Versions in the registry as number, number in Cairn and digest, oldest first.
    fn versions(&self) -> Vec<(String, String, String)> {
        let found = self.mlflow.get("model-versions/search?filter=name%3D%27digits%27");
        let mut versions: Vec<_> = found["model_versions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|version| {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                (text(&version["version"]), tag(version, "cairn.version"), tag(version, "cairn.digest"))
            })
            .collect();
        versions.sort();
        versions
    }

    /// The version in Cairn that MLflow's alias `champion` is on.
    fn champion(&self) -> String {
        let found = self.mlflow.get("registered-models/alias?name=digits&alias=champion");
        tag(&found["model_version"], "cairn.version")
    }
}

/// A tag, a parameter or a metric by its name.
fn of(list: &Value, name: &str) -> Value {
    let items = list.as_array().cloned().unwrap_or_default();
    items.into_iter().find(|item| item["key"] == name).unwrap_or_else(|| panic!("no {name} in {list}"))["value"]
        .clone()
}

fn tag(of_what: &Value, name: &str) -> String {
    of(&of_what["tags"], name).as_str().unwrap_or_default().to_owned()
}

#[test]
fn what_becomes_of_a_model_is_in_mlflow_however_often_either_is_away() {
    let story = Story::begin();
    let (cairn, mlflow, uri) = (&story.cairn, &story.mlflow, story.door.url.clone());
    // One command, and everything is there.
    let run = cairn.run(["run", &story.write("first", 0.93, &uri)]).ok();
    assert!(run.stdout.contains(&format!("recorded at       mlflow {uri}\n")), "{run}");
    let digest = story.promotion(1)["digest"].as_str().unwrap().to_owned();
    let runs = story.runs("first");
    assert_eq!(runs.len(), 1, "{runs:?}");
    let (info, data) = (&runs[0]["info"], &runs[0]["data"]);
    assert_eq!((&info["status"], &info["lifecycle_stage"]), (&json!("FINISHED"), &json!("active")));
    assert!(info["start_time"].as_i64().unwrap() <= info["end_time"].as_i64().unwrap(), "{info}");
    // A name that MLflow does not take is told apart from others by its end.
    let params = data["params"].as_array().unwrap();
    assert!(params.len() == 1 && params[0]["value"] == "0.93", "{params:?}");
    assert!(params[0]["key"].as_str().unwrap().starts_with("skill_-"), "{params:?}");
    assert_eq!(of(&data["metrics"], "accuracy"), 0.93);
    assert_eq!(of(&data["metrics"], "evaluate/accuracy"), 0.93);
    assert_eq!(tag(data, "mlflow.user"), "experiment first");
    assert_eq!(tag(data, "cairn.digest"), digest);
    let run_id = info["run_id"].as_str().unwrap();
    let losses = mlflow.get(&format!("metrics/get-history?run_id={run_id}&metric_key=loss"));
    let losses: Vec<_> = losses["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| (m["step"].clone(), m["value"].clone()))
        .collect();
    let wanted = [(1, json!(0.1)), (2, json!(0.2)), (3, json!(0.3)), (4, json!("NaN"))];
    assert_eq!(losses, wanted.map(|(step, value)| (json!(step), value)));
    let dataset = &runs[0]["inputs"]["dataset_inputs"][0]["dataset"];
    let data = story.promotion(1)["evidence"]["data"].as_str().unwrap().to_owned();
    assert_eq!((&dataset["name"], &dataset["digest"]), (&json!("holdout.txt"), &json!(data[..36])));
    assert_eq!(story.versions(), [("1".into(), "1".into(), digest.clone())]);
    assert_eq!(story.champion(), "1");

    // MLflow is away: promotions go on, and what is to be told waits in order.
    story.door.set(Mode::Shut);
    let (mut server, url) = cairn.serve(&[]);
    cairn.run(["submit", &story.write("second", 0.98, &uri), "--server", &url]).ok();
    let second = until("it is promoted without MLflow", || {
        let got = story.recorded_if(2)?;
        (got["state"] == "succeeded" && got["records"][0]["tries"].as_u64() > Some(0)).then_some(got)
    });
    let record = &second["records"][0];
    assert!(record["state"] == "queued" && record["queued"] == 1, "{record}");
    assert!(record["error"].as_str().unwrap().contains("cannot be reached"), "{record}");
    let shown = cairn.run(["promotion", "get", "digits", "--server", &url]).ok();
    assert!(shown.stdout.contains("(queued, 1 in all, tried "), "{shown}");
    cairn.run(["promotion", "rollback", "digits", "--server", &url]).ok();
    assert_eq!(story.recorded(3, "queued")["records"][0]["queued"], 2);

    // It comes back, and Cairn dies after a version was made and before it has heard so.
    story.door.set(Mode::Lose("model-versions/create"));
    until("the answer is lost", || (story.door.lost() > 0).then_some(()));
    server.kill();
    story.door.set(Mode::Open);
    let (mut server, url) = cairn.serve(&[]);
    story.recorded(3, "delivered");
    assert_eq!(story.recorded(2, "delivered")["records"][0]["queued"], 0);
    let versions = story.versions();
    assert_eq!(versions.iter().map(|(_, ours, _)| ours.as_str()).collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!(story.runs("second").len(), 1);
    // The last that was told is the rollback.
    assert_eq!(story.champion(), "1");
    cairn.run(["promotion", "rollback", "digits", "--to", "2", "--server", &url]).ok();
    story.recorded(4, "delivered");
    assert_eq!((story.champion().as_str(), story.versions().len()), ("2", 2));
    // The same for a run: no second one after a crash in between.
    story.door.set(Mode::Lose("runs/create"));
    let third = story.write("third", 0.99, &uri);
    cairn.run(["submit", &third, "--server", &url]).ok();
    until("the answer is lost", || (story.door.lost() > 1).then_some(()));
    server.kill();
    story.door.set(Mode::Open);
    let (_server, url) = cairn.serve(&[]);
    story.recorded(5, "delivered");
    assert_eq!((story.runs("third").len(), story.champion().as_str()), (1, "3"));

    // Nothing at this address knows of MLflow: that is named, and the model is served all the same.
    let wrong = format!("{uri}/nowhere");
    cairn.run(["submit", &story.write("fourth", 0.995, &wrong), "--server", &url]).ok();
    let fourth = until("it is promoted, and named", || {
        let got = story.recorded_if(6)?;
        (got["records"][0]["tries"].as_u64() > Some(0)).then_some(got)
    });
    assert_eq!(fourth["state"], "succeeded");
    let record = &fourth["records"][0];
    assert!(
        record["error"].as_str().unwrap().contains("nothing that we know at this address (404"),
        "{record}"
    );
}
