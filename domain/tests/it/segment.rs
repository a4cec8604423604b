use std::borrow::Cow;
use std::num::NonZeroU32;

use dripline_domain::segment::{
    Atom, Encoding, Encodings, SegmentRules, SmartEncoding, TextRules, gsm7_septets, normalise,
    smart_encode,
};
use proptest::prelude::*;
use unicode_segmentation::UnicodeSegmentation;

use Encoding::{Gsm7, Ucs2};

const BY_CODE_POINT: SegmentRules = SegmentRules {
    gsm7_single: 160,
    gsm7_multi: 153,
    ucs2_single: 70,
    ucs2_multi: 67,
    atom: Atom::CodePoint,
    max_segments: 255,
};
const BY_GRAPHEME: SegmentRules = SegmentRules { atom: Atom::Grapheme, ..BY_CODE_POINT };

#[track_caller]
fn check_under(rules: &SegmentRules, text: &str, encoding: Encoding, segments: u32) {
    let count = rules.count(text);
    assert_eq!((count.encoding, count.segments), (encoding, segments), "{rules:?} of {text:?}");
    let slow = count_slowly(rules, text);
    assert_eq!((count.encoding, count.segments, count.units), slow, "{text:?}");
}

/// A vector that both atoms agree on.
#[track_caller]
fn check(text: &str, encoding: Encoding, segments: u32) {
    check_under(&BY_CODE_POINT, text, encoding, segments);
    check_under(&BY_GRAPHEME, text, encoding, segments);
}

fn digits(count: usize) -> String {
    "1234567890".chars().cycle().take(count).collect()
}

/// `x * n` reads like the table that the vectors come from.
fn times(text: &str, count: usize) -> String {
    text.repeat(count)
}

#[test]
fn gsm7_basic() {
    check("", Gsm7, 1);
    for (count, segments) in [(160, 1), (161, 2), (306, 2), (307, 3)] {
        check(&digits(count), Gsm7, segments);
    }
    for (count, segments) in [(459, 3), (460, 4)] {
        check(&times("x", count), Gsm7, segments);
    }
}

#[test]
fn gsm7_extension() {
    check(&times("€", 80), Gsm7, 1);
    check(&times("€", 81), Gsm7, 2);
    check(&(times("€", 79) + "x"), Gsm7, 1);
    for extended in ["|", "^", "€", "{", "}", "[", "]", "~", "\\"] {
        check(&(extended.to_owned() + &digits(158)), Gsm7, 1);
        check(&(extended.to_owned() + &digits(159)), Gsm7, 2);
    }
}

#[test]
fn an_escaped_pair_never_straddles() {
    check(&(times("a", 159) + "€"), Gsm7, 2);
    check(&(times("a", 152) + "€" + &times("a", 7)), Gsm7, 2);
    check(&times("€", 153), Gsm7, 3);
    check(&(times("€", 229) + "x"), Gsm7, 4);
    check(&times("€", 304), Gsm7, 4);
    check(&(times("a", 152) + "€" + &times("a", 151)), Gsm7, 2);
    check(&(times("a", 152) + "€" + &times("a", 152)), Gsm7, 3);
}

#[test]
fn ucs2_basic() {
    for (count, segments) in [(70, 1), (71, 2), (134, 2), (135, 3), (201, 3), (202, 4)] {
        check(&times("ő", count), Ucs2, segments);
    }
    for letter in ["Á", "Ú", "ú", "ç", "í", "Í", "ó", "Ó"] {
        check(&times(letter, 70), Ucs2, 1);
        check(&times(letter, 71), Ucs2, 2);
    }
}

#[test]
fn a_surrogate_pair_never_straddles() {
    check(&("😜".to_owned() + &digits(68)), Ucs2, 1);
    check(&("😜".to_owned() + &digits(69)), Ucs2, 2);
    check(&("😜".to_owned() + &digits(133)), Ucs2, 3);
    check(&times("🐳", 35), Ucs2, 1);
    check(&times("🐳", 36), Ucs2, 2);
    check(&(times("☃", 66) + "🐳" + &times("☃", 3)), Ucs2, 2);
    check(&(times("🐳", 33) + "☃" + "🐳"), Ucs2, 1);
    check(&(times("🐳", 33) + "☃" + "🐳🐳"), Ucs2, 2);
    check(&times("🐳", 67), Ucs2, 3);
    // What is extended in GSM-7 is one unit in UCS-2.
    check(&("😀".to_owned() + &times("]", 68)), Ucs2, 1);
    check(&("😀".to_owned() + &times("]", 69)), Ucs2, 2);
}

