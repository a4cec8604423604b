//! The carrier `twilio`: Twilio's Programmable Messaging.
//!
//! One message is one `POST {api_base}/2010-04-01/Accounts/{AccountSid}/Messages.json` with a form, as
//! the [Messages resource] documents it; the answer is 201 with the message's SID, or an error with a
//! code from the [error dictionary]. Read in November 2026.
//!
//! # Settings
//! | name | |
//! |---|---|
//! | `account_sid` | the account, `AC…` |
//! | `auth_token` | a secret: the account's auth token, or the API key's secret |
//! | `api_key_sid` | optional: an API key, `SK…`, to authenticate with instead of the account |
//! | `messaging_service_sid` | optional: a messaging service, `MG…`, that chooses the sender |
//! | `account_token` | optional, a secret: the account's auth token, which signs webhooks, where `auth_token` is an API key's secret |
//! | `api_base` | optional: another origin, such as a region's or a simulator's |
//!
//! # Facts that shape it
//! * Sending is not idempotent and there is no key to make it so ([20500]), nor can a message be found by
//!   a reference of ours: the duplicate class is *lost*. The callback's URL can carry our token.
//! * A 429 was never processed and is safe to repeat ([20429]).
//! * A text has at most 1,600 characters, of which emoji and the like are more than one ([21617]); this carrier stops at 10
//!   segments, the length of 1,530 GSM-7 characters, since longer messages are widely filtered.
//! * A text is sent in GSM-7 or UCS-2, whichever it needs, after a messaging service has replaced look-alikes where it is
//!   set up so ([21617]).
//! * A long code in the United States sends one segment a second unless its campaign says otherwise, a short code more than
//!   100 ([30001]). The hint is for the first.
//! * Twilio's own segment calculator keeps grapheme clusters whole.
//! * Errors quote the recipient's number, so that none of Twilio's words are passed on.
//!
//! [Messages resource]: https://www.twilio.com/docs/messaging/api/message-resource
//! [error dictionary]: https://www.twilio.com/docs/api/errors
//! [20500]: https://www.twilio.com/docs/api/errors/20500
//! [20429]: https://www.twilio.com/docs/api/errors/20429
//! [30001]: https://www.twilio.com/docs/api/errors/30001
//! [21617]: https://www.twilio.com/docs/api/errors/21617

mod errors;
mod webhook;

use std::borrow::Cow;

use dripline_plugin_sdk::{
    Accepted, Atom, Carrier, DuplicateClass, Failure, Manifest, Outgoing, Request, Response,
    SegmentRules, Setting, Settings, TextEncoding, export_carrier, export_webhook, http,
};
use serde::Deserialize;

const API_BASE: &str = "https://api.twilio.com";
const MAX_CHARACTERS: u32 = 1_600;

/// The carrier.
pub struct Twilio;

/// The part of Twilio's message that matters here. What it does not give is empty.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, default)]
    sid: Cow<'a, str>,
    #[serde(borrow, default)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    num_segments: Option<Cow<'a, str>>,
    error_code: Option<u32>,
}

impl Carrier for Twilio {
    fn describe() -> Manifest {
        Manifest::new("twilio", env!("CARGO_PKG_VERSION"))
            .setting(Setting::required("account_sid", "The account's SID, AC and 32 digits."))
            .setting(Setting::secret(
                "auth_token",
                "The account's auth token, or the secret of the API key.",
            ))
            .setting(Setting::optional_secret(
                "account_token",
                "The account's auth token, which signs webhooks, where auth_token is an API key's secret.",
            ))
            .setting(Setting::optional(
                "api_key_sid",
                "An API key's SID, SK and 32 digits, to authenticate with instead of the account.",
            ))
            .setting(Setting::optional(
                "messaging_service_sid",
                "A messaging service's SID, MG and 32 digits, that chooses the sender.",
            ))
            .setting(
                Setting::optional("api_base", "The origin of Twilio's API.")
                    .default(API_BASE)
                    .origin(),
            )
            .origin("{api_base}")
            .duplicates(DuplicateClass::Lost)
            .encodings(&[TextEncoding::Gsm7, TextEncoding::Ucs2, TextEncoding::Smart])
            .max_characters(MAX_CHARACTERS)
            .segments_per_second(1)
            .segments(SegmentRules {
                atom: Atom::Grapheme,
                max_segments: 10,
                ..SegmentRules::default()
            })
    }

    fn send_request(settings: &Settings, message: &Outgoing) -> Result<Request, Failure> {
        let account = settings.require("account_sid")?;
        let text = message.text.expose();
        if text.is_empty() {
            return Err(errors::failure(21602));
        }
        let most = MAX_CHARACTERS as usize;
        // Octets are at least as many as characters, and cost nothing to count.
        if text.len() > most && text.encode_utf16().count() > most {
            return Err(errors::failure(21617));
        }
        let sender = match settings.get("messaging_service_sid") {
            Some(service) => ("MessagingServiceSid", service),
            None => ("From", message.sender.as_str()),
        };
        let callback = message.callback_url.as_deref().map(|url| ("StatusCallback", url));
        let form = [("To", message.recipient.expose()), sender, ("Body", text)];

        let base = settings.get_or("api_base", API_BASE).trim_end_matches('/');
        let path = http::path_segment(account)?;
        Ok(Request::post(format!("{base}/2010-04-01/Accounts/{path}/Messages.json"))
            .form(form.into_iter().chain(callback))
            .header("accept", "application/json")
            .header("x-dripline-reference", &message.reference)
            .basic(settings.get_or("api_key_sid", account), "auth_token"))
    }

    fn send_outcome(_: &Settings, response: &Response) -> Result<Accepted, Failure> {
        if response.is_success() { created(response) } else { Err(errors::refused(response)) }
    }
}

export_carrier!(Twilio);
export_webhook!(Twilio);

fn created(response: &Response) -> Result<Accepted, Failure> {
    let message: Message<'_> = response.json()?;
    if message.sid.is_empty() {
        return Err(Failure::uncertain("no-sid", "Twilio took the message and gave it no SID"));
    }
    if message.status == "failed" {
        // A message that was made and given up at once: the code says why.
        return Err(errors::failure(message.error_code.unwrap_or(30008)));
    }
    let accepted = Accepted::new(message.sid);
    Ok(match message.num_segments {
        // A messaging service has not chosen a sender yet and says 0.
        Some(segments) if segments != "0" => accepted.attribute("segments", segments),
        _ => accepted,
    })
}
