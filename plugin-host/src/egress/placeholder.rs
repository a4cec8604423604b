//! `{{secret:NAME}}`: where a plugin wants a secret that it may not see.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

use super::Forbidden;
use super::secrets::Secrets;

/// Everything but the characters that never need escaping in a URL or a form.
pub(super) const UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const OPEN: &str = "{{secret:";
const CLOSE: &str = "}}";

/// Where a placeholder stands, which decides how the value is escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A header's value: as it is.
    Header,
    /// A URL's query or a form: percent-encoded. The placeholder may be percent-encoded too, since
    /// a plugin's form builder encodes what it is given.
    Encoded,
    /// JSON: escaped for the inside of a string.
    Json,
}

/// Puts the values in. A placeholder that names no secret of the grant is an error.
pub(super) fn fill<'a>(
    text: &'a str,
    place: Place,
    secrets: &Secrets,
) -> Result<Cow<'a, str>, Forbidden> {
    let mut rest = text;
    let mut filled = String::new();
    while let Some(found) = next(rest, place) {
        let value = secrets
            .get(found.name)
            .ok_or_else(|| Forbidden::UnknownSecret { name: found.name.to_owned() })?;
        filled.push_str(&rest[..found.start]);
        match place {
            Place::Header => filled.push_str(value),
            Place::Encoded => filled.extend(utf8_percent_encode(value, UNRESERVED)),
            Place::Json => {
                let quoted = serde_json::to_string(value).unwrap_or_default();
                filled.push_str(&quoted[1..quoted.len() - 1]);
            }
        }
        rest = &rest[found.end..];
    }
    if filled.is_empty() && rest.len() == text.len() {
        return Ok(Cow::Borrowed(text));
    }
    filled.push_str(rest);
    Ok(Cow::Owned(filled))
}

/// Whether `text` holds something that [`fill`] would act on in any place, also after one
/// percent-decoding. A contact's own words must never be able to call for a secret.
pub(crate) fn smuggles(text: &str) -> bool {
    if text.contains(OPEN) {
        return true;
    }
    text.contains('%')
        && String::from_utf8_lossy(&Cow::from(percent_decode(text.as_bytes()))).contains(OPEN)
}

struct Found<'a> {
    start: usize,
    end: usize,
    name: &'a str,
}

fn next(text: &str, place: Place) -> Option<Found<'_>> {
    let plain = find(text, |rest| rest.strip_prefix(OPEN), CLOSE);
    if place != Place::Encoded || !text.contains('%') {
        return plain;
    }
    let encoded = find(text, strip_encoded_open, "%7D%7D");
    match (plain, encoded) {
        (Some(plain), Some(encoded)) if encoded.start < plain.start => Some(encoded),
        (Some(plain), _) => Some(plain),
        (None, encoded) => encoded,
    }
}

fn find<'a>(
    text: &'a str,
    strip_open: impl Fn(&'a str) -> Option<&'a str>,
    close: &str,
) -> Option<Found<'a>> {
    let first = if close == CLOSE { '{' } else { '%' };
    for (start, _) in text.match_indices(first) {
        let Some(after) = strip_open(&text[start..]) else { continue };
        let length = after
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.')))
            .unwrap_or(after.len());
        let (name, tail) = after.split_at(length);
        let closes = tail.get(..close.len()).is_some_and(|t| t.eq_ignore_ascii_case(close));
        if !name.is_empty() && closes {
            let end = text.len() - tail.len() + close.len();
            return Some(Found { start, end, name });
        }
    }
    None
}

fn strip_encoded_open(text: &str) -> Option<&str> {
    ["%7B%7Bsecret%3A", "%7B%7Bsecret:"].into_iter().find_map(|open| {
        text.get(..open.len()).filter(|t| t.eq_ignore_ascii_case(open)).map(|_| &text[open.len()..])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets() -> Secrets {
        let mut secrets = Secrets::default();
        secrets.insert("key", "a\"b &/").unwrap();
        secrets
    }

    #[test]
    fn a_value_is_escaped_for_its_place() {
        for (text, place, expected) in [
            ("Key {{secret:key}}", Place::Header, "Key a\"b &/"),
            ("k={{secret:key}}&x=1", Place::Encoded, "k=a%22b%20%26%2F&x=1"),
            ("k=%7B%7Bsecret%3Akey%7D%7D&x=1", Place::Encoded, "k=a%22b%20%26%2F&x=1"),
            ("k=%7b%7bsecret%3akey%7d%7d", Place::Encoded, "k=a%22b%20%26%2F"),
            ("é{{secret:key}}{{secret:key}}", Place::Json, "éa\\\"b &/a\\\"b &/"),
            ("nothing {{here}} {{secret:}}", Place::Json, "nothing {{here}} {{secret:}}"),
            ("100% {{{secret:key}}}", Place::Header, "100% {a\"b &/}"),
            ("%7B%7Bsecret%3Akey%7D%7D", Place::Json, "%7B%7Bsecret%3Akey%7D%7D"),
        ] {
            assert_eq!(fill(text, place, &secrets()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        let error = fill("{{secret:other}}", Place::Header, &secrets()).unwrap_err();
        assert_eq!(error, Forbidden::UnknownSecret { name: "other".into() });
    }

    #[test]
    fn smuggled_placeholders_are_seen() {
        for (text, expected) in [
            ("Hi {{secret:key}}", true),
            ("Hi %7B%7Bsecret%3Akey%7D%7D", true),
            ("100% yours", false),
            ("{{name}}", false),
            ("Grüße €", false),
        ] {
            assert_eq!(smuggles(text), expected, "{text}");
        }
    }
}
