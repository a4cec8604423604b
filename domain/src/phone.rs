//! Phone numbers in E.164: a plus sign, the country's code and the national number, digits only.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use self::plan::Plan;

mod clean;
mod plan;

/// A phone number in E.164, for example `+393331234567`.
///
/// It shows itself whole in `Display` and `Debug`, since people must see whom they enrol; logs never
/// print one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Phone(Box<str>);

/// Why a text is not a phone number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    /// Nothing but blanks.
    #[error("the phone number is empty")]
    Empty,
    /// A character that no way of writing phone numbers uses.
    #[error(
        "`{text}` has `{character}` at character {column}, which is not part of a phone number"
    )]
    StrangeCharacter {
        /// The whole text.
        text: String,
        /// The first one that does not belong.
        character: char,
        /// Its place, counted from 1.
        column: usize,
    },
    /// An extension cannot receive a text message.
    #[error("`{0}` has an extension, and a text message cannot be sent to one")]
    Extension(String),
    /// Written for callers inside a country, and nobody said which.
    #[error(
        "`{0}` has no country code; write it as `+<country code><number>` or give a default region"
    )]
    NoCountryCode(String),
    /// The default region is not a country known by its two letters.
    #[error("`{0}` is not a region; write two letters such as `IT` or `US`")]
    UnknownRegion(String),
    /// The digits after the plus sign begin no country's code.
    #[error("`{0}` begins with no known country code")]
    UnknownCountryCode(String),
    /// Fewer digits than any number of that country.
    #[error("`{0}` is too short for a phone number of its country")]
    TooShort(String),
    /// More digits than any number of that country, or than E.164 allows (15).
    #[error("`{0}` is too long for a phone number of its country")]
    TooLong(String),
    /// A length between the shortest and the longest that no number of the country has.
    #[error("`{0}` has a number of digits that no phone number of its country has")]
    WrongLength(String),
}

/// A text that should have been E.164 already and is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an E.164 phone number such as `+393331234567`")]
pub struct NotE164(pub String);

impl Phone {
    /// Reads a number as people write it, with any spacing, brackets, dots and dashes, digits of any
    /// script, a leading `+`, `tel:` or (with a default region) that region's international prefix.
    ///
    /// `default_region` is an ISO 3166 code of two letters; without it the number must be
    /// international. Its length is checked against the country's numbering plan; whether the number
    /// is assigned is not, since plans change faster than programs.
    pub fn parse(text: &str, default_region: Option<&str>) -> Result<Self, PhoneError> {
        let own = || text.trim().to_owned();
        let region = default_region.map(Plan::of_region).transpose()?;
        let digits = clean::digits(text)?;
        let (plan, national) = match (digits.strip_prefix('+'), region) {
            (Some(international), _) => Plan::of_international(international),
            (None, Some(region)) => region.dial(&digits),
            (None, None) => return Err(PhoneError::NoCountryCode(own())),
        }
        .ok_or_else(|| PhoneError::UnknownCountryCode(own()))?;
        plan.check_length(national.len()).map_err(|wrong| wrong(own()))?;
        let e164 = format!("+{}{national}", plan.country_code());
        Self::from_e164(&e164).map_err(|_| PhoneError::TooLong(own()))
    }

    /// Takes a number that is E.164 already, as every stored one is. Cheap: only its form is checked.
    pub fn from_e164(text: &str) -> Result<Self, NotE164> {
        if is_e164(text) { Ok(Self(text.into())) } else { Err(NotE164(text.to_owned())) }
    }

    /// The number, with its plus sign.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AsRef<str> for Phone {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<Phone> for String {
    fn from(phone: Phone) -> Self {
        phone.0.into()
    }
}

impl TryFrom<String> for Phone {
    type Error = NotE164;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::from_e164(&text)
    }
}

/// Reads an international number in any notation: [`Phone::parse`] without a default region.
impl FromStr for Phone {
    type Err = PhoneError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text, None)
    }
}

fn is_e164(text: &str) -> bool {
    match text.as_bytes() {
        [b'+', b'1'..=b'9', rest @ ..] => {
            (1..=14).contains(&rest.len()) && rest.iter().all(u8::is_ascii_digit)
        }
        _ => false,
    }
}
