//! `POST /v1/messages`, after <https://developer.vonage.com/en/api/messages> and
//! <https://developer.vonage.com/en/api-errors/messages>, checked in November 2026.

use serde_json::{Value, json};

use super::{Incoming, Mistakes, Submission, at, given, json as body, plus};
use crate::messages::Refusal;

const MISTAKES: Mistakes = Mistakes {
    missing: (422, 1010, "Missing params"),
    recipient: (422, 1170, "Invalid recipient"),
    sender: (422, 1120, "Illegal Sender Address"),
    stopped: (422, 1240, "Illegal Number"),
    landline: (422, 1170, "Invalid recipient"),
};

pub(super) fn read(request: &Incoming<'_>) -> Result<(Submission, Mistakes), Refusal> {
    let value = body(request, "application/json")?;
    let (kind, channel) = (at(&value, "/message_type"), at(&value, "/channel"));
    if kind.is_empty() || channel.is_empty() {
        return Err(Refusal::named(422, 1010, "Missing params", "message_type and channel"));
    }
    if channel != "sms" {
        return Err(Refusal::named(422, 1400, "Unsupported channel", "channel"));
    }
    if kind != "text" {
        return Err(Refusal::named(422, 1440, "Invalid message type", "message_type"));
    }
    let to = at(&value, "/to");
    let from = at(&value, "/from");
    let digits = !from.is_empty() && from.bytes().all(|b| b.is_ascii_digit());
    let submission = Submission {
        to: if to.is_empty() { to } else { plus(&to) },
        from: if digits && from.len() > 6 { plus(&from) } else { from },
        text: at(&value, "/text"),
        reference: given(at(&value, "/client_ref")),
        callback: given(at(&value, "/webhook_url")),
    };
    if submission.reference.as_ref().is_some_and(|reference| reference.len() > 100) {
        return Err(Refusal::named(422, 1450, "Invalid client reference", "client_ref"));
    }
    Ok((submission, MISTAKES))
}

pub(super) fn accepted(id: &str) -> Value {
    json!({"message_uuid": id})
}

pub(super) fn refused(refusal: &Refusal) -> Value {
    let general = |name: &str| format!("https://developer.vonage.com/api-errors#{name}");
    let kind = match (refusal.status, refusal.code) {
        (401, _) => general("unauthorized"),
        (415, _) => general("content-type-header"),
        (400, 0) => general("invalid-json"),
        (429, _) => general("throttled"),
        (_, code) => format!("https://developer.vonage.com/api-errors/messages#{code}"),
    };
    json!({"type": kind, "title": refusal.name, "detail": refusal.message, "instance": "bf0ca0bf"})
}
