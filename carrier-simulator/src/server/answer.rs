//! What goes back over the wire.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::Created;
use super::beyond::Door;
use crate::faults::Fault;
use crate::messages::Refusal;

/// The body of an answer.
pub(super) enum AnswerBody {
    /// All at once.
    Whole(Full<Bytes>),
    /// Octet by octet.
    Drip { rest: Bytes, clock: Interval },
    /// A beginning, then the connection ends, though the length promised more.
    Broken(Option<Bytes>),
}

/// The connection has to end in the middle of an answer.
#[derive(Debug, thiserror::Error)]
#[error("the answer breaks off as the fault plan asks")]
pub(super) struct BreaksOff;

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BreaksOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BreaksOff>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole)
                .poll_frame(context)
                .map(|frame| frame.map(|frame| frame.map_err(|never: Infallible| match never {}))),
            Self::Drip { rest, .. } if rest.is_empty() => Poll::Ready(None),
            Self::Drip { rest, clock } => {
                ready!(clock.poll_tick(context));
                Poll::Ready(Some(Ok(Frame::data(rest.split_to(1)))))
            }
            Self::Broken(beginning) => match beginning.take() {
                Some(data) => Poll::Ready(Some(Ok(Frame::data(data)))),
                None => Poll::Ready(Some(Err(BreaksOff))),
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Drip { rest, .. } => rest.is_empty(),
            Self::Broken(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Drip { rest, .. } => SizeHint::with_exact(rest.len() as u64),
            Self::Broken(_) => SizeHint::default(),
        }
    }
}

/// What a fault that does not accept says, when it says anything.
pub(super) fn fault_refusal(fault: Option<Fault>) -> Refusal {
    match fault {
        Some(Fault::Throttle { status: 503, .. }) => {
            Refusal::new(503, 20503, "Service unavailable")
        }
        Some(Fault::Throttle { status, .. }) => Refusal::new(status, 20429, "Too Many Requests"),
        Some(Fault::Refuse { code }) => Refusal::new(400, code, "Refused by the fault plan"),
        _ => internal_error(),
    }
}

fn internal_error() -> Refusal {
    Refusal::new(500, 20500, "An internal server error has occurred")
}

/// The answer to a request, for every fault that gives one.
pub(super) fn answer(
    door: Door,
    fault: Option<Fault>,
    outcome: Result<Created, Refusal>,
) -> Response<AnswerBody> {
    let (status, created) = match outcome {
        Ok(created) => (created.status, Bytes::from(created.body)),
        Err(refused) => {
            let mut response = refusal(door, &refused);
            if let Some(Fault::Throttle { retry_after_seconds: Some(seconds), .. }) = fault {
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            return response;
        }
    };
    match fault {
        Some(Fault::ErrorAfter) => refusal(door, &internal_error()),
        Some(Fault::Garbage) => {
            let garbage = Bytes::from_static(b"<html>\xff\xfe{\"sid\": gateway");
            json(status, AnswerBody::Whole(Full::new(garbage)))
        }
        Some(Fault::Truncate) => {
            let length = HeaderValue::from(created.len());
            let mut response =
                json(status, AnswerBody::Broken(Some(created.slice(..created.len() / 2))));
            response.headers_mut().insert(CONTENT_LENGTH, length);
            response
        }
        Some(Fault::SlowDrip { interval: pause }) => {
            let mut clock = interval(pause.max(Duration::from_millis(1)));
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
            json(status, AnswerBody::Drip { rest: created, clock })
        }
        _ => json(status, AnswerBody::Whole(Full::new(created))),
    }
}

/// The answer to a request that was refused.
pub(super) fn refusal(door: Door, refusal: &Refusal) -> Response<AnswerBody> {
    let body = match door {
        Door::Other(api) => api.refused(refusal).to_string().into_bytes(),
        _ => refusal.to_json(),
    };
    let body = Full::new(Bytes::from(body));
    let mut response = json(refusal.status, AnswerBody::Whole(body));
    if refusal.status == 401 && !matches!(door, Door::Other(_)) {
        let challenge = HeaderValue::from_static(match door {
            Door::Tokened => "Bearer realm=\"messages\", error=\"invalid_token\"",
            _ => "Basic realm=\"Twilio API\"",
        });
        response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    }
    response
}

/// An answer with a JSON body.
pub(super) fn json(status: u16, body: AnswerBody) -> Response<AnswerBody> {
    let mut response = Response::new(body);
    *response.status_mut() = status.try_into().expect("every status here is one");
    let kind = HeaderValue::from_static("application/json;charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
