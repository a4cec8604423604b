//! Smart encoding: replacing characters that only look better by ones that GSM-7 has.
//!
//! Most of the map is Unicode's own: the compatibility decomposition of fullwidth letters, fractions,
//! ligatures, styled alphabets and spaces. The table below adds what Unicode keeps apart: quotes,
//! dashes, bullets, asterisks and brackets of many shapes.

use std::borrow::Cow;

use unicode_normalization::char::{decompose_canonical, decompose_compatible, is_combining_mark};

use super::gsm7::{gsm7_septets, is_gsm7};
use crate::named::named;

/// How far a text may be changed to stay in GSM-7.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SmartEncoding {
    /// Not at all.
    #[default]
    Off,
    /// Typography only: quotes, dashes, spaces, fractions. What the text says stays the same.
    Typography,
    /// Accents that GSM-7 lacks are dropped as well, which may change what a word means.
    Accents,
}

named!(SmartEncoding is "a level of smart encoding" {
    Off = "off",
    Typography = "typography",
    Accents = "accents",
});

/// The text with what `level` allows replaced, if that makes the whole of it GSM-7; else the text as
/// it was, since one remaining character makes the message UCS-2 whatever became of the others.
///
/// Give it [`normalise`](super::normalise)d text: an accent that stands apart from its letter is not
/// recognised as the letter that GSM-7 may have.
pub fn smart_encode(text: &str, level: SmartEncoding) -> Cow<'_, str> {
    if level == SmartEncoding::Off || is_gsm7(text) {
        return Cow::Borrowed(text);
    }
    let mut encoded = String::with_capacity(text.len());
    for character in text.chars() {
        if gsm7_septets(character).is_some() {
            encoded.push(character);
        } else if !replace(character, level, &mut encoded) {
            return Cow::Borrowed(text);
        }
    }
    Cow::Owned(encoded)
}

/// Appends what stands for `character`; false when nothing does.
fn replace(character: char, level: SmartEncoding, encoded: &mut String) -> bool {
    if let Some(lookalike) = lookalike(character) {
        encoded.push_str(lookalike);
        return true;
    }
    let begin = encoded.len();
    if decompose(character, encoded) {
        return true;
    }
    encoded.truncate(begin);
    if level == SmartEncoding::Accents && without_accent(character, encoded) {
        return true;
    }
    encoded.truncate(begin);
    false
}

/// Appends Unicode's compatibility decomposition, if it is GSM-7 as a whole.
fn decompose(character: char, encoded: &mut String) -> bool {
    // `x²` must not become `x2`.
    if matches!(character, '\u{b2}' | '\u{b3}' | '\u{b9}' | '\u{2070}'..='\u{209f}') {
        return false;
    }
    let mut whole = true;
    let mut parts = 0;
    decompose_compatible(character, |part| {
        parts += 1;
        match lookalike(part) {
            Some(lookalike) => encoded.push_str(lookalike),
            None if gsm7_septets(part).is_some() => encoded.push(part),
            None => whole = false,
        }
    });
    whole && parts > 0
}

/// Appends the letter below the accents, if it is one that GSM-7 has.
fn without_accent(character: char, encoded: &mut String) -> bool {
    if is_combining_mark(character) {
        // A mark that stands apart from its letter goes the same way.
        return encoded.ends_with(char::is_alphabetic);
    }
    let mut whole = true;
    decompose_canonical(character, |part| {
        if is_combining_mark(part) {
        } else if let Some(letters) = plain_letter(part) {
            encoded.push_str(letters);
        } else if gsm7_septets(part).is_some() && part.is_alphabetic() {
            encoded.push(part);
        } else {
            whole = false;
        }
    });
    whole
}

/// Letters that Unicode does not take apart.
fn plain_letter(character: char) -> Option<&'static str> {
    Some(match character {
        'Đ' | 'Ð' | 'Ɖ' => "D",
        'đ' | 'ð' | 'ɖ' => "d",
        'Ħ' => "H",
        'ħ' => "h",
        'ı' => "i",
        'Ł' => "L",
        'ł' => "l",
        'Ŋ' => "N",
        'ŋ' => "n",
        'Œ' => "OE",
        'œ' => "oe",
        'Ŧ' => "T",
        'ŧ' => "t",
        'Þ' => "Th",
        'þ' => "th",
        'ẞ' => "SS",
        'ª' => "a",
        'º' => "o",
        _ => return None,
    })
}

