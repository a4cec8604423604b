//! The simulator's own count of segments, written apart from Dripline's on purpose and as plainly as
//! possible: the text becomes a list of pieces that are never cut, and the pieces fill segments.
//!
//! The rules are GSM 03.38's and those of Twilio's own calculator, which keeps grapheme clusters whole,
//! except that a line break of two characters may be cut in two.

use unicode_segmentation::UnicodeSegmentation;

/// The characters that take one septet.
const BASIC: &str = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
                     ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";

/// The characters that take an escape and a septet.
const EXTENSION: &str = "\u{c}^{}\\[~]|€";

/// How many segments Twilio would bill for `text`.
pub fn count(text: &str) -> u32 {
    if text.is_ascii() && text.len() <= 70 {
        // Short ASCII is one segment whatever it is made of, and most messages of a test are that.
        return 1;
    }
    let pieces = gsm7_pieces(text);
    match pieces {
        Some(pieces) => fill(&pieces, 160, 153),
        None => fill(&ucs2_pieces(text), 70, 67),
    }
}

/// The septets of each character, or `None` when one is not in the alphabet.
fn gsm7_pieces(text: &str) -> Option<Vec<usize>> {
    let septets = |c: char| {
        if BASIC.contains(c) {
            Some(1)
        } else if EXTENSION.contains(c) {
            Some(2)
        } else {
            None
        }
    };
    text.chars().map(septets).collect()
}

/// The UTF-16 code units of each grapheme cluster, or of its characters when a segment cannot hold it.
fn ucs2_pieces(text: &str) -> Vec<usize> {
    let mut pieces = Vec::new();
    for cluster in text.graphemes(true) {
        let units = cluster.encode_utf16().count();
        if cluster == "\r\n" || units > 67 {
            pieces.extend(cluster.chars().map(char::len_utf16));
        } else {
            pieces.push(units);
        }
    }
    pieces
}

fn fill(pieces: &[usize], single: usize, multi: usize) -> u32 {
    if pieces.iter().sum::<usize>() <= single {
        return 1;
    }
    let (mut segments, mut used) = (1, 0);
    for piece in pieces {
        if used + piece > multi {
            segments += 1;
            used = 0;
        }
        used += piece;
    }
    segments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_counts() {
        let check = |text: String, expected: u32| assert_eq!(count(&text), expected, "{text:?}");
        check(String::new(), 1);
        check("1".repeat(160), 1);
        check("1".repeat(161), 2);
        check("1".repeat(306), 2);
        check("1".repeat(307), 3);
        check("€".repeat(80), 1);
        check("€".repeat(81), 2);
        check("€".repeat(153), 3);
        check("€".repeat(229) + "x", 4);
        check("1".repeat(159) + "€", 2);
        check("a".repeat(152) + "€" + &"a".repeat(151), 2);
        check("a".repeat(152) + "€" + &"a".repeat(152), 3);
        check("\r\n".to_owned() + &"a".repeat(158), 1);
        check("\r\n".to_owned() + &"a".repeat(159), 2);
        check("`".repeat(70), 1);
        check("`".repeat(71), 2);
        check("ő".repeat(70), 1);
        check("ő".repeat(134), 2);
        check("ő".repeat(135), 3);
        check("🐳".repeat(35), 1);
        check("🐳".repeat(36), 2);
        check("🐳".repeat(67), 3);
        check("🇮🇹".to_owned() + &"1".repeat(66), 1);
        check("🇮🇹".to_owned() + &"1".repeat(67), 2);
        check("🏳️‍🌈".to_owned() + &"1".repeat(65), 2);
        check("😀".to_owned() + &"]".repeat(69), 2);
        check("☃".repeat(65) + "🇮🇹" + &"☃".repeat(65), 3);
        check("e\u{301}".to_owned() + &"a".repeat(69), 2);
        check("a".to_owned() + &"\u{301}".repeat(100), 2);
    }

    #[test]
    fn the_short_cut_agrees_with_the_long_way() {
        for c in (0..128_u8).map(char::from) {
            let text = c.to_string().repeat(70);
            let long = gsm7_pieces(&text).map_or_else(
                || fill(&ucs2_pieces(&text), 70, 67),
                |pieces| fill(&pieces, 160, 153),
            );
            assert_eq!(count(&text), long, "{c:?}");
        }
    }
}
