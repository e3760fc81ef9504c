//! How the data of a trial were distributed, as it says in the `profile` of its `model.yaml`; and which class of that a value
//! of a request falls into.
//!
//! A JSON file. Numbers have ascending `edges` and one count more than edges: of the values below the first edge, from each
//! edge to below the next, and from the last on. Everything else has a count for each category.
//!
//! ```json
//! {"inputs": {"age": {"edges": [30, 50], "counts": [210, 512, 78]}, "pixels[7]": {"edges": [0.5], "counts": [90, 710]}},
//!  "outputs": {"class": {"categories": {"cat": 420, "dog": 380}}}}
//! ```
//!
//! Names are those of the tensors of a request; of one that has several values a row, each is a feature with its index in
//! brackets.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a feature was distributed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Distribution {
    /// Of a number.
    Numbers {
        /// Where one class ends and the next begins, ascending.
        edges: Vec<f64>,
        /// How many values were in each class; one more than edges.
        counts: Vec<u64>,
    },
    /// Of anything else.
    Categories {
        /// How many values there were of each.
        categories: BTreeMap<String, u64>,
    },
}

/// How all features of a trial's data were distributed, by names such as `inputs.age` and `outputs.class`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// The features.
    pub features: BTreeMap<String, Distribution>,
}

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    inputs: BTreeMap<String, Distribution>,
    #[serde(default)]
    outputs: BTreeMap<String, Distribution>,
}

impl Distribution {
    /// How many values were in each class; of categories, one class more for those that were not there.
    pub fn counts(&self) -> Vec<u64> {
        match self {
            Self::Numbers { counts, .. } => counts.clone(),
            Self::Categories { categories } => categories.values().copied().chain([0]).collect(),
        }
    }

    /// The class of a value; `None` of a number that is none.
    pub fn class(&self, value: &Value) -> Option<usize> {
        match self {
            Self::Numbers { edges, .. } => {
                let number = value.as_f64().filter(|number| number.is_finite())?;
                Some(edges.partition_point(|edge| *edge <= number))
            }
            Self::Categories { categories } => {
                let text = plain(value);
                Some(categories.keys().position(|name| *name == text).unwrap_or(categories.len()))
            }
        }
    }

    fn problem(&self) -> Option<String> {
        match self {
            Self::Numbers { edges, counts } if counts.len() != edges.len() + 1 => {
                Some(format!("{} edges make {} classes, not {}", edges.len(), edges.len() + 1, counts.len()))
            }
            Self::Numbers { edges, .. } if !edges.windows(2).all(|pair| pair[0] < pair[1]) => {
                Some("its edges do not ascend".into())
            }
            _ if self.counts().iter().all(|count| *count == 0) => Some("it counts nothing".into()),
            _ => None,
        }
    }
}

impl Profile {
    /// Reads a profile; what is wrong with it, if anything is.
    pub fn read(value: &Value) -> Result<Self, String> {
        let file: File = serde_json::from_value(value.clone()).map_err(|error| error.to_string())?;
        let named = |kind: &'static str, map: BTreeMap<String, Distribution>| {
            map.into_iter().map(move |(name, one)| (format!("{kind}.{name}"), one))
        };
        let features: BTreeMap<_, _> =
            named("inputs", file.inputs).chain(named("outputs", file.outputs)).collect();
        for (name, distribution) in &features {
            if let Some(problem) = distribution.problem() {
                return Err(format!("`{name}`: {problem}"));
            }
        }
        Ok(Self { features })
    }
}

/// The values of tensors as in the Open Inference Protocol v2, by feature; `kind` is `inputs` or `outputs`. What has no
/// data is left out.
pub fn columns(kind: &str, tensors: &Value) -> BTreeMap<String, Vec<Value>> {
    let mut columns = BTreeMap::new();
    for tensor in tensors.as_array().into_iter().flatten() {
        let Some(name) = tensor["name"].as_str() else { continue };
        let mut values = Vec::new();
        flatten(&tensor["data"], &mut values);
        let rows = tensor["shape"][0].as_u64().map_or(1, |rows| rows as usize);
        if rows == 0 || values.is_empty() || !values.len().is_multiple_of(rows) {
            continue;
        }
        let width = values.len() / rows;
        for i in 0..width {
            let column = values.iter().skip(i).step_by(width).map(|value| (*value).clone()).collect();
            let index = if width == 1 { String::new() } else { format!("[{i}]") };
            columns.insert(format!("{kind}.{name}{index}"), column);
        }
    }
    columns
}

