//! SMS segments: how many billed parts a text has. Money depends on it, so every rule here has
//! vectors from other implementations among the tests.
//!
//! A text is counted in one pass and without allocating. Two steps may come before counting, each on
//! its own: [`normalise`] (NFC, for letters that were typed as a base and an accent) and
//! [`smart_encode`] (replacing what only looks better but costs a whole encoding).

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::named::named;

mod count;
mod gsm7;
mod smart;
mod text_rules;

pub use gsm7::{gsm7_septets, is_gsm7};
pub use smart::{SmartEncoding, smart_encode};
pub use text_rules::{Encodings, TextRefused, TextRules};

/// The alphabet of a message. One character outside GSM-7 turns the whole message into UCS-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Encoding {
    /// GSM 03.38: septets, of which a few characters take two.
    Gsm7,
    /// UTF-16 code units.
    Ucs2,
}

named!(Encoding is "an encoding" {
    Gsm7 = "gsm7",
    Ucs2 = "ucs2",
});

/// What is never cut in two at a segment's end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Atom {
    /// One Unicode character: an escaped pair of septets, or a pair of surrogates.
    #[default]
    CodePoint,
    /// What a reader takes for one character: flags, families, letters with their accents.
    Grapheme,
}

named!(Atom is "an atom" {
    CodePoint = "code_point",
    Grapheme = "grapheme",
});

/// How a channel counts. Units are septets in GSM-7 and UTF-16 code units in UCS-2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SegmentRules {
    /// Units of a message that is one GSM-7 segment.
    pub gsm7_single: u16,
    /// Units of each segment of a longer GSM-7 message, which carries a header.
    pub gsm7_multi: u16,
    /// Units of a message that is one UCS-2 segment.
    pub ucs2_single: u16,
    /// Units of each segment of a longer UCS-2 message.
    pub ucs2_multi: u16,
    /// What stays whole.
    pub atom: Atom,
    /// A message of more segments is refused before anything is sent: see [`TextRules::measure`].
    pub max_segments: u16,
}

/// What a text comes to under some rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SegmentCount {
    /// The message's alphabet.
    pub encoding: Encoding,
    /// Billed parts, at least 1.
    pub segments: u32,
    /// Septets or UTF-16 code units of the text, without what cutting wastes.
    pub units: u32,
}

/// Rules under which some text could never be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSegmentRules {
    /// A pair of units is never cut, so that a segment must hold one.
    #[error("{name} is {value}, and a segment has at least 2 units")]
    TooSmall {
        /// The rule.
        name: &'static str,
        /// Its value.
        value: u16,
    },
    /// A header only takes room away.
    #[error("{multi} is larger than {single}, though it loses room to a header")]
    MultiExceedsSingle {
        /// The rule for one part of many.
        multi: &'static str,
        /// The rule for the only part.
        single: &'static str,
    },
    /// The number of parts is one octet on the wire, and not zero.
    #[error("max_segments is {0}, and a message has 1 to 255")]
    MaxSegments(u16),
}

impl Default for SegmentRules {
    /// A header of six octets, whole code points, at most 255 segments.
    fn default() -> Self {
        Self {
            gsm7_single: 160,
            gsm7_multi: 153,
            ucs2_single: 70,
            ucs2_multi: 67,
            atom: Atom::CodePoint,
            max_segments: 255,
        }
    }
}

impl SegmentRules {
    /// Counts `text` as it stands. The empty text is one segment. The number is not limited by
    /// `max_segments`; see [`TextRules::measure`].
    pub fn count(&self, text: &str) -> SegmentCount {
        count::count(self, text)
    }

    /// The larger of the counts by code point and by grapheme, for a price shown before it is known
    /// which of them the channel bills.
    pub fn count_larger(&self, text: &str) -> SegmentCount {
        let by = |atom| Self { atom, ..*self }.count(text);
        let (code_points, graphemes) = (by(Atom::CodePoint), by(Atom::Grapheme));
        if graphemes.segments > code_points.segments { graphemes } else { code_points }
    }

    /// Checks rules that came from elsewhere. Counting under others is safe, and meaningless.
    pub fn validate(&self) -> Result<(), InvalidSegmentRules> {
        let sizes = [
            ("gsm7_single", self.gsm7_single),
            ("gsm7_multi", self.gsm7_multi),
            ("ucs2_single", self.ucs2_single),
            ("ucs2_multi", self.ucs2_multi),
        ];
        if let Some((name, value)) = sizes.into_iter().find(|(_, value)| *value < 2) {
            return Err(InvalidSegmentRules::TooSmall { name, value });
        }
        for [(single, whole), (multi, part)] in [[sizes[0], sizes[1]], [sizes[2], sizes[3]]] {
            if part > whole {
                return Err(InvalidSegmentRules::MultiExceedsSingle { multi, single });
            }
        }
        if !(1..=255).contains(&self.max_segments) {
            return Err(InvalidSegmentRules::MaxSegments(self.max_segments));
        }
        Ok(())
    }
}

/// The text in Unicode's NFC, in which a letter and its accent are one character where there is one:
/// `e` with U+0301 is UCS-2, `é` is GSM-7. Borrows when nothing changes.
pub fn normalise(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.nfc().collect())
}
