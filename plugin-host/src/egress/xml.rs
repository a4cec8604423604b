//! Values in XML: where one may stand, and how it is written there.

use std::fmt::Write as _;

/// Where in a document one is. What is told of the document in pieces may break only where a value may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Within {
    /// Between tags.
    Text,
    /// In a tag, outside of quotes.
    Tag,
    /// Between these quotes in a tag.
    Attribute(char),
    /// Where escapes are not understood, so that no value can be written: in a comment, a CDATA section or a
    /// processing instruction that has not ended, and in and behind a document type, which may say anything.
    Elsewhere,
}

impl Within {
    /// Where a document begins.
    pub(super) const START: Self = Self::Text;

    /// Whether a value may stand here: nowhere else does an escape mean what it stands for.
    pub(super) fn takes_values(self) -> bool {
        matches!(self, Self::Text | Self::Attribute(_))
    }

    /// Where one is behind this piece.
    pub(super) fn after(mut self, piece: &str) -> Self {
        let mut rest = piece;
        loop {
            let (wanted, next): (&[char], _) = match self {
                Self::Elsewhere => return self,
                Self::Text => {
                    let Some(start) = rest.find('<') else { return self };
                    let opened = &rest[start..];
                    let closed = SECTIONS.iter().find_map(|(open, close)| {
                        Some(opened.strip_prefix(open)?.split_once(close).map(|(_, after)| after))
                    });
                    match closed {
                        Some(Some(after)) => rest = after,
                        Some(None) => return Self::Elsewhere,
                        None if opened.starts_with("<!") => return Self::Elsewhere,
                        None => (self, rest) = (Self::Tag, &opened[1..]),
                    }
                    continue;
                }
                Self::Tag => (&['>', '"', '\''], None),
                Self::Attribute('"') => (&['"'], Some(Self::Tag)),
                Self::Attribute(_) => (&['\''], Some(Self::Tag)),
            };
            let Some(end) = rest.find(wanted) else { return self };
            let found = char::from(rest.as_bytes()[end]);
            self = next.unwrap_or(if found == '>' { Self::Text } else { Self::Attribute(found) });
            rest = &rest[end + 1..];
        }
    }
}

/// What begins with a sign of its own, and how it ends. Escapes mean nothing inside.
const SECTIONS: [(&str, &str); 3] = [("<!--", "-->"), ("<![CDATA[", "]]>"), ("<?", "?>")];

/// The value as both an element's text and an attribute's value, in ASCII, so that it is the same in every encoding
/// that a document may name.
pub(super) fn escape(value: &str, into: &mut String) {
    for letter in value.chars() {
        match letter {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&#39;"),
            letter if letter.is_ascii() => into.push(letter),
            letter => {
                let _ = write!(into, "&#{};", u32::from(letter));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_stands_in_texts_and_attributes_alone() {
        for (before, takes_values) in [
            ("", true),
            ("<a>", true),
            ("<?xml version=\"1.0\"?><a b=\"x\" c='", true),
            ("<a b='\"", true),
            ("<a b=\"<!--", true),
            ("<a><!-- it's > no tag --></a>", true),
            ("<a><![CDATA[<b ]]>", true),
            ("<", false),
            ("<a ", false),
            ("</", false),
            ("<a b='\"' ", false),
            ("<!--", false),
            ("<!-->", false),
            ("<!-- -- >", false),
            ("<a><![CDATA[", false),
            ("<![CDATA[ ]] >", false),
            ("<?xml encoding='", false),
            ("<!DOCTYPE a [<!ENTITY b \"", false),
            ("<!DOCTYPE a><a>", false),
            ("<!", false),
        ] {
            assert_eq!(Within::START.after(before).takes_values(), takes_values, "{before}");
        }
    }

    #[test]
    fn pieces_tell_the_same_as_the_whole() {
        let whole = Within::START.after("<a b=\"x");
        assert_eq!(Within::START.after("<a b=\"").after("x"), whole);
        assert_eq!(whole.after("\" c='").after("'>"), Within::Text);
    }
}