fn flatten<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| flatten(item, found)),
        Value::Null => {}
        value => found.push(value),
    }
}

/// What answers predict, a value each row: of the output of this name, else of the first that has one value a row.
pub fn predictions(outputs: &Value, output: Option<&str>) -> Vec<Value> {
    let columns = columns("outputs", outputs);
    let of = |name: &str| columns.get(&format!("outputs.{name}"));
    if let Some(name) = output {
        return of(name).cloned().unwrap_or_default();
    }
    let mut names = outputs.as_array().into_iter().flatten().filter_map(|tensor| tensor["name"].as_str());
    names.find_map(of).cloned().unwrap_or_default()
}

/// Whether a prediction is what a label says. Numbers are equal to within a billionth; a text that reads as the other is
/// equal to it too.
pub fn is_right(predicted: &Value, label: &Value) -> bool {
    match (predicted.as_f64(), label.as_f64()) {
        (Some(one), Some(other)) => (one - other).abs() <= 1e-9 * one.abs().max(other.abs()).max(1.0),
        _ => plain(predicted) == plain(label),
    }
}

/// A value as a text without quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_value_falls_into_the_class_between_its_edges_or_of_its_category() {
        let profile = json!({"inputs": {"age": {"edges": [30, 50], "counts": [1, 2, 3]}},
                             "outputs": {"class": {"categories": {"1": 4, "2": 5}}}});
        let profile = Profile::read(&profile).unwrap();
        let class = |name: &str, value: Value| profile.features[name].class(&value);
        let ages = [29.0, 30.0, 50.0].map(|age| class("inputs.age", json!(age)));
        assert_eq!(ages, [Some(0), Some(1), Some(2)]);
        assert_eq!(class("inputs.age", json!("old")), None);
        let classes = [json!(1), json!("2"), json!("3")].map(|value| class("outputs.class", value));
        assert_eq!(classes, [Some(0), Some(1), Some(2)]);
        assert_eq!(profile.features["outputs.class"].counts(), [4, 5, 0]);
    }

    #[test]
    fn what_is_wrong_with_a_profile_is_said_with_the_feature() {
        let problem = |one: Value| Profile::read(&json!({"inputs": {"age": one}})).unwrap_err();
        assert_eq!(
            problem(json!({"edges": [1], "counts": [1]})),
            "`inputs.age`: 1 edges make 2 classes, not 1"
        );
        assert_eq!(
            problem(json!({"edges": [2, 1], "counts": [1, 1, 1]})),
            "`inputs.age`: its edges do not ascend"
        );
        assert_eq!(problem(json!({"categories": {}})), "`inputs.age`: it counts nothing");
        assert!(Profile::read(&json!({"features": {}})).is_err());
    }

    #[test]
    fn tensors_are_read_row_by_row_and_nested_or_flat_alike() {
        let nested = json!([{"name": "x", "shape": [2, 2], "data": [[1, 2], [3, 4]]},
                            {"name": "y", "shape": [2], "data": ["a", "b"]},
                            {"name": "hidden", "shape": [2], "data": null}]);
        let found = columns("inputs", &nested);
        assert_eq!(found["inputs.x[1]"], [json!(2), json!(4)]);
        assert_eq!((found["inputs.y"].len(), found.len()), (2, 3));
        let chances = json!([{"name": "chances", "shape": [1, 2], "data": [0.1, 0.9]},
                             {"name": "digit", "shape": [1], "data": [7]}]);
        assert_eq!(predictions(&chances, None), [json!(7)]);
        assert_eq!(predictions(&chances, Some("none")), Vec::<Value>::new());
        assert!(is_right(&json!(7), &json!(7.0)) && is_right(&json!(7), &json!("7")));
        assert!(!is_right(&json!("cat"), &json!("dog")));
    }
}
