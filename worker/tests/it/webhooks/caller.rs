//! Whoever calls: the carrier, by hand, and strangers.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::PUBLIC_URL;
use crate::support::{ACCOUNT_SID, AUTH_TOKEN, PATIENCE, Stage};

/// What was answered.
#[derive(Clone, Debug)]
pub(crate) struct Answered {
    /// 0 when the connection ended without an answer.
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A connection on which something has been said.
pub(crate) struct Caller(TcpStream);

impl Caller {
    pub(crate) async fn begin(address: &str, said: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(said).await.unwrap();
        Self(stream)
    }

    pub(crate) async fn go_on(&mut self, said: &[u8]) {
        self.0.write_all(said).await.unwrap();
    }

    /// Waits for the answer, or the connection's end.
    pub(crate) async fn answered(mut self) -> Answered {
        let mut answer = Vec::new();
        let read = self.0.read_to_end(&mut answer);
        // A connection that is reset ends as well.
        let _ = tokio::time::timeout(PATIENCE, read).await.expect("the connection ends");
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Answered {
            status: status.unwrap_or(0),
            head: head.to_ascii_lowercase(),
            body: body.to_owned(),
        }
    }
}

/// One call.
pub(crate) async fn call(address: &str, said: &[u8]) -> Answered {
    Caller::begin(address, said).await.answered().await
}

/// A request to that path.
pub(crate) fn request(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\nHost: evil.example\r\nContent-Length: {length}\r\n{headers}\r\n{body}")
        .into_bytes()
}

/// What Twilio would send to the callback at this path with these parameters, signed with that token.
pub(crate) fn signed_with(token: &str, path: &str, parameters: &[(&str, &str)]) -> Vec<u8> {
    let mut parameters = parameters.to_vec();
    parameters.sort_unstable();
    let text = parameters
        .iter()
        .fold(format!("{PUBLIC_URL}{path}"), |text, (name, value)| text + name + value);
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token.as_bytes());
    let signature = STANDARD.encode(hmac::sign(&key, text.as_bytes()));
    let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    let headers = format!(
        "Content-Type: application/x-www-form-urlencoded\r\nX-Twilio-Signature: {signature}\r\n"
    );
    request("POST", path, &headers, &body)
}

/// The same by Twilio itself.
pub(crate) fn signed(path: &str, parameters: &[(&str, &str)]) -> Vec<u8> {
    signed_with(AUTH_TOKEN, path, parameters)
}

/// Lets the simulator bring a message over a callback, by that carrier. Gives how the worker answered.
pub(crate) async fn write(
    stage: &Stage,
    carrier: &str,
    callback: &str,
    (id, from, text): (&str, &str, &str),
) -> u64 {
    let written = json!({
        "carrier": carrier, "callback": format!("{PUBLIC_URL}{callback}"), "id": id,
        "from": from, "to": "+4930123456", "text": text,
    });
    let credentials = STANDARD.encode(format!("{ACCOUNT_SID}:{AUTH_TOKEN}"));
    let headers = format!("Authorization: Basic {credentials}\r\nConnection: close\r\n");
    let said = request("POST", "/_simulator/inbound", &headers, &written.to_string());
    let answered = call(stage.carrier.address(), &said).await;
    let answer: Value = serde_json::from_str(&answered.body).unwrap();
    answer["status"].as_u64().unwrap_or_else(|| panic!("{answered:?}"))
}
