//! Phone numbers in E.164: a plus sign, the country's code and the national number, digits only.

use std::fmt;
use std::str::FromStr;

use phonenumber::country;
use phonenumber::metadata::DATABASE;
use serde::{Deserialize, Serialize};

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
        let region = default_region.map(parse_region).transpose()?;
        let digits = clean(text)?;
        let own = || text.trim().to_owned();
        if region.is_none() && !digits.starts_with('+') {
            return Err(PhoneError::NoCountryCode(own()));
        }
        let number = phonenumber::parse(region, &digits).map_err(|error| match error {
            phonenumber::ParseError::InvalidCountryCode => PhoneError::UnknownCountryCode(own()),
            phonenumber::ParseError::TooLong => PhoneError::TooLong(own()),
            _ => PhoneError::TooShort(own()),
        })?;
        let national = number.national().to_string();
        check_length(number.country().code(), national.len()).map_err(|wrong| wrong(own()))?;
        let e164 = format!("+{}{national}", number.country().code());
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

fn parse_region(region: &str) -> Result<country::Id, PhoneError> {
    region
        .trim()
        .to_ascii_uppercase()
        .parse()
        .map_err(|_| PhoneError::UnknownRegion(region.to_owned()))
}

/// Keeps the digits, in ASCII, and a leading plus sign.
fn clean(text: &str) -> Result<String, PhoneError> {
    let trimmed = text.trim_matches(is_blank);
    let bare = match trimmed.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => &trimmed[4..],
        _ => trimmed,
    };
    let mut digits = String::with_capacity(bare.len());
    for character in bare.chars() {
        if let Some(digit) = digit_value(character) {
            digits.push(digit);
        } else if matches!(character, '+' | '\u{ff0b}') && digits.is_empty() {
            digits.push('+');
        } else if is_blank(character) || is_punctuation(character) {
            // How people group digits says nothing.
        } else if matches!(character, 'x' | 'X' | '#' | ';' | ',' | 'e' | 'E') && digits.len() > 4 {
            return Err(PhoneError::Extension(trimmed.to_owned()));
        } else {
            let column = text.chars().take_while(|c| *c != character).count() + 1;
            return Err(PhoneError::StrangeCharacter {
                text: trimmed.to_owned(),
                character,
                column,
            });
        }
    }
    match digits.trim_start_matches('+') {
        "" if trimmed.is_empty() => Err(PhoneError::Empty),
        "" => Err(PhoneError::TooShort(trimmed.to_owned())),
        _ => Ok(digits),
    }
}

/// White space and the invisible characters that spreadsheets and messengers leave around numbers.
fn is_blank(character: char) -> bool {
    character.is_whitespace()
        || matches!(
            character,
            '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
                | '\u{feff}'
        )
}

fn is_punctuation(character: char) -> bool {
    matches!(
        character,
        '-' | '.' | '/' | '(' | ')' | '[' | ']' | '~' | '\u{b7}' | '\u{2010}'..='\u{2015}' | '\u{2043}'
            | '\u{2053}' | '\u{2212}' | '\u{2022}' | '\u{30fb}' | '\u{30fc}' | '\u{ff08}' | '\u{ff09}'
            | '\u{ff0d}'..='\u{ff0f}' | '\u{ff3b}' | '\u{ff3d}' | '\u{ff5e}'
    )
}

/// The ASCII form of a decimal digit in the scripts that phones and spreadsheets write.
fn digit_value(character: char) -> Option<char> {
    /// The zeros of Arabic-Indic, its eastern form, Devanagari, Bengali, Thai and fullwidth digits.
    const ZEROS: [char; 6] = ['\u{660}', '\u{6f0}', '\u{966}', '\u{9e6}', '\u{e50}', '\u{ff10}'];
    if character.is_ascii_digit() {
        return Some(character);
    }
    let zero = ZEROS.into_iter().find(|zero| (*zero..=digit_after(*zero)).contains(&character))?;
    char::from_digit(u32::from(character) - u32::from(zero), 10)
}

fn digit_after(zero: char) -> char {
    char::from_u32(u32::from(zero) + 9).expect("ten digits follow one another in every script")
}

/// Compares a national number's length with the plans of the countries that share the code.
fn check_length(code: u16, length: usize) -> Result<(), fn(String) -> PhoneError> {
    let plans = DATABASE.by_code(&code).unwrap_or_default();
    let mut possible: Vec<usize> = plans
        .iter()
        .flat_map(|plan| plan.descriptors().general().possible_length())
        .map(|length| usize::from(*length))
        .collect();
    possible.sort_unstable();
    match (possible.first(), possible.last()) {
        (None, _) | (_, None) => Err(PhoneError::UnknownCountryCode),
        (Some(shortest), _) if length < *shortest => Err(PhoneError::TooShort),
        (_, Some(longest)) if length > *longest => Err(PhoneError::TooLong),
        _ if possible.contains(&length) => Ok(()),
        _ => Err(PhoneError::WrongLength),
    }
}
