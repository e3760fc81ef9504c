//! Conditions over trials, as `--where` takes them: `lr > 0.1 and state = Succeeded`.

use std::cmp::Ordering;

use crate::api::types::Trial;

/// A condition over trials.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Filter {
    /// Both hold.
    And(Box<Filter>, Box<Filter>),
    /// One holds.
    Or(Box<Filter>, Box<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// A field compares so with a text.
    Compare(String, Op, String),
}

/// How a field is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// Contains.
    Has,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Op(Op),
    Open,
    Close,
}

/// What a condition may look like, for messages.
const EXAMPLE: &str =
    "write it like `lr > 0.1 and state = Succeeded`; there are = != < <= > >= ~ and or not ( )";
/// Deepest nesting of parentheses and negations.
const MAX_DEPTH: usize = 100;

impl Filter {
    /// Reads a condition.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let tokens = tokens(text)?;
        let mut parser = Parser { tokens: &tokens, at: 0, depth: 0 };
        let filter = parser.either()?;
        match parser.peek() {
            None => Ok(filter),
            Some(token) => Err(format!("unexpected {} in `{text}`; {EXAMPLE}", show(token))),
        }
    }

    /// Whether it holds for a trial. A field that the trial lacks meets no comparison.
    pub(crate) fn holds(&self, trial: &Trial) -> bool {
        match self {
            Self::And(a, b) => a.holds(trial) && b.holds(trial),
            Self::Or(a, b) => a.holds(trial) || b.holds(trial),
            Self::Not(inner) => !inner.holds(trial),
            Self::Compare(name, op, wanted) => {
                field(trial, name).is_some_and(|found| compare(&found, *op, wanted))
            }
        }
    }

    /// Names of all fields it looks at.
    pub(crate) fn fields(&self) -> Vec<&str> {
        match self {
            Self::And(a, b) | Self::Or(a, b) => [a.fields(), b.fields()].concat(),
            Self::Not(inner) => inner.fields(),
            Self::Compare(name, ..) => vec![name],
        }
    }
}

/// Fields that every trial has.
pub(crate) const FIELDS: [&str; 8] =
    ["idx", "name", "state", "value", "reason", "attempt", "origin", "seconds"];

/// The text of a field of a trial: its own, a parameter, or a metric (best by no strategy: the newest value).
pub(crate) fn field(trial: &Trial, name: &str) -> Option<String> {
    if let Some(value) = trial.parameters.get(name) {
        return value.as_str().map(str::to_owned);
    }
    if let Some(metric) = trial.metrics.iter().find(|metric| metric.name == name) {
        return Some(metric.latest.clone());
    }
    match name {
        "idx" => Some(trial.idx.to_string()),
        "name" => Some(trial.name.clone()),
        "state" => Some(trial.state.clone()),
        "value" => trial.value.map(|value| value.to_string()),
        "reason" => Some(trial.reason.clone()),
        "attempt" => Some(trial.attempt.to_string()),
        "origin" => Some(trial.origin.clone()),
        "seconds" => trial.seconds.map(|seconds| seconds.to_string()),
        _ => None,
    }
}

/// Numbers as numbers, else texts.
pub(crate) fn order(a: &str, b: &str) -> Ordering {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a.total_cmp(&b),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => a.cmp(b),
    }
}

fn compare(found: &str, op: Op, wanted: &str) -> bool {
    if op == Op::Has {
        return found.contains(wanted);
    }
    let numbers = (found.parse::<f64>(), wanted.parse::<f64>());
    let order = match numbers {
        (Ok(a), Ok(b)) => a.partial_cmp(&b),
        _ => Some(found.cmp(wanted)),
    };
    match op {
        Op::Eq => order == Some(Ordering::Equal),
        Op::Ne => order != Some(Ordering::Equal),
        Op::Lt => order == Some(Ordering::Less),
        Op::Le => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Op::Gt => order == Some(Ordering::Greater),
        Op::Ge => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
        Op::Has => false,
    }
}

