//! The controller is killed at any moment, and nothing is lost, run again or searched otherwise.

use std::collections::BTreeMap;

use e2e::{Cairn, Running, until};
use rustix::process::Signal;
use serde_json::Value;

/// Trials that print, wait until they may end, and end: the test says in which order.
fn experiment(algorithm: &str) -> String {
    format!(
        r#"
apiVersion: kubeflow.org/v1beta1
kind: Experiment
metadata: {{name: story}}
spec:
  seed: 11
  objective: {{type: minimize, objectiveMetricName: loss}}
  algorithm: {{algorithmName: {algorithm}}}
  parameters:
    - {{name: left, parameterType: double, feasibleSpace: {{min: "-1", max: "2"}}}}
    - {{name: right, parameterType: double, feasibleSpace: {{min: "-1", max: "2"}}}}
  parallelTrialCount: 2
  maxTrialCount: 16
  trialTemplate:
    trialParameters: [{{name: left, reference: left}}, {{name: right, reference: right}}]
    trialSpec:
      apiVersion: cairn.dev/v1
      kind: Process
      command: [sh, -c]
      args:
        - |
          echo $CAIRN_TRIAL_NAME >> ran
          for step in 1 2 3 4 5; do
            awk -v x="${{trialParameters.left}}" -v y="${{trialParameters.right}}" -v step=$step \
              'BEGIN {{ printf "step=%d loss=%.17g\n", step, (x - 0.3) ^ 2 + (y + 0.2) ^ 2 + 1 / step }}'
          done
          while ! test -e go/$CAIRN_TRIAL_NAME; do sleep 0.01; done
"#
    )
}

/// The search, and whatever becomes of its controller.
struct Story {
    cairn: Cairn,
    controller: Option<Running>,
}

impl Story {
    fn begin(algorithm: &str) -> Self {
        let cairn = Cairn::new();
        cairn.write("experiment.yaml", experiment(algorithm));
        std::fs::create_dir(cairn.at("go")).unwrap();
        let mut story = Self { cairn, controller: None };
        story.go_on();
        story
    }

    fn go_on(&mut self) {
        self.controller = Some(self.cairn.start(["run", "experiment.yaml"]));
    }

    fn kill(&mut self) {
        self.controller.take().unwrap().kill();
    }

    /// Running trials that may not end yet, by number, once there are as many.
    fn running(&self, n: usize) -> BTreeMap<u64, String> {
        until(&format!("{n} trials run"), || {
            let output = self.cairn.run(["trials", "story", "--where", "state = Running", "-o", "json"]);
            let page = (output.code == Some(0)).then(|| output.json())?;
            let named = |trial: &Value| {
                let name = trial["name"].as_str().unwrap().to_owned();
                (!self.cairn.at(format!("go/{name}")).exists())
                    .then(|| (trial["idx"].as_u64().unwrap(), name))
            };
            let held: BTreeMap<_, _> = page["items"].as_array()?.iter().filter_map(named).collect();
            (held.len() == n).then_some(held)
        })
    }

    /// Lets a trial end, and waits until its supervisor has written that down.
    fn release(&self, name: &str) {
        self.cairn.write(&format!("go/{name}"), "");
        let exit = format!(".cairn/trials/story/{name}/1/exit.json");
        until(&format!("{name} has ended"), || self.cairn.read(&exit));
    }

    /// What was searched, by number; checked to be whole.
    fn assignments(self) -> Vec<(u64, Value)> {
        let output = self.controller.unwrap().end();
        assert_eq!(output.code, Some(0), "{output}");
        let trials = self.cairn.trials("story");
        assert_eq!(trials.len(), 16);
        let mut ran: Vec<String> = self.cairn.read("ran").unwrap().lines().map(str::to_owned).collect();
        ran.sort();
        let mut names: Vec<String> =
            trials.iter().map(|trial| trial["name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        assert_eq!(ran, names, "every trial ran once");
        for trial in &trials {
            assert_eq!(trial["state"], "Succeeded", "{trial}");
            let name = trial["name"].as_str().unwrap();
            let rows = self.cairn.run(["logs", "story", name]).ok().stdout.lines().count();
            assert_eq!(rows, 5);
        }
        let csv = self.cairn.run(["export", "story", "--observations"]).ok().stdout;
        assert_eq!(csv.lines().count(), 1 + 16 * 5, "every value is kept once");
        trials.iter().map(|trial| (trial["idx"].as_u64().unwrap(), trial["parameters"].clone())).collect()
    }
}

/// Of two running trials the younger ends first in every other step, so that ends do not come in the order of starts.
fn next(step: usize, running: &BTreeMap<u64, String>) -> String {
    let name = if step.is_multiple_of(2) { running.last_key_value() } else { running.first_key_value() };
    name.unwrap().1.clone()
}

fn undisturbed(algorithm: &str) -> Vec<(u64, Value)> {
    let story = Story::begin(algorithm);
    for step in 0..16 {
        let running = story.running(2.min(16 - step));
        story.release(&next(step, &running));
    }
    story.assignments()
}

fn killed_again_and_again(algorithm: &str) -> Vec<(u64, Value)> {
    let mut story = Story::begin(algorithm);
    for step in 0..16 {
        let running = story.running(2.min(16 - step));
        match step % 4 {
            // It ends while nobody looks.
            0 => {
                story.kill();
                story.release(&next(step, &running));
                story.go_on();
            }
            // The controller dies at some moment of taking in the end.
            1 => {
                story.release(&next(step, &running));
                std::thread::sleep(std::time::Duration::from_millis(7 * step as u64));
                story.kill();
                story.go_on();
            }
            // It is frozen meanwhile.
            2 => {
                let controller = story.controller.as_ref().unwrap();
                controller.signal(Signal::STOP);
                story.release(&next(step, &running));
                controller.signal(Signal::CONT);
            }
            _ => story.release(&next(step, &running)),
        }
    }
    story.assignments()
}

#[test]
fn a_search_killed_again_and_again_makes_the_same_suggestions() {
    for algorithm in ["tpe", "bayesianoptimization"] {
        assert_eq!(killed_again_and_again(algorithm), undisturbed(algorithm), "{algorithm}");
    }
}
