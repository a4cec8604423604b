//! Calling back: over loopback, whatever host a callback names, and again until somebody has heard.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use super::answer::{self, AnswerBody};
use super::beyond::Door;
use super::{Carrier, Created, now, read};
use crate::apis::{Api, Submission};
use crate::log::LogEntry;
use crate::messages::Refusal;
use crate::reports::{Call, ReportRules, Teller, Telling, Told};

/// A message that a test lets somebody write.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// By which carrier it comes.
    carrier: String,
    /// The address in that carrier's console.
    callback: String,
    id: String,
    from: String,
    to: String,
    text: String,
}

impl Teller {
    fn of(door: Door) -> Option<Self> {
        match door {
            Door::Twilio => Some(Self::Twilio),
            Door::Other(Api::Telnyx) => Some(Self::Telnyx),
            Door::Other(Api::Vonage) => Some(Self::Vonage),
            _ => None,
        }
    }
}

impl Carrier {
    /// Reports on a message that was taken just now, when the plan says so and the message has a callback.
    pub(super) fn report(self: &Arc<Self>, door: Door, message: &Submission, created: &Created) {
        let Some(rules) = self.plan().reports().cloned() else { return };
        let (Some(teller), Some(callback)) = (Teller::of(door), message.callback.clone()) else {
            return;
        };
        let telling = Telling {
            teller,
            callback,
            sid: created.sid.clone(),
            from: message.from.clone(),
            to: message.to.clone(),
            reference: message.reference.clone(),
            told: Told::Report { delivered: rules.delivers(&message.to) },
        };
        for _ in 0..rules.times {
            let (carrier, telling, rules) = (Arc::clone(self), telling.clone(), rules.clone());
            tokio::spawn(async move {
                for _ in 0..rules.tries {
                    tokio::time::sleep(rules.after()).await;
                    let status = carrier.tell(&telling, &rules).await;
                    if status.is_some_and(|status| (200..300).contains(&status)) {
                        return;
                    }
                }
            });
        }
    }

    /// Brings a message that somebody writes, once, and answers with the status that it was answered with; 0 for none.
    pub(super) async fn write(&self, body: Incoming) -> io::Result<Response<AnswerBody>> {
        let body = match read(body).await? {
            Ok(body) => body,
            Err(refusal) => return Ok(answer::refusal(Door::Twilio, &refusal)),
        };
        let refuse =
            |text: &str| Ok(answer::refusal(Door::Twilio, &Refusal::new(400, 20001, text)));
        let Ok(written) = serde_json::from_slice::<Written>(&body) else {
            return refuse("carrier, callback, id, from, to and text are needed");
        };
        let Some(rules) = self.plan().reports().cloned() else {
            return refuse("the fault plan has no `[reports]`");
        };
        let Some(teller) = Teller::named(&written.carrier) else {
            return refuse("that carrier tells nothing here");
        };
        let telling = Telling {
            teller,
            callback: written.callback,
            sid: written.id,
            from: written.from,
            to: written.to,
            reference: None,
            told: Told::Inbound { text: written.text },
        };
        let status = self.tell(&telling, &rules).await.unwrap_or(0);
        let body = serde_json::json!({ "status": status }).to_string();
        Ok(answer::json(200, AnswerBody::Whole(Full::new(Bytes::from(body)))))
    }

    /// Makes one call, writes down how it was answered, and says so.
    async fn tell(&self, telling: &Telling, rules: &ReportRules) -> Option<u16> {
        let call = telling.call(&self.account, now(), rules.forged);
        let status = post(&telling.callback, call, rules).await.ok();
        let written = self.log.append(&LogEntry {
            at: now(),
            reference: telling.reference.clone(),
            account: self.account.sid().to_owned(),
            to: telling.to.clone(),
            from: telling.from.clone(),
            segments: 0,
            decision: "report".to_owned(),
            code: status.map(u32::from),
            sid: Some(telling.sid.clone()),
            accepted: false,
        });
        // What is not written down was not heard: it is told again.
        status.filter(|_| written.is_ok())
    }
}

async fn post(callback: &str, call: Call, rules: &ReportRules) -> anyhow::Result<u16> {
    let uri: Uri = callback.parse()?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let stream = TcpStream::connect(rules.deliver_to).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let mut request = Request::post(path).header(HOST, uri.host().unwrap_or_default());
    for (name, value) in call.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(Bytes::from(call.body)))?;
    Ok(sender.send_request(request).await?.status().as_u16())
}
