//! JSON lines: one object a line, metrics as texts or numbers.

use serde_json::{Map, Value};

use crate::time::Timestamp;

/// An object of one line.
#[derive(Debug)]
pub(super) struct Line(Map<String, Value>);

/// Reads a line; bytes that are not UTF-8 are replaced.
pub(super) fn read(line: &[u8]) -> Result<Line, String> {
    match serde_json::from_str(&String::from_utf8_lossy(line)) {
        Ok(Value::Object(map)) => Ok(Line(map)),
        Ok(_) => Err("it is no JSON object".into()),
        Err(error) => Err(format!("it is no JSON: {error}")),
    }
}

impl Line {
    /// The text of a metric: a string as it is, a number as written. Null and everything else is none.
    pub(super) fn value(&self, metric: &str) -> Option<String> {
        match self.0.get(metric)? {
            Value::String(text) if !text.is_empty() => Some(text.replace('\0', "\\x00")),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Its `timestamp`: RFC 3339, or seconds since 1970 with a fraction.
    pub(super) fn time(&self) -> Option<Timestamp> {
        match self.0.get("timestamp")? {
            Value::String(text) => Timestamp::parse_rfc3339(text),
            Value::Number(seconds) => {
                let micros = seconds.as_f64()? * 1e6;
                (micros.abs() < 9e18).then_some(Timestamp(micros.round() as i64))
            }
            _ => None,
        }
    }

    /// Its `step`, else its `epoch`.
    pub(super) fn step(&self) -> Option<i64> {
        let number = |name: &str| match self.0.get(name)? {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number("step").or_else(|| number("epoch"))
    }
}
