//! The time, as far as a plugin is told it.

/// When this call's batch began, in seconds since 1970. It stands still during a call. Natively, in tests,
/// it is the time that the case gives.
pub fn now_seconds() -> u64 {
    under()
}

/// A time as the calendar has it, in UTC, for carriers that want one written out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Utc {
    /// For example 2026.
    pub year: u64,
    /// From 1.
    pub month: u64,
    /// Of the month, from 1.
    pub day: u64,
    /// From 0 to 23.
    pub hour: u64,
    /// From 0 to 59.
    pub minute: u64,
    /// From 0 to 59.
    pub second: u64,
}

impl Utc {
    /// The time that is so many seconds after 1970 began. The day by Howard Hinnant's [algorithm].
    ///
    /// [algorithm]: https://howardhinnant.github.io/date_algorithms.html#civil_from_days
    pub fn of(seconds: u64) -> Self {
        let (days, rest) = (seconds / 86_400 + 719_468, seconds % 86_400);
        let (era, day) = (days / 146_097, days % 146_097);
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let shifted = (5 * day + 2) / 153;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        Self {
            year: year + era * 400 + u64::from(month <= 2),
            month,
            day: day - (153 * shifted + 2) / 5 + 1,
            hour: rest / 3_600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
    }
}

#[cfg(target_family = "wasm")]
#[expect(clippy::disallowed_methods, reason = "the host's clock, which stands still during a call")]
fn under() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |since| since.as_secs())
}

#[cfg(all(not(target_family = "wasm"), feature = "testing"))]
use crate::testing::keyed::now_seconds as under;

/// Outside of a component and of tests there is no host to ask.
#[cfg(all(not(target_family = "wasm"), not(feature = "testing")))]
fn under() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::Utc;

    #[test]
    fn times_have_their_place_in_the_calendar() {
        let check = |seconds, expected: [u64; 6]| {
            let Utc { year, month, day, hour, minute, second } = Utc::of(seconds);
            assert_eq!([year, month, day, hour, minute, second], expected, "{seconds}");
        };
        check(0, [1970, 1, 1, 0, 0, 0]);
        check(951_782_399, [2000, 2, 28, 23, 59, 59]);
        check(951_782_400, [2000, 2, 29, 0, 0, 0]);
        check(1_795_348_800, [2026, 11, 22, 12, 0, 0]);
        check(4_107_542_399, [2100, 2, 28, 23, 59, 59]);
        check(4_107_542_400, [2100, 3, 1, 0, 0, 0]);
    }
}
