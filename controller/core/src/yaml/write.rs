//! JSON as YAML for people: blocks, no quotes where none are needed.

use serde_json::Value;

/// A value as a YAML document.
pub fn write(value: &Value) -> String {
    let mut text = String::new();
    block(value, 0, &mut text);
    text
}

fn block(value: &Value, indent: usize, text: &mut String) {
    let pad = " ".repeat(indent);
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                text.push_str(&format!("{pad}{}:", plain(key)));
                below(value, indent, text);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                let mut inner = String::new();
                block(item, indent + 2, &mut inner);
                text.push_str(&format!("{pad}- {}", inner.trim_start_matches(' ')));
            }
        }
        scalar => text.push_str(&format!("{pad}{}\n", flat(scalar))),
    }
}

/// What follows a key.
fn below(value: &Value, indent: usize, text: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            text.push('\n');
            block(value, indent + 2, text);
        }
        Value::Array(items) if !items.is_empty() => {
            text.push('\n');
            block(value, indent, text);
        }
        Value::String(lines) if lines.contains('\n') && literal(lines) => {
            let chomp = if lines.ends_with('\n') { "" } else { "-" };
            text.push_str(&format!(" |{chomp}\n"));
            for line in lines.trim_end_matches('\n').split('\n') {
                let pad = if line.is_empty() { String::new() } else { " ".repeat(indent + 2) };
                text.push_str(&format!("{pad}{line}\n"));
            }
        }
        scalar => text.push_str(&format!(" {}\n", flat(scalar))),
    }
}

/// Whether a text can stand as a block of lines.
fn literal(text: &str) -> bool {
    let odd = |c: char| c.is_control() && c != '\n';
    !text.starts_with([' ', '\n']) && !text.ends_with("\n\n") && !text.contains(odd)
}

fn flat(value: &Value) -> String {
    match value {
        Value::String(text) => plain(text),
        Value::Object(_) => "{}".into(),
        Value::Array(_) => "[]".into(),
        other => other.to_string(),
    }
}

/// A text without quotes where it cannot be taken for something else.
fn plain(text: &str) -> String {
    let first = |c: char| c.is_ascii_alphabetic() || matches!(c, '/' | '_' | '.' | '$');
    let later = |c: char| {
        c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '.' | '-' | '$' | '{' | '}' | '=' | '+')
    };
    let reserved = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"];
    let safe = text.starts_with(first)
        && text.chars().all(later)
        && !reserved.contains(&text.to_ascii_lowercase().as_str())
        && !text.starts_with('.');
    if safe { text.to_owned() } else { Value::from(text).to_string() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_reads_back_the_same() {
        let value = json!({
            "name": "digits", "yes": "no", "number": "0.1", "n": 3, "empty": {}, "none": [], "null": null,
            "list": [{"a": 1, "b": [1, 2]}, "text: with colon", [["deep"]]],
            "script": "echo one\n  echo two\n", "spaced": " lead", "tab": "a\tb\nc",
        });
        let text = write(&value);
        let read = crate::yaml::parse(&text).unwrap().remove(0).value;
        assert_eq!(read, value, "{text}");
    }
}
