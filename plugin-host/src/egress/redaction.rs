//! Blots secrets out of whatever comes back from the wire, in the forms in which servers echo them.

use std::collections::BTreeSet;
use std::fmt;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

use super::placeholder::{UNRESERVED, encoded};
use super::secrets::Secrets;

/// A form shorter than this occurs in innocent text too often to be blotted out.
const SHORTEST_FORM: usize = 4;

/// Finds every secret of a grant in one pass, in whatever form it stands there.
pub struct Redactor {
    /// `None` when there is nothing to hide.
    forms: Option<AhoCorasick>,
    /// What stands in place of each form.
    marks: Vec<String>,
}

impl Redactor {
    /// Looks for these.
    pub fn new(secrets: &Secrets) -> Self {
        let mut forms = Vec::new();
        let mut marks = Vec::new();
        for (mark, value) in secrets.marked() {
            for form in forms_of(value) {
                forms.push(form);
                marks.push(mark.clone());
            }
        }
        if forms.is_empty() {
            return Self { forms: None, marks };
        }
        let forms = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(&forms)
            .expect("a grant's few secrets fit an automaton");
        Self { forms: Some(forms), marks }
    }

    /// What stands in place of the first secret in `text`, such as `[secret token]`; `None` when there is none.
    pub fn find(&self, text: &[u8]) -> Option<&str> {
        let found = self.forms.as_ref()?.find(text)?;
        Some(&self.marks[found.pattern().as_usize()])
    }

    /// `text` without secrets. Does not copy when there are none.
    pub(super) fn redact(&self, text: Vec<u8>) -> Vec<u8> {
        match &self.forms {
            Some(forms) if forms.is_match(&text) => forms.replace_all_bytes(&text, &self.marks),
            _ => text,
        }
    }

    /// The same for a header's value, which may not be UTF-8.
    pub(crate) fn redact_value(&self, value: &[u8]) -> String {
        match &self.forms {
            Some(forms) if forms.is_match(value) => {
                String::from_utf8_lossy(&forms.replace_all_bytes(value, &self.marks)).into_owned()
            }
            _ => String::from_utf8_lossy(value).into_owned(),
        }
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms)", self.marks.len())
    }
}

/// The value as it is, percent-encoded, escaped as JSON and XML libraries do, in hex, and as any base64 text that contains
/// it, for each of the three places it can start in a group, also of the value as a form has it.
fn forms_of(value: &str) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::new();
    forms.insert(value.as_bytes().to_vec());
    for set in [NON_ALPHANUMERIC, UNRESERVED] {
        let encoded = percent_encode(value.as_bytes(), set).to_string();
        forms.insert(encoded.replace("%20", "+").into_bytes());
        forms.insert(lowercase_escapes(&encoded).into_bytes());
        forms.insert(encoded.into_bytes());
    }
    for is_escaped in JSON_ESCAPES {
        forms.extend(json_strings(value, is_escaped).into_iter().map(String::into_bytes));
    }
    // The digits of two letters are too few to tell them from a number.
    if value.len() >= SHORTEST_FORM {
        let hex = value.bytes().fold(String::new(), |hex, octet| hex + &format!("{octet:02x}"));
        forms.insert(hex.to_ascii_uppercase().into_bytes());
        forms.insert(hex.into_bytes());
    }
    for is_escaped in XML_ESCAPES {
        forms.extend(xml_texts(value, is_escaped).map(String::into_bytes));
    }
    for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
        for lead in 0..3_usize {
            insert_base64(engine, value, lead, &mut forms);
            insert_base64(engine, &encoded(value), lead, &mut forms);
        }
    }
    forms.retain(|form| form.len() >= SHORTEST_FORM);
    forms
}

/// Which characters JSON libraries escape besides those that they must: none, the slash (PHP), what HTML gives a
/// meaning to (Go, and PHP when it is told to), and whatever is no letter or digit of ASCII.
const JSON_ESCAPES: [fn(char) -> bool; 4] = [
    |_| false,
    |letter| letter == '/',
    |letter| matches!(letter, '<' | '>' | '&' | '\''),
    |letter| !letter.is_ascii_alphanumeric(),
];

