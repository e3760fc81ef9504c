//! The three kinds and their CustomResourceDefinitions.

use controller_core::yaml;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceSubresourceStatus,
    CustomResourceSubresources, CustomResourceValidation,
};
use kube::core::{ApiResource, ObjectMeta};

use super::{schema, table};

/// Group of the custom resources.
pub const GROUP: &str = "kubeflow.org";
/// Their version, the one that is served and stored.
pub const VERSION: &str = "v1beta1";

/// A kind of custom resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// What a user submits.
    Experiment,
    /// One evaluation of a point; owns the object that runs it.
    Trial,
    /// What the algorithm has proposed.
    Suggestion,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Experiment, Self::Trial, Self::Suggestion];

    /// Its name, as `kind` has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Experiment => "Experiment",
            Self::Trial => "Trial",
            Self::Suggestion => "Suggestion",
        }
    }

    /// Its name in addresses.
    pub fn plural(self) -> &'static str {
        match self {
            Self::Experiment => "experiments",
            Self::Trial => "trials",
            Self::Suggestion => "suggestions",
        }
    }

    /// The name of its definition.
    pub fn definition_name(self) -> String {
        format!("{}.{GROUP}", self.plural())
    }

    /// How the API server knows it.
    pub fn resource(self) -> ApiResource {
        ApiResource {
            group: GROUP.into(),
            version: VERSION.into(),
            api_version: format!("{GROUP}/{VERSION}"),
            kind: self.name().into(),
            plural: self.plural().into(),
        }
    }

    fn short_name(self) -> &'static str {
        match self {
            Self::Experiment => "exp",
            Self::Trial => "tr",
            Self::Suggestion => "sug",
        }
    }

    fn doc(self) -> &'static str {
        match self {
            Self::Experiment => {
                "A search for the best parameters of a program: what is searched, how a trial is run, and when the search ends."
            }
            Self::Trial => {
                "One evaluation of one point of an Experiment. It owns the object that runs it, and goes with its Experiment."
            }
            Self::Suggestion => {
                "What the algorithm of the Experiment of the same name was asked for and has proposed."
            }
        }
    }
}

/// The definition of a kind, as it is installed in a cluster.
pub fn definition(kind: Kind) -> CustomResourceDefinition {
    let version = CustomResourceDefinitionVersion {
        name: VERSION.into(),
        served: true,
        storage: true,
        schema: Some(CustomResourceValidation {
            open_api_v3_schema: Some(schema::schema(&table::fields(kind), kind.doc())),
        }),
        subresources: Some(CustomResourceSubresources {
            status: Some(CustomResourceSubresourceStatus(serde_json::json!({}))),
            ..CustomResourceSubresources::default()
        }),
        additional_printer_columns: Some(columns(kind)),
        ..CustomResourceDefinitionVersion::default()
    };
    CustomResourceDefinition {
        metadata: ObjectMeta { name: Some(kind.definition_name()), ..ObjectMeta::default() },
        spec: CustomResourceDefinitionSpec {
            group: GROUP.into(),
            names: CustomResourceDefinitionNames {
                kind: kind.name().into(),
                plural: kind.plural().into(),
                list_kind: Some(format!("{}List", kind.name())),
                singular: Some(kind.name().to_lowercase()),
                short_names: Some(vec![kind.short_name().into()]),
                categories: Some(["all", "kubeflow", "katib"].map(str::to_owned).to_vec()),
            },
            scope: "Namespaced".into(),
            versions: vec![version],
            ..CustomResourceDefinitionSpec::default()
        },
        status: None,
    }
}

/// The current state is the last condition.
fn columns(kind: Kind) -> Vec<CustomResourceColumnDefinition> {
    let column = |name: &str, type_: &str, json_path: &str| CustomResourceColumnDefinition {
        name: name.into(),
        type_: type_.into(),
        json_path: json_path.into(),
        ..CustomResourceColumnDefinition::default()
    };
    let mut columns = vec![
        column("Type", "string", ".status.conditions[-1:].type"),
        column("Status", "string", ".status.conditions[-1:].status"),
    ];
    if kind == Kind::Suggestion {
        columns.push(column("Requested", "integer", ".spec.requests"));
        columns.push(column("Assigned", "integer", ".status.suggestionCount"));
    }
    columns.push(column("Age", "date", ".metadata.creationTimestamp"));
    columns
}

/// The definition of a kind as the YAML that is committed.
pub fn manifest(kind: Kind) -> String {
    let definition = serde_json::to_value(definition(kind)).unwrap_or_default();
    let hint = "# Generated; `CAIRN_UPDATE=1 cargo test -p controller-kube` writes it anew.";
    format!("{hint}\n{}", yaml::write(&definition))
}

#[cfg(test)]
mod tests;
