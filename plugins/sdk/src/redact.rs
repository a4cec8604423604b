//! Values that must not reach a log.

use std::fmt;

/// A phone number, a message text, or anything else that identifies a person.
///
/// Its `Debug` form is `[redacted]` and it has no `Display`, so that it cannot slip into a log or
/// into a failure's text. [`Sensitive::expose`] is the one way in, easy to find in a review.
#[derive(Clone, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(transparent)]
pub struct Sensitive(String);

impl Sensitive {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself. Put it into a request, never into a failure or a log line.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Sensitive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl From<String> for Sensitive {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl From<&str> for Sensitive {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

/// Replaces whatever could be a phone number, that is seven or more digits with nothing but a few
/// separators between them, by `[number]`.
///
/// For the rare case that a carrier's own words must be passed on. Better: keep a table from the
/// carrier's code to a text of your own, and pass nothing on.
pub fn without_numbers(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut run = String::new();
    let flush = |run: &mut String, out: &mut String| {
        let digits = run.chars().filter(char::is_ascii_digit).count();
        if digits >= 7 {
            // What trails the last digit is text again: a space, or the sentence's full stop.
            let end = run.rfind(|c: char| c.is_ascii_digit()).map_or(0, |at| at + 1);
            out.push_str("[number]");
            out.push_str(&run[end..]);
        } else {
            out.push_str(run);
        }
        run.clear();
    };
    for c in text.chars() {
        let continues = c.is_ascii_digit()
            || c == '+'
            || (!run.is_empty() && matches!(c, ' ' | '-' | '.' | '(' | ')' | '/'));
        if continues {
            run.push(c);
        } else {
            flush(&mut run, &mut out);
            out.push(c);
        }
    }
    flush(&mut run, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Sensitive::new("+12025550123")), "[redacted]");
    }

    #[test]
    fn numbers_go_and_words_stay() {
        let check = |text: &str, expected: &str| assert_eq!(without_numbers(text), expected);
        check("no digits", "no digits");
        check(
            "The 'To' number +12025550123 is not valid.",
            "The 'To' number [number] is not valid.",
        );
        check("call (202) 555-0123.", "call ([number].");
        check("+1 202 555 0123 and 42", "[number] 42".replace("42", "and 42").as_str());
        check("error 21211", "error 21211");
        check("", "");
        check("ends 12025550123", "ends [number]");
    }
}
