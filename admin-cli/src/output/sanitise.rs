//! Text that came from elsewhere (a contact's field, a template, a carrier's error) must not be able
//! to move the cursor, recolour, reorder or hide what a terminal shows.

use std::borrow::Cow;
use std::fmt::Write;

/// Whether a terminal might obey this character instead of showing it: control characters (C0, DEL,
/// C1), bidirectional overrides and isolates, line and paragraph separators, invisible characters
/// that make two names look alike, and tag characters.
pub(crate) fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00ad}' | '\u{061c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text on one line, with every unsafe character written as an escape such as `\n` or
/// `\u{1b}`.
pub(crate) fn sanitise(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => safe.extend(c.escape_default()),
            c if is_unsafe(c) => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    Cow::Owned(safe)
}

/// Like [`sanitise`], but line feeds stay what they are.
pub(crate) fn sanitise_lines(text: &str) -> String {
    text.lines().map(sanitise).collect::<Vec<_>>().join("\n")
}

/// Escapes the same characters in a JSON document, where they can only stand inside strings. (The
/// serialiser has already escaped C0 inside strings; outside them it writes line feeds.)
pub(crate) fn escape_json(json: &str) -> String {
    let mut safe = String::with_capacity(json.len());
    for c in json.chars() {
        if is_unsafe(c) && c != '\n' {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::{escape_json, sanitise, sanitise_lines};

    #[test]
    fn escapes_what_a_terminal_would_obey() {
        let cases = [
            ("plain ñ 😀", "plain ñ 😀"),
            ("\u{1b}[2Jgone", r"\u{1b}[2Jgone"),
            ("a\nerror: b\r\tc", r"a\nerror: b\r\tc"),
            ("c1 \u{9b}31m", r"c1 \u{9b}31m"),
            ("\u{202e}lru\u{2066}", r"\u{202e}lru\u{2066}"),
            ("tag\u{e0041}", r"tag\u{e0041}"),
            ("del\u{7f} zero\u{200b}width", r"del\u{7f} zero\u{200b}width"),
            // A joiner inside an emoji family is part of the text and harmless.
            ("👩\u{200d}👧", "👩\u{200d}👧"),
        ];
        for (text, safe) in cases {
            assert_eq!(sanitise(text), safe);
        }
        assert_eq!(sanitise_lines("a\nb\u{7}"), "a\nb\\u{7}");
    }

    #[test]
    fn escaped_json_means_the_same() {
        let text = "\u{1b}]0;x\u{7} \u{9b} \u{202e} \u{e0041} \n \u{7f}";
        let json = serde_json::to_string_pretty(&[text]).unwrap();
        let escaped = escape_json(&json);
        assert!(!escaped.chars().any(|c| c != '\n' && super::is_unsafe(c)), "{escaped}");
        assert_eq!(serde_json::from_str::<Vec<String>>(&escaped).unwrap(), [text]);
    }
}
