//! AWS' API: what it takes, and what is wrong with a signature, a target or a message.

use chrono::{DateTime, TimeDelta, Utc};
use ring::{digest, hmac};
use serde_json::{Value, json};

use crate::client::{Answer, Running, SID, TOKEN, exchange, request};

const TARGET: &str = "PinpointSMSVoiceV2.SendTextMessage";

/// A call, with what a test may get wrong about it.
struct Call {
    key_id: &'static str,
    secret: &'static str,
    service: &'static str,
    at: DateTime<Utc>,
    /// The day in the credential's scope, in place of that of `at`.
    day: Option<&'static str>,
    content_type: &'static str,
    target: Option<&'static str>,
    /// Headers that are sent and not signed.
    unsigned: &'static [&'static str],
    body: Value,
    /// What is sent in place of the body that was signed.
    sent: Option<Value>,
}

impl Default for Call {
    fn default() -> Self {
        Self {
            key_id: SID,
            secret: TOKEN,
            service: "sms-voice",
            at: now(),
            day: None,
            content_type: "application/x-amz-json-1.0",
            target: Some(TARGET),
            unsigned: &[],
            body: json!({
                "DestinationPhoneNumber": "+12025550123", "OriginationIdentity": "+12025550100",
                "MessageBody": "Hi", "MessageType": "TRANSACTIONAL",
                "Context": {"reference": "in5-1-1"},
            }),
            sent: None,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the simulator is a process with a clock of its own")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

impl Call {
    /// With a message whose parameter of this name is another one, or none.
    fn with(name: &str, value: Option<&str>) -> Self {
        let mut call = Self::default();
        match value {
            Some(value) => call.body[name] = value.into(),
            None => drop(call.body.as_object_mut().expect("an object").remove(name)),
        }
        call
    }

    async fn send(&self, simulator: &Running) -> Answer {
        let body = self.body.to_string();
        let time = self.at.format("%Y%m%dT%H%M%SZ").to_string();
        let date = self.day.unwrap_or(&time[..8]).to_owned();
        let mut headers = vec![
            ("content-type", self.content_type.to_owned()),
            ("host", "test".to_owned()),
            ("x-amz-date", time.clone()),
        ];
        headers.extend(self.target.map(|target| ("x-amz-target", target.to_owned())));
        let signed = headers.iter().filter(|(name, _)| !self.unsigned.contains(name));
        let (lines, names) = signed.fold((String::new(), vec![]), |(lines, mut names), header| {
            names.push(header.0);
            (format!("{lines}{}:{}\n", header.0, header.1), names)
        });
        let names = names.join(";");
        let canonical = format!("POST\n/\n\n{lines}\n{names}\n{}", sha256(body.as_bytes()));
        let scope = format!("{date}/eu-central-1/{}/aws4_request", self.service);
        let to_sign =
            format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let secret = format!("AWS4{}", self.secret).into_bytes();
        let key = scope.split('/').fold(secret, |key, step| sign(&key, step));
        let signature = hex(&sign(&key, &to_sign));
        let key_id = self.key_id;
        headers.retain(|(name, _)| *name != "host");
        headers.push((
            "authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential={key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
            ),
        ));
        let body = self.sent.as_ref().map_or(body, Value::to_string);
        exchange(simulator.address, &request("POST", "/", &headers, &body)).await.expect("answered")
    }
}

fn sign(key: &[u8], step: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, step.as_bytes()).as_ref().to_vec()
}

fn sha256(octets: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, octets).as_ref())
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::new(), |text, octet| text + &format!("{octet:02x}"))
}

