//! JSON lines: one object a line, metrics as texts or numbers.

use serde_json::{Map, Value};

use crate::time::Timestamp;

/// An object of one line.
#[derive(Debug)]
pub(super) struct Line(Map<String, Value>);

/// Reads a line; bytes that are not UTF-8 are replaced. `NaN` and `Infinity`, which JSON does not have and Python's
/// writer writes, are taken for texts.
pub(super) fn read(line: &[u8]) -> Result<Line, String> {
    let text = String::from_utf8_lossy(line);
    let value = serde_json::from_str(&text).or_else(|error| match quote_not_finite(&text) {
        Some(quoted) => serde_json::from_str(&quoted).map_err(|_| error),
        None => Err(error),
    });
    match value {
        Ok(Value::Object(map)) => Ok(Line(map)),
        Ok(_) => Err("it is no JSON object".into()),
        Err(error) => Err(format!("it is no JSON: {error}")),
    }
}

/// Puts quotes around numbers that are not finite; `None` if there are none.
fn quote_not_finite(text: &str) -> Option<String> {
    let (mut out, mut rest, mut found) = (String::with_capacity(text.len() + 8), text, false);
    while let Some(first) = rest.chars().next() {
        let word = ["NaN", "Infinity", "-Infinity"].into_iter().find(|word| rest.starts_with(word));
        let length = match word {
            Some(word) => {
                out.extend(["\"", word, "\""]);
                found = true;
                word.len()
            }
            None => {
                let length = if first == '"' { quoted_len(rest) } else { first.len_utf8() };
                out.push_str(&rest[..length]);
                length
            }
        };
        rest = &rest[length..];
    }
    found.then_some(out)
}

/// Bytes of the string that begins a text, quotes and all.
fn quoted_len(text: &str) -> usize {
    let mut escaped = false;
    for (i, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return i + 1,
            _ => {}
        }
    }
    text.len()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_does_not_have_are_texts() {
        let line = read(br#"{"a": NaN, "b": [-Infinity], "c": "NaN \" Infinity", "d":Infinity}"#).unwrap();
        assert_eq!(line.value("a").unwrap(), "NaN");
        assert_eq!(line.value("c").unwrap(), "NaN \" Infinity");
        assert_eq!(line.value("d").unwrap(), "Infinity");
        assert!(read(b"{\"a\": NaN, \"b\": oops}").is_err());
        assert!(read("{\"é\": nan, \"".as_bytes()).is_err());
    }
}
