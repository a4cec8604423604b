//! The door where tokens are given, and what a request with one is worth.

use std::io;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming as Body;
use hyper::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, PRAGMA, WWW_AUTHENTICATE,
};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Response};
use serde_json::{Value, json};
use tokio::sync::watch;

use super::answer::{self, AnswerBody};
use super::beyond::Door;
use super::{Carrier, header, now, read};
use crate::faults::Fault;
use crate::log::LogEntry;
use crate::messages::Refusal;
use crate::tokens::TokenRequest;

/// Where tokens are given.
pub(super) const PATH: &str = "/tokens/oauth";

impl Carrier {
    /// Answers a request for a token. It is written down with the decision `token`, `token-refused`, or the fault's
    /// name.
    pub(super) async fn give_token(
        &self,
        head: Parts,
        body: Body,
        reset: &watch::Sender<()>,
    ) -> io::Result<Response<AnswerBody>> {
        if head.method != Method::POST {
            return Ok(answer::refusal(
                Door::Tokened,
                &Refusal::new(405, 20004, "Method not allowed"),
            ));
        }
        let body = match read(body).await? {
            Ok(body) => body,
            Err(refusal) => return Ok(answer::refusal(Door::Tokened, &refusal)),
        };
        let plan = self.plan();
        let request = TokenRequest {
            query: head.uri.query(),
            authorization: header(&head.headers, &AUTHORIZATION),
            content_type: header(&head.headers, &CONTENT_TYPE),
            body: &body,
        };
        let fault = plan.token_fault();
        let granted = match fault {
            None => Some(self.tokens.grant(&self.account, plan.tokens(), request)),
            Some(_) => None,
        };
        let decision = match (&granted, fault) {
            (_, Some(fault)) => fault.name(),
            (Some(Ok(_)), None) => "token",
            (Some(Err(_)) | None, None) => "token-refused",
        };
        self.log.append(&LogEntry {
            at: now(),
            reference: None,
            account: self.account.sid().to_owned(),
            to: String::new(),
            from: String::new(),
            segments: 0,
            decision: decision.to_owned(),
            code: None,
            sid: None,
            accepted: false,
        })?;
        self.counters.count(decision, None);
        let latency = plan.latency(decision);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        match (granted, fault) {
            (Some(Ok(token)), _) => Ok(unkept(200, &token)),
            (Some(Err(refusal)), _) => {
                let mut response = unkept(refusal.status, &refusal.to_json());
                if refusal.challenges {
                    let challenge = HeaderValue::from_static("Basic realm=\"tokens\"");
                    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                }
                Ok(response)
            }
            (None, Some(Fault::TimeoutBefore)) => {
                tokio::time::sleep(super::SILENCE).await;
                Err(io::ErrorKind::TimedOut.into())
            }
            (None, Some(Fault::ResetBefore)) => {
                reset.send_replace(());
                std::future::pending().await
            }
            (None, fault) => {
                let status = answer::fault_refusal(fault).status;
                let error =
                    if status == 400 { "invalid_client" } else { "temporarily_unavailable" };
                Ok(unkept(status, &json!({ "error": error })))
            }
        }
    }

    /// Whether a request has a token that is good, and speaks for the account.
    pub(super) fn admit_token(&self, account: &str, headers: &HeaderMap) -> Result<(), Refusal> {
        if !self.tokens.admit(header(headers, &AUTHORIZATION)) {
            return Err(Refusal::new(
                401,
                20003,
                "The access token is expired, revoked or unknown",
            ));
        }
        if account != self.account.sid() {
            return Err(Refusal::new(404, 20404, "The requested resource was not found"));
        }
        Ok(())
    }
}

/// An answer that nobody may keep, since it holds a secret (RFC 6749, section 5.1).
fn unkept(status: u16, body: &Value) -> Response<AnswerBody> {
    let body = AnswerBody::Whole(Full::new(Bytes::from(body.to_string())));
    let mut response = answer::json(status, body);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}
