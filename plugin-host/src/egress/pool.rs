//! Connections that wait for their next request.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::exchange::Live;
use super::grant::Target;

/// The waiting connections of one origin of one grant. The one used last is used first, so that
/// those not needed grow old and are closed.
#[derive(Debug, Default)]
pub(super) struct IdlePool(Mutex<Idle>);

#[derive(Debug, Default)]
struct Idle {
    /// Oldest first.
    connections: Vec<(Instant, Live)>,
    /// A task closes old connections for as long as there are any.
    swept: bool,
}

impl IdlePool {
    pub(super) fn take(&self, idle_timeout: Duration) -> Option<Live> {
        let (since, live) = self.lock().connections.pop()?;
        // The others are older still; the sweep closes them.
        (since.elapsed() < idle_timeout).then_some(live)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Idle> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what has waited too long. Whether anything is left.
    fn sweep(&self, idle_timeout: Duration) -> bool {
        let mut idle = self.lock();
        let old = idle.connections.partition_point(|(since, _)| since.elapsed() >= idle_timeout);
        let closed: Vec<_> = idle.connections.drain(..old).collect();
        idle.swept = !idle.connections.is_empty();
        let left = idle.swept;
        drop(idle);
        // Closing sockets is not worth holding the lock.
        drop(closed);
        left
    }
}

/// Keeps `live` for the next request to `target`, unless enough are kept already.
pub(super) fn keep(target: &Arc<Target>, live: Live, idle_timeout: Duration, most: usize) {
    let mut idle = target.idle.lock();
    if idle.connections.len() >= most {
        drop(idle);
        return;
    }
    idle.connections.push((Instant::now(), live));
    if !std::mem::replace(&mut idle.swept, true) {
        drop(idle);
        tokio::spawn(sweep_until_empty(Arc::downgrade(target), idle_timeout));
    }
}

async fn sweep_until_empty(target: Weak<Target>, idle_timeout: Duration) {
    loop {
        tokio::time::sleep(idle_timeout).await;
        match target.upgrade() {
            Some(target) if target.idle.sweep(idle_timeout) => {}
            _ => return,
        }
    }
}
