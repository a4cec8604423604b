//! The thread that writes a journal: whatever is waiting is one write.

use std::collections::HashMap;
use std::io;
use std::thread;

use dripline_domain::ids::DeliveryId;
use tokio::sync::{mpsc, oneshot};

use super::file::JournalFile;
use super::record::Record;
use crate::crash::crash_point;

/// Messages in one write.
const BATCH: usize = 1_024;

/// A message to the thread.
#[derive(Debug)]
pub(super) enum Message {
    /// Append these; `written` hears when they are with the operating system.
    Append { records: Vec<Record>, written: Option<oneshot::Sender<()>> },
    /// End, and say so.
    Close(oneshot::Sender<()>),
}

/// A journal and what is open in it.
#[derive(Debug)]
pub(super) struct Writer {
    file: JournalFile,
    /// What every attempt that is not settled has in the journal.
    open: HashMap<(DeliveryId, u32), Vec<u8>>,
    max_bytes: u64,
    /// At this size, settled attempts are dropped.
    full_at: u64,
    /// The last write failed, and that was said.
    failing: bool,
}

impl Writer {
    pub(super) fn new(file: JournalFile, max_bytes: u64) -> Self {
        Self { file, open: HashMap::new(), max_bytes, full_at: max_bytes, failing: false }
    }

    /// Starts the thread, which ends with [`Message::Close`] or when nobody can send any more.
    pub(super) fn start(
        self,
        arrivals: mpsc::UnboundedReceiver<Message>,
    ) -> io::Result<thread::JoinHandle<()>> {
        thread::Builder::new().name("journal".to_owned()).spawn(move || self.run(arrivals))
    }

    fn run(mut self, mut arrivals: mpsc::UnboundedReceiver<Message>) {
        let mut batch = Vec::new();
        let mut closing = None;
        while closing.is_none() && arrivals.blocking_recv_many(&mut batch, BATCH) > 0 {
            let mut lines = Vec::new();
            let mut waiting = Vec::new();
            for message in batch.drain(..) {
                match message {
                    Message::Append { records, written } => {
                        for record in records {
                            self.add(&record, &mut lines);
                        }
                        waiting.extend(written);
                    }
                    Message::Close(closed) => closing = Some(closed),
                }
            }
            self.write(&lines);
            for written in waiting {
                // Whoever waited may have been dropped with the daemon.
                let _ = written.send(());
            }
            if self.file.bytes() >= self.full_at {
                self.drop_settled();
            }
        }
        self.end();
        if let Some(closed) = closing {
            let _ = closed.send(());
        }
    }

    fn add(&mut self, record: &Record, lines: &mut Vec<u8>) {
        let begin = lines.len();
        record.write_to(lines);
        let line = &lines[begin..];
        match record {
            Record::Start { delivery_id, attempt } => {
                self.open.insert((*delivery_id, *attempt), line.to_owned());
            }
            Record::End(ended) => {
                let of = self.open.entry((ended.delivery_id, ended.attempt)).or_default();
                of.extend_from_slice(line);
            }
            Record::Settled { delivery_id, attempt } => {
                self.open.remove(&(*delivery_id, *attempt));
            }
            Record::Journal { .. } => {}
        }
    }

    /// A journal that cannot be written must not stop messages: what is not in it is unknown after a
    /// crash, which is safe.
    fn write(&mut self, lines: &[u8]) {
        if lines.is_empty() {
            return;
        }
        let written = self.file.append(lines);
        match (&written, self.failing) {
            (Ok(()), true) => tracing::info!("the journal can be written again"),
            (Err(error), false) => tracing::error!(
                %error,
                "the journal cannot be written; outcomes would not survive a crash meanwhile"
            ),
            _ => {}
        }
        self.failing = written.is_err();
    }

    /// Writes the journal anew with only what is open.
    fn drop_settled(&mut self) {
        let lines: Vec<u8> = self.open.values().flatten().copied().collect();
        if let Err(error) = self.file.replace(&lines) {
            let error = anyhow::Error::from(error);
            tracing::error!("failed to drop settled attempts from the journal: {error:#}");
        }
        // Not again before as much has been added as there is, whether it got smaller or not.
        self.full_at = self.max_bytes.max(self.file.bytes() * 2);
    }

    fn end(self) {
        if !self.open.is_empty() {
            tracing::warn!(
                attempts = self.open.len(),
                "the journal is kept: some attempts in it are not settled"
            );
            return;
        }
        crash_point!("journal-close");
        if let Err(error) = self.file.remove() {
            let error = anyhow::Error::from(error);
            tracing::warn!("an empty journal stays behind: {error:#}");
        }
    }
}
