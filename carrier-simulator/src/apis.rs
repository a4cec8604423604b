//! The APIs of other carriers than Twilio: what each wants, refuses and answers, as strictly as its
//! documentation says. What happens in between (faults, the log, counting segments) is the same for all.
//!
//! To add one, add a module with `read`, `accepted` and `refused`, and its case in [`Api`].

mod aws;
mod bird;
mod infobip;
mod plivo;
mod sinch;
mod telnyx;
mod vonage;

use chrono::{DateTime, Utc};
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Method, Uri};
use serde_json::Value;

use crate::messages::{Account, Refusal, is_e164, is_sender_name};

/// A carrier's API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Api {
    /// AWS End User Messaging SMS, version 2.
    Aws,
    /// Bird's Channels API.
    Bird,
    /// Infobip's SMS API, version 3.
    Infobip,
    /// Plivo's Message API.
    Plivo,
    /// Sinch's SMS API (XMS).
    Sinch,
    /// Telnyx' Messaging API, version 2.
    Telnyx,
    /// Vonage's Messages API, version 1.
    Vonage,
}

/// A request, as it came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    /// When it came, by the simulator's own clock.
    pub(crate) at: DateTime<Utc>,
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// A message that a request asks to send.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Submission {
    pub(crate) to: String,
    pub(crate) from: String,
    pub(crate) text: String,
    /// The client's own reference, where the API has a place for it.
    pub(crate) reference: Option<String>,
    /// Where the client wants to hear how it ends, where that is understood.
    pub(crate) callback: Option<String>,
}

