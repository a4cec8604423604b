//! Journals of processes that are gone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use dripline_domain::ids::DeliveryId;
use uuid::Uuid;

use super::JournalError;
use super::file::{self, Abandoned};
use super::record::{Ended, Record};

/// What a process that is gone knew and could not settle. Nobody else deals with it while the value
/// lives.
#[derive(Debug)]
pub struct Leftover {
    file: Abandoned,
    /// The worker that wrote it.
    pub worker: String,
    /// Attempts that ended, and whose settlement the process has not seen committed.
    pub ended: Vec<Ended>,
    /// How many attempts were begun and have no end: nobody knows.
    pub unended: usize,
}

impl Leftover {
    /// Removes the journal, when everything in it is settled.
    pub fn remove(self) -> Result<(), JournalError> {
        self.file.remove()
    }
}

/// Takes over the journals of this installation whose processes are gone, one after the other. One that
/// cannot be read is put aside and said once; unfinished ones are removed, since they hold nothing that
/// is not in another one.
pub fn leftovers(
    directory: &Path,
    installation_id: Uuid,
) -> Result<impl Iterator<Item = Result<Leftover, JournalError>> + use<>, JournalError> {
    let mut paths = Vec::new();
    match fs::read_dir(directory) {
        Ok(entries) => {
            for entry in entries {
                paths.push(entry.map_err(JournalError::io("list", directory))?.path());
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(JournalError::io("list", directory)(error)),
    }
    paths.sort();
    Ok(paths.into_iter().filter_map(move |path| take(&path, installation_id).transpose()))
}

fn take(path: &Path, installation_id: Uuid) -> Result<Option<Leftover>, JournalError> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    if !matches!(extension, Some(file::EXTENSION | file::UNFINISHED)) {
        return Ok(None);
    }
    let Some(mut abandoned) = Abandoned::take_over(path)? else { return Ok(None) };
    if extension == Some(file::UNFINISHED) {
        abandoned.remove()?;
        return Ok(None);
    }
    let content = abandoned.read()?;
    let content = Content::read(&content);
    match content.header {
        Some(Record::Journal { installation_id: of, .. }) if of != installation_id => Ok(None),
        Some(Record::Journal { ref worker, .. }) => {
            if content.spoiled > 0 {
                tracing::warn!(
                    path = %path.display(),
                    lines = content.spoiled,
                    "a journal has lines that are not what was written; they are passed over"
                );
            }
            let worker = worker.clone();
            let (ended, unended) = content.open();
            Ok(Some(Leftover { file: abandoned, worker, ended, unended }))
        }
        _ => {
            let aside = abandoned.put_aside()?;
            tracing::error!(
                path = %aside.display(),
                "a journal is not one that this version can read; it is put aside"
            );
            Ok(None)
        }
    }
}

/// A journal's records.
struct Content {
    header: Option<Record>,
    records: Vec<Record>,
    /// Lines that are no records. The last one, if it has no end, is not counted: its write was cut
    /// off, and nobody has acted on it.
    spoiled: usize,
}

impl Content {
    fn read(bytes: &[u8]) -> Self {
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let mut lines = bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        let header = lines.next().and_then(Record::read).filter(Record::is_known_header);
        let mut content = Self { header, records: Vec::new(), spoiled: 0 };
        for line in lines {
            match Record::read(line) {
                Some(record) => content.records.push(record),
                None => content.spoiled += 1,
            }
        }
        content
    }

    /// The attempts that ended and are not settled, and how many never ended.
    fn open(self) -> (Vec<Ended>, usize) {
        let mut open: BTreeMap<(DeliveryId, u32), Option<Ended>> = BTreeMap::new();
        for record in self.records {
            match record {
                Record::Start { delivery_id, attempt } => {
                    open.entry((delivery_id, attempt)).or_default();
                }
                Record::End(ended) => {
                    open.insert((ended.delivery_id, ended.attempt), Some(ended));
                }
                Record::Settled { delivery_id, attempt } => {
                    open.remove(&(delivery_id, attempt));
                }
                Record::Journal { .. } => {}
            }
        }
        let begun = open.len();
        let ended: Vec<Ended> = open.into_values().flatten().collect();
        let unended = begun - ended.len();
        (ended, unended)
    }
}

#[cfg(test)]
mod tests;
