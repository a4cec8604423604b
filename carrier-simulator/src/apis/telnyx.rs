//! `POST /v2/messages`, after <https://developers.telnyx.com/api-reference/messages/send-a-message>,
//! <https://developers.telnyx.com/docs/messaging/messages/error-codes/index> and
//! <https://developers.telnyx.com/docs/development/api-fundamentals/idempotency>, checked in November 2026.

use serde_json::{Value, json};

use super::{Incoming, Mistakes, Submission, at, given, json as body, text};
use crate::messages::Refusal;

const MISTAKES: Mistakes = Mistakes {
    missing: (422, 10_004, "Missing required parameter"),
    recipient: (400, 40_310, "Invalid 'to' address"),
    sender: (400, 40_305, "Invalid 'from' address"),
    stopped: (400, 40_300, "Blocked due to STOP message"),
    landline: (400, 40_001, "Not routable"),
};

/// Whether an idempotency key has the documented form.
pub(super) fn is_key(key: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-');
    (1..=255).contains(&key.len()) && key.bytes().all(fits)
}

pub(super) fn read(request: &Incoming<'_>) -> Result<(Submission, Mistakes), Refusal> {
    let value = body(request, "application/json")?;
    let (from, profile) = (at(&value, "/from"), at(&value, "/messaging_profile_id"));
    if !from.is_empty() && !from.starts_with('+') && profile.is_empty() {
        let text = "A sender that is a name needs a messaging profile";
        return Err(Refusal::named(400, 40_305, "Invalid 'from' address", text));
    }
    let submission = Submission {
        to: at(&value, "/to"),
        from: if from.is_empty() && !profile.is_empty() { "pool".to_owned() } else { from },
        text: at(&value, "/text"),
        reference: text(request.headers, "x-dripline-reference").map(str::to_owned),
        callback: given(at(&value, "/webhook_url")),
    };
    Ok((submission, MISTAKES))
}

pub(super) fn accepted(message: &Submission, segments: u32, id: &str) -> Value {
    json!({"data": {
        "record_type": "message", "direction": "outbound", "id": id, "type": "SMS",
        "from": {"phone_number": message.from},
        "to": [{"phone_number": message.to, "status": "queued"}],
        "text": message.text, "parts": segments, "errors": [],
    }})
}

pub(super) fn refused(refusal: &Refusal) -> Value {
    json!({"errors": [{
        "code": refusal.code.to_string(), "title": refusal.name, "detail": refusal.message,
    }]})
}
