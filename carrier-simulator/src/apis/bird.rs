//! `POST /workspaces/{workspaceId}/channels/{channelId}/messages`, after
//! <https://docs.bird.com/api/channels-api/supported-channels/programmable-sms/sending-sms-messages> and
//! <https://docs.bird.com/api/api-access/common-api-usage>, checked in November 2026. Refusals are 4xx with JSON that
//! says what was wrong; what it looks like is not documented, and nobody should read more from it than the status.

use serde_json::{Value, json};

use super::{Incoming, Mistakes, Submission, at, given, json as body};
use crate::messages::Refusal;

const MISTAKES: Mistakes = Mistakes {
    missing: (400, 0, "invalid"),
    recipient: (400, 0, "invalid"),
    sender: (400, 0, "invalid"),
    // Nothing says how a recipient who opted out is refused.
    stopped: (400, 0, "invalid"),
    landline: (400, 0, "invalid"),
};

pub(super) fn read(request: &Incoming<'_>) -> Result<(Submission, Mistakes), Refusal> {
    let value = body(request, "application/json")?;
    let refuse = |text: &str| Err(Refusal::named(400, 0, "invalid", text));
    let contacts = value.pointer("/receiver/contacts").and_then(Value::as_array);
    if contacts.is_none_or(|contacts| contacts.len() != 1) {
        return refuse("An SMS channel takes one receiver");
    }
    // Left out, it is the channel's own kind.
    if !matches!(&*at(&value, "/receiver/contacts/0/identifierKey"), "" | "phonenumber") {
        return refuse("An SMS channel takes phone numbers");
    }
    if at(&value, "/body/type") != "text" {
        return refuse("A text is wanted here");
    }
    let submission = Submission {
        to: at(&value, "/receiver/contacts/0/identifierValue"),
        from: String::new(),
        text: at(&value, "/body/text/text"),
        reference: given(at(&value, "/reference")),
        callback: None,
    };
    Ok((submission, MISTAKES))
}

pub(super) fn accepted(message: &Submission, id: &str) -> Value {
    json!({
        "id": id, "status": "accepted", "direction": "outgoing", "reference": message.reference,
        "body": {"type": "text", "text": {"text": message.text}},
    })
}

pub(super) fn refused(refusal: &Refusal) -> Value {
    json!({"code": refusal.name, "message": refusal.message, "details": {}})
}
