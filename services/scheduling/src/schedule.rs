//! Times of schedules: cron patterns in time zones.
//!
//! A pattern has five fields (minute, hour, day of month, month, day of week) or six with the second in front, and the usual
//! nicknames (`@daily`); the `croner` crate reads it. A time that a clock change leaves out is made up for right after
//! it; one that it repeats happens once for fixed hours, as in Vixie cron.

use croner::Cron;
use croner::parser::{CronParser, Seconds};
use jiff::tz::TimeZone;
use tidemill_kernel::Timestamp;
use tidemill_proto::scheduling::v1::CatchUp;

use std::time::Duration;

/// A time that passed longer ago was missed.
const MISSED: Duration = Duration::from_secs(60);
/// The most times that are made up for.
const MOST: usize = 100;

/// When a schedule is due.
#[derive(Debug, Clone)]
pub(crate) struct Times {
    cron: Cron,
    zone: TimeZone,
}

impl Times {
    /// Reads a pattern and the name of a time zone; none: UTC.
    ///
    /// # Errors
    /// The field at fault and what would be right.
    pub(crate) fn parse(cron: &str, zone: &str) -> Result<Self, (&'static str, String)> {
        let zone = match zone {
            "" => TimeZone::UTC,
            name => TimeZone::get(name).map_err(|_| {
                let rule = format!("`{name}` is no IANA time zone; use a name such as Europe/Berlin");
                ("time_zone", rule)
            })?,
        };
        let parser = CronParser::builder().seconds(Seconds::Optional).build();
        let cron = parser.parse(cron).map_err(|fault| {
            let rule =
                format!("`{cron}` is no cron pattern ({fault}); use five fields such as `30 6 * * MON-FRI`");
            ("cron", rule)
        })?;
        let times = Self { cron, zone };
        match times.next(Timestamp::default()) {
            Some(_) => Ok(times),
            None => Err(("cron", "never comes; name a day that its months have".to_owned())),
        }
    }

    /// The first time after a moment; none if there is none.
    pub(crate) fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let next = self.cron.find_next_occurrence(&self.zoned(after)?, false).ok()?;
        Some(Timestamp::from_micros(next.timestamp().as_microsecond()))
    }

    /// The times after `last` that have come by now, the earliest first, as far as they are to be acted on.
    pub(crate) fn due(&self, last: Timestamp, now: Timestamp, catch_up: CatchUp) -> Vec<Timestamp> {
        let most = if catch_up == CatchUp::All { MOST } else { 1 };
        let since = match catch_up {
            CatchUp::None => last.max(Timestamp::from_micros(now.as_micros().saturating_sub(micros(MISSED)))),
            CatchUp::Unspecified | CatchUp::Last | CatchUp::All => last,
        };
        let mut due = Vec::new();
        let mut at = self.zoned(now);
        while let Some(before) = at.filter(|_| due.len() < most) {
            let Ok(found) = self.cron.find_previous_occurrence(&before, due.is_empty()) else { break };
            let time = Timestamp::from_micros(found.timestamp().as_microsecond());
            if time <= since {
                break;
            }
            due.push(time);
            at = Some(found);
        }
        due.reverse();
        due
    }

    fn zoned(&self, moment: Timestamp) -> Option<jiff::Zoned> {
        Some(jiff::Timestamp::from_microsecond(moment.as_micros()).ok()?.to_zoned(self.zone.clone()))
    }
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        let time: jiff::Timestamp = text.parse().unwrap();
        Timestamp::from_micros(time.as_microsecond())
    }

    #[test]
    fn hours_are_those_of_the_zone_also_where_its_clock_jumps() {
        let times = Times::parse("30 2 * * *", "Europe/Berlin").unwrap();
        assert_eq!(times.next(at("2026-01-10T00:00:00Z")), Some(at("2026-01-10T01:30:00Z")));
        assert_eq!(times.next(at("2026-07-10T01:00:00Z")), Some(at("2026-07-11T00:30:00Z")));
        // On 29 March 2:30 does not come; the day is not passed over.
        let spring = times.next(at("2026-03-28T12:00:00Z")).unwrap();
        assert!((at("2026-03-29T01:00:00Z")..=at("2026-03-29T01:30:00Z")).contains(&spring), "{spring:?}");
        // On 25 October it comes twice; once is acted on.
        let autumn = times.next(at("2026-10-24T12:00:00Z")).unwrap();
        assert_eq!(times.next(autumn), Some(at("2026-10-26T01:30:00Z")));
    }

    #[test]
    fn what_was_missed_is_made_up_for_as_the_schedule_says() {
        let times = Times::parse("0 * * * *", "").unwrap();
        let (last, now) = (at("2026-05-01T00:00:00Z"), at("2026-05-01T03:10:00Z"));
        assert_eq!(times.due(last, now, CatchUp::Last), [at("2026-05-01T03:00:00Z")]);
        assert_eq!(times.due(last, now, CatchUp::None), []);
        assert_eq!(times.due(last, at("2026-05-01T03:00:05Z"), CatchUp::None), [at("2026-05-01T03:00:00Z")]);
        let all = ["2026-05-01T01:00:00Z", "2026-05-01T02:00:00Z", "2026-05-01T03:00:00Z"].map(at);
        assert_eq!(times.due(last, now, CatchUp::All), all);
        assert_eq!(times.due(at("2020-01-01T00:00:00Z"), now, CatchUp::All).len(), MOST);
    }

    #[test]
    fn what_cannot_be_a_time_is_named() {
        for (cron, zone, field) in [
            ("* * *", "", "cron"),
            ("61 * * * *", "", "cron"),
            ("0 0 30 2 *", "", "cron"),
            ("* * * * *", "Mars/Olympus", "time_zone"),
        ] {
            assert_eq!(Times::parse(cron, zone).unwrap_err().0, field, "{cron} {zone}");
        }
        assert!(Times::parse("*/10 * * * * *", "Asia/Kolkata").is_ok());
    }

    proptest! {
        /// Acting on what is due at any moments whatever acts on every time once.
        #[test]
        fn nothing_is_acted_on_twice_or_passed_over(steps in prop::collection::vec(1_i64..5_000, 1..40)) {
            let times = Times::parse("*/7 * * * *", "America/New_York").unwrap();
            let begin = at("2026-10-31T20:00:00Z");
            let (mut last, mut now, mut acted) = (begin, begin, Vec::new());
            for seconds in steps {
                now = Timestamp::from_micros(now.as_micros() + seconds * 1_000_000);
                let due = times.due(last, now, CatchUp::All);
                last = due.last().copied().unwrap_or(last);
                acted.extend(due);
            }
            let mut model = Vec::new();
            let mut time = begin;
            while let Some(next) = times.next(time).filter(|next| *next <= now) {
                model.push(next);
                time = next;
            }
            prop_assert_eq!(acted, model);
        }
    }
}
