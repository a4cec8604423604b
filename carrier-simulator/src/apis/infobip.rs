//! `POST /sms/3/messages` and `GET /sms/3/logs`, after
//! <https://www.infobip.com/docs/api/channels/sms/outbound-sms/send-sms-messages> and
//! <https://www.infobip.com/docs/essentials/api-essentials/response-status-and-error-codes>, checked in November 2026.
//! A request that is not valid is refused with an error; a message that is refused comes with 200 and a status.

use serde_json::{Value, json};

use super::{Incoming, Mistakes, Submission, at, given, json as body, plus};
use crate::messages::Refusal;

const MISTAKES: Mistakes = Mistakes {
    missing: (400, 0, "E400"),
    recipient: (200, 52, "REJECTED_DESTINATION"),
    sender: (200, 11, "REJECTED_SOURCE"),
    stopped: (200, 14, "REJECTED_DESTINATION_BLOCKLISTED"),
    // What is wrong with one message of several comes in an answer that is right as a whole.
    landline: (200, 52, "REJECTED_DESTINATION"),
};

/// The longest recipient and the longest id of a message, in characters.
const MAX_TO: usize = 64;
const MAX_ID: usize = 200;

pub(super) fn read(request: &Incoming<'_>) -> Result<(Submission, Mistakes), Refusal> {
    let value = body(request, "application/json")?;
    let one = |pointer: &str| {
        value.pointer(pointer).and_then(Value::as_array).is_some_and(|list| list.len() == 1)
    };
    if !one("/messages") || !one("/messages/0/destinations") {
        return Err(Refusal::named(
            400,
            0,
            "E400",
            "One message to one destination is wanted here",
        ));
    }
    let (to, from) =
        (at(&value, "/messages/0/destinations/0/to"), at(&value, "/messages/0/sender"));
    let id = at(&value, "/messages/0/destinations/0/messageId");
    if to.chars().count() > MAX_TO || id.chars().count() > MAX_ID {
        return Err(Refusal::named(400, 0, "E400", "A recipient or an id is too long"));
    }
    let digits = !from.is_empty() && from.bytes().all(|b| b.is_ascii_digit());
    let submission = Submission {
        to: if to.is_empty() { to } else { plus(&to) },
        from: if digits && from.len() > 6 { plus(&from) } else { from },
        text: at(&value, "/messages/0/content/text"),
        reference: given(id),
        callback: None,
    };
    Ok((submission, MISTAKES))
}

pub(super) fn accepted(message: &Submission, id: &str) -> Value {
    // The client's own id of the message is the carrier's, too.
    let id = message.reference.as_deref().unwrap_or(id);
    json!({"bulkId": "1478260834465349756", "messages": [{
        "messageId": id, "destination": message.to.trim_start_matches('+'),
        "status": {
            "groupId": 1, "groupName": "PENDING", "id": 26, "name": "PENDING_ACCEPTED",
            "description": "Message accepted, pending for delivery.",
        },
    }]})
}

pub(super) fn refused(refusal: &Refusal) -> Value {
    if refusal.status == 200 {
        return json!({"bulkId": "1478260834465349756", "messages": [{
            "messageId": "1478260834465349757",
            "status": {
                "groupId": 5, "groupName": "REJECTED", "id": refusal.code, "name": refusal.name,
                "description": refusal.message,
            },
        }]});
    }
    json!({
        "errorCode": format!("E{}", refusal.status), "description": refusal.message, "action": "Check the request",
        "violations": [], "resources": [],
    })
}

pub(super) fn found(reference: &str, ids: &[String]) -> Value {
    let results: Vec<_> = ids
        .iter()
        .map(|_| {
            let status = json!({"groupId": 3, "groupName": "DELIVERED", "id": 5});
            json!({"messageId": reference, "status": status})
        })
        .collect();
    json!({"results": results})
}
