//! Connections: one request each, within bounds of number, size and time.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::task::TaskTracker;

use super::endpoint::Endpoint;
use super::listener::Listener;
use crate::lifecycle::Stop;

/// Connections at once, each with a file and `HEAD_BYTES` of memory. More wait in the system's queue: those that are
/// there end soon, whatever their callers do.
pub const MOST_CONNECTIONS: usize = 512;

/// Room for a request's line and headers. The largest signature of a carrier, a JSON web token, has under 1 KiB.
const HEAD_BYTES: usize = 16 * 1024;
/// Headers of one request. Carriers send up to some twenty, proxies add some.
const MOST_HEADERS: usize = 100;

/// Of a request's three parts (its head, its body, and the work that its answer takes), each may take one timeout, and
/// the answer itself one more to be taken.
const TIMEOUTS: u32 = 4;

/// Before the next try after one that failed for want of files or memory.
const REST: Duration = Duration::from_millis(50);

/// Serves until the daemon begins to stop. Then waits for what has begun, unless everything is dropped.
pub(super) async fn serve(
    listener: Arc<Listener>,
    endpoint: Arc<Endpoint>,
    stop: Stop,
    timeout: Duration,
) {
    let room = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.finishing() => break,
            accepted = accept(&listener, &room) => accepted,
        };
        let Some((stream, place)) = accepted else {
            tokio::time::sleep(REST).await;
            continue;
        };
        connections.spawn(connection(stream, endpoint.clone(), stop.clone(), timeout, place));
    }
    connections.close();
    tokio::select! {
        () = connections.wait() => {}
        () = stop.dropping() => {}
    }
}

async fn accept(
    listener: &Listener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let place = room.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok(stream) => Some((stream, place)),
        Err(error) => {
            tracing::debug!(%error, "a caller could not be taken on");
            None
        }
    }
}

/// Serves one caller. `_place` is given back at its end.
async fn connection(
    stream: TcpStream,
    endpoint: Arc<Endpoint>,
    stop: Stop,
    timeout: Duration,
    _place: OwnedSemaphorePermit,
) {
    let service = service_fn(|request| {
        let endpoint = endpoint.clone();
        async move { Ok::<_, Infallible>(endpoint.answer(request).await) }
    });
    // One request a connection: all that a caller can take is then bounded by that of a request, and a proxy in front, to
    // which callers are connected, opens another one in no time.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeout)
        .keep_alive(false)
        .max_headers(MOST_HEADERS)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let late = tokio::time::sleep(timeout * TIMEOUTS);
    let mut late = pin!(late);
    let mut stopping = false;
    loop {
        tokio::select! {
            // How it ended is the caller's business: what was heard is written down, or was not answered for.
            _ = &mut connection => return,
            () = &mut late => return,
            () = stop.finishing(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}