/// What each API calls the mistakes that all of them refuse: a status, a numeric code or zero, and a name.
pub(crate) struct Mistakes {
    missing: (u16, u32, &'static str),
    recipient: (u16, u32, &'static str),
    sender: (u16, u32, &'static str),
    stopped: (u16, u32, &'static str),
    landline: (u16, u32, &'static str),
}

impl Api {
    /// The API in a path, and the account that it names, or the one there is.
    pub(crate) fn in_path<'a>(
        path: &'a str,
        headers: &HeaderMap,
        account: &'a Account,
    ) -> Option<(Self, &'a str)> {
        let only = account.sid();
        let within = |before: &str, after: &str| {
            let account = path.strip_prefix(before)?.strip_suffix(after)?;
            (!account.contains('/')).then_some(account)
        };
        match path {
            "/v2/messages" => return Some((Self::Telnyx, only)),
            "/v1/messages" => return Some((Self::Vonage, only)),
            "/sms/3/messages" | "/sms/3/logs" => return Some((Self::Infobip, only)),
            "/" if aws::is_meant(headers) => return Some((Self::Aws, only)),
            _ => {}
        }
        if let Some(account) = within("/v1/Account/", "/Message/") {
            return Some((Self::Plivo, account));
        }
        if let Some(account) = within("/xms/v1/", "/batches") {
            return Some((Self::Sinch, account));
        }
        let (workspace, rest) = path.strip_prefix("/workspaces/")?.split_once("/channels/")?;
        let channel = rest.strip_suffix("/messages")?;
        let fits = !workspace.contains('/') && !channel.is_empty() && !channel.contains('/');
        fits.then_some((Self::Bird, workspace))
    }

    /// Whether the request asks about a message rather than sends one, and by which parameter.
    pub(crate) fn asks(self, request: &Incoming<'_>) -> Option<&'static str> {
        match self {
            Self::Sinch if request.method == Method::GET => Some("client_reference"),
            Self::Infobip if request.uri.path() == "/sms/3/logs" => Some("messageId"),
            _ => None,
        }
    }

    /// Whether it keeps what was asked for under a key.
    pub(crate) fn keeps_keys(self) -> bool {
        self == Self::Telnyx
    }

    /// Whether a key may look like this.
    pub(crate) fn takes_key(self, key: &str) -> bool {
        self != Self::Telnyx || telnyx::is_key(key)
    }

    /// Whether the request speaks for the account.
    pub(crate) fn admit(
        self,
        account: &Account,
        named: &str,
        request: &Incoming<'_>,
    ) -> Result<(), Refusal> {
        let authorization = text(request.headers, "authorization");
        let (admitted, wrong) = match self {
            Self::Aws => return aws::admit(account, request),
            Self::Bird => (account.admits_token(authorization, "AccessKey"), 0),
            Self::Infobip => (account.admits_token(authorization, "App"), 0),
            Self::Plivo | Self::Vonage => (account.admits(authorization), 0),
            Self::Sinch => (account.admits_token(authorization, "Bearer"), 0),
            Self::Telnyx => (account.admits_token(authorization, "Bearer"), 10_009),
        };
        if !admitted {
            return Err(Refusal::named(401, wrong, "unauthorized", "Authentication failed"));
        }
        if named != account.sid() {
            return Err(Refusal::named(404, 0, "not_found", "The account was not found"));
        }
        Ok(())
    }

    /// The message that the request asks to send, or why it is refused.
    pub(crate) fn read(self, request: &Incoming<'_>) -> Result<Submission, Refusal> {
        let read = match self {
            Self::Aws => aws::read,
            Self::Bird => bird::read,
            Self::Infobip => infobip::read,
            Self::Plivo => plivo::read,
            Self::Sinch => sinch::read,
            Self::Telnyx => telnyx::read,
            Self::Vonage => vonage::read,
        };
        let (submission, mistakes) = read(request)?;
        // Bird's channel has a sender of its own.
        mistakes.check(&submission, self != Self::Bird)?;
        Ok(submission)
    }

    /// Status and body of the answer to a message that was taken.
    pub(crate) fn accepted(
        self,
        message: &Submission,
        segments: u32,
        id: &str,
    ) -> (u16, serde_json::Value) {
        match self {
            Self::Aws => (200, aws::accepted(id)),
            Self::Bird => (202, bird::accepted(message, id)),
            Self::Infobip => (200, infobip::accepted(message, id)),
            Self::Plivo => (202, plivo::accepted(id)),
            Self::Sinch => (201, sinch::accepted(message, id)),
            Self::Telnyx => (200, telnyx::accepted(message, segments, id)),
            Self::Vonage => (202, vonage::accepted(id)),
        }
    }

    /// The body of a refusal.
    pub(crate) fn refused(self, refusal: &Refusal) -> serde_json::Value {
        match self {
            Self::Aws => aws::refused(refusal),
            Self::Bird => bird::refused(refusal),
            Self::Infobip => infobip::refused(refusal),
            Self::Plivo => plivo::refused(refusal),
            Self::Sinch => sinch::refused(refusal),
            Self::Telnyx => telnyx::refused(refusal),
            Self::Vonage => vonage::refused(refusal),
        }
    }

    /// The answer to a question: the messages that were taken under the reference.
    pub(crate) fn found(self, reference: &str, ids: &[String]) -> serde_json::Value {
        match self {
            Self::Infobip => infobip::found(reference, ids),
            _ => sinch::found(reference, ids),
        }
    }
}

impl Mistakes {
    fn check(&self, message: &Submission, needs_sender: bool) -> Result<(), Refusal> {
        let refuse = |(status, code, name): (u16, u32, &'static str), text: String| {
            Err(Refusal::named(status, code, name, text))
        };
        let to = &message.to;
        if to.is_empty() || message.text.is_empty() || (needs_sender && message.from.is_empty()) {
            return refuse(self.missing, "A required parameter is missing".to_owned());
        }
        // The magic numbers of Twilio's test credentials, which is what those who test know.
        match to.strip_prefix("+1500555000") {
            Some("4") => return refuse(self.stopped, format!("{to} has unsubscribed")),
            Some("9") => return refuse(self.landline, format!("{to} is not a mobile number")),
            Some("1") => return refuse(self.recipient, format!("Invalid destination {to}")),
            _ => {}
        }
        if !is_e164(to) {
            return refuse(self.recipient, format!("Invalid destination {to}"));
        }
        let from = &message.from;
        if needs_sender && !is_e164(from) && !is_sender_name(from) {
            return refuse(self.sender, format!("Invalid sender {from}"));
        }
        Ok(())
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The body, when the request says that it is JSON of this media type and it is an object.
fn json(request: &Incoming<'_>, media_type: &str) -> Result<Value, Refusal> {
    let kind = request.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case(media_type) {
        return Err(Refusal::named(415, 0, "unsupported_media_type", "Unsupported media type"));
    }
    match serde_json::from_slice(request.body) {
        Ok(value @ Value::Object(_)) => Ok(value),
        _ => Err(Refusal::named(400, 0, "malformed", "The body is no JSON object")),
    }
}

/// The text at a place; empty where there is none.
fn at(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The same with a plus before it, for APIs that want digits alone. What has a plus is left as it is, and so
/// refused.
fn plus(digits: &str) -> String {
    let only_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if only_digits { format!("+{digits}") } else { format!("not digits: {digits}") }
}

/// A reference that is given.
fn given(reference: String) -> Option<String> {
    Some(reference).filter(|reference| !reference.is_empty())
}
