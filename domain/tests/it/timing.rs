use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveTime, TimeDelta, TimeZone, Timelike, Utc, Weekday};
use chrono_tz::{TZ_VARIANTS, Tz};
use dripline_domain::timing::{NoWeekday, Timing, WeekdaySet, parse_zone};
use proptest::prelude::*;

fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn zone(name: &str) -> Tz {
    name.parse().unwrap()
}

/// `after`, `at` and `days` as a workflow file has them; an empty text leaves the key out.
fn timing(after_seconds: u64, at: &str, days: &str) -> Timing {
    let days: Vec<String> = days.split_whitespace().map(str::to_owned).collect();
    Timing {
        after: Duration::from_secs(after_seconds),
        at: (!at.is_empty()).then(|| NaiveTime::parse_from_str(at, "%H:%M").unwrap()),
        days: if days.is_empty() { WeekdaySet::EVERY_DAY } else { days.try_into().unwrap() },
        expires_after: None,
    }
}

#[track_caller]
fn check(timing: &Timing, previous: &str, in_zone: &str, expected: &str) {
    let due = timing.due(instant(previous), zone(in_zone));
    assert_eq!(due, instant(expected), "local: {}", due.with_timezone(&zone(in_zone)));
}

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

#[test]
fn after_alone() {
    let at_once = timing(0, "", "");
    check(&at_once, "2026-11-22T10:00:00Z", "UTC", "2026-11-22T10:00:00Z");
    check(&at_once, "2026-11-22T10:00:00.000000001Z", "UTC", "2026-11-22T10:00:01Z");
    check(&timing(DAY, "", ""), "2026-03-28T12:00:00Z", "Europe/Rome", "2026-03-29T12:00:00Z");
    let fine = Timing::after(Duration::from_millis(1500));
    check(&fine, "2026-11-22T10:00:00.400Z", "UTC", "2026-11-22T10:00:02Z");
}

#[test]
fn a_local_time_of_day() {
    let nine = timing(0, "09:00", "");
    check(&nine, "2026-11-22T07:59:59Z", "Europe/Rome", "2026-11-22T08:00:00Z");
    check(&nine, "2026-11-22T08:00:00Z", "Europe/Rome", "2026-11-22T08:00:00Z");
    check(&nine, "2026-11-22T08:00:00.5Z", "Europe/Rome", "2026-11-23T08:00:00Z");
    // The same instant is another day elsewhere.
    check(&nine, "2026-11-22T23:00:00Z", "Asia/Tokyo", "2026-11-23T00:00:00Z");
    check(&nine, "2026-11-22T23:00:00Z", "America/Los_Angeles", "2026-11-23T17:00:00Z");
    // A day after 10:00 is 10:00, and nine o'clock has passed by then.
    check(&timing(DAY, "09:00", ""), "2026-11-22T09:00:00Z", "Europe/Rome", "2026-11-24T08:00:00Z");
}

#[test]
fn weekdays() {
    // 22 November 2026 is a Sunday.
    let workdays = timing(0, "09:00", "mon tue wed thu fri");
    check(&workdays, "2026-11-20T07:00:00Z", "Europe/Rome", "2026-11-20T08:00:00Z");
    check(&workdays, "2026-11-20T09:00:00Z", "Europe/Rome", "2026-11-23T08:00:00Z");
    check(
        &timing(0, "09:00", "sun"),
        "2026-11-22T09:00:00Z",
        "Europe/Rome",
        "2026-11-29T08:00:00Z",
    );
    // Days alone: at once on such a day, else as soon as it begins.
    let monday = timing(0, "", "mon");
    check(&monday, "2026-11-23T15:30:00Z", "Europe/Rome", "2026-11-23T15:30:00Z");
    check(&monday, "2026-11-22T15:30:00Z", "Europe/Rome", "2026-11-22T23:00:00Z");
    check(&monday, "2026-11-22T15:30:00Z", "Asia/Tokyo", "2026-11-22T15:30:00Z");
}

#[test]
fn a_time_that_a_clock_change_skips() {
    // Rome, 29 March 2026: 02:00 to 03:00 is skipped at 01:00 UTC.
    let half_past_two = timing(0, "02:30", "");
    check(&half_past_two, "2026-03-28T12:00:00Z", "Europe/Rome", "2026-03-29T01:00:00Z");
    check(&half_past_two, "2026-03-29T01:00:00Z", "Europe/Rome", "2026-03-29T01:00:00Z");
    check(&half_past_two, "2026-03-29T01:00:01Z", "Europe/Rome", "2026-03-30T00:30:00Z");
    check(&timing(0, "02:00", ""), "2026-03-29T00:30:00Z", "Europe/Rome", "2026-03-29T01:00:00Z");
    check(&timing(0, "03:00", ""), "2026-03-29T00:30:00Z", "Europe/Rome", "2026-03-29T01:00:00Z");
    check(&half_past_two, "2026-03-08T00:00:00-05:00", "America/New_York", "2026-03-08T07:00:00Z");
    // Half an hour is skipped on Lord Howe.
    let lord_howe = "Australia/Lord_Howe";
    check(&timing(0, "02:15", ""), "2026-10-03T12:00:00Z", lord_howe, "2026-10-03T15:30:00Z");
}

