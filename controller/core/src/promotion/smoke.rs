//! Whether a server answers a sample as its trial expected.

use serde_json::Value;

/// How far a number may lie from the expected one: absolutely, and as a share of it. Servers compute in single precision.
pub const ABSOLUTE: f64 = 1e-4;
/// See [`ABSOLUTE`].
pub const RELATIVE: f64 = 1e-3;

/// Compares an answer of the Open Inference Protocol with the expected one: the same outputs by name, each with the same
/// values in the same order. Shapes are not compared: servers add axes of length 1. Returns how many values were compared.
///
/// # Errors
/// The first difference.
pub fn compare(expected: &Value, answer: &Value) -> Result<usize, String> {
    let outputs = |value: &Value, what: &str| {
        value
            .get("outputs")
            .and_then(Value::as_array)
            .cloned()
            .filter(|outputs| !outputs.is_empty())
            .ok_or_else(|| format!("{what} has no `outputs`"))
    };
    let (wanted, got) = (outputs(expected, "the expected answer")?, outputs(answer, "the answer")?);
    let mut compared = 0;
    for (i, output) in wanted.iter().enumerate() {
        let name = output.get("name").and_then(Value::as_str);
        let same = |other: &&Value| other.get("name").and_then(Value::as_str) == name;
        // Some servers give names of their own; with one output there is no doubt.
        let found = got.iter().find(same).or_else(|| got.first().filter(|_| wanted.len() == 1));
        let called = name.map_or_else(|| format!("output {i}"), |name| format!("output `{name}`"));
        let Some(found) = found else { return Err(format!("{called} is missing in the answer")) };
        let (wanted, found) = (values(output), values(found));
        if wanted.len() != found.len() {
            return Err(format!("{called} has {} values, expected were {}", found.len(), wanted.len()));
        }
        for (j, (wanted, found)) in wanted.iter().zip(&found).enumerate() {
            if !is_close(wanted, found) {
                return Err(format!("{called} has {found} as value {j}, expected was {wanted}"));
            }
        }
        compared += wanted.len();
    }
    if compared == 0 {
        return Err("the expected answer has no values".into());
    }
    Ok(compared)
}

/// The values of an output, however its lists are nested.
fn values(output: &Value) -> Vec<&Value> {
    fn walk<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            value => found.push(value),
        }
    }
    let mut found = Vec::new();
    output.get("data").into_iter().for_each(|data| walk(data, &mut found));
    found
}

fn is_close(wanted: &Value, found: &Value) -> bool {
    match (wanted.as_f64(), found.as_f64()) {
        (Some(wanted), Some(found)) => (wanted - found).abs() <= ABSOLUTE + RELATIVE * wanted.abs(),
        _ => wanted == found,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(data: &Value) -> Value {
        json!({"model_name": "m", "outputs": [{"name": "p", "shape": [2], "datatype": "FP64", "data": data}]})
    }

    #[test]
    fn equal_values_are_equal_in_any_nesting_and_within_the_tolerance() {
        let expected = answer(&json!([1.0, "seven"]));
        assert_eq!(compare(&expected, &answer(&json!([[1.0005], ["seven"]]))), Ok(2));
        let told = compare(&expected, &answer(&json!([1.002, "seven"]))).unwrap_err();
        assert_eq!(told, "output `p` has 1.002 as value 0, expected was 1.0");
        assert!(compare(&expected, &answer(&json!([1.0, "one"]))).unwrap_err().contains("value 1"));
        assert!(
            compare(&expected, &answer(&json!([1.0]))).unwrap_err().contains("1 values, expected were 2")
        );
    }

    #[test]
    fn outputs_go_by_name_where_there_are_several() {
        let two = |first: &str, second: &str| json!({"outputs": [{"name": first, "data": [1]}, {"name": second, "data": [2]}]});
        assert_eq!(compare(&two("a", "b"), &two("a", "b")), Ok(2));
        assert!(compare(&two("a", "b"), &two("b", "a")).is_err());
        assert!(compare(&two("a", "b"), &two("a", "c")).unwrap_err().contains("`b` is missing"));
        // One output under another name is the one.
        assert_eq!(compare(&answer(&json!([1])), &json!({"outputs": [{"name": "q", "data": [1]}]})), Ok(1));
    }

    #[test]
    fn an_answer_that_is_none_is_told() {
        let expected = answer(&json!([1]));
        assert!(compare(&expected, &json!({"error": "no"})).unwrap_err().contains("no `outputs`"));
        assert!(compare(&answer(&json!([])), &answer(&json!([]))).unwrap_err().contains("no values"));
        assert!(compare(&answer(&json!([null])), &answer(&json!([1]))).is_err());
    }
}
