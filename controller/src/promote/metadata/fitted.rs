//! What is sent to MLflow, made to fit its limits.
//!
//! Its server refuses whole requests for one name or text that is too long; so names are changed in a way that keeps them
//! apart, texts are cut with a mark, and lists go in parts.

use controller_core::ports::{Measured, Observation};
use controller_core::time::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Longest name of a parameter, metric or tag.
const KEY: usize = 250;
/// Longest value of a parameter.
pub(super) const PARAM: usize = 6000;
/// Longest value of a tag.
pub(super) const TAG: usize = 8000;
/// Most parameters or tags in one request.
pub(super) const PER_REQUEST: usize = 100;
/// Most metrics in one request.
pub(super) const METRICS_PER_REQUEST: usize = 1000;
/// Most bytes in one request; it takes a million.
const BYTES_PER_REQUEST: usize = 800_000;
/// Longest digest of a data set.
pub(super) const DATASET_DIGEST: usize = 36;

/// A name that is taken: letters, digits, `_`, `-`, `.`, `:`, `/` and spaces, and no path that means another. One that had
/// to be changed ends in a part of its digest.
pub(super) fn key(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || " _-.:/".contains(c);
    let is_path = name.split('/').any(|part| matches!(part, "" | "." | ".."));
    if name.chars().count() <= KEY && name.chars().all(plain) && !is_path {
        return name.to_owned();
    }
    let digest = Sha256::digest(name);
    let mark: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let kept = name.chars().take(KEY - 9).map(|c| if plain(c) && c != '/' { c } else { '_' });
    format!("{}-{mark}", kept.collect::<String>().trim_matches('.'))
}

/// A text of at most so many characters; one that is cut ends in `…`.
pub(super) fn text(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// A list in parts that are taken, in order.
pub(super) fn parts(items: Vec<Value>, most: usize) -> Vec<Vec<Value>> {
    let mut parts: Vec<Vec<Value>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let length = item.to_string().len() + 1;
        let fits = |part: &&mut Vec<Value>| part.len() < most && bytes + length <= BYTES_PER_REQUEST;
        if let Some(part) = parts.last_mut().filter(fits) {
            bytes += length;
            part.push(item);
        } else {
            bytes = length;
            parts.push(vec![item]);
        }
    }
    parts
}

/// `{key, value}`, as parameters and tags go.
pub(super) fn pair(name: &str, value: &str, most: usize) -> Value {
    json!({"key": key(name), "value": text(value, most)})
}

/// Metrics with their steps and times. What is no number stays in Cairn.
pub(super) fn metrics(measured: &Measured, at: Timestamp) -> Vec<Value> {
    let at = measured.ended.or(measured.started).unwrap_or(at);
    let metric = |observation: &Observation| {
        let row = &observation.row;
        Some(metric(&row.metric, row.value?, row.time.unwrap_or(at), row.step))
    };
    measured.values.iter().filter_map(metric).collect()
}

/// A metric. A value that is not finite goes as a text: as the bare word that it is, its server takes it for a zero.
pub(super) fn metric(name: &str, value: f64, at: Timestamp, step: i64) -> Value {
    let value = match value {
        value if value.is_nan() => json!("NaN"),
        f64::INFINITY => json!("Infinity"),
        f64::NEG_INFINITY => json!("-Infinity"),
        value => json!(value),
    };
    json!({"key": key(name), "value": value, "timestamp": millis(at), "step": step})
}

/// Milliseconds since 1970, none of them before.
pub(super) fn millis(at: Timestamp) -> i64 {
    (at.0 / 1000).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_taken_stay_and_others_stay_apart() {
        for name in ["lr", "layer 1/units", "a:b", "größe", "x.y-z_0"] {
            assert_eq!(key(name), name);
        }
        let long = "l".repeat(300);
        for name in ["l*r", "l$r", "../a", "a//b", "/a", ".", "", long.as_str()] {
            let fits = key(name);
            assert_ne!(fits, name);
            assert_eq!(key(&fits), fits, "{name} became {fits}, which is not taken either");
        }
        assert_ne!(key("l*r"), key("l$r"));
    }

    #[test]
    fn long_texts_are_cut_with_a_mark() {
        assert_eq!(text("short", 6000), "short");
        let cut = text(&"ä".repeat(7000), PARAM);
        assert_eq!((cut.chars().count(), cut.ends_with("ä…")), (6000, true));
    }

    #[test]
    fn parts_hold_as_much_as_is_taken() {
        let items = |n: usize, bytes: usize| vec![json!("x".repeat(bytes)); n];
        let lengths = |parts: Vec<Vec<Value>>| parts.iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(parts(items(250, 1), PER_REQUEST)), [100, 100, 50]);
        assert_eq!(lengths(parts(items(3, 500_000), PER_REQUEST)), [1, 1, 1]);
        assert_eq!(lengths(parts(Vec::new(), PER_REQUEST)), [0; 0]);
    }

    #[test]
    fn values_that_are_not_finite_are_words() {
        let value = |value| metric("a", value, Timestamp(2_500), 7).to_string();
        assert_eq!(value(0.5), r#"{"key":"a","value":0.5,"timestamp":2,"step":7}"#);
        assert_eq!(value(f64::NAN), r#"{"key":"a","value":"NaN","timestamp":2,"step":7}"#);
        assert_eq!(value(f64::NEG_INFINITY), r#"{"key":"a","value":"-Infinity","timestamp":2,"step":7}"#);
        assert_eq!(millis(Timestamp(-5)), 0);
    }
}
