//! The carrier `infobip`: Infobip's SMS API, version 3.
//!
//! One message is one `POST {api_base}/sms/3/messages` with JSON, as [Send SMS messages] documents it; the answer
//! is 200 with a status for the message, whose group says whether it was taken. Checked in November 2026 against that
//! page and Infobip's own client generated from its specification ([infobip-api-python-client]).
//!
//! # Settings
//! | name | |
//! |---|---|
//! | `api_base` | the account's own origin, `https://xxxxx.api.infobip.com` |
//! | `api_key` | a secret: an API key that may send |
//!
//! # Facts that shape it
//! * The message's id is ours to choose, of at most 200 characters, and its log can be asked for by it, for 48 hours
//!   ([logs]): the class is *query*. An id that is given twice is refused, with a status of its own.
//! * Numbers are written without a plus.
//! * A refusal of one message comes with status 200 and the group REJECTED or UNDELIVERABLE ([status codes]).
//! * Of the group DELIVERED only `DELIVERED_TO_HANDSET` is an end; `DELIVERED_TO_OPERATOR` is on its way
//!   ([lifecycle]).
//! * A text is sent in GSM-7 or UCS-2, whichever it needs ([languages]). Infobip replaces letters where a request asks for
//!   it, which none here does. How long a text may be is not documented; this carrier stops at 10 segments.
//! * No limit is documented for sending ([rates]), so that there is no hint.
//! * Reports are not signed: the secret part of the callback's address is what protects them.
//!
//! [Send SMS messages]: https://www.infobip.com/docs/api/channels/sms/outbound-sms/send-sms-messages
//! [infobip-api-python-client]: https://github.com/infobip/infobip-api-python-client
//! [logs]: https://www.infobip.com/docs/api/channels/sms/logs-and-status-reports
//! [status codes]: https://www.infobip.com/docs/essentials/api-essentials/response-status-and-error-codes
//! [lifecycle]: https://www.infobip.com/docs/developer-resources/api-fundamentals/message-status-codes
//! [rates]: https://www.infobip.com/docs/developer-resources/api-fundamentals/rate-limits-and-throttling
//! [languages]: https://www.infobip.com/docs/sms/language

mod webhook;

use dripline_plugin_sdk::Meaning::{Permanent, Retryable, Route, Throttled};
use dripline_plugin_sdk::{
    Accepted, Carrier, Code, Codes, Failure, Lookup, Manifest, Outgoing, Question, Request,
    Response, SegmentRules, Setting, Settings, TextEncoding, clock, export_carrier, export_lookup,
    export_webhook, http,
};
use serde::{Deserialize, Serialize};

/// Seconds after which a message that has no log was never taken. Infobip says nothing of a delay; a request
/// ends within a minute, and the rest is for its books.
const FINAL_AFTER: u32 = 900;

/// Seconds for which a message's log can be asked for, less an hour: 48 hours are documented.
const LOGGED: u64 = 47 * 3_600;

/// Ids of statuses that stand for a refusal or for a message that did not arrive, sorted by their text. From the
/// [status codes] of November 2026, without those of voice, e-mail and push; the texts are ours.
///
/// [status codes]: https://www.infobip.com/docs/essentials/api-essentials/response-status-and-error-codes
const STATUSES: Codes = Codes(&[
    Code("10", Permanent, "the recipient's number is on a do-not-disturb list"),
    Code("100", Retryable, "Infobip could not take the message"),
    Code("11", Route, "the sender is not registered on the account"),
    Code("12", Route, "the account's credit is used up"),
    Code("13", Route, "the account blocks the sender"),
    // By the operator or by the account; that the recipient asked for it is not said.
    Code("14", Permanent, "the recipient's number is on a blocklist"),
    Code("15", Permanent, "the message expired on its way"),
    Code("17", Route, "the account's credit has expired"),
    Code("18", Permanent, "a test account sends to its registered number only"),
    Code("19", Route, "the account is not set up to send messages"),
    Code("20", Throttled, "too many messages to the same recipient within an hour"),
    Code("21", Retryable, "Infobip had an error of its own"),
    Code("24", Permanent, "the text is not formatted correctly"),
    Code("25", Permanent, "the text is too long"),
    Code("31", Permanent, "the message was not sent"),
    Code("4", Permanent, "the recipient's network refused the message"),
    Code("51", Permanent, "there is no recipient"),
    Code("52", Permanent, "the recipient's number is not valid"),
    Code("6", Permanent, "the recipient's network is not covered by the account"),
    Code("8", Permanent, "the prefix or the length of the recipient's number is not known"),
    Code("87", Permanent, "the message was blocked as fraud"),
    Code("9", Permanent, "the recipient's network did not deliver the message"),
]);

/// The status of a message whose id was given before.
const DUPLICATE: &str = "23";

/// What the group of a status says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    /// ACCEPTED and PENDING.
    Pending,
    /// UNDELIVERABLE.
    Undeliverable,
    /// DELIVERED.
    Delivered,
    /// EXPIRED.
    Expired,
    /// REJECTED.
    Rejected,
}

/// The carrier.
pub struct Infobip;

#[derive(Serialize)]
struct Send<'a> {
    messages: [Message<'a>; 1],
}

#[derive(Serialize)]
struct Message<'a> {
    sender: &'a str,
    destinations: [Destination<'a>; 1],
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    webhooks: Option<Webhooks<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Destination<'a> {
    to: &'a str,
    message_id: &'a str,
}

