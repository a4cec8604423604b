//! When a step is due: a duration after the step before, and optionally a local time of day and
//! weekdays in the contact's time zone.

use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;

mod local;
mod weekdays;
mod zone;

pub use weekdays::{NoWeekday, WeekdaySet};
pub use zone::{UnknownZone, parse_zone};

use crate::workflow::Problem;

/// When a step is sent, and until when it may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Timing {
    /// The shortest time since the step before was sent; for the first step, since enrolment.
    pub after: Duration,
    /// The local time of day at which it is sent.
    pub at: Option<NaiveTime>,
    /// The local weekdays on which it is sent.
    pub days: WeekdaySet,
    /// How long after its due time it may still be sent. Later it expires and its hold is released.
    pub expires_after: Option<Duration>,
}

impl Timing {
    /// The longest `after` and `expires_after`: ten years of 365 days.
    pub const LONGEST: Duration = Duration::from_hours(10 * 365 * 24);

    /// Due as soon as `after` has passed, on any day, without a limit.
    pub fn after(after: Duration) -> Self {
        Self { after, ..Self::default() }
    }

    /// When the step is due, in `zone`, after what happened at `previous`.
    ///
    /// Always a whole second, since the queue knows no finer time, and never before
    /// `previous + after`. With `at`, the first such time of day on one of the `days`; where a clock
    /// change skips that time, the first instant after the gap; where it repeats it, the earlier one.
    /// With `days` alone, that same instant if its local day is one of them, else the start of the
    /// next one. Instants beyond the year 9999 are cut to its end.
    pub fn due(&self, previous: DateTime<Utc>, zone: Tz) -> DateTime<Utc> {
        let Some(earliest) = self.earliest(previous) else { return far_future() };
        if self.at.is_none() && self.days == WeekdaySet::EVERY_DAY {
            return earliest;
        }
        let first_day = earliest.with_timezone(&zone).date_naive();
        if self.at.is_none() && self.days.contains(first_day.weekday()) {
            return earliest;
        }
        let at = self.at.unwrap_or(NaiveTime::MIN);
        // A gap over midnight moves a time of the day before into this one.
        let day_before = first_day.pred_opt().unwrap_or(first_day);
        day_before
            .iter_days()
            .take(DAYS_TO_LOOK_AT)
            .filter(|day| self.days.contains(day.weekday()))
            .filter_map(|day| local::first_instant(day, at, zone))
            .map(round_up)
            .find(|due| *due >= earliest)
            .unwrap_or_else(far_future)
    }

    /// Until when a step that is due at `due` may be sent; `None` when for ever.
    pub fn expires(&self, due: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let delta = TimeDelta::from_std(self.expires_after?).unwrap_or(TimeDelta::MAX);
        Some(due.checked_add_signed(delta).map_or_else(far_future, |end| end.min(far_future())))
    }

    /// Everything that is wrong with the timing; empty when nothing is.
    pub(crate) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut check = |at: &str, duration: Duration| {
            if duration.subsec_nanos() != 0 {
                problems.push(problem(at, "a whole number of seconds is needed"));
            } else if duration > Self::LONGEST {
                problems.push(problem(at, "more than ten years"));
            }
        };
        check("after", self.after);
        if let Some(expires_after) = self.expires_after {
            check("expires_after", expires_after);
            if expires_after.is_zero() {
                problems.push(problem("expires_after", "nothing could ever be sent in no time"));
            }
        }
        if self.at.is_some_and(|at| at.nanosecond() != 0) {
            problems.push(problem("at", "a whole second is needed"));
        }
        problems
    }

    /// `previous + after`, rounded up to a whole second.
    fn earliest(&self, previous: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let after = TimeDelta::from_std(self.after).ok()?;
        let earliest = previous.checked_add_signed(after)?;
        let earliest = earliest.max(far_past());
        (earliest <= far_future()).then(|| round_up(earliest))
    }
}

/// A week has every weekday, and no zone has skipped the same one twice in a row: the day before and
/// two weeks are enough for any set of days.
const DAYS_TO_LOOK_AT: usize = 16;

fn round_up(instant: DateTime<Utc>) -> DateTime<Utc> {
    let down = instant.with_nanosecond(0).expect("every instant's second has a beginning");
    if down == instant { down } else { down + TimeDelta::seconds(1) }
}

fn far_future() -> DateTime<Utc> {
    end_of(9999)
}

fn far_past() -> DateTime<Utc> {
    end_of(0)
}

fn end_of(year: i32) -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(year, 12, 31)
        .and_then(|day| day.and_hms_opt(23, 59, 59))
        .expect("every year has a last second")
        .and_utc()
}

fn problem(at: &str, text: &str) -> Problem {
    Problem { at: at.to_owned(), text: text.to_owned() }
}
