//! Durations as people write them: `90`, `90s`, `2h30m`, `7d`.

use std::time::Duration;

/// Reads a duration: a number of seconds, or numbers with units `ms`, `s`, `m`, `h`, `d` one after the other.
/// `None` if it is neither, or not above zero, or longer than 10,000 years.
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let seconds = match text.parse::<f64>() {
        Ok(seconds) => seconds,
        Err(_) => sum_of_units(text)?,
    };
    (seconds > 0.0 && seconds < 3.2e11).then(|| Duration::from_secs_f64(seconds))
}

fn sum_of_units(text: &str) -> Option<f64> {
    let mut rest = text;
    let mut seconds = 0.0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let amount: f64 = rest[..number].parse().ok()?;
        rest = &rest[number..];
        let unit = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        seconds += amount
            * match &rest[..unit] {
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86400.0,
                _ => return None,
            };
        rest = &rest[unit..];
    }
    Some(seconds)
}

/// Writes a duration for people, such as `1h02m` or `3.2s`.
pub fn show(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", duration.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, seconds) in
            [("90", 90.0), ("1.5s", 1.5), ("2h30m", 9000.0), ("7d", 604_800.0), ("1m500ms", 60.5)]
        {
            assert_eq!(parse(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "h", "2 h", "-1s", "0", "1y", "nan", "inf", "1e300"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_shown() {
        let shown: Vec<_> = [3, 42, 125, 3725, 90_000].map(|s| show(Duration::from_secs(s))).into();
        assert_eq!(shown, ["3.0s", "42s", "2m05s", "1h02m", "1d01h"]);
    }
}