#[derive(Serialize)]
struct Content<'a> {
    text: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Webhooks<'a> {
    delivery: Delivery<'a>,
    content_type: &'a str,
}

#[derive(Serialize)]
struct Delivery<'a> {
    url: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    messages: Vec<Taken>,
}

#[derive(Deserialize)]
struct Logs {
    results: Vec<Taken>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Taken {
    #[serde(default)]
    message_id: String,
    status: Status,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Status {
    group_id: Option<u32>,
    id: Option<u32>,
}

impl Status {
    /// `None` when there is no group, or one that is not known.
    pub(crate) fn group(&self) -> Option<Group> {
        match self.group_id? {
            0 | 1 => Some(Group::Pending),
            2 => Some(Group::Undeliverable),
            3 => Some(Group::Delivered),
            4 => Some(Group::Expired),
            5 => Some(Group::Rejected),
            _ => None,
        }
    }

    pub(crate) fn code(&self) -> String {
        match (self.id, self.group_id) {
            (Some(id), _) => id.to_string(),
            (None, Some(group)) => format!("group-{group}"),
            (None, None) => "no-status".to_owned(),
        }
    }
}

fn base(settings: &Settings) -> Result<&str, Failure> {
    Ok(settings.require("api_base")?.trim_end_matches('/'))
}

fn authorised(request: Request) -> Request {
    request.header("authorization", "App {{secret:api_key}}").header("accept", "application/json")
}

fn refused(response: &Response) -> Failure {
    match response.status {
        401 => Failure::retryable("unauthorized", "the API key is not valid").about_route(),
        403 => Failure::retryable("forbidden", "the API key may not do this").about_route(),
        404 => Failure::retryable("not-found", "the origin is not the account's").about_route(),
        _ => Failure::from_status(response),
    }
}

impl Carrier for Infobip {
    fn describe() -> Manifest {
        Manifest::new("infobip", env!("CARGO_PKG_VERSION"))
            .setting(
                Setting::required("api_base", "The account's own origin, from Infobip's portal.")
                    .origin(),
            )
            .setting(Setting::secret("api_key", "An API key that may send."))
            .origin("{api_base}")
            .lookup_final_after(FINAL_AFTER)
            .unsigned_webhooks()
            .encodings(&[TextEncoding::Gsm7, TextEncoding::Ucs2])
            .segments(SegmentRules { max_segments: 10, ..SegmentRules::default() })
    }

    fn send_request(settings: &Settings, message: &Outgoing) -> Result<Request, Failure> {
        let delivery =
            |url| Webhooks { delivery: Delivery { url }, content_type: "application/json" };
        let send = Send {
            messages: [Message {
                sender: message.sender.trim_start_matches('+'),
                destinations: [Destination {
                    to: message.recipient.expose().trim_start_matches('+'),
                    message_id: &message.reference,
                }],
                content: Content { text: message.text.expose() },
                webhooks: message.callback_url.as_deref().map(delivery),
            }],
        };
        let url = format!("{}/sms/3/messages", base(settings)?);
        Ok(authorised(Request::post(url).json(&send)))
    }

    fn send_outcome(_: &Settings, response: &Response) -> Result<Accepted, Failure> {
        if !response.is_success() {
            return Err(refused(response));
        }
        let answer: Answer = response.json()?;
        let Some(taken) = answer.messages.into_iter().next() else {
            return Err(Failure::uncertain("no-message", "Infobip answered about no message"));
        };
        let code = taken.status.code();
        match taken.status.group() {
            Some(Group::Pending | Group::Delivered) => {}
            Some(Group::Undeliverable | Group::Expired | Group::Rejected) if code != DUPLICATE => {
                return Err(STATUSES
                    .failure(&code)
                    .unwrap_or_else(|| Failure::permanent(code, "Infobip refused the message")));
            }
            Some(_) => {
                let text = "the message's id is known, so that it may have been taken before";
                return Err(Failure::uncertain(code, text));
            }
            None => return Err(Failure::uncertain(code, "Infobip does not say what it did")),
        }
        if taken.message_id.is_empty() {
            return Err(Failure::uncertain("no-id", "Infobip took the message and gave it no id"));
        }
        Ok(Accepted::new(taken.message_id))
    }
}

impl Lookup for Infobip {
    fn lookup_request(settings: &Settings, question: &Question) -> Result<Request, Failure> {
        let reference = http::path_segment(&question.reference)?;
        let url = format!("{}/sms/3/logs?messageId={reference}", base(settings)?);
        Ok(authorised(Request::get(url)))
    }

    fn lookup_outcome(
        _: &Settings,
        question: &Question,
        response: &Response,
    ) -> Result<Option<Accepted>, Failure> {
        if !response.is_success() {
            return Err(refused(response));
        }
        let Logs { results } = response.json()?;
        // Undeliverable and expired ones were taken, and billed.
        let taken = results.into_iter().find(|found| found.status.group() != Some(Group::Rejected));
        match taken {
            None if clock::now_seconds() > question.attempted_at_ms / 1_000 + LOGGED => {
                Err(Failure::uncertain("log-expired", "Infobip's log does not reach back so far"))
            }
            None => Ok(None),
            Some(taken) if taken.message_id.is_empty() => {
                Err(Failure::uncertain("no-id", "Infobip has the message and gives no id"))
            }
            Some(taken) => Ok(Some(Accepted::new(taken.message_id))),
        }
    }
}

export_carrier!(Infobip);
export_lookup!(Infobip);
export_webhook!(Infobip);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statuses_are_sorted() {
        assert!(STATUSES.is_sorted());
    }
}
