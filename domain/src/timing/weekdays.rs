//! Sets of weekdays.

use std::fmt;

use chrono::Weekday;
use serde::{Deserialize, Serialize};

/// Some days of the week, at least one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<String>", into = "Vec<String>")]
pub struct WeekdaySet(u8);

/// Why a list is not a set of weekdays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoWeekday {
    /// On no day at all, nothing could ever be sent.
    #[error("no weekday is given; leave the list out for every day")]
    Empty,
    /// A word that is no day.
    #[error("`{0}` is not a weekday; write mon, tue, wed, thu, fri, sat or sun")]
    Unknown(String),
}

impl WeekdaySet {
    /// Monday to Sunday.
    pub const EVERY_DAY: Self = Self(0b111_1111);

    /// The set of the given days.
    pub fn new(days: impl IntoIterator<Item = Weekday>) -> Result<Self, NoWeekday> {
        match days.into_iter().fold(0, |set, day| set | bit(day)) {
            0 => Err(NoWeekday::Empty),
            set => Ok(Self(set)),
        }
    }

    /// The set of the given days by their ISO numbers, Monday being 1.
    pub fn from_iso(days: impl IntoIterator<Item = i16>) -> Result<Self, NoWeekday> {
        let days: Result<Vec<_>, _> = days.into_iter().map(from_iso).collect();
        Self::new(days?)
    }

    /// The days' ISO numbers, ascending.
    pub fn iso(self) -> Vec<i16> {
        (1..).zip(WEEK).filter(|(_, day)| self.contains(*day)).map(|(number, _)| number).collect()
    }

    /// Whether the day is one of them.
    pub fn contains(self, day: Weekday) -> bool {
        self.0 & bit(day) != 0
    }

    /// The days, from Monday on.
    pub fn iter(self) -> impl Iterator<Item = Weekday> {
        WEEK.into_iter().filter(move |day| self.contains(*day))
    }
}

const WEEK: [Weekday; 7] = [
    Weekday::Mon,
    Weekday::Tue,
    Weekday::Wed,
    Weekday::Thu,
    Weekday::Fri,
    Weekday::Sat,
    Weekday::Sun,
];

fn bit(day: Weekday) -> u8 {
    1 << day.num_days_from_monday()
}

fn from_iso(number: i16) -> Result<Weekday, NoWeekday> {
    usize::try_from(number)
        .ok()
        .and_then(|number| WEEK.get(number.checked_sub(1)?).copied())
        .ok_or_else(|| NoWeekday::Unknown(number.to_string()))
}

impl Default for WeekdaySet {
    fn default() -> Self {
        Self::EVERY_DAY
    }
}

/// The days' short names: `mon, tue`.
impl fmt::Display for WeekdaySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&Vec::from(*self).join(", "))
    }
}

impl fmt::Debug for WeekdaySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WeekdaySet({self})")
    }
}

impl From<WeekdaySet> for Vec<String> {
    fn from(set: WeekdaySet) -> Self {
        set.iter().map(|day| day.to_string().to_ascii_lowercase()).collect()
    }
}

impl TryFrom<Vec<String>> for WeekdaySet {
    type Error = NoWeekday;

    fn try_from(days: Vec<String>) -> Result<Self, Self::Error> {
        let days: Result<Vec<Weekday>, _> = days
            .into_iter()
            .map(|day| day.trim().parse().map_err(|_| NoWeekday::Unknown(day)))
            .collect();
        Self::new(days?)
    }
}
