//! GJSON paths, the language of success and failure conditions: <https://github.com/tidwall/gjson/blob/master/SYNTAX.md>.
//!
//! Keys with `*`, `?` and `\`, indices, `#`, queries `#(...)` and `#(...)#` with all comparisons, `.` and `|`, `@this` and
//! lists `[a,b]` mean what they mean there, quirks too. What is left out (other modifiers, maps `{...}`, literals `!...`,
//! comparisons with `~`) is refused by name.

use std::borrow::Cow;

use serde_json::Value;
use thiserror::Error;

/// Deepest nesting of queries and lists.
const MAX_DEPTH: usize = 20;

/// Why a text is no path that is understood.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PathError {
    /// A bracket or quote without its end.
    #[error("`{0}` is not closed")]
    NotClosed(String),
    /// A part of GJSON that is left out here.
    #[error("`{0}` is a part of GJSON that is not supported here")]
    NotSupported(String),
    /// Something stands behind a closing bracket.
    #[error("`{0}` stands where `.`, `|` or the end is wanted")]
    NotSeparated(String),
    /// Queries in queries without end.
    #[error("it is nested more than {MAX_DEPTH} times")]
    TooDeep,
}

/// A path, understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    part: Part,
    /// Whether `|` follows: what comes then is about the whole result, not about each of a list.
    piped: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// A key with wildcards, or an index.
    Key(String),
    /// `#`: the length of a list, or each of its items.
    Each,
    /// `#(...)`, the first item that meets it, or `#(...)#`, all of them.
    Query { path: Path, op: Op, to: String, all: bool },
    /// `@this`.
    This,
    /// `[a,b]`: a list of what the paths find.
    List(Vec<Path>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Exists,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Like,
    NotLike,
}

/// Longer ones first.
const OPS: [(&str, Op); 9] = [
    ("==", Op::Equal),
    ("!=", Op::NotEqual),
    ("!%", Op::NotLike),
    ("<=", Op::LessOrEqual),
    (">=", Op::GreaterOrEqual),
    ("=", Op::Equal),
    ("<", Op::Less),
    (">", Op::Greater),
    ("%", Op::Like),
];

impl Path {
    /// Reads a path.
    ///
    /// # Errors
    /// If it is none, or uses what is left out.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        parse(text, 0)
    }

    /// What it finds in a value.
    pub fn find<'a>(&self, value: &'a Value) -> Option<Cow<'a, Value>> {
        find(&self.0, value)
    }
}

fn parse(text: &str, depth: usize) -> Result<Path, PathError> {
    if depth > MAX_DEPTH {
        return Err(PathError::TooDeep);
    }
    let mut steps = Vec::new();
    let mut rest = Some(text);
    while let Some(text) = rest {
        let (part, after) = part(text, depth)?;
        let piped = after.starts_with('|');
        rest = after.strip_prefix(['.', '|']);
        if rest.is_none() && !after.is_empty() {
            return Err(PathError::NotSeparated(after.into()));
        }
        steps.push(Step { part, piped });
    }
    Ok(Path(steps))
}

/// The first part of a text, and what stands behind it.
fn part(text: &str, depth: usize) -> Result<(Part, &str), PathError> {
    let end = key_end(text);
    match text.chars().next() {
        Some('@') if &text[..end] == "@this" => Ok((Part::This, &text[end..])),
        Some('@' | '{' | '!') => Err(PathError::NotSupported(text[..end].into())),
        Some('#') if end == 1 => Ok((Part::Each, &text[1..])),
        Some('#') if text[1..].starts_with('(') => {
            let (inside, after) = bracketed(&text[1..])?;
            let (all, after) = after.strip_prefix('#').map_or((false, after), |after| (true, after));
            Ok((query(inside, all, depth)?, after))
        }
        Some('[') => {
            let (inside, after) = bracketed(text)?;
            let paths = items(inside).into_iter().map(|item| parse(item.trim(), depth + 1));
            Ok((Part::List(paths.collect::<Result<_, _>>()?), after))
        }
        _ => Ok((Part::Key(text[..end].into()), &text[end..])),
    }
}

