//! The carrier `sinch`: Sinch's SMS API.
//!
//! One message is one `POST {api_base}/xms/v1/{service_plan_id}/batches` with JSON, as [Batches] documents it;
//! the answer is 201 with the batch's id, or an error with a code that is a word ([statuses and codes]). Checked in
//! November 2026 against these pages and Sinch's own clients ([Python], [Java]).
//!
//! # Settings
//! | name | |
//! |---|---|
//! | `service_plan_id` | the service plan |
//! | `api_token` | a secret: the service plan's API token |
//! | `webhook_secret` | optional, a secret: what callbacks are signed with, which Sinch sets up on request |
//! | `api_base` | optional: the region's origin, or a simulator's |
//!
//! # Facts that shape it
//! * There is no idempotency key, and batches are listed by `client_reference`: the class is *query*. Each batch has
//!   one recipient, so that its id is the message's. The list begins 24 hours ago unless a `start_date` is given, and
//!   batches are kept for 14 days.
//! * Codes are documented for 400 and 403 alone. None of them says that a recipient opted out or that the credit is
//!   used up; that comes with reports, if at all.
//! * A text has at most 2,000 characters ([Batches]). It is sent in GSM-7 or UCS-2 ([characters]), on accounts that are set up
//!   so after look-alikes have been replaced ([auto encoding]).
//! * How many messages a second may be sent is agreed for each service plan ([rates]), so that there is no hint. What is more
//!   waits at Sinch.
//! * Callbacks are signed by HMAC-SHA256 over body, nonce and timestamp ([callbacks]).
//!
//! [Batches]: https://developers.sinch.com/docs/sms/api-reference/sms/tag/Batches/
//! [statuses and codes]: https://developers.sinch.com/docs/sms/api-reference/status-codes/
//! [Python]: https://github.com/sinch/sinch-sdk-python
//! [Java]: https://github.com/sinch/sinch-sdk-java
//! [characters]: https://developers.sinch.com/docs/sms/resources/message-info/character-support
//! [auto encoding]: https://developers.sinch.com/docs/sms/resources/message-info/auto-encoding
//! [rates]: https://developers.sinch.com/docs/sms/resources/message-info/rate-limits/
//! [callbacks]: https://developers.sinch.com/docs/sms/api-reference/sms/tag/Webhooks/

mod webhook;

use dripline_plugin_sdk::Meaning::{Permanent, Route};
use dripline_plugin_sdk::clock::{self, Utc};
use dripline_plugin_sdk::{
    Accepted, Carrier, Code, Codes, Failure, Lookup, Manifest, Outgoing, Question, Request,
    Response, SegmentRules, Setting, Settings, TextEncoding, export_carrier, export_lookup,
    export_webhook, http,
};
use serde::{Deserialize, Serialize};

const API_BASE: &str = "https://us.sms.api.sinch.com";

/// Seconds after which a batch that is not listed was never made. Sinch says nothing of a delay; a request
/// ends within a minute, and the rest is for its books.
const FINAL_AFTER: u32 = 900;

/// Seconds for which a batch can be asked for, less an hour: 14 days are documented.
const KEPT: u64 = 14 * 86_400 - 3_600;

/// Seconds by which our clock and Sinch's may differ.
const SKEW: u64 = 3_600;

/// Sorted by their text. The texts are ours.
const CODES: Codes = Codes(&[
    Code("missing_callback_url", Route, "a report is wanted and there is no callback"),
    Code("syntax_constraint_violation", Permanent, "a parameter is missing or out of range"),
    Code("syntax_invalid_json", Permanent, "the request is not understood"),
    Code("syntax_invalid_parameter_format", Permanent, "the recipient's number is not valid"),
    Code("unknown_campaign", Route, "the sender does not belong to the campaign"),
    Code("unknown_group", Permanent, "the recipient is a group that does not exist"),
]);

/// The carrier.
pub struct Sinch;

#[derive(Serialize)]
struct Send<'a> {
    from: &'a str,
    to: [&'a str; 1],
    body: &'a str,
    client_reference: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_report: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    callback_url: Option<&'a str>,
}

#[derive(Deserialize)]
struct Batch {
    #[serde(default)]
    id: String,
    #[serde(default)]
    canceled: bool,
}

#[derive(Deserialize)]
struct Batches {
    batches: Vec<Batch>,
}

