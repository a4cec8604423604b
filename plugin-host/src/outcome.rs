//! What one attempt meant for its delivery. All judgement about HTTP is in this module.
//!
//! The host decides from facts, and the plugin is believed only where a wrong word of it cannot make
//! a message leave twice:
//!
//! | what happened | outcome |
//! |---|---|
//! | no byte of the request was written | not sent |
//! | bytes were written, no whole answer | unknown; refused when the status alone says so |
//! | 2xx | as the plugin reads it; unreadable: unknown |
//! | 429, or 503 with `Retry-After` | not sent, come back later; refused when the plugin says never |
//! | other 4xx except 408, 409, 425 | refused, unless the plugin says otherwise |
//! | 409, 425 | as the plugin reads it; unreadable: unknown |
//! | 401 to a request with a fetched token | not sent: it is made again with another token |
//! | 408, 3xx, other 5xx | unknown; for 408 and 3xx, refused when the plugin says never |
//!
//! To treat another status specially, add it to `Answer::of` and to the table in the tests.

use std::time::Duration;

use chrono::DateTime;
use dripline_domain::delivery::{AttemptOutcome, Reason};

use crate::egress::WireOutcome;
use crate::error::PluginError;
use crate::http::Response;
use crate::message::{Accepted, CallError, Failure, FailureClass};

mod question;
mod token;

pub use question::{Answered, answered};
pub use token::{refuses_token, with_token};

/// Starts the code of every refusal that means the recipient asked to hear nothing more.
pub const STOPPED: &str = "stopped:";

/// The longest text that a reason keeps, in characters.
pub(crate) const REASON_CHARS: usize = 300;

/// The longest reference of a carrier that is kept, in characters.
const REFERENCE_CHARS: usize = 255;

/// Whether the recipient asked to hear nothing more.
pub fn is_stopped(reason: &Reason) -> bool {
    reason.code.starts_with(STOPPED)
}

/// What it means that `send-request` gave no request. Nothing has left: the outcome is `Refused` or
/// `NotSent`, never anything else.
pub fn before_wire(carrier: &str, error: &CallError) -> AttemptOutcome {
    match error {
        CallError::Plugin(error) => {
            AttemptOutcome::NotSent { reason: plugin_reason(error), retry_after: None }
        }
        CallError::Failure(failure) => match failure.class {
            FailureClass::Permanent | FailureClass::Stopped => {
                AttemptOutcome::Refused(failure_reason(carrier, failure))
            }
            FailureClass::Throttled | FailureClass::Retryable | FailureClass::Uncertain => {
                AttemptOutcome::NotSent {
                    reason: failure_reason(carrier, failure),
                    retry_after: failure.retry_after,
                }
            }
        },
    }
}

/// What an attempt meant, from what the wire did and how the plugin read the answer. `reading` is
/// `None` when there was no whole answer to read.
pub fn decide(
    carrier: &str,
    wire: &WireOutcome,
    reading: Option<&Result<Accepted, CallError>>,
) -> AttemptOutcome {
    match wire {
        WireOutcome::NotSent { reason } => {
            AttemptOutcome::NotSent { reason: reason.clone(), retry_after: None }
        }
        WireOutcome::Uncertain { status, reason } => {
            match status.map(|s| (s, Answer::of(s, false))) {
                Some((_, Answer::Rejected)) => AttemptOutcome::Refused(reason.clone()),
                Some((_, Answer::Later)) => {
                    AttemptOutcome::NotSent { reason: reason.clone(), retry_after: None }
                }
                _ => AttemptOutcome::Unknown(reason.clone()),
            }
        }
        WireOutcome::Response(response) => read(carrier, response, reading),
    }
}

/// What a status says by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// The plugin's reading counts.
    Plain,
    /// Certainly not taken, for now.
    Later,
    /// Certainly not taken.
    Rejected,
    /// The plugin's reading counts only where it refuses.
    Doubtful,
    /// Nothing the plugin could say makes it certain.
    Lost,
}

impl Answer {
    fn of(status: u16, has_retry_after: bool) -> Self {
        match status {
            200..=299 | 409 | 425 => Self::Plain,
            429 => Self::Later,
            503 if has_retry_after => Self::Later,
            300..=399 | 408 => Self::Doubtful,
            400..=499 => Self::Rejected,
            _ => Self::Lost,
        }
    }
}

