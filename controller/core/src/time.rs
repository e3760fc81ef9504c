//! Points in time as values; reading a clock is the edge's business.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// Microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// As RFC 3339 in UTC with whole seconds, as Kubernetes writes times: `2026-01-01T10:00:00Z`.
    pub fn to_rfc3339(self) -> String {
        self.datetime().to_rfc3339_opts(SecondsFormat::Secs, true)
    }

    /// As RFC 3339 in UTC with as many digits as there are.
    pub fn to_rfc3339_micros(self) -> String {
        self.datetime().to_rfc3339_opts(SecondsFormat::AutoSi, true)
    }

    /// Reads RFC 3339 with any offset; digits past microseconds are dropped.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|time| Self(time.timestamp_micros()))
    }

    /// How long after `earlier`; zero if it is not after.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// This much later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)))
    }

    fn datetime(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }
}

/// Where the time comes from: the machine's clock at the edge, a virtual one in tests.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_back_as_written() {
        let time = Timestamp::parse_rfc3339("2026-01-01T11:00:00.25+01:00").unwrap();
        assert_eq!(time.to_rfc3339(), "2026-01-01T10:00:00Z");
        assert_eq!(time.to_rfc3339_micros(), "2026-01-01T10:00:00.250Z");
        assert_eq!(Timestamp::parse_rfc3339(&time.to_rfc3339_micros()), Some(time));
        assert_eq!(Timestamp::parse_rfc3339("yesterday"), None);
    }
}
