//! `POST` and `GET /xms/v1/{service_plan_id}/batches`, after
//! <https://developers.sinch.com/docs/sms/api-reference/sms/tag/Batches/> and
//! <https://developers.sinch.com/docs/sms/api-reference/status-codes/>, checked in November 2026.

use serde_json::{Value, json};

use super::{Incoming, Mistakes, Submission, at, given, json as body};
use crate::messages::Refusal;

const MISTAKES: Mistakes = Mistakes {
    missing: (400, 0, "syntax_constraint_violation"),
    recipient: (400, 0, "syntax_invalid_parameter_format"),
    sender: (400, 0, "syntax_invalid_parameter_format"),
    // No code is documented for a recipient who opted out.
    stopped: (403, 0, "forbidden"),
    landline: (400, 0, "syntax_invalid_parameter_format"),
};

/// The longest text, in characters.
const MAX_CHARACTERS: usize = 2_000;

pub(super) fn read(request: &Incoming<'_>) -> Result<(Submission, Mistakes), Refusal> {
    let value = body(request, "application/json")?;
    if value["to"].as_array().is_none_or(|to| to.len() != 1) {
        let text = "One recipient is wanted here";
        return Err(Refusal::named(400, 0, "syntax_constraint_violation", text));
    }
    if at(&value, "/body").chars().count() > MAX_CHARACTERS {
        let text = "The body is too long";
        return Err(Refusal::named(400, 0, "syntax_constraint_violation", text));
    }
    if !at(&value, "/delivery_report").is_empty() && at(&value, "/callback_url").is_empty() {
        let text = "A report is wanted and there is no callback";
        return Err(Refusal::named(403, 0, "missing_callback_url", text));
    }
    let submission = Submission {
        to: at(&value, "/to/0"),
        from: at(&value, "/from"),
        text: at(&value, "/body"),
        reference: given(at(&value, "/client_reference")),
        callback: None,
    };
    Ok((submission, MISTAKES))
}

pub(super) fn accepted(message: &Submission, id: &str) -> Value {
    json!({
        "id": id, "to": [message.to], "from": message.from, "body": message.text,
        "type": "mt_text", "canceled": false, "client_reference": message.reference,
    })
}

pub(super) fn refused(refusal: &Refusal) -> Value {
    let code = if refusal.name == "malformed" { "syntax_invalid_json" } else { refusal.name };
    json!({"code": code, "text": refusal.message})
}

pub(super) fn found(reference: &str, ids: &[String]) -> Value {
    let batches: Vec<_> = ids
        .iter()
        .map(|id| json!({"id": id, "canceled": false, "client_reference": reference}))
        .collect();
    json!({"count": batches.len(), "page": 0, "page_size": 30, "batches": batches})
}
