//! Connections, answers, stopping.

mod answer;
mod beyond;
mod control;
mod oauth;
mod telling;

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming as Body;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use crate::apis::{Incoming, Submission};
use crate::faults::{Fault, FaultPlan};
use crate::log::{LogEntry, LogWriter};
use crate::messages::{self, Account, Asked, Form, Refusal};
use crate::segments;
use crate::tokens::Tokens;
use answer::AnswerBody;
pub use beyond::KEY_HEADER;
use beyond::{Door, Memory};
use control::Counters;
pub use control::Stats;

/// The header in which a client gives its own reference.
pub const REFERENCE_HEADER: &str = "x-dripline-reference";

/// No form that Twilio accepts comes near to this.
const MAX_BODY_BYTES: usize = 256 * 1_024;

/// How long an answer that never comes keeps its connection. Longer than any client waits.
const SILENCE: Duration = Duration::from_mins(10);

/// What a simulator needs.
#[derive(Debug)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where to write the log. An existing one is appended to.
    pub log: PathBuf,
    /// The one account.
    pub account: Account,
    /// What goes wrong.
    pub faults: FaultPlan,
}

/// A simulator that listens.
#[derive(Debug)]
pub struct Simulator {
    listener: TcpListener,
    carrier: Arc<Carrier>,
}

/// Everything the connections share.
#[derive(Debug)]
struct Carrier {
    account: Account,
    log: LogWriter,
    faults: Mutex<Arc<FaultPlan>>,
    counters: Counters,
    memory: Memory,
    tokens: Tokens,
}

