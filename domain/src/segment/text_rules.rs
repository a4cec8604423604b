//! Which texts a channel takes. Whoever prices or sends a text asks here, so that what is never sent is
//! never paid for, and is refused for the same reason everywhere.

use std::num::NonZeroU32;

use super::gsm7::gsm7_septets;
use super::{SegmentCount, SegmentRules, count};

/// Which texts a channel takes, and how it counts them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TextRules {
    /// How it counts segments, and how many it takes.
    pub segments: SegmentRules,
    /// What it sends in.
    pub encodings: Encodings,
    /// The most characters of a text, whatever its segments. A character is a UTF-16 code unit, as it is for the
    /// carriers that say what they count: an emoji is two.
    pub max_characters: Option<NonZeroU32>,
}

/// The encodings that a channel sends in: one of them at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Encodings {
    /// GSM-7 where a text fits in, else UCS-2.
    #[default]
    Both,
    /// A text that needs UCS-2 is refused.
    Gsm7Only,
    /// Every text is sent and counted as UCS-2.
    Ucs2Only,
}

/// Why a channel does not take a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextRefused {
    /// It is too long, in whatever segments.
    #[error("the text has {characters} characters; the carrier takes at most {max_characters}")]
    TooManyCharacters {
        /// UTF-16 code units of the text.
        characters: usize,
        /// What the channel takes.
        max_characters: NonZeroU32,
    },
    /// It has a character outside GSM-7, and the channel sends in nothing else.
    #[error(
        "the text has the character U+{:04X}, which needs UCS-2; the carrier takes GSM-7 only",
        u32::from(*.character)
    )]
    NotGsm7 {
        /// The first of them.
        character: char,
    },
    /// It comes to too many segments.
    #[error("the text has {segments} segments; the carrier takes at most {max_segments}")]
    TooManySegments {
        /// What the text has.
        segments: u32,
        /// What the channel takes.
        max_segments: u16,
    },
}

impl TextRefused {
    /// A stable code for programs, such as `too_many_segments`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooManyCharacters { .. } => "too_many_characters",
            Self::NotGsm7 { .. } => "encoding_not_taken",
            Self::TooManySegments { .. } => "too_many_segments",
        }
    }
}

impl TextRules {
    /// Counts `text` as it stands, and refuses what the channel would.
    pub fn measure(&self, text: &str) -> Result<SegmentCount, TextRefused> {
        self.check_length(text)?;
        let count = match self.encodings {
            Encodings::Both => self.segments.count(text),
            Encodings::Ucs2Only => count::count_as_ucs2(&self.segments, text),
            Encodings::Gsm7Only => {
                if let Some(character) = text.chars().find(|c| gsm7_septets(*c).is_none()) {
                    return Err(TextRefused::NotGsm7 { character });
                }
                self.segments.count(text)
            }
        };
        if count.segments > u32::from(self.segments.max_segments) {
            let max_segments = self.segments.max_segments;
            return Err(TextRefused::TooManySegments { segments: count.segments, max_segments });
        }
        Ok(count)
    }

    fn check_length(&self, text: &str) -> Result<(), TextRefused> {
        let Some(max_characters) = self.max_characters else { return Ok(()) };
        let takes = |units: usize| u32::try_from(units).is_ok_and(|u| u <= max_characters.get());
        // There are at least as many octets, and these cost nothing to count.
        if takes(text.len()) {
            return Ok(());
        }
        let characters = text.encode_utf16().count();
        if takes(characters) {
            return Ok(());
        }
        Err(TextRefused::TooManyCharacters { characters, max_characters })
    }
}
