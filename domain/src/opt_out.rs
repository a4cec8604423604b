//! The words by which a contact asks to hear nothing more.

/// The words that carriers take for it by default, after
/// <https://help.twilio.com/articles/223134027>.
pub const OPT_OUT_WORDS: [&str; 8] =
    ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"];

/// Whether a message asks to hear nothing more: it is one of [`OPT_OUT_WORDS`] and nothing else, in capitals or not.
pub fn asks_to_stop(text: &str) -> bool {
    let text = text.trim();
    OPT_OUT_WORDS.iter().any(|word| word.eq_ignore_ascii_case(text))
}

#[cfg(test)]
mod tests {
    use super::asks_to_stop;

    #[test]
    fn only_the_word_alone_is_taken_for_it() {
        let check = |text, expected| assert_eq!(asks_to_stop(text), expected, "{text:?}");
        for word in ["STOP", "stop", " Stop\n", "StopAll", "unsubscribe", "CANCEL", "end", "Quit"] {
            check(word, true);
        }
        check("revoke", true);
        check("OptOut", true);
        for other in ["", " ", "please stop", "STOP it", "don't stop", "STOP.", "START", "opt out"]
        {
            check(other, false);
        }
    }
}
