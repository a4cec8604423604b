//! The carrier `plivo`: Plivo's Message API.
//!
//! One message is one `POST {api_base}/v1/Account/{auth_id}/Message/` with JSON, as [Send a message] documents
//! it; the answer is 202 with the message's UUID, or an error that is a sentence. Checked in November 2026 against the
//! documentation and Plivo's own client ([plivo-python]).
//!
//! # Settings
//! | name | |
//! |---|---|
//! | `auth_id` | the account's Auth ID, `MA…` |
//! | `auth_token` | a secret: the account's Auth Token; it also signs webhooks |
//! | `api_base` | optional: another origin, such as a simulator's |
//!
//! # Facts that shape it
//! * There is no idempotency key and no search by a reference of ours: the class is *lost*.
//! * A refusal has no code, only a sentence that may quote the number: the status decides. A 403 means that the
//!   recipient's country is not enabled in the account's geo permissions, which is what plivo-python makes of it.
//!   Opt-outs, filters and an empty balance come with reports.
//! * A text has at most 1,600 characters in GSM-7 and 737 in UCS-2 ([encoding]), of which 10 segments leave 1,530 and 670.
//!   An account may be set up to replace look-alikes first ([automatic encoding]).
//! * An account sends 5 messages a second unless more was agreed; what is more waits at Plivo, and expires there after
//!   three hours ([throughput]). Numbers in the United States have limits of their own, by kind and campaign.
//! * Webhooks are forms, signed in version 3 ([signatures]).
//!
//! [Send a message]: https://www.plivo.com/docs/messaging/api/message#send-a-message
//! [plivo-python]: https://github.com/plivo/plivo-python
//! [encoding]: https://www.plivo.com/docs/messaging/concepts/encoding-and-concatenation
//! [automatic encoding]: https://www.plivo.com/docs/faq/messaging/sms
//! [throughput]: https://www.plivo.com/docs/faq/messaging/messaging-api
//! [signatures]: https://www.plivo.com/docs/messaging/concepts/signature-validation

mod webhook;

use dripline_plugin_sdk::{
    Accepted, Carrier, DuplicateClass, Failure, Manifest, Outgoing, Request, Response,
    SegmentRules, Setting, Settings, TextEncoding, export_carrier, export_webhook, http,
};
use serde::{Deserialize, Serialize};

const API_BASE: &str = "https://api.plivo.com";

/// The carrier.
pub struct Plivo;

#[derive(Serialize)]
struct Send<'a> {
    src: &'a str,
    dst: &'a str,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<&'a str>,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    message_uuid: Vec<String>,
}

impl Carrier for Plivo {
    fn describe() -> Manifest {
        Manifest::new("plivo", env!("CARGO_PKG_VERSION"))
            .setting(Setting::required("auth_id", "The account's Auth ID, MA and 18 characters."))
            .setting(Setting::secret("auth_token", "The account's Auth Token."))
            .setting(
                Setting::optional("api_base", "The origin of Plivo's API.")
                    .default(API_BASE)
                    .origin(),
            )
            .origin("{api_base}")
            .duplicates(DuplicateClass::Lost)
            .encodings(&[TextEncoding::Gsm7, TextEncoding::Ucs2, TextEncoding::Smart])
            .max_characters(1_600)
            .segments_per_second(5)
            .segments(SegmentRules { max_segments: 10, ..SegmentRules::default() })
    }

    fn send_request(settings: &Settings, message: &Outgoing) -> Result<Request, Failure> {
        let auth_id = settings.require("auth_id")?;
        let base = settings.get_or("api_base", API_BASE).trim_end_matches('/');
        let callback = message.callback_url.as_deref();
        let send = Send {
            src: message.sender.trim_start_matches('+'),
            dst: message.recipient.expose().trim_start_matches('+'),
            text: message.text.expose(),
            url: callback,
            method: callback.map(|_| "POST"),
        };
        let path = http::path_segment(auth_id)?;
        Ok(Request::post(format!("{base}/v1/Account/{path}/Message/"))
            .json(&send)
            .header("x-dripline-reference", &message.reference)
            .basic(auth_id, "auth_token"))
    }

    fn send_outcome(_: &Settings, response: &Response) -> Result<Accepted, Failure> {
        if response.is_success() {
            let Answer { message_uuid } = response.json()?;
            return if message_uuid.iter().all(String::is_empty) {
                Err(Failure::uncertain("no-id", "Plivo took the message and gave it no id"))
            } else {
                Ok(Accepted { carrier_references: message_uuid, attributes: Vec::new() })
            };
        }
        Err(match response.status {
            401 => {
                Failure::retryable("http-401", "the Auth ID and the Auth Token do not fit together")
                    .about_route()
            }
            403 => Failure::permanent("http-403", "the account may not send to this country"),
            402 => Failure::retryable("http-402", "the account's credit is used up").about_route(),
            404 => Failure::retryable("http-404", "the account does not exist").about_route(),
            _ => Failure::from_status(response),
        })
    }
}

export_carrier!(Plivo);
export_webhook!(Plivo);
