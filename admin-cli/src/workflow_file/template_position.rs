//! Where a place in a decoded TOML string stands in the file.

use std::ops::Range;

/// The byte offset in `text` of the template's `line` and `column` (characters, from 1), when the
/// template is the TOML string at `span`. A place beyond its end is its last character.
pub(crate) fn offset(text: &str, span: Range<usize>, line: u32, column: u32) -> usize {
    let raw = &text[span.clone()];
    let (body, escapes) = body(raw);
    let mut place = (1, 1);
    let mut at = body.start;
    while at < body.end {
        let (decoded, length) = token(&raw[at..body.end], escapes);
        match decoded {
            Some(_) if place >= (line, column) => break,
            Some('\n') => place = (place.0 + 1, 1),
            Some(_) => place.1 += 1,
            None => {}
        }
        at += length;
    }
    span.start + at.min(body.end)
}

/// Where the string's content stands between its quotes, and whether backslashes mean something.
fn body(raw: &str) -> (Range<usize>, bool) {
    let escapes = raw.starts_with('"');
    let quotes = if raw.starts_with(r#"""""#) || raw.starts_with("'''") { 3 } else { 1 };
    let mut start = quotes.min(raw.len());
    // A line feed right after three quotes is not part of the string.
    if quotes == 3 {
        start +=
            ["\r\n", "\n"].iter().find(|n| raw[start..].starts_with(**n)).map_or(0, |n| n.len());
    }
    (start..raw.len().saturating_sub(quotes).max(start), escapes)
}

/// The first decoded character of `rest`, if it stands for one, and its length in the source.
fn token(rest: &str, escapes: bool) -> (Option<char>, usize) {
    let mut chars = rest.chars();
    let first = chars.next().expect("the caller stops at the end");
    if !escapes || first != '\\' {
        return (Some(first), first.len_utf8());
    }
    match chars.next() {
        Some('n') => (Some('\n'), 2),
        Some('u') => (Some('\u{fffd}'), 6),
        Some('U') => (Some('\u{fffd}'), 10),
        Some('x') => (Some('\u{fffd}'), 4),
        // A backslash at a line's end swallows all white space up to the next text.
        Some(c) if c.is_whitespace() => {
            (None, rest.len() - rest[1..].trim_start_matches([' ', '\t', '\r', '\n']).len())
        }
        Some(c) => (Some(c), 1 + c.len_utf8()),
        None => (None, 1),
    }
}

#[cfg(test)]
mod tests {
    use super::offset;

    #[test]
    fn finds_the_marked_place() {
        // The wanted place is the character `@`.
        let cases = [
            (r#""ab@""#, 1, 3),
            ("'ab@'", 1, 3),
            (r#""a\n\"@""#, 2, 2),
            (r#""\u00e9\U0001F600@""#, 1, 3),
            ("\"\"\"\nfirst\n  @\"\"\"", 2, 3),
            ("'''first\n\\n@'''", 2, 3),
            ("\"\"\"\\\n   a@\"\"\"", 1, 2),
            ("\"\"\"é😀@\"\"\"", 1, 3),
        ];
        for (string, line, column) in cases {
            let text = format!("template = {string}\n");
            let span = 11..11 + string.len();
            assert_eq!(&text[offset(&text, span, line, column)..][..1], "@", "{string}");
        }
    }

    #[test]
    fn a_place_beyond_the_end_is_the_end() {
        assert_eq!(offset("'ab'", 0..4, 9, 9), 3);
    }
}