impl Simulator {
    /// Opens the log and begins to listen.
    pub async fn bind(options: Options) -> io::Result<Self> {
        let carrier = Carrier {
            account: options.account,
            log: LogWriter::open(&options.log)?,
            faults: Mutex::new(Arc::new(options.faults)),
            counters: Counters::default(),
            memory: Memory::default(),
            tokens: Tokens::default(),
        };
        let listener = TcpListener::bind(options.listen).await?;
        Ok(Self { listener, carrier: Arc::new(carrier) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` completes. Then every connection ends after the answer it is busy with, and
    /// those that never get one are dropped after `grace`.
    pub async fn serve(self, stop: impl Future<Output = ()>, grace: Duration) {
        let (stopping, stopped) = watch::channel(());
        let mut stop = std::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut stop => break,
            };
            match accepted {
                Ok((stream, _)) => {
                    let connection = connection(stream, Arc::clone(&self.carrier), stopped.clone());
                    tokio::spawn(connection);
                }
                // Out of file descriptors, or the peer was gone already: others may still come.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
        drop((self.listener, stopped));
        stopping.send_replace(());
        // Every connection holds a receiver until it ends.
        let _ = tokio::time::timeout(grace, stopping.closed()).await;
    }
}

async fn connection(stream: TcpStream, carrier: Arc<Carrier>, mut stopped: watch::Receiver<()>) {
    // An answer is one small write: waiting to fill a packet would only delay it.
    let _ = stream.set_nodelay(true);
    let (reset, mut resets) = watch::channel(());
    let service = service_fn(|request| {
        let (carrier, reset) = (Arc::clone(&carrier), reset.clone());
        async move { carrier.respond(request, &reset).await }
    });
    let mut connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    let mut stopping = false;
    loop {
        tokio::select! {
            _ = &mut connection => return,
            Ok(()) = resets.changed() => break,
            Ok(()) = stopped.changed(), if !stopping => {
                stopping = true;
                std::pin::Pin::new(&mut connection).graceful_shutdown();
            }
        }
    }
    // With no time to linger, closing resets the connection.
    let stream = connection.into_parts().io.into_inner();
    let _ = stream.set_zero_linger();
}

impl Carrier {
    async fn respond(
        self: &Arc<Self>,
        request: Request<Body>,
        reset: &watch::Sender<()>,
    ) -> io::Result<Response<AnswerBody>> {
        if request.uri().path().starts_with("/_simulator/") {
            return self.control(request).await;
        }
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        if path == oauth::PATH {
            return self.give_token(head, body, reset).await;
        }
        let Some((door, account)) = Door::in_path(path, &head.headers, &self.account) else {
            let message = format!("The requested resource {path} was not found");
            return Ok(answer::refusal(Door::Twilio, &Refusal::new(404, 20404, message)));
        };
        let incoming = Incoming {
            at: now(),
            method: &head.method,
            uri: &head.uri,
            headers: &head.headers,
            body: &[],
        };
        if let Some(parameter) = beyond::asks(door, &incoming) {
            return self.look_up((door, account), &incoming, parameter);
        }
        if head.method != Method::POST {
            return Ok(answer::refusal(door, &Refusal::new(405, 20004, "Method not allowed")));
        }
        let body = match read(body).await? {
            Ok(body) => body,
            Err(refusal) => return Ok(answer::refusal(door, &refusal)),
        };
        let plan = self.plan();
        let incoming = Incoming { body: &body, ..incoming };
        let decided = self.decide(&plan, (door, account), &incoming, &body)?;
        if let Some(taken) = &decided.taken {
            self.report(door, &decided.message, taken);
        }
        // From here on the client may go away: what was decided is written down.
        if !decided.latency.is_zero() {
            tokio::time::sleep(decided.latency).await;
        }
        match decided.fault {
            Some(Fault::TimeoutBefore | Fault::TimeoutAfter) => {
                tokio::time::sleep(SILENCE).await;
                Err(io::ErrorKind::TimedOut.into())
            }
            Some(Fault::ResetBefore | Fault::ResetAfter) => {
                reset.send_replace(());
                std::future::pending().await
            }
            fault => Ok(answer::answer(door, fault, decided.outcome)),
        }
    }

    /// Decides about one request and writes that down, without a pause: either both happen or, when
    /// the log cannot be written, the connection ends and nothing was accepted.
    fn decide(
        &self,
        plan: &FaultPlan,
        (door, account): (Door, &str),
        request: &Incoming<'_>,
        body: &Bytes,
    ) -> io::Result<Decided> {
        let headers = request.headers;
        let (message, judged) = self.judge(door, account, request);
        let judged = judged.and_then(|segments| match beyond::key(door, headers)? {
            Some(key) => Ok((segments, self.memory.recall(door, key, body)?)),
            None => Ok((segments, None)),
        });
        let replayed = judged.as_ref().is_ok_and(|(_, kept)| kept.is_some());
        let at = now();

        let reference = message.reference.as_deref();
        let identity = reference.map_or_else(|| self.counters.identity(), str::to_owned);
        let fault = judged.as_ref().ok().and_then(|_| plan.fault(&message.to, &identity));
        let outcome = match (judged, fault) {
            (Err(refusal), _) => Err(refusal),
            (Ok((_, Some(kept))), fault) if fault.is_none_or(Fault::accepts) => Ok(kept),
            (Ok((segments, _)), fault) if fault.is_none_or(Fault::accepts) => {
                let sid = messages::new_sid();
                let (status, body) = if let Door::Other(api) = door {
                    let (status, body) = api.accepted(&message, segments, &sid);
                    (status, body.to_string().into_bytes())
                } else {
                    let form = Form::read(&asked(account, headers, request.body));
                    (201, messages::created(account, &form, segments, &sid, at))
                };
                Ok(Created { status, segments, sid, body })
            }
            (Ok(_), fault) => Err(answer::fault_refusal(fault)),
        };
        let decision = match (&outcome, fault) {
            (_, Some(fault)) => fault.name(),
            (Ok(_), None) if replayed => "replay",
            (Ok(_), None) => "accept",
            (Err(_), None) => "refuse",
        };
        let created = outcome.as_ref().ok();
        self.log.append(&LogEntry {
            at,
            reference: reference.map(str::to_owned),
            account: account.to_owned(),
            to: message.to.clone(),
            from: message.from.clone(),
            segments: created.map_or(0, |created| created.segments),
            decision: decision.to_owned(),
            code: outcome.as_ref().err().map(|refusal| refusal.code),
            sid: created.map(|created| created.sid.clone()),
            accepted: created.is_some() && !replayed,
        })?;
        let taken = created.filter(|_| !replayed).cloned();
        if let Some(taken) = &taken {
            self.memory.remember(door, (headers, reference), body, taken);
        }
        self.counters.count(decision, taken.as_ref().map(|created| created.segments));
        let latency = plan.latency(&identity);
        Ok(Decided { fault, outcome, latency, message, taken })
    }

    /// What the request asks to send, as far as it says, and its segments when nothing is wrong with it.
    fn judge(
        &self,
        door: Door,
        account: &str,
        request: &Incoming<'_>,
    ) -> (Submission, Result<u32, Refusal>) {
        if let Door::Other(api) = door {
            let read = api.admit(&self.account, account, request).and_then(|()| api.read(request));
            return match read {
                Ok(message) => {
                    let segments = segments::count(&message.text);
                    (message, Ok(segments))
                }
                Err(refusal) => (Submission::default(), Err(refusal)),
            };
        }
        let asked = asked(account, request.headers, request.body);
        let form = Form::read(&asked);
        let reference = header(request.headers, &HeaderName::from_static(REFERENCE_HEADER));
        let message = Submission {
            to: form.to.to_string(),
            from: form.sender().to_owned(),
            text: String::new(),
            reference: reference.map(str::to_owned),
            callback: Some(form.status_callback.to_string()).filter(|url| !url.is_empty()),
        };
        let admitted = match door {
            Door::Tokened => self.admit_token(account, request.headers),
            _ => messages::admit(&self.account, &asked),
        };
        let judged = admitted.and_then(|()| messages::judge(&form));
        (message, judged)
    }

    fn plan(&self) -> Arc<FaultPlan> {
        Arc::clone(&self.faults.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn asked<'a>(account: &'a str, headers: &'a HeaderMap, body: &'a [u8]) -> Asked<'a> {
    Asked {
        account,
        authorization: header(headers, &AUTHORIZATION),
        content_type: header(headers, &CONTENT_TYPE),
        body,
    }
}

struct Decided {
    fault: Option<Fault>,
    outcome: Result<Created, Refusal>,
    latency: Duration,
    message: Submission,
    /// What was taken now, and not before under the same key.
    taken: Option<Created>,
}

#[derive(Clone, Debug)]
struct Created {
    status: u16,
    segments: u32,
    sid: String,
    body: Vec<u8>,
}

/// The whole body, or the refusal of one that is too long. An error means that the client went away.
async fn read(body: Body) -> io::Result<Result<Bytes, Refusal>> {
    match Limited::new(body, MAX_BODY_BYTES).collect().await {
        Ok(whole) => Ok(Ok(whole.to_bytes())),
        Err(error) if error.is::<LengthLimitError>() => {
            Ok(Err(Refusal::new(413, 20413, "Request entity too large")))
        }
        Err(error) => Err(io::Error::other(error)),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a process of its own that shares nothing with what it checks, its clock included"
)]
fn now() -> chrono::DateTime<chrono::Utc> {
    chrono::Utc::now()
}
