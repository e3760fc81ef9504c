//! When a schedule is due.

use std::time::Duration;

use chrono::{DateTime, LocalResult, NaiveDateTime, TimeDelta, TimeZone as _};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};
use croner::{Cron, JobType};

use crate::duration;
use crate::report::Problem;
use crate::spec::ScheduleSpec;
use crate::time::Timestamp;

/// A clock set back by less than this has run twice through the same times: what has run does not run again.
const SMALL_STEP: Duration = Duration::from_hours(3);
/// From here on a pattern is looked at for times that come at all: 2000-01-01T00:00:00Z.
const BEGIN: Timestamp = Timestamp(946_684_800_000_000);

/// The most by which a wall clock is set forward or back.
const MOST_SHIFT: TimeDelta = TimeDelta::hours(3);

/// The times of a schedule: those of a pattern on a zone's wall clock, and those a fixed time apart.
#[derive(Clone, Debug)]
pub struct Timetable {
    cron: Option<Cron>,
    zone: Tz,
    every: Option<Duration>,
}

impl Timetable {
    /// The times of a spec.
    ///
    /// # Errors
    /// Everything in it that is no time.
    pub fn of(spec: &ScheduleSpec) -> Result<Self, Vec<Problem>> {
        let mut problems = Vec::new();
        let zone = spec.time_zone.as_deref().map_or(Some(Tz::UTC), |name| {
            let zone = name.parse().ok();
            if zone.is_none() {
                let problem = Problem::new("spec.schedule.timeZone", format!("`{name}` is no time zone"));
                problems.push(problem.hint("write it as in the IANA database: Europe/Berlin or UTC"));
            }
            zone
        });
        let zone = zone.unwrap_or(Tz::UTC);
        let cron = spec.cron.as_deref().and_then(|text| match pattern(text) {
            Ok(cron) => Some(cron),
            Err(why) => {
                let problem = Problem::new("spec.schedule.cron", format!("`{text}` {why}"));
                problems
                    .push(problem.hint("write minute, hour, day, month, weekday: `0 3 * * 0`; or `@daily`"));
                None
            }
        });
        let every = spec.every.as_deref().and_then(|text| {
            let every = duration::parse(text).filter(|every| *every >= Duration::from_secs(1));
            if every.is_none() {
                let message = format!("`{text}` is no duration of a second or more");
                problems
                    .push(Problem::new("spec.schedule.every", message).hint("write it as 30m, 12h or 7d"));
            }
            every
        });
        if problems.is_empty() { Ok(Self { cron, zone, every }) } else { Err(problems) }
    }

    /// The newest time behind `since` and not after `now`: however many were missed, it is one.
    pub fn due(&self, since: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let cron = self.cron.as_ref().and_then(|cron| last(cron, self.zone, now));
        let every = self.every.and_then(|every| {
            let micros = i64::try_from(every.as_micros()).ok()?;
            let passed = now.0.checked_sub(since.0)? / micros;
            Some(Timestamp(since.0 + passed * micros))
        });
        cron.into_iter().chain(every).filter(|due| *due > since && *due <= now).max()
    }

    /// The first time after both `since` and `now`; for what is a fixed time apart, counted from `since`.
    pub fn next(&self, since: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let cron = self.cron.as_ref().and_then(|cron| first(cron, self.zone, now.max(since)));
        let from = self.due(since, now).unwrap_or(since);
        let every = self.every.map(|every| from.plus(every));
        cron.into_iter().chain(every).min()
    }

    /// From when on times count, where the clock was set back behind the last one that was looked at. Times a fixed
    /// distance apart count from now on; those of a pattern wait until the clock is where it was, unless that is hours away.
    pub fn since(&self, since: Timestamp, now: Timestamp) -> Timestamp {
        let back = since.since(now);
        if back.is_zero() || self.cron.is_some() && back < SMALL_STEP { since } else { now }
    }
}

/// A pattern of five fields, or a word for one, that some time matches.
fn pattern(text: &str) -> Result<Cron, String> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let cron = parser.parse(text).map_err(|error| format!("is no pattern: {error}"))?;
    let begin = DateTime::from_timestamp_micros(BEGIN.0).unwrap_or_default();
    cron.find_next_occurrence(&begin, true).map_err(|_| "never comes".to_owned())?;
    Ok(cron)
}