#[test]
fn a_gap_at_midnight() {
    // Cairo has no 00:00 to 01:00 on 24 April 2026; the Friday begins at 01:00.
    check(&timing(0, "00:30", ""), "2026-04-23T12:00:00Z", "Africa/Cairo", "2026-04-23T22:00:00Z");
    check(&timing(0, "", "fri"), "2026-04-23T12:00:00Z", "Africa/Cairo", "2026-04-23T22:00:00Z");
    // Nuuk skips the last hour of Saturday, 28 March 2026; the Saturday's time becomes midnight.
    let late = timing(0, "23:30", "sat");
    check(&late, "2026-03-28T12:00:00Z", "America/Nuuk", "2026-03-29T01:00:00Z");
    check(&late, "2026-03-29T01:00:00Z", "America/Nuuk", "2026-03-29T01:00:00Z");
    check(&late, "2026-03-29T01:00:01Z", "America/Nuuk", "2026-04-05T00:30:00Z");
}

#[test]
fn a_day_that_never_was() {
    // Samoa went from Thursday, 29 December 2011, straight to Saturday, the 31st.
    let nine = timing(0, "09:00", "");
    check(&nine, "2011-12-29T20:00:00Z", "Pacific/Apia", "2011-12-30T19:00:00Z");
    let friday = timing(0, "09:00", "fri");
    check(&friday, "2011-12-29T20:00:00Z", "Pacific/Apia", "2012-01-05T19:00:00Z");
}

#[test]
fn a_time_that_a_clock_change_repeats() {
    // Rome, 25 October 2026: 02:00 to 03:00 comes twice, from 00:00 and from 01:00 UTC.
    let half_past_two = timing(0, "02:30", "");
    check(&half_past_two, "2026-10-24T12:00:00Z", "Europe/Rome", "2026-10-25T00:30:00Z");
    check(&half_past_two, "2026-10-25T00:30:00Z", "Europe/Rome", "2026-10-25T00:30:00Z");
    // Between the two it has been half past two already.
    check(&half_past_two, "2026-10-25T00:45:00Z", "Europe/Rome", "2026-10-26T01:30:00Z");
    check(
        &timing(0, "01:30", ""),
        "2026-11-01T04:00:00Z",
        "America/New_York",
        "2026-11-01T05:30:00Z",
    );
}

#[test]
fn after_counts_hours_and_not_local_days() {
    // A day of 23 hours lies between; 24 hours later it is 13:00 in Rome.
    let day = timing(DAY, "", "");
    check(&day, "2026-03-28T11:00:00Z", "Europe/Rome", "2026-03-29T11:00:00Z");
    // At noon, 24 hours after noon has just passed; 23 hours after has not.
    check(&timing(DAY, "12:00", ""), "2026-03-28T11:00:00Z", "Europe/Rome", "2026-03-30T10:00:00Z");
    check(
        &timing(23 * HOUR, "12:00", ""),
        "2026-03-28T11:00:00Z",
        "Europe/Rome",
        "2026-03-29T10:00:00Z",
    );
}

#[test]
fn expiry() {
    let due = instant("2026-11-22T10:00:00Z");
    assert_eq!(Timing::default().expires(due), None);
    let hour = Timing { expires_after: Some(Duration::from_secs(HOUR)), ..Timing::default() };
    assert_eq!(hour.expires(due), Some(instant("2026-11-22T11:00:00Z")));
    let forever = Timing { expires_after: Some(Duration::MAX), ..Timing::default() };
    assert_eq!(forever.expires(due), Some(instant("9999-12-31T23:59:59Z")));
    assert_eq!(forever.expires(DateTime::<Utc>::MAX_UTC), Some(instant("9999-12-31T23:59:59Z")));
}

#[test]
fn the_ends_of_time() {
    let end = instant("9999-12-31T23:59:59Z");
    for timing in [timing(0, "", ""), timing(0, "09:00", "mon"), Timing::after(Duration::MAX)] {
        for zone in [Tz::UTC, zone("Pacific/Kiritimati"), zone("Pacific/Pago_Pago")] {
            assert_eq!(timing.due(DateTime::<Utc>::MAX_UTC, zone), end);
            timing.due(DateTime::<Utc>::MIN_UTC, zone);
            timing.due(end, zone);
        }
    }
}

#[test]
fn zones() {
    let check = |name: &str, expected: Result<Tz, &str>| {
        let parsed = parse_zone(name);
        assert_eq!(parsed.map_err(|error| error.to_string()), expected.map_err(str::to_owned));
    };
    check("Europe/Rome", Ok(Tz::Europe__Rome));
    check(" europe/rome ", Ok(Tz::Europe__Rome));
    check("America/New York", Ok(Tz::America__New_York));
    check("UTC", Ok(Tz::UTC));
    check(
        "Europe/Roma",
        Err("`Europe/Roma` is not an IANA time zone; did you mean `Europe/Rome`?"),
    );
    check("Tokyo", Err("`Tokyo` is not an IANA time zone; did you mean `Asia/Tokyo`?"));
    check(
        "Amerika/New_York",
        Err("`Amerika/New_York` is not an IANA time zone; did you mean `America/New_York`?"),
    );
    check("", Err("`` is not an IANA time zone"));
    check("+02:00", Err("`+02:00` is not an IANA time zone"));
    check("Mars/Olympus", Err("`Mars/Olympus` is not an IANA time zone"));
}

