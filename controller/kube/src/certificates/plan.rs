//! What to do about the certificates that there are.

use std::collections::BTreeSet;
use std::time::Duration;

use controller_core::time::Timestamp;

const DAY: u64 = 86_400;
/// How long an authority is good: ten years.
pub(super) const AUTHORITY: Duration = Duration::from_secs(3650 * DAY);
/// How long what it signs is good.
pub(super) const SERVING: Duration = Duration::from_secs(90 * DAY);
/// How long before the end of the last authority there is another, which is trusted and signs nothing yet.
const AUTHORITY_AHEAD: Duration = Duration::from_secs(365 * DAY);
/// How long before its end a serving certificate is made anew.
const SERVING_AHEAD: Duration = Duration::from_secs(30 * DAY);

/// When a certificate is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

impl Validity {
    fn holds(self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }
}

/// What is known of a serving certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Served {
    pub(super) validity: Validity,
    /// The hosts and addresses that it is good for.
    pub(super) names: BTreeSet<String>,
    /// Which of the authorities has signed it, by number.
    pub(super) signer: Option<usize>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The authorities that stay, by number, the first to end first.
    pub(super) keep: Vec<usize>,
    /// Whether there has to be a new one, which comes last.
    pub(super) add: bool,
    /// The serving certificate to make, if one is needed.
    pub(super) sign: Option<Sign>,
}

/// A serving certificate to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sign {
    /// By whom, by its number among those that will be there.
    pub(super) signer: usize,
    /// For these hosts and addresses.
    pub(super) names: BTreeSet<String>,
}

impl Plan {
    /// Whether everything is as it should be.
    pub(super) fn is_nothing(&self, authorities: usize) -> bool {
        self.keep.len() == authorities && !self.add && self.sign.is_none()
    }
}

/// What to do now. `names` are those that this server wants to be known by; those that another has asked for stay.
pub(super) fn plan(
    now: Timestamp,
    authorities: &[Validity],
    served: Option<&Served>,
    names: &BTreeSet<String>,
) -> Plan {
    let mut keep: Vec<usize> = (0..authorities.len()).filter(|i| authorities[*i].holds(now)).collect();
    keep.sort_by_key(|i| authorities[*i].until);
    let is_good_until = |until: Timestamp| move |i: &usize| authorities[*i].until >= until;
    let add = !keep.iter().any(is_good_until(now.plus(AUTHORITY_AHEAD)));
    let is_fine = |served: &&Served| {
        let signed = served.signer.is_some_and(|signer| keep.contains(&signer));
        let lasts = served.validity.from <= now && served.validity.until >= now.plus(SERVING_AHEAD);
        signed && lasts && names.is_subset(&served.names)
    };
    if served.as_ref().is_some_and(is_fine) {
        return Plan { keep, add, sign: None };
    }
    // The oldest that outlives it: a new one has been trusted for long when its turn comes.
    let signer = keep.iter().position(|i| is_good_until(now.plus(SERVING))(i)).unwrap_or(keep.len());
    let others = served.into_iter().flat_map(|served| served.names.iter().cloned());
    Plan { keep, add, sign: Some(Sign { signer, names: names.iter().cloned().chain(others).collect() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(2_000_000_000_000_000);

    /// So many days from now.
    fn day(days: i64) -> Timestamp {
        Timestamp(NOW.0 + days * DAY as i64 * 1_000_000)
    }

    fn validity(from: i64, until: i64) -> Validity {
        Validity { from: day(from), until: day(until) }
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn served(until: i64, signer: usize) -> Served {
        Served { validity: validity(-60, until), names: names(&["a", "b"]), signer: Some(signer) }
    }

    fn of(authorities: &[Validity], served: Option<&Served>) -> (Vec<usize>, bool, Option<usize>) {
        let plan = plan(NOW, authorities, served, &names(&["a"]));
        (plan.keep, plan.add, plan.sign.map(|sign| sign.signer))
    }

    #[test]
    fn the_first_time_everything_is_made() {
        assert_eq!(of(&[], None), (vec![], true, Some(0)));
    }

    #[test]
    fn what_is_good_for_long_stays_as_it_is() {
        let authorities = [validity(-1000, 2000)];
        let plan = plan(NOW, &authorities, Some(&served(31, 0)), &names(&["a"]));
        assert!(plan.is_nothing(1), "{plan:?}");
    }

    #[test]
    fn a_serving_certificate_is_made_anew_before_it_ends_and_after() {
        let authorities = [validity(-1000, 2000)];
        for until in [29, 1, -1, -50] {
            assert_eq!(of(&authorities, Some(&served(until, 0))), (vec![0], false, Some(0)), "{until}");
        }
    }

    #[test]
    fn one_that_is_not_good_yet_as_after_a_clock_was_set_back_is_made_anew() {
        let ahead = Served { validity: validity(1, 91), ..served(91, 0) };
        assert_eq!(of(&[validity(-1, 3650)], Some(&ahead)), (vec![0], false, Some(0)));
        assert_eq!(of(&[validity(1, 3650)], Some(&ahead)), (vec![], true, Some(0)));
    }

    #[test]
    fn a_name_that_is_missing_is_added_to_those_of_others() {
        let there = served(80, 0);
        let plan = plan(NOW, &[validity(-1, 3650)], Some(&there), &names(&["a", "c"]));
        assert_eq!(plan.sign, Some(Sign { signer: 0, names: names(&["a", "b", "c"]) }));
    }

    #[test]
    fn a_new_authority_is_trusted_for_long_before_it_signs() {
        // A year before its end.
        assert_eq!(of(&[validity(-3300, 364)], Some(&served(60, 0))), (vec![0], true, None));
        // Later there are two: the older signs as long as it outlives what it signs.
        let both = [validity(-200, 3450), validity(-3500, 150)];
        assert_eq!(of(&both, Some(&served(60, 1))), (vec![1, 0], false, None));
        assert_eq!(of(&both, Some(&served(20, 1))), (vec![1, 0], false, Some(0)), "by the older");
        let later = [validity(-270, 3380), validity(-3570, 80)];
        assert_eq!(of(&later, Some(&served(20, 1))), (vec![1, 0], false, Some(1)), "by the newer");
    }

    #[test]
    fn an_authority_that_has_ended_goes_with_what_it_has_signed() {
        let authorities = [validity(-3700, -50), validity(-300, 3350)];
        assert_eq!(of(&authorities, Some(&served(60, 0))), (vec![1], false, Some(0)));
        assert_eq!(of(&[validity(-3700, -50)], Some(&served(60, 0))), (vec![], true, Some(0)));
    }

    #[test]
    fn one_that_no_known_authority_has_signed_is_made_anew() {
        let foreign = Served { signer: None, ..served(80, 0) };
        assert_eq!(of(&[validity(-1, 3650)], Some(&foreign)), (vec![0], false, Some(0)));
    }
}
