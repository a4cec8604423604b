//! `POST /v1/Account/{auth_id}/Message/`, after
//! <https://www.plivo.com/docs/messaging/api/message#send-a-message>, checked in November 2026.

use serde_json::{Value, json};

use super::{Incoming, Mistakes, Submission, at, json as body, plus, text};
use crate::messages::Refusal;

const MISTAKES: Mistakes = Mistakes {
    missing: (400, 0, "missing"),
    recipient: (400, 0, "dst"),
    sender: (400, 0, "src"),
    stopped: (400, 0, "opted out"),
    landline: (400, 0, "landline"),
};

pub(super) fn read(request: &Incoming<'_>) -> Result<(Submission, Mistakes), Refusal> {
    let value = body(request, "application/json")?;
    let (to, from) = (at(&value, "/dst"), at(&value, "/src"));
    let digits = !from.is_empty() && from.bytes().all(|b| b.is_ascii_digit());
    let submission = Submission {
        to: if to.is_empty() { to } else { plus(&to) },
        from: if digits && from.len() > 6 { plus(&from) } else { from },
        text: at(&value, "/text"),
        reference: text(request.headers, "x-dripline-reference").map(str::to_owned),
        callback: None,
    };
    Ok((submission, MISTAKES))
}

pub(super) fn accepted(id: &str) -> Value {
    json!({"message": "message(s) queued", "message_uuid": [id], "api_id": "db342550"})
}

pub(super) fn refused(refusal: &Refusal) -> Value {
    json!({"api_id": "db342550", "error": refusal.message})
}