/// The newest instant of a pattern that is not after `now`.
///
/// Wall clocks that are set forward or back put times near each other out of order, so all within [`MOST_SHIFT`] are seen.
fn last(cron: &Cron, zone: Tz, now: Timestamp) -> Option<Timestamp> {
    let local = local(zone, now)?;
    let mut best = None;
    let mut wall = local.checked_add_signed(MOST_SHIFT)?;
    while best.is_none() || wall > local - MOST_SHIFT {
        wall = cron.find_previous_occurrence(&wall.and_utc(), false).ok()?.naive_utc();
        best = instants(cron, zone, wall).into_iter().filter(|at| *at <= now).chain(best).max();
    }
    best
}

/// The first instant of a pattern after `now`.
fn first(cron: &Cron, zone: Tz, now: Timestamp) -> Option<Timestamp> {
    let local = local(zone, now)?;
    let mut best = None;
    let mut wall = local.checked_sub_signed(MOST_SHIFT)?;
    while best.is_none() || wall < local + MOST_SHIFT {
        wall = cron.find_next_occurrence(&wall.and_utc(), false).ok()?.naive_utc();
        best = instants(cron, zone, wall).into_iter().filter(|at| *at > now).chain(best).min();
    }
    best
}

/// When the wall clock shows this time. One that comes twice counts twice where the pattern comes again and again, and
/// the first time where it names an hour and a minute; one that is skipped is then made up for right after.
fn instants(cron: &Cron, zone: Tz, wall: NaiveDateTime) -> Vec<Timestamp> {
    let at = |time: DateTime<Tz>| Timestamp(time.timestamp_micros());
    let once = cron.determine_job_type() == JobType::FixedTime;
    match zone.from_local_datetime(&wall) {
        LocalResult::Single(time) => vec![at(time)],
        LocalResult::Ambiguous(first, _) if once => vec![at(first)],
        LocalResult::Ambiguous(first, second) => vec![at(first), at(second)],
        LocalResult::None if once => {
            let after = (1..=MOST_SHIFT.num_minutes()).map(|n| wall + TimeDelta::minutes(n));
            let mut after = after.filter_map(|wall| zone.from_local_datetime(&wall).earliest());
            after.next().map(at).into_iter().collect()
        }
        LocalResult::None => Vec::new(),
    }
}

