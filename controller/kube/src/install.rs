//! What an install consists of: the manifests of this folder's kustomize, rendered, with names put in.
//!
//! `manifests/rendered` is what `kubectl kustomize` makes of each way to install, without the custom resources, which
//! come from the code. It is generated, and held to both by a test.

use controller_core::yaml;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::resources::{Kind, definition};

/// The namespace that the manifests name.
pub const NAMESPACE: &str = "cairn-system";
/// The images that they name, without their tags.
const IMAGE: &str = "cairn:";
const POSTGRES: &str = "postgres:";
/// The variable with the image of sidecars.
const SIDECAR_IMAGE: &str = "CAIRN_SIDECAR_IMAGE";

/// A way to install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One replica, SQLite on a volume.
    Base,
    /// Two replicas, and a PostgreSQL.
    Ha,
    /// Two replicas, and a PostgreSQL of somebody's own.
    HaExternal,
    /// One replica for its own namespace, with a Role only.
    Namespaced,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Base, Self::Ha, Self::HaExternal, Self::Namespaced];

    /// The folder of its manifests.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Ha => "ha",
            Self::HaExternal => "ha-external",
            Self::Namespaced => "namespaced",
        }
    }

    /// Whether an administrator puts in the custom resources, and not this.
    fn has_definitions(self) -> bool {
        self != Self::Namespaced
    }

    fn rendered(self) -> &'static str {
        match self {
            Self::Base => include_str!("../manifests/rendered/base.yaml"),
            Self::Ha => include_str!("../manifests/rendered/ha.yaml"),
            Self::HaExternal => include_str!("../manifests/rendered/ha-external.yaml"),
            Self::Namespaced => include_str!("../manifests/rendered/namespaced.yaml"),
        }
    }
}

/// What is to be installed.
#[derive(Clone, Debug)]
pub struct Install {
    /// How.
    pub way: Way,
    /// Where.
    pub namespace: String,
    /// Cairn's image, if not the one that the manifests name.
    pub image: Option<String>,
    /// The image of sidecars, likewise.
    pub sidecar_image: Option<String>,
    /// The image of PostgreSQL, likewise, where it comes along.
    pub postgres_image: Option<String>,
}

/// The manifests make no sense, which a test rules out.
#[derive(Debug, Error)]
#[error("the manifests of this build cannot be read")]
pub struct InstallError(#[source] yaml::YamlError);

/// The custom resources.
pub fn definitions() -> Vec<Value> {
    Kind::ALL.into_iter().map(|kind| serde_json::to_value(definition(kind)).unwrap_or_default()).collect()
}

/// Everything that an install consists of, in the order in which it can be made.
///
/// # Errors
/// If the manifests that were built in make no sense.
pub fn objects(install: &Install) -> Result<Vec<Value>, InstallError> {
    let mut objects = if install.way.has_definitions() { definitions() } else { Vec::new() };
    for document in yaml::parse(install.way.rendered()).map_err(InstallError)? {
        let mut object = document.value;
        put_in(&mut object, install);
        objects.push(object);
    }
    Ok(objects)
}

/// Objects as one stream.
pub fn stream(objects: &[Value]) -> String {
    objects.iter().map(yaml::write).collect::<Vec<_>>().join("---\n")
}

/// Puts in the names that were chosen.
fn put_in(object: &mut Value, install: &Install) {
    if object["kind"] == "Namespace" {
        object["metadata"]["name"] = install.namespace.clone().into();
    }
    each(object, &mut |map| {
        // Of the object, and of those that a binding names.
        if map.get("namespace").is_some_and(|namespace| namespace == NAMESPACE) {
            map.insert("namespace".into(), install.namespace.clone().into());
        }
        let named = map.get("image").and_then(Value::as_str).unwrap_or_default();
        let chosen = [(IMAGE, &install.image), (POSTGRES, &install.postgres_image)];
        let chosen = chosen.into_iter().find(|(ours, _)| named.starts_with(ours));
        if let Some(image) = chosen.and_then(|(_, image)| image.clone()) {
            map.insert("image".into(), image.into());
        }
        if let Some(image) = &install.sidecar_image
            && map.get("name").is_some_and(|name| name == SIDECAR_IMAGE)
        {
            map.insert("value".into(), image.clone().into());
        }
    });
}

/// Every map in a value.
fn each(value: &mut Value, change: &mut impl FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(map) => {
            change(map);
            map.values_mut().for_each(|value| each(value, change));
        }
        Value::Array(items) => items.iter_mut().for_each(|value| each(value, change)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn install(way: Way) -> Vec<Value> {
        let install = Install {
            way,
            namespace: "elsewhere".into(),
            image: Some("registry.example/cairn:7".into()),
            sidecar_image: Some("registry.example/sidecar:7".into()),
            postgres_image: Some("registry.example/postgres:7".into()),
        };
        objects(&install).unwrap()
    }

    #[test]
    fn the_names_that_were_chosen_are_everywhere() {
        for way in Way::ALL {
            let text = stream(&install(way));
            assert!(!text.contains(NAMESPACE), "{way:?}");
            assert!(text.contains("registry.example/cairn:7"), "{way:?}");
            assert!(text.contains("registry.example/sidecar:7"), "{way:?}");
            assert_eq!(text.contains("registry.example/postgres:7"), way == Way::Ha, "{way:?}");
            assert!(!text.contains(":0.1.0") && !text.contains("image: postgres"), "{way:?}");
        }
    }

    #[test]
    fn one_namespace_takes_nothing_of_the_cluster() {
        let kinds: Vec<Value> =
            install(Way::Namespaced).iter().map(|object| object["kind"].clone()).collect();
        assert!(kinds.iter().any(|kind| kind == "Role"), "{kinds:?}");
        for kind in kinds {
            let kind = kind.as_str().unwrap();
            assert!(
                !kind.starts_with("Cluster") && kind != "Namespace" && kind != "CustomResourceDefinition"
            );
        }
    }

    /// What a pod may be in a namespace where the strictest rules hold, and what keeps it small.
    #[test]
    fn the_pod_has_no_more_rights_on_its_node_than_it_needs() {
        for way in Way::ALL {
            let objects = install(way);
            let pods = objects.iter().map(|object| &object["spec"]["template"]["spec"]);
            let pods: Vec<&Value> = pods.filter(|pod| !pod.is_null()).collect();
            assert_eq!(pods.len(), 1 + usize::from(way == Way::Ha), "{way:?}");
            for pod in pods {
                let container = &pod["containers"][0];
                assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
                assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
                assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
                assert_eq!(container["securityContext"]["allowPrivilegeEscalation"], false);
                assert_eq!(container["securityContext"]["capabilities"]["drop"][0], "ALL");
                assert!(!container["resources"]["limits"]["memory"].is_null());
                assert!(!container["readinessProbe"].is_null() && !container["livenessProbe"].is_null());
            }
        }
    }

    #[test]
    fn no_rule_of_a_role_has_a_star() {
        for way in Way::ALL {
            for object in install(way).iter().filter(|object| !object["rules"].is_null()) {
                assert!(!object["rules"].to_string().contains('*'), "{object}");
            }
        }
    }
}
