//! Values as text, and the numbers they are.

/// The text of bytes: UTF-8 as it is; NUL and bytes that are not UTF-8 as `\xNN`.
pub fn escape(bytes: &[u8]) -> String {
    if let Ok(text) = std::str::from_utf8(bytes)
        && !bytes.contains(&0)
    {
        return text.to_owned();
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\0' { text.push_str("\\x00") } else { text.push(c) }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    text
}

/// The number of a text as Go's `ParseFloat` reads it: decimal, `inf`, `infinity`, `nan` in any case with a sign, and
/// hexadecimal floats such as `0x1.8p3`. `None` for everything else.
pub fn number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let negative = text.starts_with('-');
    if unsigned.len() > 1 && unsigned.as_bytes()[0] == b'0' && matches!(unsigned.as_bytes()[1], b'x' | b'X') {
        return hex(&unsigned[2..]).map(|x| if negative { -x } else { x });
    }
    match unsigned.bytes().next()? {
        b'0'..=b'9' | b'.' => text.parse().ok(),
        b'i' | b'I' if ["inf", "infinity"].iter().any(|word| unsigned.eq_ignore_ascii_case(word)) => {
            Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY })
        }
        b'n' | b'N' if unsigned.eq_ignore_ascii_case("nan") => Some(f64::NAN),
        _ => None,
    }
}

/// A hexadecimal float behind its `0x`; the binary exponent is mandatory.
fn hex(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once(['p', 'P'])?;
    let exponent: i32 = exponent.parse().ok()?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits = whole.chars().chain(fraction.chars());
    let value =
        digits.map(|c| c.to_digit(16)).try_fold(0.0, |sum, digit| Some(sum * 16.0 + f64::from(digit?)))?;
    Some(value * 2.0_f64.powi(exponent - 4 * fraction.len() as i32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_go_s() {
        for (text, value) in [
            ("0.5", 0.5),
            ("-1e-3", -1e-3),
            (".5", 0.5),
            ("5.", 5.0),
            ("+Inf", f64::INFINITY),
            ("-infinity", f64::NEG_INFINITY),
            ("0x1.8p3", 12.0),
        ] {
            assert_eq!(number(text), Some(value), "{text}");
        }
        assert!(number("NaN").unwrap().is_nan());
        for text in ["", "-", "e5", "0x10", "1_000", "Genotype(...)", "in", "unavailable"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_escaped() {
        assert_eq!(escape(b"a\0\xff\xc3\xa9"), "a\\x00\\xff\u{e9}");
    }
}