/// The inside of a JSON string (RFC 8259, section 7) that escapes what it must and `is_escaped`: by the short escape
/// where there is one, or all by numbers, whose digits are of either case.
fn json_strings(value: &str, is_escaped: fn(char) -> bool) -> [String; 4] {
    let numbered = |letter: char, lower: bool| {
        let mut units = [0; 2];
        let escape = |unit: &mut u16| {
            if lower { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") }
        };
        letter.encode_utf16(&mut units).iter_mut().map(escape).collect::<String>()
    };
    let string = |short: bool, lower: bool| {
        let escape = |letter: char| match letter {
            '"' | '\\' => {
                if short {
                    format!("\\{letter}")
                } else {
                    numbered(letter, lower)
                }
            }
            '/' if short && is_escaped('/') => "\\/".to_owned(),
            _ if is_escaped(letter) => numbered(letter, lower),
            _ => letter.to_string(),
        };
        value.chars().map(escape).collect::<String>()
    };
    [string(true, true), string(true, false), string(false, true), string(false, false)]
}

/// Which characters XML libraries escape besides `&` and `<`, in texts and in attributes. Beyond ASCII it is the host
/// that does.
const XML_ESCAPES: [fn(char) -> bool; 6] = [
    |_| false,
    |letter| letter == '>',
    |letter| letter == '"',
    |letter| matches!(letter, '>' | '"'),
    |letter| matches!(letter, '>' | '"' | '\''),
    |letter| matches!(letter, '>' | '"' | '\'') || !letter.is_ascii(),
];

/// A text of XML (section 2.4) that escapes what it must and `is_escaped`, by numbers in every notation. The quotes may
/// have names; the apostrophe's, which HTML did not have, some leave out.
fn xml_texts(value: &str, is_escaped: fn(char) -> bool) -> impl Iterator<Item = String> {
    let number = |letter: char, notation: Notation| {
        let code = u32::from(letter);
        match notation {
            Notation::Decimal => format!("&#{code};"),
            Notation::LowerHex => format!("&#x{code:x};"),
            Notation::UpperHex => format!("&#x{code:X};"),
        }
    };
    let text = move |(notation, named): (Notation, &str)| {
        let escape = |letter: char| match letter {
            '&' => "&amp;".to_owned(),
            '<' => "&lt;".to_owned(),
            '>' if is_escaped('>') => "&gt;".to_owned(),
            '"' if is_escaped('"') && named.contains('"') => "&quot;".to_owned(),
            '\'' if is_escaped('\'') && named.contains('\'') => "&apos;".to_owned(),
            _ if is_escaped(letter) => number(letter, notation),
            _ => letter.to_string(),
        };
        value.chars().map(escape).collect::<String>()
    };
    let notations = [Notation::Decimal, Notation::LowerHex, Notation::UpperHex];
    let with_names = |notation| ["", "\"", "\"'"].map(|named| (notation, named));
    notations.into_iter().flat_map(with_names).map(text)
}

#[derive(Clone, Copy)]
enum Notation {
    Decimal,
    LowerHex,
    UpperHex,
}

/// The letters of a base64 text that depend on the secret, when it stands behind `lead` octets of a group. A
/// letter carries six bits; the first one may mix with what stands before the secret, and the last one with what
/// stands after it, so that there is a form for whatever that may be.
fn insert_base64(engine: &GeneralPurpose, value: &str, lead: usize, forms: &mut BTreeSet<Vec<u8>>) {
    let length = lead + value.len();
    let (first, end) = (lead * 8 / 6, (length * 8).div_ceil(6));
    // Bits of the neighbours in a mixed letter: before it two for each octet, behind it what is missing.
    let before = 2 * lead;
    let behind = [0, 4, 2][length % 3];
    for low in 0..1_u8 << before {
        for high in 0..1_u8 << behind {
            let mut octets = vec![low; lead];
            octets.extend_from_slice(value.as_bytes());
            // In the highest bits of the octet; without any, it has a letter of its own.
            octets.push(high.rotate_right(behind));
            let encoded = engine.encode(&octets);
            forms.insert(encoded.as_bytes()[first..end].to_vec());
        }
    }
}

/// `%2F` as `%2f`.
fn lowercase_escapes(encoded: &str) -> String {
    let mut lowered = String::with_capacity(encoded.len());
    let mut hex_left = 0;
    for letter in encoded.chars() {
        if hex_left > 0 {
            hex_left -= 1;
            lowered.push(letter.to_ascii_lowercase());
        } else {
            if letter == '%' {
                hex_left = 2;
            }
            lowered.push(letter);
        }
    }
    lowered
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, URL_SAFE};

    use super::*;

    const SECRET: &str = "s3cr/t+va lue\"9";

    fn redact(text: &str) -> String {
        let mut secrets = Secrets::default();
        secrets.insert("token", SECRET).unwrap();
        String::from_utf8(Redactor::new(&secrets).redact(text.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn every_usual_form_is_blotted_out() {
        for text in [
            format!("token is {SECRET}!"),
            "a=s3cr%2Ft%2Bva%20lue%229&b=1".to_owned(),
            "a=s3cr%2ft%2bva%20lue%229&b=1".to_owned(),
            "a=s3cr%2Ft%2Bva+lue%229&b=1".to_owned(),
            r#"{"a":"s3cr/t+va lue\"9"}"#.to_owned(),
            r#"{"a":"s3cr\/t+va lue\"9"}"#.to_owned(),
            r#"{"a":"s3cr/t+va lue\u00229"}"#.to_owned(),
            r#"{"a":"s3cr\/t\u002Bva\u0020lue\"9"}"#.to_owned(),
            r#"{"a":"s3cr\u002ft\u002bva\u0020lue\u00229"}"#.to_owned(),
            "key 733363722f742b7661206c75652239".to_owned(),
            "key 733363722F742B7661206C75652239".to_owned(),
        ] {
            let redacted = redact(&text);
            assert!(redacted.contains("[secret token]"), "{text} -> {redacted}");
            assert!(!redacted.contains("s3cr"), "{text} -> {redacted}");
            assert!(!redacted.contains("7333"), "{text} -> {redacted}");
        }
    }

    #[test]
    fn what_was_escaped_for_xml_is_blotted_out() {
        let mut secrets = Secrets::default();
        secrets.insert("token", "s3cr<&>'\"é").unwrap();
        let redactor = Redactor::new(&secrets);
        let mut ours = String::new();
        super::super::xml::escape("s3cr<&>'\"é", &mut ours);
        for text in [
            &*ours,
            "s3cr&lt;&amp;>'\"é",
            "s3cr&lt;&amp;&gt;'\"é",
            "s3cr&lt;&amp;&gt;'&quot;é",
            "s3cr&lt;&amp;>'&quot;é",
            "s3cr&lt;&amp;&gt;&apos;&quot;é",
            "s3cr&lt;&amp;&gt;&#39;&#34;é",
            "s3cr&lt;&amp;&gt;&#x27;&quot;&#xE9;",
            "s3cr&lt;&amp;&gt;&#x27;&#x22;&#xe9;",
        ] {
            let redacted = String::from_utf8(redactor.redact(text.as_bytes().to_vec())).unwrap();
            assert_eq!(redacted, "[secret token]", "{text}");
        }
    }

    #[test]
    fn base64_hides_nothing_wherever_the_secret_starts() {
        for lead in ["", "u", "us", "usr", "user:"] {
            for trail in ["", "x", "xy"] {
                let plain = format!("{lead}{SECRET}{trail}");
                for encoded in [STANDARD.encode(&plain), URL_SAFE.encode(&plain)] {
                    let redacted = redact(&encoded);
                    let first = lead.len() * 8 / 6;
                    let end = ((lead.len() + SECRET.len()) * 8).div_ceil(6);
                    let shown = format!("{}[secret token]{}", &encoded[..first], &encoded[end..]);
                    assert_eq!(redacted, shown, "{plain}");
                }
            }
        }
    }

    #[test]
    fn base64_of_a_form_hides_nothing_either() {
        for lead in ["", "u", "us", "user:"] {
            let pair = format!("{lead}{}", encoded(SECRET));
            let redacted = redact(&format!("Basic {}", STANDARD.encode(&pair)));
            assert!(redacted.contains("[secret token]"), "{pair} -> {redacted}");
            assert!(redacted.len() < "Basic dXNlcjo[secret token]====".len(), "{redacted}");
        }
    }

    #[test]
    fn text_without_secrets_is_left_alone() {
        assert_eq!(redact("{\"sid\":\"SM123\"}"), "{\"sid\":\"SM123\"}");
        assert_eq!(Redactor::new(&Secrets::default()).redact(b"abc".to_vec()), b"abc");
    }

    #[test]
    fn the_short_forms_of_a_short_secret_are_skipped() {
        let mut secrets = Secrets::default();
        secrets.insert("pin", "12").unwrap();
        assert_eq!(Redactor::new(&secrets).redact(b"5512 3132".to_vec()), b"5512 3132");
    }
}
