//! What this worker knows about its hand-overs, on its own disk: so that their outcomes survive an
//! outage of the database and the end of the process.
//!
//! One append-only file per incarnation, `<worker>.journal` in a private directory, one record a line.
//! An attempt's `start` is there before its first byte may leave, its `end` before the transaction
//! that settles it is tried, and once that transaction is committed both are dropped. Whoever comes
//! after a process that is gone settles every `end` it left ([`crate::sweeps::journals`]).
//!
//! **Only an `end` says anything.** A `start` without an end means that nobody knows, and no record at
//! all means the same: the mark is committed before its start is written, a record can be lost with a
//! full disk, and a journal with its machine. So the absence of a record never decides that a message
//! was not sent.
//!
//! **Who is gone** is decided by the file's lock alone, which the kernel takes back when the process
//! ends, however it ends. A clock, a process id or a heartbeat would take a slow process for a dead
//! one. A state directory belongs to one machine, and its journals name their installation and worker:
//! workers of several databases may share it, and touch each other's journals never.
//!
//! **What is survived**: `kill -9`, a crash of the worker, an outage of the database of any length. Not
//! a loss of power or a crash of the worker's machine: nothing is synced to the disk, since that would
//! cost each message more than its transaction. What is lost then is evidence, never money: those
//! attempts are unknown, as they would be without a journal.
//!
//! Layout: `record` is a line, `file` a file of them with its lock, `writer` the thread that appends,
//! `leftover` what another process left behind.

use std::io;
use std::path::{Path, PathBuf};

use dripline_domain::delivery::AttemptOutcome;
use dripline_domain::ids::DeliveryId;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::crash::crash_point;

mod file;
mod leftover;
mod record;
mod writer;

pub use leftover::{Leftover, leftovers};
pub use record::Ended;

use file::JournalFile;
use record::Record;
use writer::{Message, Writer};

/// Where journals are and how large one may grow.
#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// A directory of this user alone. Created when it is missing.
    pub directory: PathBuf,
    /// The bytes at which settled attempts are dropped from a journal. It is larger only while the
    /// attempts that are not settled fill more than half of that.
    pub max_bytes: u64,
}

/// Why a journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The operating system did not let us.
    #[error("{action} `{}`", path.display())]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// With which file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Somebody else could put outcomes there that would move money.
    #[error("`{}` must be a directory of this user with mode 700", path.display())]
    NotPrivate {
        /// The directory.
        path: PathBuf,
    },
}

impl JournalError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// The journal of this incarnation. Cheap to clone; written by one thread, which takes whatever is
/// waiting as one write.
#[derive(Clone, Debug)]
pub struct Journal {
    messages: mpsc::UnboundedSender<Message>,
}

impl Journal {
    /// Begins the journal of the worker of that name.
    pub fn open(
        options: &JournalOptions,
        installation_id: Uuid,
        worker_name: &str,
    ) -> Result<Self, JournalError> {
        file::prepare(&options.directory)?;
        let header = Record::header(installation_id, worker_name);
        let file = JournalFile::create(&options.directory, worker_name, &header)?;
        let (messages, arrivals) = mpsc::unbounded_channel();
        Writer::new(file, options.max_bytes)
            .start(arrivals)
            .map_err(JournalError::io("start the thread of", &options.directory))?;
        Ok(Self { messages })
    }

    /// Writes down that these attempts may leave from now on. Returns when that is with the operating
    /// system, and also when it cannot be written: what is lost then is evidence for a later day.
    pub async fn start(&self, attempts: impl IntoIterator<Item = (DeliveryId, u32)>) {
        crash_point!("journal-start-begin");
        let starts = attempts
            .into_iter()
            .map(|(delivery_id, attempt)| Record::Start { delivery_id, attempt })
            .collect();
        self.write(starts).await;
        crash_point!("journal-start-written");
    }

    /// Writes down how an attempt ended. Returns as [`Journal::start`] does.
    pub async fn end(&self, delivery_id: DeliveryId, attempt: u32, outcome: &AttemptOutcome) {
        crash_point!("journal-end-begin");
        self.write(vec![Record::End(Ended { delivery_id, attempt, outcome: outcome.clone() })])
            .await;
        crash_point!("journal-end-written");
    }

    /// Drops attempts whose settlement is committed.
    pub fn settled(&self, attempts: impl IntoIterator<Item = (DeliveryId, u32)>) {
        let settled = attempts
            .into_iter()
            .map(|(delivery_id, attempt)| Record::Settled { delivery_id, attempt })
            .collect::<Vec<_>>();
        if !settled.is_empty() {
            // Nobody waits for it: settling an attempt again would change nothing.
            let _ = self.messages.send(Message::Append { records: settled, written: None });
        }
    }

    /// Ends the journal, and removes it if nothing in it is open.
    pub async fn close(self) {
        let (closed, is_closed) = oneshot::channel();
        if self.messages.send(Message::Close(closed)).is_ok() {
            let _ = is_closed.await;
        }
    }

    async fn write(&self, records: Vec<Record>) {
        if records.is_empty() {
            return;
        }
        let (written, is_written) = oneshot::channel();
        let message = Message::Append { records, written: Some(written) };
        let sent = self.messages.send(message).is_ok();
        if !sent || is_written.await.is_err() {
            tracing::error!("the journal has ended before its worker");
        }
    }
}
