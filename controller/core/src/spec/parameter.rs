//! Dimensions of the search.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// `spec.parameters[]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ParameterSpec {
    /// Unique name.
    pub name: String,
    /// `double`, `int`, `discrete`, `categorical` or `unknown`.
    pub parameter_type: String,
    /// Values it may take.
    pub feasible_space: FeasibleSpace,
    /// Conditions by parent: a value, a list of values, or `{min, max}`. Cairn's addition, as all that follow.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub when: BTreeMap<String, serde_json::Value>,
    /// Text of the value tried first, and of the placeholder while inactive.
    #[serde(rename = "default", skip_serializing_if = "Option::is_none")]
    pub default_value: Option<String>,
    /// Whether the order of a categorical list means something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordered: Option<bool>,
    /// Where its best value is believed to lie.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prior: Option<PriorSpec>,
}

/// `prior` of a parameter: mean and std of a number, weights of a list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PriorSpec {
    /// The most believable value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// How sure that is: in the parameter's unit, in powers of ten under a distribution in the logarithm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub std: Option<f64>,
    /// How likely each listed value is against the others, by text; 1 for those left out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub weights: BTreeMap<String, f64>,
}

/// `feasibleSpace`; every number is a string.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FeasibleSpace {
    /// Largest value.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub max: String,
    /// Smallest value.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub min: String,
    /// Listed values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub list: Vec<String>,
    /// Distance of neighbours.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub step: String,
    /// `uniform`, `logUniform`, `normal`, `logNormal` or `unknown`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub distribution: String,
}

/// `spec.nasConfig`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NasConfig {
    /// Shape of the network.
    pub graph_config: GraphConfig,
    /// What its layers may be.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<Operation>,
}

/// Shape of the network to be found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GraphConfig {
    /// Number of layers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub num_layers: Option<i32>,
    /// Shape of the input.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub input_sizes: Vec<i32>,
    /// Shape of the output.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output_sizes: Vec<i32>,
}

/// One kind of layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Operation {
    /// Such as `convolution`.
    pub operation_type: String,
    /// Its own parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<ParameterSpec>,
}
