//! From a local day and time of day to an instant, over clock changes.

use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone, Utc};
use chrono_tz::{GapInfo, Tz};

/// The instant at which it is `at` on `day` in `zone`: the earlier one where a clock change repeats
/// it, the first instant after the gap where one skips it. `None` when the zone has no such day at
/// all, as Samoa had no 30 December 2011.
pub(super) fn first_instant(day: NaiveDate, at: NaiveTime, zone: Tz) -> Option<DateTime<Utc>> {
    let local = day.and_time(at);
    match zone.from_local_datetime(&local) {
        LocalResult::Single(instant) => Some(instant.to_utc()),
        LocalResult::Ambiguous(earlier, later) => Some(earlier.min(later).to_utc()),
        LocalResult::None => after_gap(local, zone),
    }
}

fn after_gap(local: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    let gap = GapInfo::new(&local, &zone)?;
    let (begin, _) = gap.begin?;
    let day_has_begun = begin > local.date().and_time(NaiveTime::MIN);
    let end = gap.end?;
    (day_has_begun || end.date_naive() == local.date()).then(|| end.to_utc())
}
