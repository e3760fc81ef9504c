//! YAML as Kubernetes reads it: YAML 1.1 scalars, anchors, merge keys, and where each node stands in the text. And
//! YAML as people like to read it.

mod write;

use std::collections::{BTreeMap, HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Number, Value};
use thiserror::Error;

pub use write::write;

/// Most nodes of one text, aliases expanded; more is taken for an attack.
const MAX_NODES: usize = 1_000_000;
/// Deepest nesting.
const MAX_DEPTH: usize = 200;

/// Why a text is no YAML.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {message}")]
pub struct YamlError {
    /// Line, from 1.
    pub line: u32,
    /// What is wrong there.
    pub message: String,
}

/// A document with the line of each of its nodes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Source {
    /// The document.
    pub value: Value,
    /// Line, from 1, by path such as `spec.parameters[2].feasibleSpace.min`; the document itself is the empty path.
    pub lines: BTreeMap<String, u32>,
}

impl Source {
    /// The line of a path, or of the nearest node that holds it.
    pub fn line(&self, path: &str) -> Option<u32> {
        let mut path = path;
        loop {
            if let Some(line) = self.lines.get(path) {
                return Some(*line);
            }
            path = &path[..path.rfind(['.', '['])?];
        }
    }
}

/// Reads all documents of a text. JSON is YAML too.
///
/// # Errors
/// For the first thing that is no YAML, or a key given twice.
pub fn parse(text: &str) -> Result<Vec<Source>, YamlError> {
    let mut reader =
        Reader { parser: Parser::new_from_str(text), anchors: HashMap::new(), nodes: 0, line: 1 };
    let mut documents = Vec::new();
    while let Some(event) = reader.next()? {
        if let Event::DocumentStart(_) = event {
            let node = reader.node(0)?;
            let mut source = Source::default();
            source.value = flatten(node, &mut String::new(), &mut source.lines)?;
            documents.push(source);
        }
    }
    Ok(documents)
}

/// A node with its line, before keys are checked.
#[derive(Clone, Debug)]
struct Node {
    line: u32,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Scalar(Value),
    List(Vec<Node>),
    /// Keys in order, with merged ones after their own.
    Map(Vec<(String, u32, Node)>),
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    line: u32,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<Event<'a>>, YamlError> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => {
                self.line = u32::try_from(span.start.line()).unwrap_or(u32::MAX);
                Ok(Some(event))
            }
            Some(Err(error)) => Err(YamlError {
                line: u32::try_from(error.marker().line()).unwrap_or(u32::MAX),
                message: error.info().to_owned(),
            }),
        }
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T, YamlError> {
        Err(YamlError { line: self.line, message: message.into() })
    }

    fn node(&mut self, depth: usize) -> Result<Node, YamlError> {
        match self.next()? {
            Some(event) => self.node_of(event, depth),
            None => self.fail("the text ends too early"),
        }
    }

    fn node_of(&mut self, event: Event<'a>, depth: usize) -> Result<Node, YamlError> {
        self.count(1)?;
        if depth > MAX_DEPTH {
            return self.fail(format!("nested deeper than {MAX_DEPTH}"));
        }
        let line = self.line;
        let (anchor, content) = match event {
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id).cloned() else {
                    return self.fail("an alias to nothing");
                };
                self.count(size(&node))?;
                return Ok(Node { line, ..node });
            }
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_ref().map(|tag| tag.suffix.as_str());
                (anchor, Content::Scalar(scalar(&text, style, tag)))
            }
            Event::SequenceStart(anchor, _) => (anchor, self.list(depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.map(depth)?),
            other => return self.fail(format!("unexpected {other:?}")),
        };
        let node = Node { line, content };
        if anchor > 0 {
            // Anchors in each other would be copied once for each of them.
            self.count(size(&node))?;
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn count(&mut self, nodes: usize) -> Result<(), YamlError> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES { self.fail(format!("more than {MAX_NODES} nodes")) } else { Ok(()) }
    }

    fn list(&mut self, depth: usize) -> Result<Content, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                Some(Event::SequenceEnd) => return Ok(Content::List(items)),
                Some(event) => items.push(self.node_of(event, depth + 1)?),
                None => return self.fail("a list has no end"),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Content, YamlError> {
        let mut own: Vec<(String, u32, Node)> = Vec::new();
        let mut seen = HashSet::new();
        let mut merged = Vec::new();
        loop {
            let event = match self.next()? {
                Some(Event::MappingEnd) => break,
                Some(event) => event,
                None => return self.fail("a map has no end"),
            };
            let plain_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.node_of(event, depth + 1)?;
            let value = self.node(depth + 1)?;
            if plain_merge {
                self.merge(value, &mut merged)?;
                continue;
            }
            let Content::Scalar(key_value) = key.content else {
                return self.fail("a key must be a scalar");
            };
            let name = match key_value {
                Value::String(text) => text,
                other => other.to_string(),
            };
            if !seen.insert(name.clone()) {
                return Err(YamlError { line: key.line, message: format!("key `{name}` is given twice") });
            }
            own.push((name, key.line, value));
        }
        for (name, line, value) in merged {
            if seen.insert(name.clone()) {
                own.push((name, line, value));
            }
        }
        Ok(Content::Map(own))
    }

    fn merge(&self, value: Node, into: &mut Vec<(String, u32, Node)>) -> Result<(), YamlError> {
        match value.content {
            Content::Map(entries) => into.extend(entries),
            Content::List(maps) => {
                for map in maps {
                    self.merge(map, into)?;
                }
            }
            Content::Scalar(_) => return self.fail("`<<` takes a map or a list of maps"),
        }
        Ok(())
    }
}

