//! The threads that run guests. They are few, plain, and apart from the async runtime, so that a
//! guest can delay nobody but other guests.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use crate::error::{HostError, PluginError};

type Job = Box<dyn FnOnce() + Send>;

/// A fixed number of threads fed by one channel. They end when this is dropped and the jobs already
/// given are done.
#[derive(Debug)]
pub(crate) struct CpuThreads {
    jobs: Sender<Job>,
    count: usize,
}

impl CpuThreads {
    pub(crate) fn start(count: usize) -> Result<Self, HostError> {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for number in 0..count {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new()
                .name(format!("plugin-{number}"))
                .spawn(move || work(&queue))
                .map_err(|source| HostError::Threads { source })?;
        }
        Ok(Self { jobs, count })
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Runs `job` on one of the threads. Dropping the future does not stop a job that has begun.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, PluginError> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move || {
            // Nobody may be waiting any more; then there is nothing to do.
            if !answer.is_closed() {
                let _ = answer.send(job());
            }
        });
        self.jobs.send(job).map_err(|_| PluginError::HostStopped)?;
        answered.await.map_err(|_| PluginError::HostStopped)
    }
}

fn work(queue: &Mutex<Receiver<Job>>) {
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        // A job owns all it touches, so nothing half-changed survives its panic.
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a plugin thread panicked; the call it served has failed");
        }
    }
}