fn read(
    carrier: &str,
    response: &Response,
    reading: Option<&Result<Accepted, CallError>>,
) -> AttemptOutcome {
    use FailureClass::{Permanent, Retryable, Stopped, Throttled, Uncertain};

    let retry_after = retry_after(response);
    let answer = Answer::of(response.status, response.header("retry-after").is_some());
    let by_status = || by_status(answer, response.status, retry_after);
    match reading {
        None => by_status(),
        Some(Ok(accepted)) => match answer {
            Answer::Plain | Answer::Rejected => {
                AttemptOutcome::Accepted { carrier_reference: references(accepted) }
            }
            // The status and the plugin contradict each other, so nobody knows.
            Answer::Later | Answer::Doubtful | Answer::Lost => {
                AttemptOutcome::Unknown(Reason::new(
                    status_code(response.status),
                    format!("the carrier answered {} and yet named a message", response.status),
                ))
            }
        },
        Some(Err(CallError::Plugin(error))) => match by_status() {
            AttemptOutcome::Unknown(_) => AttemptOutcome::Unknown(plugin_reason(error)),
            decided => decided,
        },
        Some(Err(CallError::Failure(failure))) => {
            let reason = || failure_reason(carrier, failure);
            let later = || AttemptOutcome::NotSent {
                reason: reason(),
                retry_after: failure.retry_after.or(retry_after),
            };
            match (answer, failure.class) {
                (Answer::Lost, _) => AttemptOutcome::Unknown(reason()),
                (_, Permanent | Stopped) => AttemptOutcome::Refused(reason()),
                (_, Uncertain) | (Answer::Doubtful, _) => AttemptOutcome::Unknown(reason()),
                (Answer::Plain | Answer::Later | Answer::Rejected, Throttled | Retryable) => {
                    later()
                }
            }
        }
    }
}

fn by_status(answer: Answer, status: u16, retry_after: Option<Duration>) -> AttemptOutcome {
    let reason = Reason::new(status_code(status), format!("the carrier answered {status}"));
    match answer {
        Answer::Rejected => AttemptOutcome::Refused(reason),
        Answer::Later => AttemptOutcome::NotSent { reason, retry_after },
        Answer::Plain | Answer::Doubtful | Answer::Lost => AttemptOutcome::Unknown(reason),
    }
}

pub(crate) fn status_code(status: u16) -> String {
    format!("http:{status}")
}

/// Several ids, when a message was split, are kept as one text. It comes from outside, so its length
/// and its characters are bounded.
fn references(accepted: &Accepted) -> Option<String> {
    let references: String = accepted
        .carrier_references
        .join(",")
        .chars()
        .filter(|character| !character.is_control())
        .take(REFERENCE_CHARS)
        .collect();
    (!references.is_empty()).then_some(references)
}

pub(crate) fn failure_reason(carrier: &str, failure: &Failure) -> Reason {
    let prefix = if failure.class == FailureClass::Stopped { STOPPED } else { "" };
    let code: String = failure.code.chars().filter(char::is_ascii_graphic).take(40).collect();
    let code = if code.is_empty() { "failure" } else { &code };
    Reason::new(format!("{prefix}{carrier}:{code}"), masked(&failure.text, REASON_CHARS))
}

pub(crate) fn plugin_reason(error: &PluginError) -> Reason {
    Reason::new(error.code(), masked(&error.to_string(), REASON_CHARS))
}

/// Text that a plugin or a carrier wrote, of at most `most` characters, on one line, and without
/// anything that looks like a phone number: seven digits in a row and more, or behind a plus as many in groups, as
/// people write them (E.123: spaces, and what many use instead).
pub(crate) fn masked(text: &str, most: usize) -> String {
    let line: Vec<char> =
        text.chars().take(most).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut masked = String::with_capacity(line.len());
    let mut at = 0;
    while let Some(character) = line.get(at) {
        match number_at(&line[at..]) {
            Some(length) => {
                masked.push_str("[number]");
                at += length;
            }
            // What is left of a row of digits is no number either.
            None if character.is_ascii_digit() => {
                let digits = line[at..].iter().take_while(|c| c.is_ascii_digit());
                let before = at;
                at += digits.count();
                masked.extend(&line[before..at]);
            }
            None => {
                masked.push(*character);
                at += 1;
            }
        }
    }
    masked
}

/// How many characters a phone number has that begins here.
fn number_at(line: &[char]) -> Option<usize> {
    /// Fewer are an amount, a code or a year.
    const FEWEST: usize = 7;
    /// Between two groups of digits, as in `+1 (202) 555-0100`.
    const LONGEST_GAP: usize = 2;
    let is_grouped = line.first() == Some(&'+');
    let (mut digits, mut end, mut gap) = (0, 0, 0);
    for (place, character) in line.iter().enumerate().skip(usize::from(is_grouped)) {
        match character {
            '0'..='9' => {
                digits += 1;
                (end, gap) = (place + 1, 0);
            }
            ' ' | '-' | '.' | '/' | '(' | ')' if is_grouped && gap < LONGEST_GAP => gap += 1,
            _ => break,
        }
    }
    (digits >= FEWEST).then_some(end)
}

/// `Retry-After` in seconds, or as a date, which is compared with the answer's own `Date`.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.header("retry-after")?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = DateTime::parse_from_rfc2822(value).ok()?;
    let now = DateTime::parse_from_rfc2822(response.header("date")?).ok()?;
    (at - now).to_std().ok()
}

#[cfg(test)]
#[path = "outcome/tests.rs"]
mod tests;
