//! Numbers as Katib's Python services read and refuse them.

/// What `int` makes of a text; numbers beyond all use are cut.
///
/// # Errors
/// The text of Python's exception.
pub(super) fn int(text: &str) -> Result<i128, String> {
    let refused = || format!("invalid literal for int() with base 10: {}", quoted(text));
    let plain = without_underscores(text.trim()).ok_or_else(refused)?;
    let digits = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(refused());
    }
    Ok(plain.parse().unwrap_or(if plain.starts_with('-') { i128::MIN } else { i128::MAX }))
}

/// What `float` makes of a text.
///
/// # Errors
/// The text of Python's exception.
pub(super) fn float(text: &str) -> Result<f64, String> {
    let number = without_underscores(text.trim()).and_then(|plain| plain.parse().ok());
    number.ok_or_else(|| format!("could not convert string to float: {}", quoted(text)))
}

/// The text without the underscores that Python allows between digits; `None` if one stands elsewhere.
fn without_underscores(text: &str) -> Option<String> {
    let bytes = text.as_bytes();
    let is_digit = |i: Option<usize>| i.and_then(|i| bytes.get(i)).is_some_and(u8::is_ascii_digit);
    let misplaced = |i: usize| bytes[i] == b'_' && !(is_digit(i.checked_sub(1)) && is_digit(Some(i + 1)));
    (!(0..bytes.len()).any(misplaced)).then(|| text.replace('_', ""))
}

/// A text in quotes as `repr` gives it.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut quoted = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            c if c == quote => quoted.extend(['\\', c]),
            c if c.is_ascii_control() => quoted.extend(["\\x", &format!("{:02x}", c as u32)]),
            c => quoted.push(c),
        }
    }
    quoted.push(quote);
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn printed_numbers_read_back(x in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
            prop_assert_eq!(float(&study::float_text(x)), Ok(x));
        }
    }

    #[test]
    fn texts_are_read_and_refused_as_in_python() {
        assert_eq!(int(" 1_000 "), Ok(1000));
        assert_eq!(int("-3"), Ok(-3));
        assert_eq!(int("3.0").unwrap_err(), "invalid literal for int() with base 10: '3.0'");
        assert_eq!(int("").unwrap_err(), "invalid literal for int() with base 10: ''");
        assert_eq!(int("_1").unwrap_err(), "invalid literal for int() with base 10: '_1'");
        assert_eq!(float("1_0.5e-3"), Ok(0.0105));
        assert_eq!(float("abc").unwrap_err(), "could not convert string to float: 'abc'");
        assert_eq!(float("it's\n").unwrap_err(), "could not convert string to float: \"it's\\n\"");
    }
}
