//! Money in micros: millionths of an account's currency, always integers.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Neg, Sub, SubAssign};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Micros in one unit of currency.
pub const MICROS_PER_UNIT: i64 = 1_000_000;

/// An amount in micros. Arithmetic that would overflow `i64` (nine million million units) panics
/// rather than wraps: a wrong balance is worse than a stopped process.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Micros(pub i64);

impl Micros {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The price of `segments` at this price per segment; `None` when it does not fit.
    pub fn checked_times(self, segments: u32) -> Option<Self> {
        self.0.checked_mul(i64::from(segments)).map(Self)
    }

    /// The sum; `None` when it does not fit.
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The same amount with the other sign; `None` when it does not fit.
    pub fn checked_neg(self) -> Option<Self> {
        self.0.checked_neg().map(Self)
    }
}

impl From<i64> for Micros {
    fn from(micros: i64) -> Self {
        Self(micros)
    }
}

impl Add for Micros {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.checked_add(other.0).expect("an amount of micros fits 64 bits"))
    }
}

impl Sub for Micros {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.checked_sub(other.0).expect("an amount of micros fits 64 bits"))
    }
}

impl Neg for Micros {
    type Output = Self;
    fn neg(self) -> Self {
        Self::ZERO - self
    }
}

impl AddAssign for Micros {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Micros {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Micros {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Units with two decimals at least and six at most: `12.50`, `0.0075`, `-3.00`.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let magnitude = self.0.unsigned_abs();
        let unit = MICROS_PER_UNIT.unsigned_abs();
        let decimals = format!("{:06}", magnitude % unit);
        let decimals = decimals.trim_end_matches('0');
        f.pad_integral(true, "", &format!("{sign}{}.{decimals:0<2}", magnitude / unit))
    }
}

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseMicrosError {
    /// Something other than digits, one point and a leading sign.
    #[error("`{0}` is not an amount; write it like `12.50`")]
    NotAnAmount(String),
    /// More than six decimals would be less than a micro.
    #[error("`{0}` has more than six decimals; the smallest amount is 0.000001")]
    TooFine(String),
    /// Beyond 64 bits of micros.
    #[error("`{0}` is too large an amount")]
    TooLarge(String),
}

impl FromStr for Micros {
    type Err = ParseMicrosError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let not_an_amount = || ParseMicrosError::NotAnAmount(text.to_owned());
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (units, decimals) = digits.split_once('.').unwrap_or((digits, ""));
        let all_digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if units.is_empty() || !all_digits(units) || !all_digits(decimals) {
            return Err(not_an_amount());
        }
        if decimals.len() > 6 {
            return Err(ParseMicrosError::TooFine(text.to_owned()));
        }
        // With its sign, since the lowest amount has no positive counterpart.
        let sign = if negative { "-" } else { "" };
        let micros = format!("{sign}{units}{decimals:0<6}").parse();
        micros.map(Self).map_err(|_| ParseMicrosError::TooLarge(text.to_owned()))
    }
}