fn show(token: &Token) -> String {
    match token {
        Token::Word(text) | Token::Text(text) => format!("`{text}`"),
        Token::Op(op) => format!("operator {op:?}"),
        Token::Open => "`(`".into(),
        Token::Close => "`)`".into(),
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let operator = [
            ("==", Op::Eq),
            ("!=", Op::Ne),
            ("<=", Op::Le),
            (">=", Op::Ge),
            ("=", Op::Eq),
            ("<", Op::Lt),
            (">", Op::Gt),
            ("~", Op::Has),
        ]
        .into_iter()
        .find(|(sign, _)| rest.starts_with(sign));
        let used = if let Some((sign, op)) = operator {
            tokens.push(Token::Op(op));
            sign.len()
        } else if first == '(' || first == ')' {
            tokens.push(if first == '(' { Token::Open } else { Token::Close });
            1
        } else if matches!(first, '"' | '\'' | '`') {
            let end = rest[1..].find(first).ok_or_else(|| format!("{first} is never closed in `{text}`"))?;
            let inner = rest[1..=end].to_owned();
            tokens.push(if first == '`' { Token::Word(inner) } else { Token::Text(inner) });
            end + 2
        } else {
            let end = rest.find(|c: char| c.is_whitespace() || "=!<>~()".contains(c)).unwrap_or(rest.len());
            if end == 0 {
                return Err(format!("unexpected `{first}` in `{text}`; {EXAMPLE}"));
            }
            tokens.push(Token::Word(rest[..end].to_owned()));
            end
        };
        rest = rest[used..].trim_start();
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(text)) if text.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn either(&mut self) -> Result<Filter, String> {
        let mut filter = self.both()?;
        while self.word("or") {
            filter = Filter::Or(Box::new(filter), Box::new(self.both()?));
        }
        Ok(filter)
    }

    fn both(&mut self) -> Result<Filter, String> {
        let mut filter = self.one()?;
        while self.word("and") {
            filter = Filter::And(Box::new(filter), Box::new(self.one()?));
        }
        Ok(filter)
    }

    fn one(&mut self) -> Result<Filter, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("nested more than {MAX_DEPTH} deep"));
        }
        let filter = if self.word("not") {
            Filter::Not(Box::new(self.one()?))
        } else if self.peek() == Some(&Token::Open) {
            self.at += 1;
            let inner = self.either()?;
            if self.peek() != Some(&Token::Close) {
                return Err(format!("a `)` is missing; {EXAMPLE}"));
            }
            self.at += 1;
            inner
        } else {
            self.comparison()?
        };
        self.depth -= 1;
        Ok(filter)
    }

    fn comparison(&mut self) -> Result<Filter, String> {
        let tokens = self.tokens.get(self.at..self.at + 3).unwrap_or_default();
        let [Token::Word(name), Token::Op(op), Token::Word(value) | Token::Text(value)] = tokens else {
            let found = self.peek().map_or_else(|| "the end".to_owned(), show);
            return Err(format!("a comparison was expected at {found}; {EXAMPLE}"));
        };
        self.at += 3;
        Ok(Filter::Compare(name.clone(), *op, value.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial() -> Trial {
        let mut trial = Trial { state: "Succeeded".into(), value: Some(0.9), ..Trial::default() };
        trial.parameters.insert("lr".into(), "1e-1".into());
        trial.parameters.insert("opt".into(), "adam w".into());
        trial
    }

    fn holds(text: &str) -> bool {
        Filter::parse(text).unwrap().holds(&trial())
    }

    #[test]
    fn numbers_compare_as_numbers_and_texts_as_texts() {
        assert!(holds("lr=0.1"));
        assert!(holds("lr > 0.01 and state = Succeeded"));
        assert!(!holds("lr>0.1"));
        assert!(holds("opt = 'adam w'"));
        assert!(holds("opt ~ adam"));
    }

    #[test]
    fn and_binds_before_or_and_not_before_both() {
        assert!(holds("lr = 1 and value = 1 or state = Succeeded"));
        assert!(!holds("lr = 1 and (value = 1 or state = Succeeded)"));
        assert!(holds("not lr = 1 and value > 0.5"));
    }

    #[test]
    fn a_field_that_is_missing_meets_nothing() {
        assert!(!holds("momentum > 0"));
        assert!(!holds("momentum != 0"));
    }

    #[test]
    fn what_cannot_be_read_says_how_to_write_it() {
        for text in ["lr >", "lr", "(lr = 1", "lr = 1 extra", "lr ! 1", "lr = 'x", ""] {
            assert!(Filter::parse(text).is_err(), "{text}");
        }
        let deep = "not ".repeat(1000) + "lr = 1";
        assert!(Filter::parse(&deep).is_err());
    }
}
