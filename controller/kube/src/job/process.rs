//! A `Process` on a cluster: a Job with one container that starts its command as it is written.

use controller_core::process;
use controller_core::report::Problem;
use controller_core::run::Run;
use serde_json::{Map, Value, json};

/// Name of the container.
pub(crate) const CONTAINER: &str = "main";

/// The Job of a run whose object is a Process.
///
/// # Errors
/// What cannot be honoured, each with its path in the object.
pub(super) fn job(run: &Run, retries: u32) -> Result<Value, Vec<Problem>> {
    let mut manifest = run.manifest.clone();
    // Fields stand under `spec`, or at the top.
    let body = if manifest.get("spec").is_some() { &mut manifest["spec"] } else { &mut manifest };
    // Any device of the cluster may be asked for; one machine knows fewer.
    let resources = body.as_object_mut().and_then(|body| body.shift_remove("resources"));
    let image = body["image"].as_str().unwrap_or_default().to_owned();
    let shared = process::shared_path(&run.collector).unwrap_or_default();
    let process = process::of_manifest(&manifest, "", &run.collector, shared)?;
    if image.is_empty() {
        let problem = Problem::new("spec.image", "a Process needs an image to run on a cluster");
        return Err(vec![problem.hint("name the image that holds its program")]);
    }
    if process.working_dir.as_ref().is_some_and(|folder| !folder.starts_with('/')) {
        let problem = Problem::new("spec.workingDir", "on a cluster it is a folder of the image");
        return Err(vec![problem.hint("write its absolute path")]);
    }
    let argv: Vec<String> = process.argv.iter().map(|text| literal(text)).collect();
    let env = process.env.iter().map(|(name, value)| json!({"name": name, "value": literal(value)}));
    let mut container = Map::new();
    let mut set = |word: &str, value: Value| container.insert(word.into(), value);
    set("name", json!(CONTAINER));
    set("image", json!(image));
    set("command", json!(argv));
    set("env", env.collect());
    if let Some(folder) = process.working_dir {
        set("workingDir", json!(folder));
    }
    if let Some(resources) = resources {
        set("resources", of_container(resources));
    }
    let mut spec = json!({
        "backoffLimit": retries,
        "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
    });
    if let Some(timeout) = process.timeout {
        spec["activeDeadlineSeconds"] = json!(timeout.as_secs().max(1));
    }
    Ok(json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": manifest["metadata"], "spec": spec }))
}

/// Containers have `$$` and `$(NAME)` replaced, a Process has not.
fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// A flat map is what is wanted at least and at most.
fn of_container(resources: Value) -> Value {
    let grouped = ["requests", "limits", "claims"].iter().any(|word| resources.get(word).is_some());
    if grouped { resources } else { json!({ "requests": resources, "limits": resources }) }
}
