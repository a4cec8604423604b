//! `SendTextMessage` of AWS End User Messaging SMS, version 2, after
//! <https://docs.aws.amazon.com/pinpoint/latest/apireference_smsvoicev2/API_SendTextMessage.html>, with
//! signatures of [version 4]. Checked in November 2026 against the service's model in [botocore].
//!
//! [botocore]: https://github.com/boto/botocore/tree/develop/botocore/data/pinpoint-sms-voice-v2
//! [version 4]: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

use chrono::{NaiveDateTime, TimeDelta};
use hyper::header::HeaderMap;
use ring::{digest, hmac};
use serde_json::{Value, json};

use super::{Incoming, Mistakes, Submission, at, given, json as body, text};
use crate::messages::{Account, Refusal};

const MISTAKES: Mistakes = Mistakes {
    missing: (400, 0, "ValidationException"),
    recipient: (400, 0, "ValidationException"),
    sender: (400, 0, "ResourceNotFoundException"),
    stopped: (400, 0, "ConflictException:DESTINATION_PHONE_NUMBER_OPTED_OUT"),
    landline: (400, 0, "ValidationException"),
};

/// How far the time in a signature may be off, either way.
const TOLERANCE: TimeDelta = TimeDelta::minutes(15);

/// Whether a request is for AWS, whose operations all have the same path.
pub(super) fn is_meant(headers: &HeaderMap) -> bool {
    let authorization = text(headers, "authorization").unwrap_or_default();
    headers.contains_key("x-amz-target") || authorization.starts_with("AWS4-HMAC-SHA256")
}

/// The longest text, in characters, and the most entries of a context.
const MAX_CHARACTERS: usize = 1_600;
const MAX_CONTEXT: usize = 5;

fn forged(text: &'static str) -> Refusal {
    Refusal::named(400, 0, "InvalidSignatureException", text)
}

/// Checks the signature over the request.
pub(super) fn admit(account: &Account, request: &Incoming<'_>) -> Result<(), Refusal> {
    let authorization = text(request.headers, "authorization").unwrap_or_default();
    let fields = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or_else(|| {
        Refusal::named(400, 0, "MissingAuthenticationTokenException", "Missing authentication")
    })?;
    let field = |name: &str| {
        let mut fields = fields.split(',').filter_map(|field| field.trim().split_once('='));
        fields.find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let (Some(credential), Some(names), Some(signature)) =
        (field("Credential"), field("SignedHeaders"), field("Signature"))
    else {
        return Err(forged("The authorization is incomplete"));
    };
    let scope: Vec<&str> = credential.split('/').collect();
    let [key, date, region, "sms-voice", "aws4_request"] = scope[..] else {
        return Err(forged("The credential's scope is not of this service"));
    };
    if key != account.sid() {
        let text = "The security token included in the request is invalid";
        return Err(Refusal::named(400, 0, "UnrecognizedClientException", text));
    }
    let time = text(request.headers, "x-amz-date").unwrap_or_default();
    let signed: Vec<&str> = names.split(';').collect();
    let amazons = request.headers.keys().map(hyper::header::HeaderName::as_str);
    let mut required =
        amazons.filter(|name| name.starts_with("x-amz-")).chain(["host", "x-amz-date"]);
    if !time.starts_with(date) || required.any(|name| !signed.contains(&name)) {
        return Err(forged("The date or a required header is not signed"));
    }
    let Ok(at) = NaiveDateTime::parse_from_str(time, "%Y%m%dT%H%M%SZ") else {
        return Err(forged("The date is not in ISO8601 basic format"));
    };
    if (request.at - at.and_utc()).abs() > TOLERANCE {
        return Err(forged("Signature expired or not yet current"));
    }
    let lines = signed.iter().fold(String::new(), |lines, name| {
        let value = text(request.headers, name).unwrap_or_default();
        lines + name + ":" + value.trim() + "\n"
    });
    let (method, path, hash) = (request.method, request.uri.path(), hex(&sha256(request.body)));
    let canonical = format!("{method}\n{path}\n\n{lines}\n{names}\n{hash}");
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{time}\n{date}/{region}/sms-voice/aws4_request\n{}",
        hex(&sha256(canonical.as_bytes()))
    );
    let secret = format!("AWS4{}", account.token()).into_bytes();
    let key = [date, region, "sms-voice", "aws4_request"]
        .into_iter()
        .fold(secret, |key, step| sign(&key, step.as_bytes()));
    if hex(&sign(&key, to_sign.as_bytes())) != signature {
        return Err(forged("The request signature we calculated does not match"));
    }
    Ok(())
}

pub(super) fn read(request: &Incoming<'_>) -> Result<(Submission, Mistakes), Refusal> {
    if text(request.headers, "x-amz-target") != Some("PinpointSMSVoiceV2.SendTextMessage") {
        return Err(Refusal::named(400, 0, "UnknownOperationException", "Unknown operation"));
    }
    let value = body(request, "application/x-amz-json-1.0")
        .map_err(|refusal| Refusal::named(400, 0, "SerializationException", refusal.message))?;
    let invalid = |field: &'static str| {
        Err(Refusal::named(400, 0, "ValidationException:FIELD_VALIDATION_FAILED", field))
    };
    if !matches!(&*at(&value, "/MessageType"), "" | "TRANSACTIONAL" | "PROMOTIONAL") {
        return invalid("MessageType");
    }
    let text = at(&value, "/MessageBody");
    if text.trim().is_empty() || text.chars().count() > MAX_CHARACTERS {
        return invalid("MessageBody");
    }
    let from = at(&value, "/OriginationIdentity");
    if !from.bytes().all(|b| b.is_ascii_alphanumeric() || b"_:/+-".contains(&b)) {
        return invalid("OriginationIdentity");
    }
    let context = value.get("Context").and_then(Value::as_object);
    if context.is_some_and(|context| context.len() > MAX_CONTEXT) {
        return invalid("Context");
    }
    let submission = Submission {
        to: at(&value, "/DestinationPhoneNumber"),
        from,
        text,
        reference: given(at(&value, "/Context/reference")),
        callback: None,
    };
    Ok((submission, MISTAKES))
}

pub(super) fn accepted(id: &str) -> Value {
    json!({"MessageId": id})
}

pub(super) fn refused(refusal: &Refusal) -> Value {
    let name = match refusal.status {
        429 => "ThrottlingException",
        500.. => "InternalServerException",
        _ => refusal.name,
    };
    let (name, reason) = name.split_once(':').unwrap_or((name, ""));
    let mut body = json!({"__type": name, "Message": refusal.message});
    if !reason.is_empty() {
        body["Reason"] = reason.into();
    }
    body
}

fn sign(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}

fn sha256(octets: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, octets).as_ref().to_vec()
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |text, octet| text + &format!("{octet:02x}"))
}
