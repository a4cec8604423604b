//! What a test asks of the simulator itself: counts, and another fault plan.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::AUTHORIZATION;
use hyper::{Method, Request, Response};
use serde::{Deserialize, Serialize};

use super::answer::{self, AnswerBody};
use super::beyond::Door;
use super::{Carrier, read};
use crate::faults::FaultPlan;
use crate::messages::Refusal;

/// What happened since the start.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Requests for the Messages resource.
    pub requests: u64,
    /// Messages taken.
    pub accepted: u64,
    /// Segments of the messages taken.
    pub segments: u64,
    /// Requests by decision.
    pub decisions: BTreeMap<String, u64>,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    stats: Mutex<Stats>,
    identities: AtomicU64,
}

impl Counters {
    /// Tells apart messages that have no reference.
    pub(super) fn identity(&self) -> String {
        self.identities.fetch_add(1, Ordering::Relaxed).to_string()
    }

    pub(super) fn count(&self, decision: &str, accepted_segments: Option<u32>) {
        let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        stats.requests += 1;
        if let Some(segments) = accepted_segments {
            stats.accepted += 1;
            stats.segments += u64::from(segments);
        }
        match stats.decisions.get_mut(decision) {
            Some(count) => *count += 1,
            None => drop(stats.decisions.insert(decision.to_owned(), 1)),
        }
    }

    fn stats(&self) -> Stats {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Carrier {
    pub(super) async fn control(
        &self,
        request: Request<Incoming>,
    ) -> io::Result<Response<AnswerBody>> {
        let authorization = request.headers().get(AUTHORIZATION);
        if !self.account.admits(authorization.and_then(|value| value.to_str().ok())) {
            return Ok(answer::refusal(Door::Twilio, &Refusal::new(401, 20003, "Authenticate")));
        }
        let (head, body) = request.into_parts();
        match (head.method, head.uri.path()) {
            (Method::POST, "/_simulator/inbound") => self.write(body).await,
            (Method::GET, "/_simulator/stats") => Ok(json(&self.counters.stats())),
            (Method::PUT, "/_simulator/faults") => {
                let body = match read(body).await? {
                    Ok(body) => body,
                    Err(refusal) => return Ok(answer::refusal(Door::Twilio, &refusal)),
                };
                let plan = std::str::from_utf8(&body)
                    .map_err(anyhow::Error::from)
                    .and_then(|text| Ok(FaultPlan::parse(text)?));
                match plan {
                    Ok(plan) => {
                        let plan = Arc::new(plan);
                        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = plan;
                        Ok(json(&serde_json::json!({})))
                    }
                    Err(reason) => Ok(answer::refusal(
                        Door::Twilio,
                        &Refusal::new(400, 20001, format!("{reason:#}")),
                    )),
                }
            }
            _ => Ok(answer::refusal(Door::Twilio, &Refusal::new(404, 20404, "not found"))),
        }
    }
}

fn json(value: &impl Serialize) -> Response<AnswerBody> {
    let body = serde_json::to_vec(value).expect("maps of strings and numbers");
    answer::json(200, AnswerBody::Whole(Full::new(Bytes::from(body))))
}