#[test]
fn clusters() {
    check(&("🇮🇹".to_owned() + &digits(66)), Ucs2, 1);
    check(&("🇮🇹".to_owned() + &digits(67)), Ucs2, 2);
    check(&("🏳️‍🌈".to_owned() + &digits(64)), Ucs2, 1);
    check(&("🏳️‍🌈".to_owned() + &digits(65)), Ucs2, 2);
    let stacked = "e\u{301}\u{301}\u{301}";
    check(&(stacked.to_owned() + &times("a", 66)), Ucs2, 1);
    check(&(stacked.to_owned() + &times("a", 67)), Ucs2, 2);
    // The one vector on which the atoms part: a flag across the boundary.
    let straddling = times("☃", 65) + "🇮🇹" + &times("☃", 65);
    check_under(&BY_CODE_POINT, &straddling, Ucs2, 2);
    check_under(&BY_GRAPHEME, &straddling, Ucs2, 3);
    assert_eq!(BY_CODE_POINT.count_larger(&straddling).segments, 3);
    // The base of a cluster can be a GSM-7 character that was counted before the accent was seen.
    let split = times("a", 66) + "e\u{301}\u{301}" + &times("a", 64);
    check_under(&BY_CODE_POINT, &split, Ucs2, 2);
    check_under(&BY_GRAPHEME, &split, Ucs2, 2);
    check_under(&BY_GRAPHEME, &(split + "aaa"), Ucs2, 3);
    // A cluster that fits no segment is cut.
    check(&("e".to_owned() + &times("\u{301}", 133)), Ucs2, 2);
    check(&("e".to_owned() + &times("\u{301}", 134)), Ucs2, 3);
}

#[test]
fn line_ends_are_two_characters() {
    check(&("\r\n".to_owned() + &times("a", 158)), Gsm7, 1);
    check(&("\r\n".to_owned() + &times("a", 159)), Gsm7, 2);
    check(&(times("ő", 66) + "\r\n" + &times("ő", 66)), Ucs2, 2);
}

#[test]
fn a_seven_octet_header() {
    let wide = SegmentRules { gsm7_multi: 152, ucs2_multi: 66, ..BY_CODE_POINT };
    check_under(&wide, &times("a", 305), Gsm7, 3);
    check(&times("a", 305), Gsm7, 2);
    check_under(&wide, &times("ő", 133), Ucs2, 3);
}

#[test]
fn smart_encoding_saves_a_segment() {
    let text = "\u{2019}".to_owned() + &times("a", 70);
    check(&text, Ucs2, 2);
    check(&smart_encode(&text, SmartEncoding::Typography), Gsm7, 1);
}

#[test]
fn an_encoders_own_parts() {
    // The parts of a real encoder have 160, 160 and 20 septets, seven of each being the header.
    let text = "Or walk with Kings - nor lose the common touch, if neither foes nor loving friends can \
                hurt you, If all men count with you, but none too much; If you can fill the \
                unforgiving minute With sixty seconds' worth of distance run, Yours is the Earth and \
                everything thats in it, And - which is more - you will be a Man, my son";
    check(text, Gsm7, 3);
    assert_eq!(BY_CODE_POINT.count(text).units, 153 + 153 + 13);
}

#[test]
fn the_alphabet() {
    let basic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?\
                 ¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà";
    let extension = "\x0c^{}\\[~]|€";
    assert_eq!((basic.chars().count(), extension.chars().count()), (127, 10));
    for character in '\0'..=char::MAX {
        let expected = if basic.contains(character) {
            Some(1)
        } else if extension.contains(character) {
            Some(2)
        } else {
            None
        };
        assert_eq!(gsm7_septets(character), expected, "{character:?}");
    }
}

#[test]
fn neighbours_of_the_alphabet() {
    for outside in "çáíóúêã`\t\u{a0}\u{2126}\u{391}\u{1b}".chars() {
        check(&outside.to_string(), Ucs2, 1);
    }
    for inside in "éèùìòàÇñüß".chars() {
        check(&inside.to_string(), Gsm7, 1);
    }
}