/// What the wall clock of a zone shows, in whole seconds.
fn local(zone: Tz, at: Timestamp) -> Option<NaiveDateTime> {
    DateTime::from_timestamp(at.0.div_euclid(1_000_000), 0)
        .map(|time| time.with_timezone(&zone).naive_local())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    fn cron(pattern: &str, zone: &str) -> Timetable {
        let spec = ScheduleSpec {
            cron: Some(pattern.into()),
            time_zone: Some(zone.into()),
            ..ScheduleSpec::default()
        };
        Timetable::of(&spec).unwrap()
    }

    fn every(text: &str) -> Timetable {
        Timetable::of(&ScheduleSpec { every: Some(text.into()), ..ScheduleSpec::default() }).unwrap()
    }

    fn nexts(table: &Timetable, from: &str, n: usize) -> Vec<String> {
        let mut now = at(from);
        let step = |_| {
            now = table.next(now, now).unwrap();
            now.to_rfc3339()
        };
        (0..n).map(step).collect()
    }

    #[test]
    fn patterns_go_by_the_wall_clock_of_their_zone() {
        for (pattern, zone, from, next) in [
            ("0 3 * * 0", "UTC", "2026-01-01T00:00:00Z", "2026-01-04T03:00:00Z"),
            ("0 3 * * 7", "UTC", "2026-01-01T00:00:00Z", "2026-01-04T03:00:00Z"),
            ("0 3 * * sun", "Europe/Berlin", "2026-01-01T00:00:00Z", "2026-01-04T02:00:00Z"),
            ("@daily", "America/New_York", "2026-01-01T00:00:00Z", "2026-01-01T05:00:00Z"),
            ("@hourly", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"),
            ("*/15 9-17 * * 1-5", "UTC", "2026-01-02T17:45:00Z", "2026-01-05T09:00:00Z"),
            ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ] {
            assert_eq!(nexts(&cron(pattern, zone), from, 1), [next], "{pattern} {zone}");
        }
    }

    #[test]
    fn a_time_that_summer_skips_or_repeats_comes_once_a_day() {
        // Berlin: 02:00 to 03:00 is skipped on 2026-03-29 and comes twice on 2026-10-25.
        let table = cron("30 2 * * *", "Europe/Berlin");
        let spring = nexts(&table, "2026-03-28T00:00:00Z", 3);
        assert_eq!(spring[0], "2026-03-28T01:30:00Z");
        assert_eq!(spring[1], "2026-03-29T01:00:00Z", "right behind the gap");
        assert_eq!(spring[2], "2026-03-30T00:30:00Z");
        let autumn = nexts(&table, "2026-10-24T12:00:00Z", 2);
        assert_eq!(autumn[0], "2026-10-25T00:30:00Z", "the first of both");
        assert_eq!(autumn[1], "2026-10-26T01:30:00Z");
        // What comes every hour comes in both of them.
        let hours = nexts(&cron("0 * * * *", "Europe/Berlin"), "2026-10-24T23:30:00Z", 3);
        assert_eq!(hours, ["2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"]);
    }

    #[test]
    fn what_is_due_is_what_was_next() {
        for pattern in ["30 2 * * *", "0 * * * *", "*/20 1-3 * * *", "@daily", "0 3 * * 0"] {
            let table = cron(pattern, "Europe/Berlin");
            for day in ["2026-03-28", "2026-10-24", "2026-06-01"] {
                let mut since = at(&format!("{day}T00:00:00Z"));
                for _ in 0..60 {
                    let next = table.next(since, since).unwrap();
                    let half = Timestamp(next.0 + 500_000);
                    assert_eq!(table.due(since, Timestamp(next.0 - 1)), None, "{pattern} {day}");
                    assert_eq!(table.due(since, half), Some(next), "{pattern} {day}");
                    assert_eq!(table.due(next, half), None, "{pattern} {day}: once");
                    since = next;
                }
            }
        }
    }

    #[test]
    fn however_many_times_were_missed_the_newest_is_due() {
        let table = cron("0 3 * * *", "UTC");
        let since = at("2026-01-01T03:00:00Z");
        assert_eq!(table.due(since, at("2026-01-02T02:59:59Z")), None);
        assert_eq!(table.due(since, at("2026-01-02T03:00:00Z")), Some(at("2026-01-02T03:00:00Z")));
        assert_eq!(table.due(since, at("2026-01-09T12:00:00Z")), Some(at("2026-01-09T03:00:00Z")));
        let table = every("2h");
        assert_eq!(table.due(since, at("2026-01-01T04:59:00Z")), None);
        assert_eq!(table.due(since, at("2026-01-01T12:30:00Z")), Some(at("2026-01-01T11:00:00Z")));
        assert_eq!(table.next(since, at("2026-01-01T12:30:00Z")), Some(at("2026-01-01T13:00:00Z")));
    }

    #[test]
    fn a_clock_that_is_set_back_repeats_nothing_and_stops_nothing() {
        let last = at("2026-01-01T03:00:00Z");
        let (an_hour, years) = (at("2026-01-01T02:00:00Z"), at("2020-01-01T00:00:00Z"));
        let table = cron("0 3 * * *", "UTC");
        assert_eq!(table.since(last, an_hour), last);
        assert_eq!(table.due(last, last), None, "it has run");
        assert_eq!(table.since(last, years), years);
        assert_eq!(every("2h").since(last, an_hour), an_hour);
        assert_eq!(table.since(last, at("2026-01-02T00:00:00Z")), last);
    }

    #[test]
    fn what_is_no_time_is_said_all_at_once() {
        let spec = ScheduleSpec {
            cron: Some("0 3 * * * *".into()),
            time_zone: Some("Mars/Olympus".into()),
            every: Some("0s".into()),
            ..ScheduleSpec::default()
        };
        let problems = Timetable::of(&spec).unwrap_err();
        let paths: Vec<_> = problems.iter().map(|problem| &*problem.path).collect();
        assert_eq!(paths, ["spec.schedule.timeZone", "spec.schedule.cron", "spec.schedule.every"]);
        for wrong in ["", "@sometimes", "61 * * * *", "0 0 31 2 *", "* * * *"] {
            let spec = ScheduleSpec { cron: Some(wrong.into()), ..ScheduleSpec::default() };
            assert!(Timetable::of(&spec).is_err(), "{wrong}");
        }
    }
}
