//! Filters: Go RE2 expressions with two groups, name and value, run on bytes with Go's meaning.

use regex::bytes::{Regex, RegexBuilder};
use thiserror::Error;

/// Katib's filter where none is given.
pub const DEFAULT: &str = r"([\w|-]+)\s*=\s*([+-]?\d*(\.\d+)?([Ee][+-]?\d+)?)";

/// Why a filter cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FilterError {
    /// It does not compile.
    #[error("filter `{filter}` is no regular expression: {problem}")]
    Syntax {
        /// As written.
        filter: String,
        /// Why not.
        problem: String,
    },
    /// It does not say what is the name and what the value.
    #[error("filter `{0}` needs two groups: the metric's name and its value")]
    Groups(String),
}

/// A compiled filter.
#[derive(Clone, Debug)]
pub struct Filter {
    regex: Option<Regex>,
}

impl Default for Filter {
    /// Katib's default filter, matched by hand; unlike Katib's it also takes `nan` and `inf` for values, which would
    /// otherwise be lost.
    fn default() -> Self {
        Self { regex: None }
    }
}

impl Filter {
    /// Compiles a filter of Go's syntax.
    ///
    /// # Errors
    /// If it is no regular expression or has fewer than two groups.
    pub fn compile(text: &str) -> Result<Self, FilterError> {
        if text == DEFAULT {
            return Ok(Self::default());
        }
        let regex = RegexBuilder::new(&translate(text)).unicode(false).build().map_err(|error| {
            let problem = error.to_string();
            let problem = problem.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            FilterError::Syntax { filter: text.to_owned(), problem }
        })?;
        if regex.captures_len() < 3 {
            return Err(FilterError::Groups(text.to_owned()));
        }
        Ok(Self { regex: Some(regex) })
    }

    /// Whether this is the default one, which finds steps and epochs too.
    pub fn is_default(&self) -> bool {
        self.regex.is_none()
    }

    /// Calls `found` with name and value, trimmed, of every match in a line, from left to right.
    pub fn matches<'l>(&self, line: &'l [u8], mut found: impl FnMut(&'l [u8], &'l [u8])) {
        match &self.regex {
            None => default_matches(line, found),
            Some(regex) => {
                for captures in regex.captures_iter(line) {
                    if let (Some(name), Some(value)) = (captures.get(1), captures.get(2)) {
                        found(name.as_bytes().trim_ascii(), value.as_bytes().trim_ascii());
                    }
                }
            }
        }
    }
}

/// From Go's RE2 syntax to that of the `regex` crate, where they differ: `\Q..\E`, `\C`, `\pN` on bytes, octal escapes,
/// and a `{` that begins no repetition, which Go takes for itself.
fn translate(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut in_class = false;
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('Q') => {
                    let rest: String = chars.clone().collect();
                    let (quoted, used) = rest
                        .split_once("\\E")
                        .map_or((rest.as_str(), rest.chars().count()), |(q, _)| (q, q.chars().count() + 2));
                    out.push_str(&regex::escape(quoted));
                    chars.by_ref().take(used).for_each(drop);
                }
                Some('C') => out.push_str("(?s-u:.)"),
                Some(digit @ '0'..='7') => {
                    let mut code = digit.to_digit(8).unwrap_or(0);
                    while let Some(next) = chars.peek().and_then(|c| c.to_digit(8)).filter(|_| code < 32) {
                        code = code * 8 + next;
                        chars.next();
                    }
                    out.push_str(&format!("\\x{{{code:x}}}"));
                }
                // Unicode classes are the one thing that bytes alone cannot say.
                Some(class @ ('p' | 'P')) if !in_class => {
                    let mut name = String::new();
                    let braced = chars.peek() == Some(&'{');
                    for c in chars.by_ref() {
                        name.push(c);
                        if !braced || c == '}' {
                            break;
                        }
                    }
                    out.push_str(&format!("(?u:\\{class}{name})"));
                }
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => out.push('\\'),
            },
            '{' if !in_class && !begins_repetition(chars.clone()) => out.push_str("\\{"),
            // Inside a class Go takes these for themselves.
            '[' if in_class && chars.peek() != Some(&':') => out.push_str("\\["),
            '&' | '~' if in_class => {
                out.push('\\');
                out.push(c);
            }
            '[' if !in_class => {
                in_class = true;
                out.push('[');
                if chars.peek() == Some(&'^') {
                    out.push('^');
                    chars.next();
                }
                if chars.peek() == Some(&']') {
                    out.push_str("\\]");
                    chars.next();
                }
            }
            '[' => {
                // A named class such as [:word:] is the same in both.
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            ']' => {
                in_class = false;
                out.push(']');
            }
            other => out.push(other),
        }
    }
    out
}

/// Whether what follows a `{` makes it a repetition: `2}`, `2,}` or `2,5}`.
fn begins_repetition(rest: impl Iterator<Item = char>) -> bool {
    let inside: String = rest.take_while(|c| *c != '}').take(16).collect();
    let (least, most) = inside.split_once(',').unwrap_or((&inside, "0"));
    let is_count = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_count(least) && (most.is_empty() || is_count(most))
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'|' | b'-')
}

/// What Go's `\s` matches.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\x0c' | b'\r')
}

