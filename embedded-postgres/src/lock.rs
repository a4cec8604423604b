//! One start or stop at a time, across processes.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::EmbeddedError;
use crate::layout::Layout;

/// Held while a server is started or stopped. The kernel frees it when its process dies, so it is
/// never stale; it is closed on exec, so the server does not inherit it.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub(crate) fn acquire(layout: &Layout, timeout: Duration) -> Result<Self, EmbeddedError> {
        let path = layout.lock_file();
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(EmbeddedError::io("open", &path))?;
        let begin = Instant::now();
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: file }),
                Err(TryLockError::WouldBlock) if begin.elapsed() < timeout => {
                    if !told {
                        tracing::info!(
                            "waiting for another process that starts or stops PostgreSQL"
                        );
                        told = true;
                    }
                    thread::sleep(Duration::from_millis(25));
                }
                Err(TryLockError::WouldBlock) => {
                    let directory = layout.directory().to_owned();
                    return Err(EmbeddedError::Locked { directory, waited: begin.elapsed() });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(EmbeddedError::Io { action: "lock", path, source });
                }
            }
        }
    }
}
