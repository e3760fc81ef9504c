//! What to do about a Lease, from what is seen of it. Pure.
//!
//! Clocks of other machines are not believed: how long a Lease was not renewed is measured from when its record was last
//! seen to change.

use std::time::Duration;

use tokio::time::Instant;

use super::DURATION;

/// What a Lease says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Who holds it; empty if it was given back.
    pub(super) holder: String,
    /// Which process that is.
    pub(super) process: String,
    /// When it was last renewed, as the holder wrote it.
    pub(super) renewed: String,
    /// How long it is good for.
    pub(super) duration: Option<Duration>,
    /// How far the holder's store had come.
    pub(super) epoch: Option<i64>,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Write it: it is free, or over.
    Take,
    /// Write it again: it is ours.
    Renew,
    /// Leave it to its holder.
    Wait {
        /// Who.
        holder: String,
    },
    /// Stop: it was ours.
    Lost {
        /// Who has it now.
        holder: String,
    },
}

/// Since when a Lease is as it is.
#[derive(Debug, Default)]
pub(super) struct Sight {
    last: Option<(String, String, Instant)>,
}

impl Sight {
    /// Looks at a record; how long it has not changed.
    pub(super) fn look(&mut self, seen: Option<&Seen>, now: Instant) -> Duration {
        let Some(seen) = seen else {
            self.last = None;
            return Duration::ZERO;
        };
        match &self.last {
            Some((holder, renewed, since)) if *holder == seen.holder && *renewed == seen.renewed => {
                now.duration_since(*since)
            }
            _ => {
                self.last = Some((seen.holder.clone(), seen.renewed.clone(), now));
                Duration::ZERO
            }
        }
    }
}

/// What `me` does, which believes that it leads (`had`) or stands by. `unchanged` is for how long nobody renewed the
/// Lease; `is_dead` that its holder is known to have ended.
pub(super) fn step(me: &str, had: bool, seen: Option<&Seen>, unchanged: Duration, is_dead: bool) -> Step {
    let Some(seen) = seen.filter(|seen| !seen.holder.is_empty()) else { return Step::Take };
    let holder = seen.holder.clone();
    if holder == me {
        return Step::Renew;
    }
    if had {
        return Step::Lost { holder };
    }
    if is_dead || unchanged >= seen.duration.unwrap_or(DURATION) {
        return Step::Take;
    }
    Step::Wait { holder }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(holder: &str, renewed: &str) -> Seen {
        Seen { holder: holder.into(), renewed: renewed.into(), duration: Some(DURATION), ..Seen::default() }
    }

    fn of(had: bool, seen: Option<&Seen>, unchanged: u64, is_dead: bool) -> Step {
        step("me", had, seen, Duration::from_secs(unchanged), is_dead)
    }

    #[test]
    fn what_is_free_is_taken() {
        for had in [false, true] {
            assert_eq!(of(had, None, 0, false), Step::Take);
            assert_eq!(of(had, Some(&held("", "1")), 0, false), Step::Take);
        }
    }

    #[test]
    fn what_is_ours_is_renewed_however_old_it_is() {
        for had in [false, true] {
            assert_eq!(of(had, Some(&held("me", "1")), 1000, false), Step::Renew);
        }
    }

    #[test]
    fn what_another_holds_is_waited_for_until_it_is_over() {
        let you = held("you", "1");
        assert_eq!(of(false, Some(&you), 9, false), Step::Wait { holder: "you".into() });
        assert_eq!(of(false, Some(&you), 10, false), Step::Take);
        assert_eq!(of(false, Some(&you), 0, true), Step::Take);
        let long = Seen { duration: Some(Duration::from_mins(1)), ..you };
        assert_eq!(of(false, Some(&long), 59, false), Step::Wait { holder: "you".into() });
    }

    #[test]
    fn who_led_stops_as_soon_as_another_has_it() {
        // Also if that one has ended meanwhile: something was done in between.
        for (unchanged, is_dead) in [(0, false), (1000, false), (0, true)] {
            assert_eq!(
                of(true, Some(&held("you", "1")), unchanged, is_dead),
                Step::Lost { holder: "you".into() }
            );
        }
    }

    #[test]
    fn only_change_counts_as_a_sign_of_life() {
        let begun = Instant::now();
        let at = |seconds| begun + Duration::from_secs(seconds);
        let mut sight = Sight::default();
        assert_eq!(sight.look(Some(&held("you", "1970")), at(0)).as_secs(), 0);
        assert_eq!(sight.look(Some(&held("you", "1970")), at(7)).as_secs(), 7);
        assert_eq!(sight.look(Some(&held("you", "1971")), at(8)).as_secs(), 0, "renewed");
        assert_eq!(sight.look(Some(&held("her", "1971")), at(12)).as_secs(), 0, "another holder");
        assert_eq!(sight.look(None, at(13)).as_secs(), 0);
        assert_eq!(sight.look(Some(&held("her", "1971")), at(14)).as_secs(), 0, "made anew");
    }
}