/// Where a key ends: at the first `.` or `|` that is not escaped.
fn key_end(text: &str) -> usize {
    outside(text, |c, _| matches!(c, '.' | '|')).unwrap_or(text.len())
}

/// What stands in the brackets that a text begins with, and what stands behind them.
fn bracketed(text: &str) -> Result<(&str, &str), PathError> {
    let mut depth = 0;
    let mut quoted = false;
    let end = outside(text, |c, _| {
        match c {
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth -= 1,
            _ => {}
        }
        depth == 0
    });
    let end = end.ok_or_else(|| PathError::NotClosed(text.into()))?;
    Ok((&text[1..end], &text[end + 1..]))
}

/// The items of a list, parted by commas outside of brackets and quotes.
fn items(text: &str) -> Vec<&str> {
    let (mut depth, mut quoted) = (0_u32, false);
    let mut items = Vec::new();
    let mut from = 0;
    outside(text, |c, at| {
        match c {
            '"' => quoted = !quoted,
            '(' | '[' | '{' if !quoted => depth += 1,
            ')' | ']' | '}' if !quoted => depth = depth.saturating_sub(1),
            ',' if !quoted && depth == 0 => {
                items.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
        false
    });
    items.push(&text[from..]);
    items
}

/// The place of the first character, of those that `\` does not escape, that is what is looked for.
fn outside(text: &str, mut is: impl FnMut(char, usize) -> bool) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let literal = escaped;
        escaped = !literal && c == '\\';
        if literal || escaped {
            return None;
        }
        is(c, at).then_some(at)
    })
}

/// A query from what stands in its brackets.
fn query(inside: &str, all: bool, depth: usize) -> Result<Part, PathError> {
    let mut nested = 0_u32;
    let mut quoted = false;
    let at = outside(inside, |c, _| {
        match c {
            '"' => quoted = !quoted,
            '(' | '[' if !quoted => nested += 1,
            ')' | ']' if !quoted => nested = nested.saturating_sub(1),
            _ => {}
        }
        nested == 0 && !quoted && matches!(c, '!' | '=' | '<' | '>' | '%')
    });
    let Some(at) = at else {
        return Ok(Part::Query { path: left(inside, depth)?, op: Op::Exists, to: String::new(), all });
    };
    let right = &inside[at..];
    let Some((word, op)) = OPS.into_iter().find(|(word, _)| right.starts_with(word)) else {
        return Err(PathError::NotSupported(right.into()));
    };
    let to = right[word.len()..].trim();
    if to.starts_with('~') {
        return Err(PathError::NotSupported(to.into()));
    }
    let quoted = to.strip_prefix('"').and_then(|to| to.strip_suffix('"'));
    let to =
        quoted.map_or_else(|| to.to_owned(), |_| serde_json::from_str(to).unwrap_or_else(|_| to.to_owned()));
    Ok(Part::Query { path: left(&inside[..at], depth)?, op, to, all })
}

/// What a query looks at; nothing written means the item itself.
fn left(text: &str, depth: usize) -> Result<Path, PathError> {
    let text = text.trim();
    if text.is_empty() { Ok(Path(Vec::new())) } else { parse(text, depth + 1) }
}

fn find<'a>(steps: &[Step], value: &'a Value) -> Option<Cow<'a, Value>> {
    let Some((step, rest)) = steps.split_first() else {
        return Some(Cow::Borrowed(value));
    };
    match &step.part {
        Part::This => find(rest, value),
        Part::Key(key) => find(rest, child(value, key)?),
        Part::Each if rest.is_empty() || step.piped => then(rest, Value::from(value.as_array()?.len())),
        Part::Each => each(rest, value.as_array()?.iter()),
        Part::List(paths) => {
            let found = paths.iter().filter_map(|path| path.find(value)).map(Cow::into_owned);
            then(rest, found.collect())
        }
        Part::Query { path, op, to, all } => {
            let mut met = value.as_array()?.iter().filter(|item| meets(path.find(item).as_deref(), *op, to));
            match (all, step.piped || rest.is_empty()) {
                (false, _) => find(rest, met.next()?),
                (true, true) => then(rest, met.cloned().collect()),
                (true, false) => each(rest, met),
            }
        }
    }
}

