//! Tables of a carrier's error codes, and what each means for a message.

use crate::{Failure, FailureClass};

/// What a code means for the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// Later: nothing was sent.
    Throttled,
    /// Nothing was sent, and another attempt may succeed.
    Retryable,
    /// Nothing is sent on this route until an operator has put it right. Retryable, so that a mistake in
    /// the route does not cost a whole audience its messages.
    Route,
    /// This message will never be taken.
    Permanent,
    /// The recipient opted out.
    Stopped,
}

/// A code, its meaning, and a sentence of your own for operators.
#[derive(Clone, Copy, Debug)]
pub struct Code(pub &'static str, pub Meaning, pub &'static str);

/// Codes, sorted by their text.
#[derive(Clone, Copy, Debug)]
pub struct Codes(pub &'static [Code]);

impl Codes {
    /// The failure that a code stands for; `None` when the table does not have it.
    pub fn failure(&self, code: &str) -> Option<Failure> {
        let index = self.0.binary_search_by(|known| known.0.cmp(code)).ok()?;
        let Code(code, meaning, text) = self.0[index];
        let (class, of_route) = match meaning {
            Meaning::Throttled => (FailureClass::Throttled, false),
            Meaning::Retryable => (FailureClass::Retryable, false),
            Meaning::Route => (FailureClass::Retryable, true),
            Meaning::Permanent => (FailureClass::Permanent, false),
            Meaning::Stopped => (FailureClass::Stopped, false),
        };
        let failure = Failure::new(class, code, text);
        Some(if of_route { failure.about_route() } else { failure })
    }

    /// The sentence for a code, for a receipt.
    pub fn text(&self, code: &str) -> Option<&'static str> {
        let index = self.0.binary_search_by(|known| known.0.cmp(code)).ok()?;
        Some(self.0[index].2)
    }

    /// Whether the table is sorted and names no code twice. For a test of it.
    pub fn is_sorted(&self) -> bool {
        self.0.is_sorted_by(|left, right| left.0 < right.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODES: Codes = Codes(&[
        Code("10", Meaning::Route, "wrong key"),
        Code("7", Meaning::Permanent, "no such number"),
    ]);

    #[test]
    fn codes_are_found() {
        assert!(CODES.is_sorted());
        let expected = Failure::retryable("10", "wrong key").about_route();
        assert_eq!(CODES.failure("10"), Some(expected));
        assert_eq!(CODES.failure("7"), Some(Failure::permanent("7", "no such number")));
        assert_eq!((CODES.failure("8"), CODES.text("7")), (None, Some("no such number")));
    }
}