fn size(node: &Node) -> usize {
    1 + match &node.content {
        Content::Scalar(_) => 0,
        Content::List(items) => items.iter().map(size).sum(),
        Content::Map(entries) => entries.iter().map(|(_, _, value)| size(value)).sum(),
    }
}

fn flatten(node: Node, path: &mut String, lines: &mut BTreeMap<String, u32>) -> Result<Value, YamlError> {
    lines.insert(path.clone(), node.line);
    let length = path.len();
    Ok(match node.content {
        Content::Scalar(value) => value,
        Content::List(items) => {
            let mut list = Vec::with_capacity(items.len());
            for (i, item) in items.into_iter().enumerate() {
                path.push_str(&format!("[{i}]"));
                list.push(flatten(item, path, lines)?);
                path.truncate(length);
            }
            Value::Array(list)
        }
        Content::Map(entries) => {
            let mut map = Map::new();
            for (key, key_line, value) in entries {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&key);
                let value = flatten(value, path, lines)?;
                lines.insert(path.clone(), key_line);
                path.truncate(length);
                map.insert(key, value);
            }
            Value::Object(map)
        }
    })
}

/// The value of a scalar, as the YAML library of Kubernetes resolves it.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&str>) -> Value {
    match tag {
        Some("str") => return Value::String(text.to_owned()),
        None if style != ScalarStyle::Plain => return Value::String(text.to_owned()),
        _ => {}
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Value::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Value::Bool(false)
        }
        _ => number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number),
    }
}

