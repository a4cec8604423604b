//! Stand-ins for tests and benches.

use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use crate::egress::{Grant, Wire, WireOutcome};
use crate::http::{Header, Request, Response};

/// Answers every request inside the process, at once.
#[derive(Debug)]
pub struct Canned {
    status: u16,
    content_type: String,
    /// `{n}` in it stands for the number of the request, counting from 1.
    body: String,
    sent: AtomicU64,
}

impl Canned {
    /// Answers with this status and JSON. `{n}` in `body` becomes the number of the request, so that
    /// each message gets an id of its own.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            content_type: "application/json".to_owned(),
            body: body.into(),
            sent: AtomicU64::new(0),
        }
    }

    /// How many requests were answered.
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Wire for Canned {
    async fn send(&self, _grant: &Grant, _request: Request) -> WireOutcome {
        let number = self.sent.fetch_add(1, Ordering::Relaxed) + 1;
        WireOutcome::Response(Response {
            status: self.status,
            headers: vec![Header::new("content-type", self.content_type.as_str())],
            body: self.body.replace("{n}", &number.to_string()).into_bytes(),
        })
    }
}
