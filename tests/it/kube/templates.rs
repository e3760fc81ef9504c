//! Templates of trials that are kept in config maps.

use serde_json::json;

use super::experiments::{Story, experiment};

/// An experiment whose template is in a config map of this namespace, and that template.
fn kept(name: &str, namespace: &str, key: &str) -> (String, String) {
    let whole = experiment(name, 2, 1, "echo loss=$X");
    let (head, template) = whole.split_once("    trialSpec:\n").unwrap();
    let source = format!(
        "    configMap: {{configMapName: templates, configMapNamespace: {namespace}, templatePath: {key}}}\n"
    );
    let head = head.replace("  seed: 7\n", "  seed: 7\n  resumePolicy: LongRunning\n");
    let template: String =
        template.lines().map(|line| format!("{}\n", line.strip_prefix("      ").unwrap_or(line))).collect();
    (format!("{head}{source}"), template)
}

#[test]
fn a_template_in_a_config_map_stays_what_it_was_for_those_who_were_taken_in_with_it() {
    let Some(story) = Story::begin("templates") else { return };
    let _server = story.serve();
    let (manifest, template) = kept("story", story.namespace, "job.yaml");
    let map = |template: &str| {
        let map = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "templates"},
            "data": {"job.yaml": template},
        });
        story.apply(&map.to_string());
    };
    map(&template);
    story.apply(&manifest);
    assert_eq!(story.until_is("story", "Succeeded")["status"]["trialsSucceeded"], 2);
    let runs = &story.items("trials")[0]["spec"]["runSpec"];
    assert_eq!(runs["metadata"]["annotations"]["cairn.dev/template"], "templates/templates/job.yaml");

    map("kind: Nonsense");
    story.apply(&manifest.replace("maxTrialCount: 2", "maxTrialCount: 3"));
    let more = |experiment: serde_json::Value| (experiment["status"]["trialsSucceeded"] == 3).then_some(());
    e2e::until("one more by the same template", || more(story.get("experiment/story")));

    for (name, namespace, key, why) in [
        (
            "absent",
            story.namespace,
            "other.yaml",
            "ConfigMap `templates` has no `other.yaml`; there is job.yaml",
        ),
        (
            "nowhere",
            "kube-public",
            "job.yaml",
            "there is no ConfigMap `templates` in namespace `kube-public`",
        ),
    ] {
        story.apply(&kept(name, namespace, key).0);
        let failed = story.until_is(name, "Failed");
        let message = failed["status"]["conditions"][1]["message"].as_str().unwrap();
        assert!(message.contains(why), "{message}");
    }
    let theirs = kept("theirs", "kube-system", "job.yaml").0;
    story.apply(&theirs.replace("configMapName: templates", "configMapName: kube-root-ca.crt"));
    let failed = story.until_is("theirs", "Failed");
    let message = failed["status"]["conditions"][1]["message"].as_str().unwrap();
    assert!(message.contains("is not shared with others; give it the label"), "{message}");
}
