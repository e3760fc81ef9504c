//! Every field of an Experiment with what it is for: behind `cairn explain`, hints and the shape of documents.

mod nearest;
mod table;

pub use nearest::nearest;
pub use table::{FIELDS, UNBUILT};

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A text, quoted where it looks like something else.
    Text,
    /// A whole number.
    Int,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// A map of the fields below it.
    Map,
    /// A list of maps; the fields of an item stand under the path with `[]`.
    List,
    /// A list of texts.
    Texts,
    /// A list of whole numbers.
    Ints,
    /// A list of maps from any name to a text.
    TextMaps,
    /// A map from any name to a text.
    TextMap,
    /// A map from any name to a number.
    NumberMap,
    /// Whatever its kind says.
    Any,
}

impl Shape {
    /// For people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Int => "whole number",
            Self::Number => "number",
            Self::Bool => "true or false",
            Self::Map => "map",
            Self::List => "list",
            Self::Texts => "list of texts",
            Self::Ints => "list of whole numbers",
            Self::TextMaps => "list of maps of texts",
            Self::TextMap => "map of texts",
            Self::NumberMap => "map of numbers",
            Self::Any => "anything",
        }
    }
}

/// One field and its documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Path such as `spec.parameters[].feasibleSpace.min`.
    pub path: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// One paragraph.
    pub doc: &'static str,
}

impl Field {
    /// Its own name, without those it stands under.
    pub fn name(&self) -> &'static str {
        let name = self.path.trim_end_matches("[]");
        name.rsplit('.').next().unwrap_or(name)
    }
}

/// Fields that a person may mean by a path: exactly that one, or all whose path ends with it. Indices may be given
/// or left out, and so may what stands before.
pub fn find(query: &str) -> Vec<&'static Field> {
    let query = plain(query);
    if query.is_empty() {
        return Vec::new();
    }
    let exact: Vec<&Field> = FIELDS.iter().filter(|field| plain(field.path) == query).collect();
    if !exact.is_empty() {
        return exact;
    }
    let end = format!(".{query}");
    FIELDS.iter().filter(|field| plain(field.path).ends_with(&end)).collect()
}

/// The fields that stand right below one, in the order of the documentation.
pub fn below(path: &str) -> impl Iterator<Item = &'static Field> {
    let start = if path.is_empty() { String::new() } else { format!("{}.", plain(path)) };
    FIELDS.iter().filter(move |field| {
        plain(field.path).strip_prefix(&start).is_some_and(|rest| !rest.is_empty() && !rest.contains('.'))
    })
}

/// The field of a path of a document, such as `spec.parameters[2].name`.
pub fn at(path: &str) -> Option<&'static Field> {
    let path = plain(path);
    FIELDS.iter().find(|field| plain(field.path) == path)
}

/// A path without indices.
fn plain(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    let mut inside = false;
    for c in path.trim().chars() {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            c if !inside => out.push(c),
            _ => {}
        }
    }
    out
}

#[cfg(test)]
mod tests;
