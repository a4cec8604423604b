//! A journal's file: its place, its lock, its lines.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::JournalError;
use super::record::Record;
use crate::crash::crash_point;

/// What a journal's name ends in.
pub(super) const EXTENSION: &str = "journal";
/// What is added to it while it is not complete, and holds nothing that no other one has.
pub(super) const UNFINISHED: &str = "new";
/// What is added to the name of one that nobody can read.
const UNREADABLE: &str = "unreadable";
/// How often a journal is begun anew whose file was taken for a leftover before it was locked.
const TRIES: u32 = 3;

/// The journal of this process: locked while the value lives.
#[derive(Debug)]
pub(super) struct JournalFile {
    path: PathBuf,
    header: Record,
    file: File,
    bytes: u64,
    /// The last write may have left a part of a line behind.
    torn: bool,
}

/// Makes sure that the directory is there and nobody else's.
pub(super) fn prepare(directory: &Path) -> Result<(), JournalError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(JournalError::io("create", directory))?;
    let metadata =
        fs::symlink_metadata(directory).map_err(JournalError::io("look at", directory))?;
    if !metadata.is_dir() || !is_ours(&metadata) || metadata.mode() & 0o077 != 0 {
        return Err(JournalError::NotPrivate { path: directory.to_owned() });
    }
    Ok(())
}

/// The path with another part at its end.
fn with(path: &Path, part: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(part);
    name.into()
}

fn is_ours(metadata: &fs::Metadata) -> bool {
    metadata.uid() == rustix::process::geteuid().as_raw()
}

impl JournalFile {
    /// Begins a journal. It appears under its name complete with its header and locked.
    pub(super) fn create(
        directory: &Path,
        name: &str,
        header: &Record,
    ) -> Result<Self, JournalError> {
        // Not `with_extension`: a host's name has dots of its own.
        let path = directory.join(format!("{name}.{EXTENSION}"));
        let mut tries = 1;
        loop {
            let mut journal = Self::unfinished(path.clone(), header)?;
            match journal.finish(&[]) {
                Ok(()) => return Ok(journal),
                Err(error) if tries >= TRIES || !error.is_not_found() => return Err(error),
                Err(_) => tries += 1,
            }
        }
    }

    /// Appends whole lines in one write. After a failure the journal goes on with the next ones.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.torn {
            // Ends the broken line, so that it spoils no other one.
            self.file.write_all(b"\n")?;
            self.bytes += 1;
        }
        self.torn = true;
        self.file.write_all(lines)?;
        self.torn = false;
        self.bytes += lines.len() as u64;
        Ok(())
    }

    /// How large it is.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Replaces the journal by one that has only `lines`. At every instant one of the two stands
    /// under the name, and is locked.
    pub(super) fn replace(&mut self, lines: &[u8]) -> Result<(), JournalError> {
        let mut smaller = Self::unfinished(self.path.clone(), &self.header)?;
        crash_point!("journal-compact-begin");
        smaller.finish(lines)?;
        crash_point!("journal-compacted");
        *self = smaller;
        Ok(())
    }

    /// Removes it from the directory.
    pub(super) fn remove(self) -> Result<(), JournalError> {
        fs::remove_file(&self.path).map_err(JournalError::io("remove", &self.path))
    }

    fn unfinished(path: PathBuf, header: &Record) -> Result<Self, JournalError> {
        let temporary = with(&path, UNFINISHED);
        // Names are of this incarnation alone, so only a failure of its own can have left one.
        if let Err(error) = fs::remove_file(&temporary)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(JournalError::io("remove", &temporary)(error));
        }
        let file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(JournalError::io("create", &temporary))?;
        file.lock().map_err(JournalError::io("lock", &temporary))?;
        Ok(Self { path, header: header.clone(), file, bytes: 0, torn: false })
    }

    /// Writes header and lines and takes the name.
    fn finish(&mut self, lines: &[u8]) -> Result<(), JournalError> {
        let temporary = with(&self.path, UNFINISHED);
        let mut content = Vec::new();
        self.header.write_to(&mut content);
        content.extend_from_slice(lines);
        self.append(&content).map_err(JournalError::io("write", &temporary))?;
        // Fails if somebody who took it for a leftover has removed it before it was locked.
        fs::rename(&temporary, &self.path).map_err(JournalError::io("name", &self.path))
    }
}

/// A journal, or an unfinished one, whose process is gone. Locked while the value lives.
#[derive(Debug)]
pub(super) struct Abandoned {
    pub(super) path: PathBuf,
    file: File,
}

impl Abandoned {
    /// Takes the file over, unless a living process has it or it has just gone.
    pub(super) fn take_over(path: &Path) -> Result<Option<Self>, JournalError> {
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
            .open(path);
        let file = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(JournalError::io("open", path))?,
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(JournalError::io("lock", path)(error)),
        }
        // Between opening and locking, its process may have put another one in its place.
        let locked = file.metadata().map_err(JournalError::io("look at", path))?;
        let named = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            named => named.map_err(JournalError::io("look at", path))?,
        };
        let same = locked.dev() == named.dev() && locked.ino() == named.ino();
        // What somebody else has put there is no evidence.
        Ok((same && locked.is_file() && is_ours(&locked))
            .then(|| Self { path: path.to_owned(), file }))
    }

    /// All of it.
    pub(super) fn read(&mut self) -> Result<Vec<u8>, JournalError> {
        let mut content = Vec::new();
        self.file.read_to_end(&mut content).map_err(JournalError::io("read", &self.path))?;
        Ok(content)
    }

    /// Removes it from the directory. Nobody else can have taken the name: the lock is ours.
    pub(super) fn remove(self) -> Result<(), JournalError> {
        fs::remove_file(&self.path).map_err(JournalError::io("remove", &self.path))
    }

    /// Puts it aside under another name, for people.
    pub(super) fn put_aside(self) -> Result<PathBuf, JournalError> {
        let aside = with(&self.path, UNREADABLE);
        fs::rename(&self.path, &aside).map_err(JournalError::io("rename", &self.path))?;
        Ok(aside)
    }
}
