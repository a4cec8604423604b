//! How the daemon stops: first it finishes what is on the wire, then it drops it.

use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// How long the outcomes of dropped attempts may take to reach the database, before the next
/// worker's sweep has to record them.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How far stopping has come. Three levels, each implying the ones before it. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    finishing: CancellationToken,
    dropping: CancellationToken,
    abandoning: CancellationToken,
}

impl Stop {
    /// Nothing has been asked to stop.
    pub fn new() -> Self {
        Self::default()
    }

    /// A stop of its own for a part of the process: it follows this one, and not the other way.
    #[must_use]
    pub fn child(&self) -> Self {
        Self {
            finishing: self.finishing.child_token(),
            dropping: self.dropping.child_token(),
            abandoning: self.abandoning.child_token(),
        }
    }

    /// Level 1: claim nothing more, mark nothing more, finish what is on the wire.
    pub fn finish(&self) {
        self.finishing.cancel();
    }

    /// Level 2: drop what is on the wire; its outcome becomes `unknown`.
    pub fn drop_the_wire(&self) {
        self.finish();
        self.dropping.cancel();
    }

    /// Level 3: wait for nothing, not even for the database.
    pub fn abandon(&self) {
        self.drop_the_wire();
        self.abandoning.cancel();
    }

    /// Whether level 1 has been reached.
    pub fn is_finishing(&self) -> bool {
        self.finishing.is_cancelled()
    }

    /// Whether level 2 has been reached.
    pub fn is_dropping(&self) -> bool {
        self.dropping.is_cancelled()
    }

    /// Waits for level 1.
    pub async fn finishing(&self) {
        self.finishing.cancelled().await;
    }

    /// Waits for level 2.
    pub async fn dropping(&self) {
        self.dropping.cancelled().await;
    }

    /// Waits for level 3.
    pub async fn abandoning(&self) {
        self.abandoning.cancelled().await;
    }
}

/// SIGTERM and SIGINT, listened to from the moment it is made.
#[derive(Debug)]
pub struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    /// Takes over the process's stop signals. Must be called inside the runtime.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }

    /// Turns signals into levels: the first finishes, a second one or `drain` drops, a third one
    /// or a short grace abandons. A stop that was begun elsewhere counts as the first.
    pub async fn drive(mut self, stop: Stop, drain: Duration) {
        tokio::select! {
            () = self.next() => {}
            () = stop.finishing() => {}
        }
        tracing::info!(
            drain_seconds = drain.as_secs(),
            "stopping: finishing what is on the wire; a second signal drops it"
        );
        stop.finish();
        tokio::select! {
            () = self.next() => tracing::warn!("second signal: dropping what is on the wire"),
            () = tokio::time::sleep(drain) => {
                tracing::warn!("drain time is over: dropping what is on the wire");
            }
            () = stop.dropping() => {}
        }
        stop.drop_the_wire();
        tokio::select! {
            () = self.next() => {}
            () = tokio::time::sleep(LAST_WORDS) => {}
        }
        tracing::warn!("leaving without the database's answer; the next sweep lists what is open");
        stop.abandon();
    }
}
