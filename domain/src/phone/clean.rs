//! From what people type to digits.

use super::PhoneError;

/// Keeps the digits, in ASCII, and a leading plus sign.
pub(super) fn digits(text: &str) -> Result<String, PhoneError> {
    let trimmed = text.trim_matches(is_blank);
    let bare = match trimmed.get(..4) {
        Some(scheme) if scheme.eq_ignore_ascii_case("tel:") => &trimmed[4..],
        _ => trimmed,
    };
    let mut digits = String::with_capacity(bare.len());
    let before = text.chars().count() - text.trim_start_matches(is_blank).chars().count()
        + (trimmed.len() - bare.len());
    for (column, character) in (before + 1..).zip(bare.chars()) {
        if let Some(digit) = digit_value(character) {
            digits.push(digit);
        } else if matches!(character, '+' | '\u{ff0b}') && digits.is_empty() {
            digits.push('+');
        } else if is_blank(character) || is_punctuation(character) {
            // How people group digits says nothing.
        } else if matches!(character, 'x' | 'X' | '#' | ';' | ',' | 'e' | 'E') && digits.len() > 4 {
            return Err(PhoneError::Extension(trimmed.to_owned()));
        } else {
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
