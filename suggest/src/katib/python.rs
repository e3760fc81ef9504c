//! Numbers as Katib's Python services read, print and refuse them.

/// The text of a number as `repr` gives it: shortest that reads back the same, `3.0`, `0.0325`, `1e-05`.
pub(super) fn float_text(x: f64) -> String {
    if !x.is_finite() {
        return if x.is_nan() {
            "nan"
        } else if x > 0.0 {
            "inf"
        } else {
            "-inf"
        }
        .to_owned();
    }
    if x == 0.0 || (1e-4..1e16).contains(&x.abs()) {
        return format!("{x:?}");
    }
    let text = format!("{x:e}");
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.strip_prefix('-') {
        Some(exponent) => format!("{digits}e-{exponent:0>2}"),
        None => format!("{digits}e+{exponent:0>2}"),
    }
}

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

    /// Made by `python3 -c 'print([repr(x) for x in (...)])'`.
    #[test]
    fn numbers_print_as_in_python() {
        for (x, text) in [
            (3.0, "3.0"),
            (0.0325, "0.0325"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (0.000_099, "9.9e-05"),
            (1.5e-10, "1.5e-10"),
            (1e16, "1e+16"),
            (1e15, "1000000000000000.0"),
            (-2.5e120, "-2.5e+120"),
            (0.0, "0.0"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            assert_eq!(float_text(x), text);
        }
    }

    proptest! {
        #[test]
        fn printed_numbers_read_back(x in proptest::num::f64::NORMAL | proptest::num::f64::SUBNORMAL) {
            prop_assert_eq!(float(&float_text(x)), Ok(x));
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
