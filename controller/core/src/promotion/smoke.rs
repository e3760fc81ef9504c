//! Whether a server answers a sample as its trial expected, and a candidate as the champion does.

use serde_json::Value;

use crate::spec::CompareSpec;

/// How far a number may lie from the expected one: absolutely, and as a share of it. Servers compute in single precision.
pub const ABSOLUTE: f64 = 1e-4;
/// See [`ABSOLUTE`].
pub const RELATIVE: f64 = 1e-3;

/// How far numbers may lie apart.
#[derive(Clone, Copy, Debug)]
struct Tolerance {
    absolute: f64,
    relative: f64,
}

const USUAL: Tolerance = Tolerance { absolute: ABSOLUTE, relative: RELATIVE };

/// What a server has answered.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: &'a [u8],
}

/// Compares a candidate's answer with the champion's to the same request: the status; of good ones the outputs, or all of
/// their JSON where they have none; what is no JSON byte by byte.
///
/// # Errors
/// The first difference.
pub fn agree(compare: &CompareSpec, champion: Answered<'_>, candidate: Answered<'_>) -> Result<(), String> {
    if champion.status != candidate.status {
        return Err(format!("it has status {}, the champion's has {}", candidate.status, champion.status));
    }
    if champion.status >= 400 {
        return Ok(());
    }
    let json = |answered: Answered<'_>| serde_json::from_slice::<Value>(answered.body).ok();
    let (Some(mut wanted), Some(found)) = (json(champion), json(candidate)) else {
        let same = champion.body == candidate.body;
        return if same { Ok(()) } else { Err("its bytes are other than the champion's".into()) };
    };
    if let Some(name) = &compare.output
        && let Some(outputs) = wanted.get_mut("outputs").and_then(Value::as_array_mut)
    {
        outputs.retain(|output| output.get("name").and_then(Value::as_str) == Some(name.as_str()));
        if outputs.is_empty() {
            return Err(format!("the champion's answer has no output `{name}`"));
        }
    }
    let tolerance = compare.tolerance.map_or(USUAL, |both| Tolerance { absolute: both, relative: both });
    let outputs = wanted.get("outputs").and_then(Value::as_array);
    if outputs.is_some_and(|outputs| outputs.iter().any(|output| !values(output).is_empty())) {
        return compare_within(&wanted, &found, tolerance).map(|_| ());
    }
    let same = is_alike(&wanted, &found, tolerance, true);
    if same { Ok(()) } else { Err("its JSON is other than the champion's".into()) }
}

/// Whether two values are the same but for numbers that are close. At the top, what names request and version is let be.
fn is_alike(wanted: &Value, found: &Value, tolerance: Tolerance, is_top: bool) -> bool {
    match (wanted, found) {
        (Value::Array(wanted), Value::Array(found)) => {
            let mut pairs = wanted.iter().zip(found);
            wanted.len() == found.len() && pairs.all(|(a, b)| is_alike(a, b, tolerance, false))
        }
        (Value::Object(wanted), Value::Object(found)) => {
            let names = ["id", "model_name", "model_version"];
            let counts = |key: &&String| !(is_top && names.contains(&key.as_str()));
            let keys = |map: &serde_json::Map<String, Value>| map.keys().filter(counts).count();
            let same = |key: &String| {
                found.get(key).is_some_and(|found| is_alike(&wanted[key], found, tolerance, false))
            };
            keys(wanted) == keys(found) && wanted.keys().filter(counts).all(same)
        }
        (wanted, found) => is_close(wanted, found, tolerance),
    }
}

/// Compares an answer of the Open Inference Protocol with the expected one: the same outputs by name, each with the same
/// values in the same order. Shapes are not compared: servers add axes of length 1. Returns how many values were compared.
///
/// # Errors
/// The first difference.
pub fn compare(expected: &Value, answer: &Value) -> Result<usize, String> {
    compare_within(expected, answer, USUAL)
}

fn compare_within(expected: &Value, answer: &Value, tolerance: Tolerance) -> Result<usize, String> {
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
            if !is_close(wanted, found, tolerance) {
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

fn is_close(wanted: &Value, found: &Value, tolerance: Tolerance) -> bool {
    let Tolerance { absolute, relative } = tolerance;
    match (wanted.as_f64(), found.as_f64()) {
        (Some(wanted), Some(found)) => (wanted - found).abs() <= absolute + relative * wanted.abs(),
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
    fn versions_agree_within_the_tolerance_and_on_the_output_that_counts() {
        let body = |p: f64, digit: u32| {
            json!({"outputs": [{"name": "p", "data": [p]}, {"name": "digit", "data": [digit]}]}).to_string()
        };
        let agree = |compare: &CompareSpec, one: &str, other: &str| {
            let of = |text| Answered { status: 200, body: str::as_bytes(text) };
            super::agree(compare, of(one), of(other))
        };
        let (one, other, wrong) = (body(0.5, 3), body(0.52, 3), body(0.5, 4));
        let usual = CompareSpec::default();
        assert_eq!(agree(&usual, &one, &one), Ok(()));
        assert!(agree(&usual, &one, &other).unwrap_err().contains("output `p` has 0.52"));
        let wide = CompareSpec { tolerance: Some(0.02), ..usual.clone() };
        assert_eq!(agree(&wide, &one, &other), Ok(()));
        let digit = CompareSpec { output: Some("digit".into()), ..usual.clone() };
        assert_eq!(agree(&digit, &one, &other), Ok(()));
        assert!(agree(&digit, &one, &wrong).unwrap_err().contains("output `digit` has 4"));
        let none = CompareSpec { output: Some("letter".into()), ..usual.clone() };
        assert!(agree(&none, &one, &one).unwrap_err().contains("no output `letter`"));
        let (v1, named) = (r#"{"predictions": [[1, 2]]}"#, r#"{"predictions": [[1, 2.00001]], "id": "7"}"#);
        assert_eq!(agree(&usual, v1, named), Ok(()));
        assert!(agree(&usual, v1, r#"{"predictions": [[1, 3]]}"#).is_err());
        assert!(agree(&usual, "no JSON", "no  JSON").is_err() && agree(&usual, "no JSON", "no JSON").is_ok());
    }

    #[test]
    fn failures_agree_by_their_status() {
        let of = |status| Answered { status, body: b"" };
        let usual = CompareSpec::default();
        assert_eq!(super::agree(&usual, of(400), of(400)), Ok(()));
        assert_eq!(
            super::agree(&usual, of(200), of(500)),
            Err("it has status 500, the champion's has 200".to_owned())
        );
    }

    #[test]
    fn an_answer_that_is_none_is_told() {
        let expected = answer(&json!([1]));
        assert!(compare(&expected, &json!({"error": "no"})).unwrap_err().contains("no `outputs`"));
        assert!(compare(&answer(&json!([])), &answer(&json!([]))).unwrap_err().contains("no values"));
        assert!(compare(&answer(&json!([null])), &answer(&json!([1]))).is_err());
    }
}
