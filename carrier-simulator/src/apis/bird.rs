//! `POST /workspaces/{workspaceId}/channels/{channelId}/messages`, after
//! <https://docs.bird.com/api/channels-api/supported-channels/programmable-sms/sending-sms-messages> and
//! <https://docs.bird.com/api/api-access/common-api-usage> (idempotent requests), read in November 2026.

use serde_json::{Value, json};

use super::{Incoming, Mistakes, Submission, at, given, json as body};
use crate::messages::Refusal;

const MISTAKES: Mistakes = Mistakes {
    missing: (422, 0, "InvalidPayload"),
    recipient: (422, 0, "InvalidPayload"),
    sender: (422, 0, "InvalidPayload"),
    stopped: (403, 0, "ContactUnsubscribed"),
    landline: (422, 0, "InvalidPayload"),
};

pub(super) fn read(request: &Incoming<'_>) -> Result<(Submission, Mistakes), Refusal> {
    let value = body(request, "application/json")?;
    let contacts = value.pointer("/receiver/contacts").and_then(Value::as_array);
    if contacts.is_none_or(|contacts| contacts.len() != 1) || at(&value, "/body/type") != "text" {
        let text = "One contact and a text are wanted here";
        return Err(Refusal::named(422, 0, "InvalidPayload", text));
    }
    let submission = Submission {
        to: at(&value, "/receiver/contacts/0/identifierValue"),
        from: String::new(),
        text: at(&value, "/body/text/text"),
        reference: given(at(&value, "/reference")),
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
