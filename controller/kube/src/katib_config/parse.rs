//! Reading it. Pure.

use std::collections::BTreeMap;

use controller_core::yaml;
use k8s_openapi::api::core::v1::{Container, ResourceRequirements};
use serde_json::{Map, Value, json};

/// Words of an algorithm's entry beside those of a container.
const ALGORITHM: [&str; 6] = [
    "algorithmName",
    "serviceAccountName",
    "volumeMountPath",
    "persistentVolumeClaimSpec",
    "persistentVolumeSpec",
    "persistentVolumeLabels",
];
/// Those of them that nothing comes of.
const VOLUMES: [&str; 4] =
    ["volumeMountPath", "persistentVolumeClaimSpec", "persistentVolumeSpec", "persistentVolumeLabels"];
/// Words of a container.
const CONTAINER: [&str; 21] = [
    "args",
    "command",
    "env",
    "envFrom",
    "image",
    "imagePullPolicy",
    "lifecycle",
    "livenessProbe",
    "ports",
    "readinessProbe",
    "resizePolicy",
    "resources",
    "securityContext",
    "startupProbe",
    "stdin",
    "stdinOnce",
    "terminationMessagePath",
    "terminationMessagePolicy",
    "tty",
    "volumeMounts",
    "workingDir",
];
/// Words of a collector's entry.
const COLLECTOR: [&str; 5] = ["kind", "image", "imagePullPolicy", "resources", "waitAllProcesses"];
/// How the repositories of Katib's own images are called.
const KATIBS: [&str; 2] = ["kubeflow/katib/", "kubeflowkatib/"];
/// What a container asks for that does not say, and what it may have, as with Katib.
const RESOURCES: [(&str, [(&str, &str); 3]); 2] = [
    ("requests", [("cpu", "50m"), ("memory", "10Mi"), ("ephemeral-storage", "500Mi")]),
    ("limits", [("cpu", "500m"), ("memory", "100Mi"), ("ephemeral-storage", "5Gi")]),
];

/// What is understood of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KatibConfig {
    /// Algorithms that have an image of somebody's own, by name.
    pub(crate) algorithms: BTreeMap<String, Algorithm>,
    /// Collectors of metrics, by kind.
    pub(crate) collectors: BTreeMap<String, Collector>,
    /// What is not understood, or nothing comes of.
    pub(crate) said: Vec<String>,
}

/// An algorithm in somebody's own image.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Algorithm {
    /// Its container, with what Katib fills in, but without its name and the port that it is asked at.
    pub(crate) container: Map<String, Value>,
    /// The account of its pods.
    pub(crate) service_account: Option<String>,
}

/// What the sidecars of a kind of collector ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Collector {
    /// When their image is pulled, if it says.
    pub(crate) pull_policy: Option<String>,
    /// What each asks for, if it says.
    pub(crate) resources: Option<Value>,
}

impl KatibConfig {
    /// Reads the text of the ConfigMap. The last of several entries of one name wins, as with Katib.
    pub fn parse(text: &str) -> Self {
        let mut config = Self::default();
        let document = match yaml::parse(text) {
            Ok(documents) => documents.into_iter().next().map(|document| document.value).unwrap_or_default(),
            Err(error) => {
                config.said.push(format!("it cannot be read: {error}"));
                return config;
            }
        };
        for word in words(&document, &["apiVersion", "kind", "init", "runtime"]) {
            config.said.push(format!("{word} is not known"));
        }
        if !document["init"].is_null() {
            config.said.push("init is about Katib's own controller; nothing comes of it".into());
        }
        let runtime = &document["runtime"];
        for word in words(runtime, &["suggestions", "earlyStoppings", "metricsCollectors"]) {
            config.said.push(format!("runtime.{word} is not known"));
        }
        let entries = |word: &'static str| {
            let list = runtime[word].as_array().into_iter().flatten();
            list.enumerate().map(move |(i, entry)| (format!("runtime.{word}[{i}]"), entry))
        };
        for (path, entry) in entries("suggestions") {
            config.algorithm(&path, entry);
        }
        for (path, entry) in entries("earlyStoppings") {
            if !is_katibs(text_of(entry, "image")) {
                config
                    .said
                    .push(format!("{path}: rules of others are not built in; `medianstop` is Cairn's own"));
            }
        }
        for (path, entry) in entries("metricsCollectors") {
            config.collector(&path, entry);
        }
        config
    }

    fn algorithm(&mut self, path: &str, entry: &Value) {
        let name = text_of(entry, "algorithmName").to_owned();
        let image = text_of(entry, "image");
        if name.is_empty() || image.is_empty() {
            self.said.push(format!("{path}: it needs algorithmName and image"));
            return;
        }
        if is_katibs(image) {
            self.algorithms.remove(&name);
            return;
        }
        let known: Vec<&str> = ALGORITHM.into_iter().chain(CONTAINER).collect();
        for word in words(entry, &known) {
            self.said.push(format!("{path}.{word} is not known"));
        }
        for word in VOLUMES.into_iter().filter(|word| !entry[*word].is_null()) {
            self.said.push(format!(
                "{path}.{word}: algorithms have no volumes here, and begin anew from what trials showed"
            ));
        }
        let mut container: Map<String, Value> = CONTAINER
            .into_iter()
            .filter(|word| !entry[*word].is_null())
            .map(|word| (word.to_owned(), entry[word].clone()))
            .collect();
        container.insert("resources".into(), resources(&entry["resources"]));
        container.entry("imagePullPolicy").or_insert_with(|| json!("IfNotPresent"));
        let mut named = container.clone();
        named.insert("name".into(), json!(name));
        if let Err(error) = serde_json::from_value::<Container>(Value::Object(named)) {
            self.said.push(format!("{path} is no container: {error}"));
            return;
        }
        let service_account =
            Some(text_of(entry, "serviceAccountName").to_owned()).filter(|name| !name.is_empty());
        self.algorithms.insert(name, Algorithm { container, service_account });
    }

    fn collector(&mut self, path: &str, entry: &Value) {
        for word in words(entry, &COLLECTOR) {
            self.said.push(format!("{path}.{word} is not known"));
        }
        let (kind, image) = (text_of(entry, "kind"), text_of(entry, "image"));
        if !image.is_empty() && !is_katibs(image) {
            let hint = "name yours in an experiment as a collector of kind Custom";
            self.said.push(format!("{path}.image: metrics are read by Cairn's own sidecar; {hint}"));
        }
        let resources = Some(&entry["resources"]).filter(|given| !given.is_null()).map(resources);
        let read = resources.clone().map(serde_json::from_value::<ResourceRequirements>);
        if let Some(Err(error)) = read {
            self.said.push(format!("{path}.resources make no sense: {error}"));
            return;
        }
        let pull_policy = entry["imagePullPolicy"].as_str().map(str::to_owned);
        self.collectors.insert(kind.to_owned(), Collector { pull_policy, resources });
    }
}

