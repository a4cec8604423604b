//! What the tool itself tells the person: what it does on stderr, what came out of it on stdout.

use std::io::{self, Write};

/// One line.
pub(crate) fn line(text: &str) {
    // Nobody listens any more if this fails.
    let _ = writeln!(io::stderr(), "{text}");
}

/// A step begins.
pub(crate) fn step(text: &str) {
    line(&format!("==> {text}"));
}

/// A part of the result.
pub(crate) fn result(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}