/// A YAML 1.1 number: decimal, `0x`, `0o`, `0b`, octal by a leading zero, `_` between digits, or a decimal fraction.
fn number(text: &str) -> Option<Number> {
    let first = text.bytes().next()?;
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-' | b'.')) {
        return None;
    }
    let plain = text.replace('_', "");
    let (negative, digits) = match plain.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, plain.strip_prefix('+').unwrap_or(&plain)),
    };
    let lower = digits.to_ascii_lowercase();
    let radix = |prefix: &str, radix| lower.strip_prefix(prefix).map(|rest| u64::from_str_radix(rest, radix));
    let leading_zero = lower.len() > 1 && lower.starts_with('0') && lower.bytes().all(|b| b.is_ascii_digit());
    let magnitude = radix("0x", 16)
        .or_else(|| radix("0o", 8))
        .or_else(|| radix("0b", 2))
        .or_else(|| leading_zero.then(|| u64::from_str_radix(&lower[1..], 8)))
        .unwrap_or_else(|| if digits.starts_with(['+', '-']) { "".parse() } else { digits.parse() });
    match magnitude {
        Ok(magnitude) if !negative => return Some(Number::from(magnitude)),
        Ok(magnitude) if magnitude <= 1 << 63 => {
            return Some(Number::from((magnitude as i64).wrapping_neg()));
        }
        _ => {}
    }
    if !is_float(&plain) {
        return None;
    }
    let value: f64 = plain.parse().ok()?;
    // A whole number is written without a fraction, as Kubernetes' conversion to JSON does.
    if value.fract() == 0.0 && value.abs() < 1e15 {
        Some(Number::from(value as i64))
    } else {
        Number::from_f64(value)
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (text, None),
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction) && mantissa.len() > 1,
        None => !mantissa.is_empty() && digits(mantissa),
    };
    mantissa_fits && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(text: &str) -> Value {
        parse(text).unwrap().remove(0).value
    }

    #[test]
    fn scalars_are_read_as_kubernetes_does() {
        let text = "[yes, off, y, N, ~, 0o17, 017, 0x1F, 1_000, 0.1, 1e3, .5, -3, '0.1', \"yes\", 1.2.3, 08, !!str 5, 1:30]";
        let wanted = json!([
            true, false, true, false, null, 15, 15, 31, 1000, 0.1, 1000, 0.5, -3, "0.1", "yes", "1.2.3", 8,
            "5", "1:30"
        ]);
        assert_eq!(one(text), wanted);
    }

    #[test]
    fn anchors_and_merge_keys_are_expanded() {
        let text = "base: &b {x: 1, z: 2}\nuse: {<<: *b, z: 3}\nsame: *b\n";
        assert_eq!(one(text)["use"], json!({"z": 3, "x": 1}));
        assert_eq!(one(text)["same"], json!({"x": 1, "z": 2}));
    }

    #[test]
    fn every_node_knows_its_line() {
        let source = parse("a: 1\nb:\n  - c: 2\n    d:\n      e: 3\n").unwrap().remove(0);
        assert_eq!(source.line("b[0].d.e"), Some(5));
        assert_eq!(source.line("b[0].d.missing"), Some(4));
        assert_eq!(source.line("a"), Some(1));
    }

    #[test]
    fn a_key_given_twice_is_refused_with_its_line() {
        assert_eq!(parse("a: 1\nb: 2\na: 3\n").unwrap_err().to_string(), "line 3: key `a` is given twice");
    }

    #[test]
    fn an_alias_bomb_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..10 {
            let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
            text.push_str(&format!("a{i}: &a{i} [{aliases}]\n"));
        }
        assert!(parse(&text).unwrap_err().message.contains("nodes"));
    }

    #[test]
    fn anchors_in_each_other_are_an_attack_too() {
        let mut text = String::from("a: ");
        (0..150).for_each(|i| text.push_str(&format!("&a{i} [")));
        text.push_str(&"x, ".repeat(20_000));
        text.push_str(&"]".repeat(150));
        assert!(parse(&text).unwrap_err().message.contains("nodes"));
    }

    #[test]
    fn many_keys_are_read_in_no_time() {
        let text: String = (0..200_000).map(|i| format!("key{i}: 1\n")).collect();
        assert_eq!(one(&text).as_object().unwrap().len(), 200_000);
    }

    #[test]
    fn several_documents_are_all_read() {
        assert_eq!(parse("a: 1\n---\nb: 2\n").unwrap().len(), 2);
        assert!(parse("").unwrap().is_empty());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[\\x00-\\x7f\u{e9}]{0,60}") {
            parse(&text).ok();
        }
    }
}
