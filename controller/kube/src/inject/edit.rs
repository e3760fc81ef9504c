//! Changing objects that are known by their words alone.

use serde_json::{Map, Value};

/// The map below a word, made if there is none.
pub(super) fn map<'a>(value: &'a mut Value, word: &str) -> Option<&'a mut Map<String, Value>> {
    let below = value.as_object_mut()?.entry(word).or_insert(Value::Null);
    if below.is_null() {
        *below = Value::Object(Map::new());
    }
    below.as_object_mut()
}

/// The list below a word, made if there is none.
pub(super) fn list<'a>(value: &'a mut Value, word: &str) -> Option<&'a mut Vec<Value>> {
    let below = value.as_object_mut()?.entry(word).or_insert(Value::Null);
    if below.is_null() {
        *below = Value::Array(Vec::new());
    }
    below.as_array_mut()
}

/// Adds a named item to a list, unless there is one of its name.
pub(super) fn add(list: &mut Vec<Value>, item: Value) {
    if named(list, text(&item, "name")).is_none() {
        list.push(item);
    }
}

/// The item of a list that has this name.
pub(super) fn named<'a>(list: &'a [Value], name: &str) -> Option<&'a Value> {
    list.iter().find(|item| text(item, "name") == name)
}

/// The text below a word; empty if there is none.
pub(super) fn text<'a>(value: &'a Value, word: &str) -> &'a str {
    value.get(word).and_then(Value::as_str).unwrap_or_default()
}
