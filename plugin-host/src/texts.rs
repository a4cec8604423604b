//! What a manifest says of texts in its attributes: in which encodings a carrier sends them, and how long they may be.

use dripline_domain::segment::{Encodings, SegmentRules, TextRules};

use crate::message::Attribute;

/// The attribute that lists encodings, separated by commas.
pub(crate) const ENCODINGS: &str = "text.encodings";

/// The attribute that limits a text's characters.
pub(crate) const MAX_CHARACTERS: &str = "text.max-characters";

/// The words of [`ENCODINGS`].
const GSM7: &str = "gsm7";
const UCS2: &str = "ucs2";
const SMART: &str = "smart";

/// The rules for texts of a carrier that counts segments so and has these attributes. An error says which attribute
/// is wrong, and how.
pub(crate) fn rules(segments: SegmentRules, attributes: &[Attribute]) -> Result<TextRules, String> {
    let value = |name| attributes.iter().find(|a| a.name == name).map(|a| a.value.as_str());
    let encodings = value(ENCODINGS).map_or(Ok(Encodings::Both), encodings)?;
    let max_characters = value(MAX_CHARACTERS).map(|text| {
        text.parse().map_err(|_| {
            format!("`{text}` as `{MAX_CHARACTERS}` is no number of characters from 1")
        })
    });
    Ok(TextRules { segments, encodings, max_characters: max_characters.transpose()? })
}

fn encodings(list: &str) -> Result<Encodings, String> {
    let known = [GSM7, UCS2, SMART];
    if let Some(word) = words(list).find(|word| !known.contains(word)) {
        let known = known.map(|word| format!("`{word}`")).join(", ");
        return Err(format!("`{word}` in `{ENCODINGS}` is no encoding; there are {known}"));
    }
    let has = |encoding| words(list).any(|word| word == encoding);
    match (has(GSM7), has(UCS2)) {
        (true, true) => Ok(Encodings::Both),
        (true, false) => Ok(Encodings::Gsm7Only),
        (false, true) => Ok(Encodings::Ucs2Only),
        (false, false) => Err(format!("`{ENCODINGS}` has neither `{GSM7}` nor `{UCS2}`")),
    }
}

/// The words by which a manifest says what these rules and this promise are.
pub(crate) fn encoding_words(encodings: Encodings, is_smart: bool) -> Vec<&'static str> {
    let mut words = match encodings {
        Encodings::Both => vec![GSM7, UCS2],
        Encodings::Gsm7Only => vec![GSM7],
        Encodings::Ucs2Only => vec![UCS2],
    };
    words.extend(is_smart.then_some(SMART));
    words
}

/// Whether a list of encodings says that the carrier may replace what only looks better.
pub(crate) fn is_smart(list: &str) -> bool {
    words(list).any(|word| word == SMART)
}

fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(attributes: &[(&str, &str)]) -> Result<TextRules, String> {
        let attribute = |(name, value): &(&str, &str)| Attribute {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        let attributes: Vec<_> = attributes.iter().map(attribute).collect();
        rules(SegmentRules::default(), &attributes)
    }

    #[test]
    fn a_manifest_that_says_nothing_takes_every_text() {
        assert_eq!(parsed(&[]), Ok(TextRules::default()));
        assert_eq!(parsed(&[("text.colour", "red")]), Ok(TextRules::default()));
    }

    #[test]
    fn encodings_are_known_words() {
        for (list, expected) in [
            ("gsm7,ucs2", Encodings::Both),
            ("ucs2, smart, gsm7", Encodings::Both),
            ("gsm7", Encodings::Gsm7Only),
            ("gsm7,smart", Encodings::Gsm7Only),
            ("ucs2", Encodings::Ucs2Only),
        ] {
            let found = parsed(&[(ENCODINGS, list)]).map(|rules| rules.encodings);
            assert_eq!(found, Ok(expected), "{list}");
            let words = encoding_words(expected, is_smart(list)).join(",");
            assert_eq!(parsed(&[(ENCODINGS, &words)]), parsed(&[(ENCODINGS, list)]), "{list}");
        }
        for (list, word) in [("utf8", "`utf8`"), ("gsm7;ucs2", "`gsm7;ucs2`"), ("gsm7,", "``")] {
            let error = parsed(&[(ENCODINGS, list)]).unwrap_err();
            assert_eq!(
                error,
                format!(
                    "{word} in `text.encodings` is no encoding; there are `gsm7`, `ucs2`, `smart`"
                )
            );
        }
        let error = parsed(&[(ENCODINGS, "smart")]).unwrap_err();
        assert_eq!(error, "`text.encodings` has neither `gsm7` nor `ucs2`");
    }

    #[test]
    fn the_most_characters_are_a_number_from_1() {
        let most = |value| {
            parsed(&[(MAX_CHARACTERS, value)]).map(|rules| rules.max_characters.map(u32::from))
        };
        assert_eq!(most("1600"), Ok(Some(1_600)));
        for wrong in ["0", "-1", "1,600", "many", "", "4294967296"] {
            let error = most(wrong).unwrap_err();
            let start = format!("`{wrong}` as `text.max-characters` is no number of characters");
            assert!(error.starts_with(&start), "{error}");
        }
    }
}
