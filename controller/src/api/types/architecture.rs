//! Architectures as they travel.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// The architecture of a trial, as graphs and as drawings of them.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Architecture {
    /// The trial's name.
    pub(crate) trial: String,
    /// Its number.
    pub(crate) idx: u64,
    /// Its objective; null if that is no number.
    pub(crate) value: Option<f64>,
    /// `{name, nodes: [{label, parameters}], edges: [{from, to, operation}]}` each: a network, a cell, or a normal and a
    /// reducing cell. Edges name nodes by their places in the list.
    #[schema(value_type = Vec<Object>)]
    pub(crate) graphs: Vec<Value>,
    /// What the operations of its supernet weighed, `{operations, edges: [{edge, weights}]}` with a list of weights an epoch,
    /// and `diverged`, how many epochs are left out as a weight is no finite number, if any are; null if it has reported none.
    #[schema(value_type = Option<Object>)]
    pub(crate) weights: Option<Value>,
    /// The population of an evolution, the oldest first, which leaves next; empty for other searches.
    #[serde(default)]
    pub(crate) population: Vec<Member>,
    /// All of it as lines of text.
    pub(crate) text: String,
    /// All of it as one picture.
    pub(crate) svg: String,
    /// Each graph in the language of Graphviz.
    pub(crate) dot: Vec<String>,
}

/// An architecture that may have children.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub(crate) struct Member {
    /// The trial's name.
    pub(crate) trial: String,
    /// Its number.
    pub(crate) idx: u64,
    /// Its objective.
    pub(crate) value: f64,
    /// What it is, in a line.
    pub(crate) architecture: String,
}
