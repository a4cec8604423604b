//! One request and its answer, and what is known when there is none.
//!
//! A connection serves one request at a time and is driven by the task that waits for the answer.
//! So its byte counter belongs to that request alone, and dropping the future closes the socket.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use dripline_domain::delivery::Reason;
use http_body_util::Full;
use hyper::HeaderMap;
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{self, Connection, SendRequest};
use hyper::http::response::Parts;
use hyper_util::rt::TokioIo;

use super::assemble::Assembled;
use super::connection::{DialError, Dialer, Meter, Stream};
use super::redaction::Redactor;
use super::{EgressOptions, WireOutcome, pool};
use crate::crash;
use crate::http::Header;

/// The head of an answer may not be larger, in bytes.
const RESPONSE_HEAD_BYTES: usize = 64 * 1024;

/// A connection that can take a request.
pub(super) struct Live {
    sender: SendRequest<Full<Bytes>>,
    /// `None` once the connection has ended.
    driver: Option<Connection<TokioIo<Stream>, Full<Bytes>>>,
    meter: Arc<Meter>,
}

impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("meter", &self.meter).finish_non_exhaustive()
    }
}

impl Live {
    async fn open(stream: Stream) -> Result<Self, hyper::Error> {
        let meter = stream.meter();
        let (sender, driver) = http1::Builder::new()
            .max_buf_size(RESPONSE_HEAD_BYTES)
            .handshake(TokioIo::new(stream))
            .await?;
        Ok(Self { sender, driver: Some(driver), meter })
    }

    /// Lets the connection read and write as far as it can. Its errors reach us through the answer.
    fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(driver) = &mut self.driver
            && Pin::new(driver).poll(cx).is_ready()
        {
            self.driver = None;
        }
    }

    /// Whether it could take another request, now that an answer was read to its end.
    async fn is_reusable(&mut self) -> bool {
        // The first turn notices the end of the answer, the second the idleness that follows.
        for _ in 0..2 {
            let ready = poll_fn(|cx| {
                self.drive(cx);
                Poll::Ready(self.sender.poll_ready(cx))
            })
            .await;
            match ready {
                Poll::Ready(ready) => return ready.is_ok() && self.driver.is_some(),
                Poll::Pending => {}
            }
        }
        false
    }
}

/// Why there is no whole answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{}", root(.0))]
    Http(#[from] hyper::Error),
    #[error("the answer is larger than {limit} bytes")]
    Oversized { limit: usize },
}

/// The error with its innermost cause, which is the one that says something.
fn root(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        source = cause.source();
        if source.is_none() {
            text = format!("{text}: {cause}");
        }
    }
    text
}

impl From<ExchangeError> for Reason {
    fn from(error: ExchangeError) -> Self {
        let code = match &error {
            ExchangeError::Dial(error) => return error.into(),
            ExchangeError::Http(error) if error.is_parse() => "bad_answer",
            ExchangeError::Http(_) => "connection_lost",
            ExchangeError::Oversized { .. } => "oversized_answer",
        };
        Self::new(code, error.to_string())
    }
}

/// One attempt to send, and what it has done so far. It outlives the future that works on it, so that
/// a timeout knows what had been written.
pub(super) struct Exchange<'a> {
    assembled: Assembled,
    options: &'a EgressOptions,
    /// The connection in use and what had been written to it before this request.
    used: Option<(Arc<Meter>, u64)>,
    status: Option<u16>,
}

impl<'a> Exchange<'a> {
    pub(super) fn new(assembled: Assembled, options: &'a EgressOptions) -> Self {
        Self { assembled, options, used: None, status: None }
    }

    /// Sends the request over a kept connection, or over a new one when there is none or when the
    /// kept one turns out to be closed with nothing written to it.
    pub(super) async fn run(&mut self, dialer: &Dialer) -> Result<(Parts, Vec<u8>), ExchangeError> {
        while let Some(live) = self.assembled.target.idle.take(self.options.idle_timeout) {
            live.meter.look_before_next_write();
            match self.run_on(live).await {
                Err(_) if !self.wrote() => {}
                result => return result,
            }
        }
        self.used = None;
        let live = Live::open(dialer.dial(&self.assembled.target).await?).await?;
        self.run_on(live).await
    }

    async fn run_on(&mut self, mut live: Live) -> Result<(Parts, Vec<u8>), ExchangeError> {
        self.used = Some((Arc::clone(&live.meter), live.meter.written()));
        let mut answer = pin!(live.sender.send_request(self.assembled.to_request()));
        let answer = poll_fn(|cx| {
            live.drive(cx);
            answer.as_mut().poll(cx)
        })
        .await?;
        crash::point("wire-answer-begun");
        let (head, body) = answer.into_parts();
        self.status = Some(head.status.as_u16());
        let body = self.read(&mut live, body).await?;
        if live.is_reusable().await {
            let options = self.options;
            pool::keep(
                &self.assembled.target,
                live,
                options.idle_timeout,
                options.idle_connections,
            );
        }
        Ok((head, body))
    }

    async fn read(&self, live: &mut Live, body: Incoming) -> Result<Vec<u8>, ExchangeError> {
        let limit = self.options.response_body_bytes;
        let oversized = ExchangeError::Oversized { limit };
        let announced = body.size_hint().lower();
        if announced > limit as u64 {
            return Err(oversized);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(announced).unwrap_or(0));
        let mut body = pin!(body);
        while let Some(frame) = poll_fn(|cx| {
            live.drive(cx);
            body.as_mut().poll_frame(cx)
        })
        .await
        {
            if let Ok(data) = frame?.into_data() {
                if bytes.len() + data.len() > limit {
                    return Err(oversized);
                }
                bytes.extend_from_slice(&data);
            }
        }
        Ok(bytes)
    }

    fn wrote(&self) -> bool {
        self.used.as_ref().is_some_and(|(meter, before)| meter.written() > *before)
    }

    /// What is known when there is no whole answer.
    pub(super) fn outcome(&self, reason: Reason) -> WireOutcome {
        if self.wrote() {
            WireOutcome::Uncertain { status: self.status, reason }
        } else {
            WireOutcome::NotSent { reason }
        }
    }
}

/// The headers of an answer, without secrets.
pub(super) fn headers(map: &HeaderMap, redactor: &Redactor) -> Vec<Header> {
    map.iter()
        .map(|(name, value)| Header::new(name.as_str(), redactor.redact_value(value.as_bytes())))
        .collect()
}