/// The matches of [`DEFAULT`], found from its `=` signs.
fn default_matches<'l>(line: &'l [u8], mut found: impl FnMut(&'l [u8], &'l [u8])) {
    let mut from = 0;
    let mut search = 0;
    while let Some(at) = line[search..].iter().position(|byte| *byte == b'=').map(|i| i + search) {
        search = at + 1;
        let mut end = at;
        while end > from && is_space(line[end - 1]) {
            end -= 1;
        }
        let mut start = end;
        while start > from && is_name(line[start - 1]) {
            start -= 1;
        }
        if start == end {
            continue;
        }
        let mut value = at + 1;
        while value < line.len() && is_space(line[value]) {
            value += 1;
        }
        let value_end = value + value_length(&line[value..]);
        found(&line[start..end], &line[value..value_end]);
        from = value_end;
        search = value_end.max(search);
    }
}

/// Length of `[+-]?\d*(\.\d+)?([Ee][+-]?\d+)?` or of a word for NaN or infinity at the start.
fn value_length(text: &[u8]) -> usize {
    let digits =
        |from: usize| text[from.min(text.len())..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut at = usize::from(text.first().is_some_and(|byte| matches!(byte, b'+' | b'-')));
    if let Some(word) = ["infinity", "inf", "nan"].into_iter().find(|word| {
        text.get(at..at + word.len()).is_some_and(|bytes| bytes.eq_ignore_ascii_case(word.as_bytes()))
            && !text.get(at + word.len()).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    }) {
        return at + word.len();
    }
    at += digits(at);
    if text.get(at) == Some(&b'.') && digits(at + 1) > 0 {
        at += 1 + digits(at + 1);
    }
    if matches!(text.get(at), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(at + 1), Some(b'+' | b'-')));
        if digits(at + 1 + sign) > 0 {
            at += 1 + sign + digits(at + 1 + sign);
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all<'l>(filter: &Filter, line: &'l [u8]) -> Vec<(&'l [u8], &'l [u8])> {
        let mut found = Vec::new();
        filter.matches(line, |name, value| found.push((name, value)));
        found
    }

    fn texts(filter: &str, line: &str) -> Vec<(String, String)> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let filter = Filter::compile(filter).unwrap();
        all(&filter, line.as_bytes()).into_iter().map(|(n, v)| (text(n), text(v))).collect()
    }

    proptest! {
        #[test]
        fn the_default_filter_by_hand_is_the_regular_expression(line in "[a-c=|\\-+.eE0-9 \t:]{0,30}") {
            let regex = RegexBuilder::new(DEFAULT).unicode(false).build().unwrap();
            let reference = Filter { regex: Some(regex) };
            prop_assert_eq!(all(&Filter::default(), line.as_bytes()), all(&reference, line.as_bytes()));
        }

        #[test]
        fn no_filter_makes_it_panic(text in "\\PC{0,20}", line in "\\PC{0,20}") {
            if let Ok(filter) = Filter::compile(&text) {
                all(&filter, line.as_bytes());
            }
        }
    }

    #[test]
    fn nan_and_inf_are_values() {
        let pairs = texts(DEFAULT, "loss=nan acc = -inf x=info");
        let wanted = [("loss", "nan"), ("acc", "-inf"), ("x", "")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(pairs, wanted);
    }

    #[test]
    fn classes_are_ascii_as_in_go() {
        assert!(texts(r"(\w+):(\d+)", "\u{e9}:\u{663}").is_empty());
        assert_eq!(texts(r"(\w+):(\d+)", "a:3").len(), 1);
    }

    #[test]
    fn go_s_own_escapes_mean_the_same() {
        assert_eq!(texts(r"\Qa.b\E(x)=(\d+)", "a.bx=1 aabx=2").len(), 1);
        assert_eq!(texts(r"(\141+)=(\d+)", "a=1").len(), 1);
        assert_eq!(texts(r"([[:word:]]+)=(\d+)", "a=1").len(), 1);
        assert_eq!(texts(r"([[a]+)=(\d+)", "[a=1").len(), 1);
        assert_eq!(texts(r"(?P<n>a)=(?P<v>\d)", "a=1").len(), 1);
        assert_eq!(texts(r"(\pL+)=(\p{Nd})", "\u{e9}=1").len(), 1);
    }

    #[test]
    fn a_brace_that_begins_no_repetition_is_itself() {
        let pairs = texts(r"{name: (\w+), value: (-?\d+)}", "{name: loss, value: -3}");
        assert_eq!(pairs, [("loss".to_owned(), "-3".to_owned())]);
        assert_eq!(texts(r"(a{2})=(\d{1,})", "aa=12")[0].1, "12");
        assert_eq!(texts(r"(a{,2})=(\d)", "a{,2}=1").len(), 1);
    }

    #[test]
    fn genotypes_are_collected_as_text() {
        let pairs = texts(r"([\w-]+)=(Genotype.*)", "Best-Genotype=Genotype(normal=[(1,2)])");
        assert_eq!(pairs[0], ("Best-Genotype".to_owned(), "Genotype(normal=[(1,2)])".to_owned()));
    }

    #[test]
    fn what_cannot_be_used_is_said() {
        assert!(matches!(Filter::compile("(a=(b)"), Err(FilterError::Syntax { .. })));
        assert!(matches!(Filter::compile("(a)=b"), Err(FilterError::Groups(_))));
    }
}