#[test]
fn weekday_sets() {
    let set = WeekdaySet::from_iso([5, 1, 1]).unwrap();
    assert_eq!(set, WeekdaySet::new([Weekday::Mon, Weekday::Fri]).unwrap());
    assert_eq!((set.iso(), set.to_string()), (vec![1, 5], "mon, fri".to_owned()));
    assert_eq!(WeekdaySet::EVERY_DAY.iso(), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(WeekdaySet::from_iso([]), Err(NoWeekday::Empty));
    for number in [0, 8, -1] {
        assert_eq!(WeekdaySet::from_iso([number]), Err(NoWeekday::Unknown(number.to_string())));
    }
    let words: WeekdaySet = serde_json::from_str(r#"["Monday", " fri "]"#).unwrap();
    assert_eq!(words, set);
    assert_eq!(serde_json::to_string(&set).unwrap(), r#"["mon","fri"]"#);
    let error = serde_json::from_str::<WeekdaySet>(r#"["mo"]"#).unwrap_err().to_string();
    assert!(error.contains("`mo` is not a weekday"), "{error}");
}

fn timings() -> impl Strategy<Value = Timing> {
    let after = (0..40 * DAY, 0..1_000_000_000_u32).prop_map(|(s, n)| Duration::new(s, n));
    let at =
        prop::option::of((0..86_400_u32).prop_map(|seconds| {
            NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0).unwrap()
        }));
    let days = prop::sample::subsequence((1..=7).collect::<Vec<i16>>(), 1..=7)
        .prop_map(|days| WeekdaySet::from_iso(days).unwrap());
    (after, at, days).prop_map(|(after, at, days)| Timing { after, at, days, expires_after: None })
}

/// Instants from 1970 to 2100, half of them near a clock change of Europe or America.
fn instants() -> impl Strategy<Value = DateTime<Utc>> {
    let near =
        prop::sample::select(vec![1_774_746_000_i64, 1_792_890_000, 1_772_953_200, 1_793_512_800]);
    let seconds = prop_oneof![
        0..4_102_444_800_i64,
        (near, -100_000..100_000_i64).prop_map(|(near, delta)| near + delta),
    ];
    (seconds, 0..1_000_000_000_u32).prop_map(|(s, nanos)| Utc.timestamp_opt(s, nanos).unwrap())
}

fn zones_of_the_world() -> impl Strategy<Value = Tz> {
    prop_oneof![
        prop::sample::select(TZ_VARIANTS.to_vec()),
        prop::sample::select(vec![
            Tz::Europe__Rome,
            Tz::America__New_York,
            Tz::Australia__Lord_Howe
        ]),
    ]
}

proptest! {
    #[test]
    fn due_is_whole_and_never_early(
        timing in timings(), previous in instants(), zone in zones_of_the_world()
    ) {
        let due = timing.due(previous, zone);
        let earliest = previous + TimeDelta::from_std(timing.after).unwrap();
        prop_assert_eq!(due.nanosecond(), 0);
        prop_assert!(due >= earliest);
        prop_assert!(due - earliest <= TimeDelta::days(15));
        if timing.at.is_none() && timing.days == WeekdaySet::EVERY_DAY {
            prop_assert!(due - earliest < TimeDelta::seconds(1));
        }
    }

    #[test]
    fn due_is_at_the_time_on_a_day(
        timing in timings(), previous in instants(), zone in zones_of_the_world()
    ) {
        let local = timing.due(previous, zone).with_timezone(&zone);
        let exact = timing.at.is_none_or(|at| local.time() == at);
        if exact {
            prop_assert!(timing.days.contains(local.weekday()), "{}", local);
        } else {
            // Only a clock change excuses another time: just before, the clock showed another one.
            let before = local - TimeDelta::seconds(1);
            prop_assert_ne!(
                before.naive_local() + TimeDelta::seconds(1), local.naive_local(), "{}", local
            );
        }
    }

    #[test]
    fn later_is_never_due_sooner(
        timing in timings(), previous in instants(), seconds in 0..1_000_000_i64,
        zone in zones_of_the_world()
    ) {
        let later = previous + TimeDelta::seconds(seconds);
        prop_assert!(timing.due(previous, zone) <= timing.due(later, zone));
    }

    #[test]
    fn due_again_is_the_same(timing in timings(), previous in instants(), zone in zones_of_the_world()) {
        let at_once = Timing { after: Duration::ZERO, ..timing };
        let due = at_once.due(previous, zone);
        prop_assert_eq!(at_once.due(due, zone), due);
    }
}