#[test]
fn normalising_is_its_own_step() {
    check("e\u{301}", Ucs2, 1);
    check(&normalise("e\u{301}"), Gsm7, 1);
    assert_eq!(normalise("\u{2126}"), "Ω");
    assert!(matches!(normalise("déjà vu"), Cow::Borrowed("déjà vu")));
}

/// What the rules make of a text: its segments, or the refusal's code and words.
fn measured(rules: TextRules, text: &str) -> Result<u32, (&'static str, String)> {
    let measured = rules.measure(text);
    measured.map(|count| count.segments).map_err(|refused| (refused.code(), refused.to_string()))
}

#[test]
fn a_channel_refuses_too_many_segments() {
    let text = times("x", 153 * 3);
    let segments = SegmentRules { max_segments: 3, ..BY_CODE_POINT };
    let three = TextRules { segments, ..TextRules::default() };
    assert_eq!(measured(three, &text), Ok(3));
    let words = "the text has 4 segments; the carrier takes at most 3".to_owned();
    assert_eq!(measured(three, &(text + "x")), Err(("too_many_segments", words)));
}

#[test]
fn a_channel_refuses_too_many_characters_whatever_their_octets() {
    let five = TextRules { max_characters: NonZeroU32::new(5), ..TextRules::default() };
    for taken in ["", "12345", "€€€€€", "☃☃☃☃☃", "🐳🐳☃"] {
        assert_eq!(measured(five, taken), Ok(1), "{taken}");
    }
    for (refused, characters) in [("123456", 6), ("€€€€€€", 6), ("🐳🐳🐳", 6), ("☃🐳🐳🐳", 7)]
    {
        let words = format!("the text has {characters} characters; the carrier takes at most 5");
        assert_eq!(measured(five, refused), Err(("too_many_characters", words)), "{refused}");
    }
}

#[test]
fn a_channel_without_ucs2_takes_gsm7_alone() {
    let gsm7 = TextRules { encodings: Encodings::Gsm7Only, ..TextRules::default() };
    assert_eq!(measured(gsm7, &times("€", 81)), Ok(2));
    let words =
        "the text has the character U+2019, which needs UCS-2; the carrier takes GSM-7 only";
    let refused = Err(("encoding_not_taken", words.to_owned()));
    assert_eq!(measured(gsm7, "Don’t forget 🐳"), refused);
}

#[test]
fn a_channel_without_gsm7_sends_and_bills_everything_as_ucs2() {
    let ucs2 = TextRules { encodings: Encodings::Ucs2Only, ..TextRules::default() };
    for (text, segments) in
        [(times("x", 70), 1), (times("x", 71), 2), (times("x", 135), 3), (times("€", 70), 1)]
    {
        assert_eq!(measured(ucs2, &text), Ok(segments), "{text}");
    }
}

#[test]
fn rules_are_checked() {
    assert_eq!(SegmentRules::default().validate(), Ok(()));
    let check = |rules: SegmentRules, expected: &str| {
        assert_eq!(rules.validate().unwrap_err().to_string(), expected);
    };
    let rules = SegmentRules::default();
    let small = SegmentRules { ucs2_multi: 1, ..rules };
    check(small, "ucs2_multi is 1, and a segment has at least 2 units");
    let multi = SegmentRules { gsm7_multi: 161, ..rules };
    check(multi, "gsm7_multi is larger than gsm7_single, though it loses room to a header");
    check(
        SegmentRules { max_segments: 256, ..rules },
        "max_segments is 256, and a message has 1 to 255",
    );
}

/// The rule as the design states it, without any care for speed.
fn count_slowly(rules: &SegmentRules, text: &str) -> (Encoding, u32, u32) {
    let gsm7 = text.chars().all(|c| gsm7_septets(c).is_some());
    let units = |c: char| {
        if gsm7 {
            u32::from(gsm7_septets(c).unwrap())
        } else {
            u32::try_from(c.len_utf16()).unwrap()
        }
    };
    let (encoding, single, multi) = if gsm7 {
        (Gsm7, rules.gsm7_single, rules.gsm7_multi)
    } else {
        (Ucs2, rules.ucs2_single, rules.ucs2_multi)
    };
    let multi = u32::from(multi).max(2);
    let mut atoms = Vec::new();
    for cluster in text.graphemes(true) {
        let whole: u32 = cluster.chars().map(units).sum();
        if rules.atom == Atom::CodePoint || cluster == "\r\n" || whole > multi {
            atoms.extend(cluster.chars().map(units));
        } else {
            atoms.push(whole);
        }
    }
    let total: u32 = atoms.iter().sum();
    if total <= u32::from(single) {
        return (encoding, 1, total);
    }
    let (mut segments, mut left) = (1, multi);
    for atom in atoms {
        if atom > left {
            segments += 1;
            left = multi;
        }
        left -= atom;
    }
    (encoding, segments, total)
}

