//! Hard constraints: comparisons of arithmetic expressions over parameters, such as `lr * batch <= 8`.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Why a text is no constraint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("constraint `{text}`: {problem} at character {at}")]
pub struct ConstraintError {
    /// The text.
    pub text: String,
    /// What is wrong.
    pub problem: String,
    /// Where, counted from 1.
    pub at: usize,
}

/// A comparison of two expressions over parameter names.
///
/// Grammar: numbers, names (a name with other characters than letters, digits, `_`, `-` and `.` in backquotes),
/// `+ - * / ^`, parentheses, `min(a, b, ...)`, `max(a, b, ...)`, `abs`, `log` (natural), `exp`, and one of
/// `< <= >= >`. `^` binds strongest and to the right. A `-` is part of a name only between letters or digits
/// without spaces around it: `a - b` subtracts, `a-b` is a name.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Constraint {
    text: String,
    left: Expression,
    comparison: Comparison,
    right: Expression,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Comparison {
    Less,
    LessOrEqual,
    GreaterOrEqual,
    Greater,
}

#[derive(Clone, Debug, PartialEq)]
enum Expression {
    Number(f64),
    Name(String),
    Unary(Unary, Box<Expression>),
    Binary(Binary, Box<Expression>, Box<Expression>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Unary {
    Negate,
    Abs,
    Log,
    Exp,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Binary {
    Add,
    Subtract,
    Multiply,
    Divide,
    Power,
    Min,
    Max,
}

impl Constraint {
    /// Reads a constraint.
    ///
    /// # Errors
    /// If the text does not follow the grammar; the error says where.
    pub fn parse(text: &str) -> Result<Self, ConstraintError> {
        let mut parser = Parser { text, at: 0, depth: 0 };
        let parsed = parser.comparison();
        let (left, comparison, right) = parsed.map_err(|problem| ConstraintError {
            text: text.to_owned(),
            problem,
            at: text[..parser.at.min(text.len())].chars().count() + 1,
        })?;
        Ok(Self { text: text.to_owned(), left, comparison, right })
    }

    /// Names used, each once, in order of first use.
    pub fn names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.left.collect_names(&mut names);
        self.right.collect_names(&mut names);
        names
    }

    /// Whether it holds where `lookup` gives the number of each name; `None` if a name has none.
    /// A side that is NaN makes it not hold.
    pub fn holds(&self, lookup: &dyn Fn(&str) -> Option<f64>) -> Option<bool> {
        let (left, right) = (self.left.evaluate(lookup)?, self.right.evaluate(lookup)?);
        Some(match self.comparison {
            Comparison::Less => left < right,
            Comparison::LessOrEqual => left <= right,
            Comparison::GreaterOrEqual => left >= right,
            Comparison::Greater => left > right,
        })
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Constraint({})", self.text)
    }
}

impl TryFrom<String> for Constraint {
    type Error = ConstraintError;
    fn try_from(text: String) -> Result<Self, ConstraintError> {
        Self::parse(&text)
    }
}

impl From<Constraint> for String {
    fn from(constraint: Constraint) -> Self {
        constraint.text
    }
}

impl Expression {
    fn collect_names<'a>(&'a self, names: &mut Vec<&'a str>) {
        match self {
            Self::Number(_) => {}
            Self::Name(name) if names.contains(&name.as_str()) => {}
            Self::Name(name) => names.push(name),
            Self::Unary(_, inner) => inner.collect_names(names),
            Self::Binary(_, left, right) => {
                left.collect_names(names);
                right.collect_names(names);
            }
        }
    }

    fn evaluate(&self, lookup: &dyn Fn(&str) -> Option<f64>) -> Option<f64> {
        Some(match self {
            Self::Number(x) => *x,
            Self::Name(name) => lookup(name)?,
            Self::Unary(operation, inner) => {
                let x = inner.evaluate(lookup)?;
                match operation {
                    Unary::Negate => -x,
                    Unary::Abs => x.abs(),
                    Unary::Log => x.ln(),
                    Unary::Exp => x.exp(),
                }
            }
            Self::Binary(operation, left, right) => {
                let (a, b) = (left.evaluate(lookup)?, right.evaluate(lookup)?);
                match operation {
                    Binary::Add => a + b,
                    Binary::Subtract => a - b,
                    Binary::Multiply => a * b,
                    Binary::Divide => a / b,
                    Binary::Power => a.powf(b),
                    Binary::Min => a.min(b),
                    Binary::Max => a.max(b),
                }
            }
        })
    }
}

/// Deepest nesting that is read, so that no text overflows the stack.
const MAX_DEPTH: usize = 64;

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
}

