//! Where carriers report on messages and bring those of contacts: an HTTP endpoint, which anybody on the internet may call.
//!
//! A request names a route by the secret part of its address. The route's own plugin proves and reads it, what it tells
//! is written down, and only then it is answered with success: whatever goes wrong before, the carrier brings it again,
//! and hearing a thing twice changes nothing.
//!
//! Layout: `listener` is the place, `server` the connections, `endpoint` the story of one request, `callbacks` finds whose
//! address was called, `told` is what was heard in the store's words, `records` writes it down in batches, and `complaints` keeps what goes wrong
//! from filling the log.
//!
//! What strangers can do is bounded: without a route's token they cost a connection for a while and a share of one query;
//! no plugin runs and no body is kept. What callers send is never logged, and neither is the address that they called.

use std::sync::Arc;
use std::time::Duration;

use crate::environment::Environment;
use crate::jobs::deliver::Deliver;

mod callbacks;
mod complaints;
mod endpoint;
mod listener;
mod records;
mod server;
mod told;

pub use listener::Listener;
pub use server::MOST_CONNECTIONS;

use endpoint::Endpoint;

/// What carriers that call may take.
#[derive(Clone, Copy, Debug)]
pub struct WebhookOptions {
    /// Requests in work at once, at least 1.
    pub max_requests: usize,
    /// The largest body.
    pub max_body_bytes: usize,
    /// How long a request may take to come in, and then to be answered.
    pub timeout: Duration,
}

/// Answers carriers until the daemon begins to stop, and whoever has begun to speak by then.
pub fn serve(
    listener: Arc<Listener>,
    environment: &Arc<Environment>,
    deliver: &Arc<Deliver>,
    options: WebhookOptions,
) -> impl Future<Output = ()> + use<> {
    let endpoint = Arc::new(Endpoint::start(environment, deliver, options));
    server::serve(listener, endpoint, environment.stop.clone(), options.timeout)
}