/// Texts of the kinds that make counting hard.
fn texts() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "a",
        "é",
        "€",
        "]",
        "\r\n",
        "\n",
        "ő",
        "☃",
        "🐳",
        "🇮🇹",
        "👨‍👩‍👧",
        "e\u{301}",
        "\u{301}",
        "\u{200d}",
        "각",
        "\u{600}",
    ]);
    prop_oneof![
        prop::collection::vec(pieces, 0..300).prop_map(|pieces| pieces.concat()),
        prop::collection::vec(prop::sample::select(vec!["a", "€", "é", "[", "\r\n"]), 0..500)
            .prop_map(|pieces| pieces.concat()),
        prop::collection::vec(any::<char>(), 0..300).prop_map(String::from_iter),
    ]
}

fn rules() -> impl Strategy<Value = SegmentRules> {
    let atom = prop::sample::select(vec![Atom::CodePoint, Atom::Grapheme]);
    let sizes = prop_oneof![Just((160, 153, 70, 67)), Just((160, 152, 70, 66)), Just((9, 5, 7, 4))];
    (atom, sizes).prop_map(|(atom, (gsm7_single, gsm7_multi, ucs2_single, ucs2_multi))| {
        let max_segments = 255;
        SegmentRules { gsm7_single, gsm7_multi, ucs2_single, ucs2_multi, atom, max_segments }
    })
}

proptest! {
    #[test]
    fn one_pass_counts_like_the_rule(text in texts(), rules in rules()) {
        let count = rules.count(&text);
        prop_assert_eq!(
            (count.encoding, count.segments, count.units),
            count_slowly(&rules, &text)
        );
    }

    #[test]
    fn a_text_as_ucs2_is_the_same_text_after_a_character_that_needs_it(text in texts()) {
        let ucs2 = TextRules { encodings: Encodings::Ucs2Only, ..TextRules::default() };
        let Ok(count) = ucs2.measure(&text) else { return Ok(()) };
        // One more unit in front makes it UCS-2 anyway, so that it comes to as many segments or to one more.
        let longer = BY_CODE_POINT.count(&format!("☃{text}"));
        prop_assert_eq!(count.units + 1, longer.units);
        prop_assert!(longer.segments == count.segments || longer.segments == count.segments + 1);
    }

    #[test]
    fn segments_hold_their_units(text in texts()) {
        let count = BY_CODE_POINT.count(&text);
        let (single, multi) = if count.encoding == Gsm7 { (160, 153) } else { (70, 67) };
        prop_assert!(count.segments >= 1);
        if count.units <= single {
            prop_assert_eq!(count.segments, 1);
        } else {
            // Each cut wastes one unit at most.
            prop_assert!(count.segments >= count.units.div_ceil(multi));
            prop_assert!(count.segments <= count.units.div_ceil(multi - 1));
        }
    }

    #[test]
    fn more_text_is_never_fewer_segments(text in texts(), more in texts()) {
        let whole = BY_CODE_POINT.count(&(text.clone() + &more));
        prop_assert!(whole.segments >= BY_CODE_POINT.count(&text).segments);
    }

    #[test]
    fn graphemes_are_never_fewer_segments(text in texts()) {
        let larger = BY_CODE_POINT.count_larger(&text);
        prop_assert!(larger.segments >= BY_CODE_POINT.count(&text).segments);
        prop_assert!(larger.segments >= BY_GRAPHEME.count(&text).segments);
    }

    #[test]
    fn nonsensical_rules_are_survived(text in texts(), size in 0..3_u16) {
        let rules = SegmentRules {
            gsm7_single: size,
            gsm7_multi: size,
            ucs2_single: size,
            ucs2_multi: size,
            ..BY_GRAPHEME
        };
        prop_assert!(rules.count(&text).segments >= 1);
    }
}