#[derive(Deserialize)]
struct Problem {
    #[serde(default)]
    code: String,
}

fn url(settings: &Settings) -> Result<String, Failure> {
    let base = settings.get_or("api_base", API_BASE).trim_end_matches('/');
    let plan = http::path_segment(settings.require("service_plan_id")?)?;
    Ok(format!("{base}/xms/v1/{plan}/batches"))
}

fn refused(response: &Response) -> Failure {
    let by_status = Failure::from_status(response);
    // Whoever answers 5xx may have sent.
    if response.status >= 500 || response.status == 429 {
        return by_status;
    }
    let code = response.json::<Problem>().map(|problem| problem.code).unwrap_or_default();
    match (CODES.failure(&code), response.status) {
        (Some(failure), _) => failure.retry_after_ms(response.retry_after_ms()),
        (None, 401) => {
            let text = "the API token is not valid for the service plan";
            Failure::retryable("http-401", text).about_route()
        }
        (None, 403) => {
            Failure::retryable("http-403", "the service plan may not do this").about_route()
        }
        (None, 404) => {
            Failure::retryable("http-404", "the service plan does not exist").about_route()
        }
        (None, _) => by_status,
    }
}

impl Carrier for Sinch {
    fn describe() -> Manifest {
        Manifest::new("sinch", env!("CARGO_PKG_VERSION"))
            .setting(Setting::required("service_plan_id", "The service plan's id."))
            .setting(Setting::secret("api_token", "The service plan's API token."))
            .setting(Setting::optional_secret(
                "webhook_secret",
                "What callbacks are signed with; Sinch sets it up on request.",
            ))
            .setting(
                Setting::optional("api_base", "The origin of the region's API.")
                    .default(API_BASE)
                    .origin(),
            )
            .origin("{api_base}")
            .lookup_final_after(FINAL_AFTER)
            .encodings(&[TextEncoding::Gsm7, TextEncoding::Ucs2, TextEncoding::Smart])
            .max_characters(2_000)
            .segments(SegmentRules { max_segments: 10, ..SegmentRules::default() })
    }

    fn send_request(settings: &Settings, message: &Outgoing) -> Result<Request, Failure> {
        let callback = message.callback_url.as_deref();
        let send = Send {
            from: &message.sender,
            to: [message.recipient.expose()],
            body: message.text.expose(),
            client_reference: &message.reference,
            delivery_report: callback.map(|_| "per_recipient"),
            callback_url: callback,
        };
        Ok(Request::post(url(settings)?).json(&send).bearer("api_token"))
    }

    fn send_outcome(_: &Settings, response: &Response) -> Result<Accepted, Failure> {
        if !response.is_success() {
            return Err(refused(response));
        }
        let Batch { id, .. } = response.json()?;
        if id.is_empty() {
            return Err(Failure::uncertain("no-id", "Sinch took the message and gave it no id"));
        }
        Ok(Accepted::new(id))
    }
}

impl Lookup for Sinch {
    fn lookup_request(settings: &Settings, question: &Question) -> Result<Request, Failure> {
        let reference = http::path_segment(&question.reference)?;
        let since = Utc::of((question.attempted_at_ms / 1_000).saturating_sub(SKEW));
        let Utc { year, month, day, hour, minute, second } = since;
        let since = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.000Z");
        let since = http::path_segment(&since)?;
        let url = url(settings)?;
        Ok(Request::get(format!("{url}?client_reference={reference}&start_date={since}"))
            .bearer("api_token"))
    }

    fn lookup_outcome(
        _: &Settings,
        question: &Question,
        response: &Response,
    ) -> Result<Option<Accepted>, Failure> {
        if !response.is_success() {
            return Err(refused(response));
        }
        let Batches { batches } = response.json()?;
        let Some(batch) = batches.into_iter().find(|batch| !batch.canceled) else {
            if clock::now_seconds() > question.attempted_at_ms / 1_000 + KEPT {
                let text = "Sinch does not keep batches for so long";
                return Err(Failure::uncertain("batch-expired", text));
            }
            return Ok(None);
        };
        if batch.id.is_empty() {
            return Err(Failure::uncertain("no-id", "Sinch has the message and gives no id"));
        }
        Ok(Some(Accepted::new(batch.id)))
    }
}

export_carrier!(Sinch);
export_lookup!(Sinch);
export_webhook!(Sinch);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_sorted() {
        assert!(CODES.is_sorted());
    }
}
