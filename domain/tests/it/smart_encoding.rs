use std::borrow::Cow;

use dripline_domain::segment::{SmartEncoding, is_gsm7, smart_encode};
use proptest::prelude::*;

#[track_caller]
fn check(text: &str, typography: &str, accents: &str) {
    assert_eq!(smart_encode(text, SmartEncoding::Off), text);
    assert_eq!(smart_encode(text, SmartEncoding::Typography), typography, "typography");
    assert_eq!(smart_encode(text, SmartEncoding::Accents), accents, "accents");
}

#[track_caller]
fn check_typography(text: &str, expected: &str) {
    check(text, expected, expected);
}

#[test]
fn typography_keeps_what_is_said() {
    check_typography("“Don’t” — it’s ‘fine’…", "\"Don't\" - it's 'fine'...");
    check_typography("½ price, ¼ off", "1/2 price, 1/4 off");
    check_typography("ＳＡＬＥ！　５０％", "SALE! 50%");
    check_typography("a`b", "a'b");
    check_typography("10\u{a0}€", "10 €");
    check_typography("«salut» ‹x›", "\"salut\" <x>");
    check_typography("𝗕𝗶𝗴 ﬁnd", "Big find");
    check_typography("• one\n• two", "- one\n- two");
    check_typography("a\tb\u{200b}c\u{feff}", "a bc");
    check_typography("3 × 4 ÷ 2 − 1 ≤ 9", "3 x 4 / 2 - 1 <= 9");
    check_typography("ᴠɪᴘ ✱ ‼ ™", "VIP * !! TM");
    check_typography("[x] {y} ~", "[x] {y} ~");
}

#[test]
fn accents_are_a_level_of_their_own() {
    check("ação", "ação", "acao");
    check("Dziękuję, Łódź", "Dziękuję, Łódź", "Dziekuje, Lodz");
    check("cœur", "cœur", "coeur");
    check("¿Qué día?", "¿Qué día?", "¿Qué dia?");
    // What GSM-7 has stays as it is.
    check("naïve “é”", "naïve “é”", "naive \"é\"");
    check("1º", "1o", "1o");
}

#[test]
fn all_or_nothing() {
    check_typography("“hi” 🐳", "“hi” 🐳");
    check_typography("“привет”", "“привет”");
    check_typography("x²", "x²");
    assert!(matches!(smart_encode("plain", SmartEncoding::Accents), Cow::Borrowed(_)));
}

proptest! {
    #[test]
    fn the_result_is_gsm7_or_the_text(text in "[a-zé“”’–½ŁąçＡ-Ｚ🐳€\\[\u{a0}]{0,40}") {
        for level in [SmartEncoding::Typography, SmartEncoding::Accents] {
            let encoded = smart_encode(&text, level);
            prop_assert!(is_gsm7(&encoded) || encoded == text.as_str());
            prop_assert_eq!(smart_encode(&encoded, level), encoded.as_ref());
        }
    }

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        let encoded = smart_encode(&text, SmartEncoding::Accents);
        prop_assert!(is_gsm7(&encoded) || encoded == text.as_str());
    }
}