/// Sends each, and expects this type of error.
async fn all_refused(calls: impl IntoIterator<Item = (Call, &'static str)>) {
    let simulator = Running::start("").await;
    for (index, (call, expected)) in calls.into_iter().enumerate() {
        let answer = call.send(&simulator).await;
        let found = (answer.status, answer.json()["__type"].clone());
        assert_eq!(found, (400, json!(expected)), "call {index}: {answer:?}");
    }
    assert!(simulator.log().iter().all(|entry| !entry.accepted && entry.segments == 0));
    assert_eq!(simulator.stats().await.accepted, 0);
}

#[tokio::test]
async fn a_signed_message_is_taken() {
    let simulator = Running::start("").await;
    let nearly = TimeDelta::seconds(14 * 60);
    for (index, at) in [now(), now() - nearly, now() + nearly].into_iter().enumerate() {
        let answer = Call { at, ..Call::default() }.send(&simulator).await;
        assert_eq!(answer.status, 200, "{at}: {answer:?}");
        assert!(answer.json()["MessageId"].as_str().is_some_and(|id| !id.is_empty()));
        let log = simulator.log();
        let entry = log.last().expect("logged");
        assert_eq!((log.len(), entry.accepted, entry.segments), (index + 1, true, 1), "{entry:?}");
        assert_eq!((&*entry.to, entry.reference.as_deref()), ("+12025550123", Some("in5-1-1")));
    }
}

#[tokio::test]
async fn a_signature_must_be_right() {
    const FORGED: &str = "InvalidSignatureException";
    let call = Call::default;
    let changed = json!({"DestinationPhoneNumber": "+12025550124", "MessageBody": "Hi"});
    all_refused([
        (Call { secret: "another", ..call() }, FORGED),
        (Call { sent: Some(changed), ..call() }, FORGED),
        (Call { service: "sns", ..call() }, FORGED),
        (Call { unsigned: &["x-amz-target"], ..call() }, FORGED),
        (Call { unsigned: &["x-amz-date"], ..call() }, FORGED),
        (Call { unsigned: &["host"], ..call() }, FORGED),
        (Call { day: Some("20200101"), ..call() }, FORGED),
        (Call { key_id: "AKIDEXAMPLE", ..call() }, "UnrecognizedClientException"),
    ])
    .await;
}

#[tokio::test]
async fn a_signature_is_good_for_a_quarter_of_an_hour() {
    let late = TimeDelta::seconds(15 * 60 + 30);
    all_refused(
        [now() - late, now() + late, now() - TimeDelta::days(1)]
            .map(|at| (Call { at, ..Call::default() }, "InvalidSignatureException")),
    )
    .await;
}

#[tokio::test]
async fn a_request_without_a_signature_is_nobodys() {
    let simulator = Running::start("").await;
    let body = Call::default().body.to_string();
    for authorization in ["", "Basic YTpi", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 Credential=x"] {
        let headers = [
            ("authorization", authorization.to_owned()),
            ("content-type", "application/x-amz-json-1.0".to_owned()),
            ("x-amz-target", TARGET.to_owned()),
        ];
        let request = request("POST", "/", &headers, &body);
        let answer = exchange(simulator.address, &request).await.expect("answered");
        let found = answer.json()["__type"].clone();
        let known = ["MissingAuthenticationTokenException", "InvalidSignatureException"];
        assert!(known.iter().any(|name| found == *name), "{authorization}: {answer:?}");
        assert_eq!(answer.status, 400, "{authorization}: {answer:?}");
    }
    assert!(simulator.log().iter().all(|entry| !entry.accepted));
}

#[tokio::test]
async fn the_operation_must_be_named() {
    const UNKNOWN: &str = "UnknownOperationException";
    let call = Call::default;
    all_refused([
        (Call { target: None, ..call() }, UNKNOWN),
        (Call { target: Some("PinpointSMSVoiceV2.SendVoiceMessage"), ..call() }, UNKNOWN),
        (Call { target: Some("SendTextMessage"), ..call() }, UNKNOWN),
        (Call { content_type: "application/json", ..call() }, "SerializationException"),
        (Call { body: json!([]), ..call() }, "SerializationException"),
    ])
    .await;
}

#[tokio::test]
async fn what_a_message_lacks_is_missed() {
    let parameters = ["DestinationPhoneNumber", "OriginationIdentity", "MessageBody"];
    let lacking = parameters.into_iter().flat_map(|name| {
        [None, Some("")].map(|value| (Call::with(name, value), "ValidationException"))
    });
    all_refused(lacking.chain([
        (Call::with("DestinationPhoneNumber", Some("12025550123")), "ValidationException"),
        (Call::with("DestinationPhoneNumber", Some("+15005550004")), "ConflictException"),
        (Call::with("OriginationIdentity", Some("1234")), "ResourceNotFoundException"),
        (Call::with("MessageType", Some("OTHER")), "ValidationException"),
    ]))
    .await;
}
