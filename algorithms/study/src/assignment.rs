//! Values of parameters.

use serde::{Deserialize, Serialize};

/// The value of one parameter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Value {
    /// Of a float parameter; finite.
    Float(f64),
    /// Of an int parameter.
    Int(i64),
    /// Of a discrete or categorical parameter: index into its list.
    Choice(usize),
}

/// One value per parameter of a [`crate::Space`], in its order; `None` where a condition makes the parameter inactive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Assignment(pub Vec<Option<Value>>);

impl Assignment {
    /// The value of the parameter at this position, `None` if inactive or out of range.
    pub fn get(&self, parameter: usize) -> Option<Value> {
        self.0.get(parameter).copied().flatten()
    }
}
