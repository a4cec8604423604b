//! `{{secret:NAME}}` and `{{token}}`: where a plugin wants a secret that it may not see.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, utf8_percent_encode};

use super::Forbidden;
use super::secrets::Secrets;
use super::xml;

/// Everything but the characters that never need escaping in a URL or a form.
pub(super) const UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The value as a form has it.
pub(super) fn encoded(value: &str) -> String {
    utf8_percent_encode(value, UNRESERVED).to_string()
}

const OPEN: &str = "{{secret:";
const CLOSE: &str = "}}";

/// Stands for the token, also where a credential names a secret: no setting can have this name.
pub(crate) const TOKEN: &str = "{{token}}";
const ENCODED_TOKEN: &str = "%7B%7Btoken%7D%7D";

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
    /// XML: escaped for an element's text and an attribute's value, which are the only places that it may have.
    Xml,
}

/// Puts the values in. A placeholder that names no secret of the grant is an error. Without a token, `{{token}}` is
/// words like any other: most carriers have none.
pub(super) fn fill<'a>(
    text: &'a str,
    place: Place,
    secrets: &Secrets,
) -> Result<Cow<'a, str>, Forbidden> {
    let mut rest = text;
    let mut filled = String::new();
    let mut within = xml::Within::START;
    while let Some(found) = next(rest, place, secrets.token()) {
        let value = match found.wanted {
            Wanted::Token(token) => token,
            Wanted::Secret(name) => secrets
                .get(name)
                .ok_or_else(|| Forbidden::UnknownSecret { name: name.to_owned() })?,
        };
        filled.push_str(&rest[..found.start]);
        match place {
            Place::Header => filled.push_str(value),
            Place::Encoded => filled.extend(utf8_percent_encode(value, UNRESERVED)),
            Place::Json => {
                let quoted = serde_json::to_string(value).unwrap_or_default();
                filled.push_str(&quoted[1..quoted.len() - 1]);
            }
            Place::Xml => {
                within = within.after(&rest[..found.start]);
                if !within.takes_values() {
                    let place = "XML outside of an element's text and quoted attributes";
                    return Err(Forbidden::SecretPlace { place });
                }
                xml::escape(value, &mut filled);
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
    holds(text, OPEN)
}

/// The same for the token.
pub(crate) fn calls_for_token(text: &str) -> bool {
    holds(text, TOKEN)
}

fn holds(text: &str, what: &str) -> bool {
    if text.contains(what) {
        return true;
    }
    text.contains('%')
        && String::from_utf8_lossy(&Cow::from(percent_decode(text.as_bytes()))).contains(what)
}

struct Found<'a> {
    start: usize,
    end: usize,
    wanted: Wanted<'a>,
}

enum Wanted<'a> {
    /// By its name.
    Secret(&'a str),
    /// What it is.
    Token(&'a str),
}

/// The first placeholder.
fn next<'a>(text: &'a str, place: Place, token: Option<&'a str>) -> Option<Found<'a>> {
    let may_be_encoded = place == Place::Encoded && text.contains('%');
    let secrets = [
        find(text, |rest| rest.strip_prefix(OPEN), CLOSE),
        may_be_encoded.then(|| find(text, strip_encoded_open, "%7D%7D")).flatten(),
    ];
    let tokens = token.into_iter().flat_map(|token| {
        let encoded = may_be_encoded.then(|| find_encoded_token(text)).flatten();
        let length = [(text.find(TOKEN), TOKEN.len()), (encoded, ENCODED_TOKEN.len())];
        length.into_iter().filter_map(move |(start, length)| {
            let start = start?;
            Some(Found { start, end: start + length, wanted: Wanted::Token(token) })
        })
    });
    secrets.into_iter().flatten().chain(tokens).min_by_key(|found| found.start)
}

fn find_encoded_token(text: &str) -> Option<usize> {
    let is_here = |start: &usize| {
        let here = text.get(*start..start + ENCODED_TOKEN.len());
        // Its hexadecimal digits may be of either case, its word may not.
        here.is_some_and(|here| here.eq_ignore_ascii_case(ENCODED_TOKEN) && here.contains("token"))
    };
    text.match_indices('%').map(|(start, _)| start).find(is_here)
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
            return Some(Found { start, end, wanted: Wanted::Secret(name) });
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
    use crate::token::Token;

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
            (
                "<a k=\"{{secret:key}}\" é='{{secret:key}}'>{{secret:key}}</a>",
                Place::Xml,
                "<a k=\"a&quot;b &amp;/\" é='a&quot;b &amp;/'>a&quot;b &amp;/</a>",
            ),
            ("&#123;{secret:key}}", Place::Xml, "&#123;{secret:key}}"),
        ] {
            assert_eq!(fill(text, place, &secrets()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn a_token_is_put_in_where_there_is_one() {
        let token = Token::new("t/0", None).unwrap();
        let with_token = secrets().with_token(&token);
        for (text, place, expected) in [
            ("Bearer {{token}}", Place::Header, "Bearer t/0"),
            ("t=%7B%7Btoken%7D%7D&k={{secret:key}}", Place::Encoded, "t=t%2F0&k=a%22b%20%26%2F"),
            ("t=%7b%7btoken%7d%7d&t={{token}}", Place::Encoded, "t=t%2F0&t=t%2F0"),
            ("{{secret:key}}{{{token}}}", Place::Header, "a\"b &/{t/0}"),
            ("{{token:x}} {{ token }}", Place::Json, "{{token:x}} {{ token }}"),
        ] {
            assert_eq!(fill(text, place, &with_token).unwrap(), expected, "{text}");
        }
        assert_eq!(fill("{{token}}", Place::Header, &secrets()).unwrap(), "{{token}}");
    }

    #[test]
    fn an_unknown_name_is_an_error() {
        let error = fill("{{secret:other}}", Place::Header, &secrets()).unwrap_err();
        assert_eq!(error, Forbidden::UnknownSecret { name: "other".into() });
    }

    #[test]
    fn a_value_never_stands_where_xml_understands_no_escape() {
        for text in [
            "<a><!-- {{secret:key}} --></a>",
            "<a><![CDATA[{{secret:key}}]]></a>",
            "<?k {{secret:key}}?><a/>",
            "<!DOCTYPE a [<!ENTITY k '{{secret:key}}'>]><a>&k;</a>",
            "<a {{secret:key}}/>",
            "<a k={{secret:key}}/>",
            "<{{secret:key}}/>",
            // What was filled in before tells nothing of what comes behind it.
            "<a k='{{secret:key}}' {{secret:key}}='x'/>",
            "<a k='{{secret:key}}'><!--{{secret:key}}",
        ] {
            let refused = fill(text, Place::Xml, &secrets());
            assert!(matches!(refused, Err(Forbidden::SecretPlace { .. })), "{text}: {refused:?}");
        }
        let mut quoted = Secrets::default();
        quoted.insert("key", "é'><!--").unwrap();
        assert_eq!(
            fill("<a k='{{secret:key}}'>{{secret:key}}</a>", Place::Xml, &quoted).unwrap(),
            "<a k='&#233;&#39;&gt;&lt;!--'>&#233;&#39;&gt;&lt;!--</a>"
        );
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
        for (text, expected) in
            [("Hi {{token}}", true), ("%7b%7btoken%7D%7D", true), ("{{ token }}", false)]
        {
            assert_eq!(calls_for_token(text), expected, "{text}");
        }
    }
}
