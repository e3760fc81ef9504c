//! Kubernetes quantities: `500m`, `2`, `16Gi`, `1e3`, `128974848`.

/// The number that a quantity stands for; `None` if it is none, or negative.
pub fn parse(text: &str) -> Option<f64> {
    let text = text.trim();
    let number =
        text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(number);
    let factor = match suffix {
        "" => 1.0,
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024.0_f64.powi(2),
        "Gi" => 1024.0_f64.powi(3),
        "Ti" => 1024.0_f64.powi(4),
        "Pi" => 1024.0_f64.powi(5),
        "Ei" => 1024.0_f64.powi(6),
        exponent => {
            let power: i32 = exponent.strip_prefix(['e', 'E'])?.parse().ok()?;
            10.0_f64.powi(power)
        }
    };
    let value: f64 = number.parse().ok()?;
    (value >= 0.0 && value.is_finite()).then_some(value * factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read() {
        for (text, value) in
            [("500m", 0.5), ("2", 2.0), ("16Gi", 17_179_869_184.0), ("1e3", 1000.0), ("1.5k", 1500.0)]
        {
            assert_eq!(parse(text), Some(value), "{text}");
        }
        for text in ["", "Gi", "-1", "1 Gi", "1X", "one"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