/// Goes on with a value that was made on the way.
fn then<'a>(steps: &[Step], value: Value) -> Option<Cow<'a, Value>> {
    if steps.is_empty() {
        return Some(Cow::Owned(value));
    }
    find(steps, &value).map(|found| Cow::Owned(found.into_owned()))
}

/// Goes on with each of a list up to the next `|`, and then with all that was found.
fn each<'a>(steps: &[Step], items: impl Iterator<Item = &'a Value>) -> Option<Cow<'a, Value>> {
    let of_each = steps.iter().position(|step| step.piped).map_or(steps.len(), |last| last + 1);
    let (of_each, of_all) = steps.split_at(of_each);
    let found = items.filter_map(|item| find(of_each, item)).map(Cow::into_owned);
    then(of_all, found.collect())
}

fn child<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    match value {
        Value::Array(items) => items.get(key.parse::<usize>().ok()?),
        Value::Object(map) => map.iter().find(|(name, _)| is_like(name, key)).map(|(_, value)| value),
        _ => None,
    }
}

/// Whether a text is like a pattern: `*` any characters, `?` any one, `\` takes the next as it is.
fn is_like(text: &str, pattern: &str) -> bool {
    let (text, pattern): (Vec<char>, Vec<char>) = (text.chars().collect(), pattern.chars().collect());
    let (mut t, mut p) = (0, 0);
    // Where the last star stands, and up to where it has matched.
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        let step = match pattern.get(p) {
            Some('*') => {
                star = Some((p, t));
                p += 1;
                continue;
            }
            Some('?') => Some(1),
            Some('\\') => (pattern.get(p + 1) == text.get(t)).then_some(2),
            other => (other == text.get(t)).then_some(1),
        };
        match (step, star) {
            (Some(n), _) => (t, p) = (t + 1, p + n),
            (None, Some((at, matched))) => {
                star = Some((at, matched + 1));
                (t, p) = (matched + 1, at + 1);
            }
            (None, None) => return false,
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// Whether a value that was found, or not, compares with a text. Texts compare as texts and numbers as numbers, in which
/// a text that is none is 0.
fn meets(value: Option<&Value>, op: Op, to: &str) -> bool {
    let Some(value) = value else { return false };
    if op == Op::Exists {
        return true;
    }
    match value {
        Value::String(text) => match op {
            Op::Like => is_like(text, to),
            Op::NotLike => !is_like(text, to),
            _ => ordered(op, text.as_str().partial_cmp(to)),
        },
        Value::Number(number) => {
            ordered(op, number.as_f64().unwrap_or(0.0).partial_cmp(&to.parse().unwrap_or(0.0)))
        }
        Value::Bool(value) => match op {
            Op::Equal => to == if *value { "true" } else { "false" },
            Op::NotEqual => to != if *value { "true" } else { "false" },
            Op::Less => !value && to == "true",
            Op::LessOrEqual => !value,
            Op::Greater => *value && to == "false",
            Op::GreaterOrEqual => *value,
            _ => false,
        },
        _ => false,
    }
}

fn ordered(op: Op, order: Option<std::cmp::Ordering>) -> bool {
    order.is_some_and(|order| match op {
        Op::Equal => order.is_eq(),
        Op::NotEqual => order.is_ne(),
        Op::Less => order.is_lt(),
        Op::LessOrEqual => order.is_le(),
        Op::Greater => order.is_gt(),
        Op::GreaterOrEqual => order.is_ge(),
        _ => false,
    })
}

#[cfg(test)]
mod tests;