fn text_of<'a>(entry: &'a Value, word: &str) -> &'a str {
    entry[word].as_str().unwrap_or_default()
}

/// Words of a map that are none of these.
fn words<'a>(map: &'a Value, known: &'a [&str]) -> impl Iterator<Item = &'a str> {
    map.as_object().into_iter().flatten().map(|(word, _)| word.as_str()).filter(|word| !known.contains(word))
}

fn is_katibs(image: &str) -> bool {
    KATIBS.iter().any(|repository| image.contains(repository))
}

/// What is asked for with what Katib fills in; an amount below zero takes one away.
fn resources(given: &Value) -> Value {
    let mut all = given.as_object().cloned().unwrap_or_default();
    for (word, usual) in RESOURCES {
        let amounts = all.entry(word).or_insert_with(|| json!({}));
        let Some(amounts) = amounts.as_object_mut() else { continue };
        for (name, amount) in usual {
            amounts.entry(name).or_insert_with(|| json!(amount));
        }
        let is_negative = |amount: &Value| {
            amount.as_str().is_some_and(|text| text.starts_with('-'))
                || amount.as_f64().is_some_and(|amount| amount < 0.0)
        };
        amounts.retain(|_, amount| !is_negative(amount));
    }
    Value::Object(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = r#"
apiVersion: config.kubeflow.org/v1beta1
kind: KatibConfig
init: {controller: {webhookPort: 8443}}
runtime:
  suggestions:
    - {algorithmName: random, image: "ghcr.io/kubeflow/katib/suggestion-hyperopt:v0.19.0"}
    - {algorithmName: tpe, image: "docker.io/kubeflowkatib/suggestion-hyperopt:v0.16.0"}
    - algorithmName: mine
      image: registry.example/mine:1
      args: [--port=6789]
      serviceAccountName: searcher
      volumeMountPath: /data
      colour: red
      resources: {limits: {memory: 1Gi, cpu: "-1"}}
    - {algorithmName: wrong, image: "registry.example/wrong:1", args: none}
  earlyStoppings: [{algorithmName: medianstop, image: "ghcr.io/kubeflow/katib/earlystopping-medianstop:v0.19.0"}]
  metricsCollectors:
    - {kind: TensorFlowEvent, image: "ghcr.io/kubeflow/katib/tfevent-metrics-collector:v0.19.0", resources: {limits: {memory: 1Gi}}}
    - {kind: File, image: "registry.example/file:1"}
"#;

    #[test]
    fn algorithms_of_others_are_found_and_katib_s_own_are_left() {
        let config = KatibConfig::parse(CONFIG);
        assert_eq!(config.algorithms.keys().collect::<Vec<_>>(), ["mine"]);
        let mine = &config.algorithms["mine"];
        assert_eq!(mine.service_account.as_deref(), Some("searcher"));
        let container = Value::Object(mine.container.clone());
        assert_eq!(container["args"], json!(["--port=6789"]));
        assert_eq!(container["imagePullPolicy"], "IfNotPresent");
        assert_eq!(container["resources"]["limits"], json!({"memory": "1Gi", "ephemeral-storage": "5Gi"}));
        assert_eq!(container["resources"]["requests"]["cpu"], "50m");
        let events = config.collectors["TensorFlowEvent"].resources.clone().unwrap();
        assert_eq!(events["limits"]["memory"], "1Gi");
        assert_eq!(config.collectors["File"], Collector { pull_policy: None, resources: None });
    }

    #[test]
    fn what_nothing_comes_of_is_said() {
        let said = KatibConfig::parse(CONFIG).said;
        let begins: Vec<&str> = said.iter().map(|text| text.split([' ', ':']).next().unwrap()).collect();
        let wanted = [
            "init",
            "runtime.suggestions[2].colour",
            "runtime.suggestions[2].volumeMountPath",
            "runtime.suggestions[3]",
            "runtime.metricsCollectors[1].image",
        ];
        assert_eq!(begins, wanted, "{said:?}");
        assert!(KatibConfig::parse("a: [").said[0].starts_with("it cannot be read"));
        assert_eq!(KatibConfig::parse(""), KatibConfig::default());
    }
}
