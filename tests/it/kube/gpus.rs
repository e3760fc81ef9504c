//! Trials that need GPUs of which there are not enough.

use std::collections::BTreeSet;

use e2e::until;

use super::experiments::{Story, experiment};

#[test]
fn trials_wait_for_gpus_and_say_so() {
    let Some(story) = Story::begin("gpus") else { return };
    story.cluster.gpus(4);
    let server = story.serve();
    let whole = experiment("story", 8, 8, "sleep 4; echo loss=$X").replace(
        "              command: [sh, -c]\n",
        "              command: [sh, -c]\n              resources: {limits: {nvidia.com/gpu: 1}}\n",
    );
    story.apply(&whole);
    let names = |what: &str, path: &str| -> BTreeSet<String> {
        let path = format!("jsonpath={{range .items[{path}]}}{{.metadata.name}}{{\"\\n\"}}{{end}}");
        story.kubectl(&["get", what, "-o", &path]).lines().map(str::to_owned).collect()
    };
    until("four run and four wait", || {
        let running = names("pods", r#"?(@.status.phase=="Running")"#).len();
        let why: Vec<String> = story
            .items("trials")
            .iter()
            .filter_map(|trial| {
                let condition = trial["status"]["conditions"].as_array()?.last()?;
                let message = condition["message"].as_str()?.to_owned();
                (condition["reason"] == "TrialWaiting").then_some(message)
            })
            .collect();
        assert!(running <= 4, "{running} run at once");
        let said = why.iter().filter(|message| message.contains("Insufficient nvidia.com/gpu")).count();
        (running == 4 && said == 4).then_some(())
    });
    let mut most = 0;
    let done = until("all have run", || {
        most = most.max(names("pods", r#"?(@.status.phase=="Running")"#).len());
        let experiment = story.get("experiment/story");
        (experiment["status"]["trialsSucceeded"] == 8).then_some(experiment)
    });
    assert_eq!(most, 4, "{}", server.stderr());
    assert_eq!(done["status"]["trials"], 8);
}