impl Parser<'_> {
    fn comparison(&mut self) -> Result<(Expression, Comparison, Expression), String> {
        let left = self.sum()?;
        let comparison = if self.eat("<=") {
            Comparison::LessOrEqual
        } else if self.eat(">=") {
            Comparison::GreaterOrEqual
        } else if self.eat("<") {
            Comparison::Less
        } else if self.eat(">") {
            Comparison::Greater
        } else {
            return Err("expected one of `<`, `<=`, `>=`, `>`".into());
        };
        let right = self.sum()?;
        self.skip_spaces();
        if self.at < self.text.len() { Err("expected the end".into()) } else { Ok((left, comparison, right)) }
    }

    fn sum(&mut self) -> Result<Expression, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        let mut left = self.product()?;
        loop {
            let operation = if self.eat("+") {
                Binary::Add
            } else if self.eat("-") {
                Binary::Subtract
            } else {
                self.depth -= 1;
                return Ok(left);
            };
            left = Expression::Binary(operation, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Result<Expression, String> {
        let mut left = self.signed()?;
        loop {
            let operation = if self.eat("*") {
                Binary::Multiply
            } else if self.eat("/") {
                Binary::Divide
            } else {
                return Ok(left);
            };
            left = Expression::Binary(operation, Box::new(left), Box::new(self.signed()?));
        }
    }

    fn signed(&mut self) -> Result<Expression, String> {
        let mut negative = false;
        while self.eat("-") {
            negative = !negative;
        }
        let inner = self.power()?;
        Ok(if negative { Expression::Unary(Unary::Negate, Box::new(inner)) } else { inner })
    }

    fn power(&mut self) -> Result<Expression, String> {
        let base = self.atom()?;
        if !self.eat("^") {
            return Ok(base);
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        let exponent = self.signed()?;
        self.depth -= 1;
        Ok(Expression::Binary(Binary::Power, Box::new(base), Box::new(exponent)))
    }

    fn atom(&mut self) -> Result<Expression, String> {
        if self.eat("(") {
            let inner = self.sum()?;
            return if self.eat(")") { Ok(inner) } else { Err("expected `)`".into()) };
        }
        if self.eat("`") {
            let rest = &self.text[self.at..];
            let end = rest.find('`').ok_or("expected a closing backquote")?;
            let name = rest[..end].to_owned();
            self.at += end + 1;
            return Ok(Expression::Name(name));
        }
        let rest = self.rest();
        match rest.chars().next() {
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_alphabetic() || c == '_' => self.name_or_call(),
            _ => Err("expected a number, a parameter or `(`".into()),
        }
    }

    fn number(&mut self) -> Result<Expression, String> {
        let rest = self.rest().as_bytes();
        let mut end = 0;
        while end < rest.len() {
            let sign = matches!(rest[end], b'+' | b'-') && end > 0 && matches!(rest[end - 1], b'e' | b'E');
            let exponent = matches!(rest[end], b'e' | b'E') && end > 0;
            if !(rest[end].is_ascii_digit() || rest[end] == b'.' || sign || exponent) {
                break;
            }
            end += 1;
        }
        let text = &self.text[self.at..self.at + end];
        let number = text.parse().map_err(|_| format!("`{text}` is no number"))?;
        self.at += end;
        Ok(Expression::Number(number))
    }

    fn name_or_call(&mut self) -> Result<Expression, String> {
        let rest = self.rest();
        let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
        let mut end = 0;
        let mut chars = rest.char_indices().peekable();
        while let Some((i, c)) = chars.next() {
            let joins = c == '-' && chars.peek().is_some_and(|(_, next)| is_word(*next));
            if !is_word(c) && !joins {
                break;
            }
            end = i + c.len_utf8();
        }
        let name = rest[..end].to_owned();
        self.at += end;
        if !self.eat("(") {
            return Ok(Expression::Name(name));
        }
        let mut arguments = vec![self.sum()?];
        while self.eat(",") {
            arguments.push(self.sum()?);
        }
        if !self.eat(")") {
            return Err("expected `,` or `)`".into());
        }
        call(&name, arguments)
    }

    fn eat(&mut self, token: &str) -> bool {
        self.skip_spaces();
        let found = self.text[self.at..].starts_with(token);
        self.at += if found { token.len() } else { 0 };
        found
    }

    fn skip_spaces(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }

    fn rest(&mut self) -> &str {
        self.skip_spaces();
        &self.text[self.at..]
    }
}

fn call(name: &str, mut arguments: Vec<Expression>) -> Result<Expression, String> {
    let unary = match name {
        "abs" => Some(Unary::Abs),
        "log" => Some(Unary::Log),
        "exp" => Some(Unary::Exp),
        _ => None,
    };
    let fold = match name {
        "min" => Some(Binary::Min),
        "max" => Some(Binary::Max),
        _ => None,
    };
    match (unary, fold) {
        (Some(operation), _) if arguments.len() == 1 => {
            Ok(Expression::Unary(operation, Box::new(arguments.remove(0))))
        }
        (Some(_), _) => Err(format!("`{name}` takes one argument")),
        (None, Some(operation)) => arguments
            .into_iter()
            .reduce(|a, b| Expression::Binary(operation, Box::new(a), Box::new(b)))
            .ok_or_else(|| format!("`{name}` takes at least one argument")),
        (None, None) => Err(format!("unknown function `{name}`; there are min, max, abs, log, exp")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(text: &str) -> bool {
        let lookup = |name: &str| match name {
            "a" => Some(2.0),
            "b" => Some(3.0),
            "batch-size" => Some(32.0),
            _ => None,
        };
        Constraint::parse(text).unwrap().holds(&lookup).unwrap()
    }

    #[test]
    fn operators_bind_as_in_mathematics() {
        assert!(holds("a + b * a <= 8"));
        assert!(!holds("a + b * a < 8"));
        assert!(holds("a ^ b ^ 1 >= 8"));
        assert!(holds("-a ^ 2 < -3.9"));
        assert!(holds("2 ^ -a <= 0.25"));
        assert!(holds("min(a, b, 1) + max(a, b) <= 4"));
        assert!(holds("abs(a - b) < exp(log(1.5))"));
        assert!(holds("batch-size * 2 >= 6.4e1"));
    }

    #[test]
    fn a_side_that_is_no_number_does_not_hold() {
        assert!(!holds("log(a - b) < 100"));
    }

    #[test]
    fn errors_say_where() {
        for (text, at) in [("a + <= 3", 5), ("a <= 3 4", 8), ("sin(a) < 1", 7), ("(a < 1", 4), ("", 1)] {
            let error = Constraint::parse(text).unwrap_err();
            assert_eq!(error.at, at, "{error}");
        }
        let deep = format!("{}a < 1", "(".repeat(100_000));
        assert!(Constraint::parse(&deep).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            Constraint::parse(&text).ok();
        }
    }
}
