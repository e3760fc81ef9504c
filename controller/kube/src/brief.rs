//! What was learned a moment ago, and need not be asked again.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How long it is good for.
const KNOWN: Duration = Duration::from_secs(5);
/// Most of it that is kept.
const MOST: usize = 10_000;

/// Values by their keys.
pub(crate) struct Brief<T>(Mutex<HashMap<String, (Instant, T)>>);

impl<T> Default for Brief<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T: Clone> Brief<T> {
    /// What was kept a moment ago.
    pub(crate) fn get(&self, key: &str, now: Instant) -> Option<T> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, value) = known.get(key).filter(|(since, _)| now.duration_since(*since) < KNOWN)?;
        Some(value.clone())
    }

    /// Keeps something for a moment, unless there is too much.
    pub(crate) fn keep(&self, key: &str, value: T, now: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (since, _)| now.duration_since(*since) < KNOWN);
        if known.len() < MOST {
            known.insert(key.to_owned(), (now, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_forgotten_soon() {
        let (brief, now) = (Brief::default(), Instant::now());
        brief.keep("a", 1, now);
        assert_eq!((brief.get("a", now), brief.get("b", now)), (Some(1), None));
        assert_eq!(brief.get("a", now + KNOWN), None);
    }
}