/// What a character can be mistaken for, and says the same as.
fn lookalike(character: char) -> Option<&'static str> {
    Some(match character {
        // Quotation marks, primes and accents used as apostrophes.
        '\u{ab}'
        | '\u{bb}'
        | '\u{201c}'..='\u{201f}'
        | '\u{2033}'
        | '\u{2036}'
        | '\u{2ba}'
        | '\u{2dd}'
        | '\u{2ee}'
        | '\u{275d}'
        | '\u{275e}'
        | '\u{2760}'
        | '\u{301d}'..='\u{301f}' => "\"",
        '`'
        | '\u{b4}'
        | '\u{2018}'
        | '\u{2019}'
        | '\u{201b}'
        | '\u{2032}'
        | '\u{2035}'
        | '\u{2b9}'
        | '\u{2bb}'..='\u{2bd}'
        | '\u{2c8}'
        | '\u{2ca}'
        | '\u{2cb}'
        | '\u{275b}'
        | '\u{275c}'
        | '\u{275f}' => "'",
        '\u{201a}' | '\u{3001}' | '\u{ff64}' => ",",
        '\u{2039}' | '\u{2329}' | '\u{27e8}' | '\u{276e}' => "<",
        '\u{203a}' | '\u{232a}' | '\u{27e9}' | '\u{276f}' => ">",
        // Dashes, bullets and lines.
        '\u{2010}'..='\u{2015}'
        | '\u{2212}'
        | '\u{2043}'
        | '\u{2022}'
        | '\u{2023}'
        | '\u{25e6}'
        | '\u{23bc}'
        | '\u{23bd}'
        | '\u{2500}'
        | '\u{2501}' => "-",
        '\u{2017}' => "_",
        '\u{2223}' | '\u{23b8}' | '\u{23b9}' | '\u{23d0}' | '\u{239c}' | '\u{239f}'
        | '\u{2502}' | '\u{2503}' | '\u{a6}' => "|",
        // Division, fractions and the like.
        '\u{f7}' | '\u{2044}' | '\u{2215}' | '\u{29f8}' => "/",
        '\u{29f5}' | '\u{29f9}' | '\u{2216}' => "\\",
        '\u{d7}' | '\u{2715}' | '\u{2716}' => "x",
        '\u{2264}' => "<=",
        '\u{2265}' => ">=",
        '\u{2190}' => "<-",
        '\u{2192}' => "->",
        '\u{a9}' => "(c)",
        '\u{ae}' => "(R)",
        // Asterisks.
        '\u{204e}'
        | '\u{2217}'
        | '\u{229b}'
        | '\u{2722}'..='\u{2725}'
        | '\u{2731}'..='\u{2733}'
        | '\u{273a}'..='\u{273d}'
        | '\u{2743}'
        | '\u{2749}'..='\u{274b}'
        | '\u{29c6}' => "*",
        // Brackets.
        '\u{2768}' | '\u{276a}' | '\u{27ee}' | '\u{2985}' => "(",
        '\u{2769}' | '\u{276b}' | '\u{27ef}' | '\u{2986}' => ")",
        '\u{2774}' => "{",
        '\u{2775}' => "}",
        '\u{3010}' | '\u{27e6}' => "[",
        '\u{3011}' | '\u{27e7}' => "]",
        // Other punctuation.
        '\u{3002}' | '\u{ff61}' => ".",
        '\u{2d0}' | '\u{2f8}' | '\u{2982}' | '\u{a789}' | '\u{2236}' => ":",
        '\u{204f}' => ";",
        '\u{a78a}' => "=",
        '\u{1c3}' => "!",
        '\u{2d6}' => "+",
        '\u{2c6}' => "^",
        '\u{2dc}' | '\u{2f7}' | '\u{223c}' | '\u{301c}' => "~",
        // Blanks; control characters and the invisible ones vanish. The joiner U+200D stays, since emoji are made with it.
        '\t' => " ",
        '\u{2028}' | '\u{2029}' | '\u{85}' => "\n",
        '\u{ad}'
        | '\u{200b}'
        | '\u{200c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}'
        | '\0'..='\u{1f}'
        | '\u{7f}'..='\u{9f}' => "",
        _ => return small_capital(character),
    })
}

/// Letters drawn as small capitals.
fn small_capital(character: char) -> Option<&'static str> {
    const SMALL_CAPITALS: [(char, &str); 24] = [
        ('ᴀ', "A"),
        ('ʙ', "B"),
        ('ᴄ', "C"),
        ('ᴅ', "D"),
        ('ᴇ', "E"),
        ('ꜰ', "F"),
        ('ɢ', "G"),
        ('ʜ', "H"),
        ('ɪ', "I"),
        ('ᴊ', "J"),
        ('ᴋ', "K"),
        ('ʟ', "L"),
        ('ᴍ', "M"),
        ('ɴ', "N"),
        ('ᴏ', "O"),
        ('ᴘ', "P"),
        ('ʀ', "R"),
        ('ꜱ', "S"),
        ('ᴛ', "T"),
        ('ᴜ', "U"),
        ('ᴠ', "V"),
        ('ᴡ', "W"),
        ('ʏ', "Y"),
        ('ᴢ', "Z"),
    ];
    SMALL_CAPITALS.iter().find(|(drawn, _)| *drawn == character).map(|(_, letter)| *letter)
}
