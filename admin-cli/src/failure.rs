//! Why a command did not do what was asked, as the operator reads it: one `error:` line with the
//! whole chain, details where there are several, and a `hint:` where the operator can act.

use std::fmt;
use std::io::Write;

use crate::exit::Exit;
use crate::output::sanitise::{sanitise, sanitise_lines};

/// A failure with a known meaning. Everything else that reaches `main` is [`Exit::Unexpected`].
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
    detail: String,
    hints: Vec<String>,
}

/// A rule says no.
pub(crate) fn refuse(message: impl Into<String>) -> Failure {
    Failure { exit: Exit::Refused, message: message.into(), detail: String::new(), hints: vec![] }
}

/// The command line asks for something that cannot be meant.
pub(crate) fn usage(message: impl Into<String>) -> Failure {
    Failure { exit: Exit::Usage, ..refuse(message) }
}

/// The operator did not say yes.
pub(crate) fn not_confirmed(message: impl Into<String>) -> Failure {
    Failure { exit: Exit::NotConfirmed, ..refuse(message) }
}

/// The operator did not want to wait any longer.
pub(crate) fn interrupted(message: impl Into<String>) -> Failure {
    Failure { exit: Exit::Interrupted, ..refuse(message) }
}

impl Failure {
    /// Adds what the operator can do about it. Several hints are printed in their order.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds lines that are printed between the error and the hints, such as a source excerpt.
    pub(crate) fn detail(mut self, lines: impl Into<String>) -> Self {
        self.detail = lines.into();
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Prints the error chain once, with details and hints, and says how the process should exit.
/// Nothing an error quotes can reach the terminal as a control sequence.
pub(crate) fn report(error: &anyhow::Error, stderr: &mut impl Write) -> Exit {
    let failure = error.downcast_ref::<Failure>();
    let mut text = format!("error: {}\n", sanitise(&format!("{error:#}")));
    if let Some(failure) = failure {
        if !failure.detail.is_empty() {
            text.push_str(&sanitise_lines(&failure.detail));
            text.push('\n');
        }
        for hint in &failure.hints {
            text.push_str("hint: ");
            text.push_str(&sanitise(hint));
            text.push('\n');
        }
    }
    // A closed stderr is not worth a second failure.
    let _ = stderr.write_all(text.as_bytes());
    failure.map_or(Exit::Unexpected, |failure| failure.exit)
}
