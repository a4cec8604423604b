//! Compiled plugins on disk, so that a start takes milliseconds.
//!
//! Loading compiled code is running it, so the directory must belong to this user alone, and what is
//! read is checked against the hash it was written with. A cache that cannot be trusted is refused;
//! an entry that is damaged is compiled anew.

use std::fs::{self, DirBuilder, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// Why the cache is not used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// It could not be created or looked at.
    #[error("open the plugin cache `{}`", .path.display())]
    Open {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else could put code there that we would run.
    #[error(
        "the plugin cache `{}` must be a directory of this user with mode 700, since what it holds is run",
        .path.display()
    )]
    NotPrivate {
        /// Where.
        path: PathBuf,
    },
}

/// Bytes of a SHA-256.
const HASH_BYTES: usize = 32;

/// A private directory of compiled plugins.
#[derive(Debug)]
pub(crate) struct Cache {
    directory: PathBuf,
    /// Of the engine's version and settings: code compiled otherwise is of no use.
    compatibility: String,
}

impl Cache {
    pub(crate) fn open(directory: &Path, engine: &Engine) -> Result<Self, CacheError> {
        let open = |source| CacheError::Open { path: directory.to_owned(), source };
        // What is above it is not ours alone: the embedded PostgreSQL's user must be able to pass.
        if let Some(above) = directory.parent() {
            fs::create_dir_all(above).map_err(open)?;
        }
        DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(open)?;
        let metadata = fs::symlink_metadata(directory).map_err(open)?;
        let ours = metadata.uid() == rustix::process::geteuid().as_raw();
        if !metadata.is_dir() || !ours || metadata.mode() & 0o077 != 0 {
            return Err(CacheError::NotPrivate { path: directory.to_owned() });
        }
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let cache = Self {
            directory: directory.to_owned(),
            compatibility: format!("{:016x}", hasher.finish()),
        };
        cache.drop_incompatible();
        Ok(cache)
    }

    /// The compiled form of the plugin with this digest.
    pub(crate) fn get(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let path = self.path(digest);
        let compiled = match read_checked(&path) {
            Ok(compiled) => compiled,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a cached plugin is compiled anew");
                return None;
            }
        };
        deserialize(engine, &compiled)
            .inspect_err(|error| {
                tracing::warn!(path = %path.display(), %error, "a cached plugin is compiled anew");
            })
            .ok()
    }

    /// Keeps `component`. A cache that cannot be written costs time, so it is only logged.
    pub(crate) fn put(&self, digest: &str, component: &Component) {
        let path = self.path(digest);
        let written = component
            .serialize()
            .map_err(io::Error::other)
            .and_then(|compiled| self.write(&path, &compiled));
        if let Err(error) = written {
            tracing::warn!(path = %path.display(), %error, "a compiled plugin was not cached");
        }
    }

    fn path(&self, digest: &str) -> PathBuf {
        self.directory.join(format!("{digest}-{}.compiled", self.compatibility))
    }

    fn write(&self, path: &Path, compiled: &[u8]) -> io::Result<()> {
        /// Makes a temporary name unlike those of every other host in this process.
        static WRITTEN: AtomicU64 = AtomicU64::new(0);
        let number = WRITTEN.fetch_add(1, Ordering::Relaxed);
        let temporary = self.directory.join(format!(".{}-{number}.new", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&temporary)?;
        file.write_all(&Sha256::digest(compiled))?;
        file.write_all(compiled)?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    }

    /// Removes what an engine of another version or with other settings compiled.
    fn drop_incompatible(&self) {
        let suffix = format!("-{}.compiled", self.compatibility);
        let Ok(entries) = fs::read_dir(&self.directory) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.ends_with(".compiled") && !name.ends_with(&suffix) {
                // Another process may have removed it first.
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// The compiled code, when it is what was written.
fn read_checked(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)?;
    if file.metadata()?.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it belongs to another user"));
    }
    let mut hash = [0; HASH_BYTES];
    file.read_exact(&mut hash)?;
    let mut compiled = Vec::new();
    file.read_to_end(&mut compiled)?;
    if Sha256::digest(&compiled)[..] != hash {
        return Err(io::Error::other("its content is not what was written"));
    }
    Ok(compiled)
}

#[expect(unsafe_code, reason = "compiled code cannot be loaded in any other way")]
fn deserialize(engine: &Engine, compiled: &[u8]) -> wasmtime::Result<Component> {
    // SAFETY: the bytes were written by `Cache::put` from a component that this engine's compiler
    // made: the directory was checked to be writable by this user alone, the file belongs to this
    // user, and its content has the hash that it was written with.
    unsafe { Component::deserialize(engine, compiled) }
}
