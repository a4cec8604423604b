//! The server's directory: what is in it, who owns it, who may look.
//!
//! ```text
//! <directory>/    the caller's; 0700, or 0711 when another user runs the server
//!   lock          held while the server is started or stopped
//!   password      0600, the caller's: the password of the database user
//!   data/         0700, the server user's: PostgreSQL's data directory
//!   log/          0700, the server user's: a file per weekday, and startup.log
//!   socket/       0700, the server user's: the unix socket
//! ```
//!
//! Root keeps the top directory, so that the user who runs the server cannot make root follow a link.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::server_user::{self, ServerUser};
use crate::{EmbeddedError, EmbeddedOptions};

/// Bytes that fit in the `sun_path` of Linux, with its closing zero; macOS has 104.
const SOCKET_PATH_LIMIT: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// The directory of one server, and who runs it.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    directory: PathBuf,
    socket_dir: PathBuf,
    user: ServerUser,
}

impl Layout {
    /// Creates what is missing, and sets owners and modes.
    pub(crate) fn prepare(options: &EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let user = ServerUser::choose(options, &options.directory.join("data"))?;
        server_user::check_reachable(&user, &options.directory)?;
        create_parents(&options.directory)?;
        let mode = if user == ServerUser::Caller { 0o700 } else { 0o711 };
        make_directory(&options.directory, mode, &user)?;
        let layout = Self::at(&options.directory, user)?;
        layout.make_servers_directory(&layout.log_dir())?;
        layout.make_servers_directory(&layout.socket_dir)?;
        Ok(layout)
    }

    /// The layout of a directory that may already be there; `None` if it is not.
    pub(crate) fn existing(options: &EmbeddedOptions) -> Result<Option<Self>, EmbeddedError> {
        if !options.directory.is_dir() {
            return Ok(None);
        }
        let user = ServerUser::choose(options, &options.directory.join("data"))?;
        Self::at(&options.directory, user).map(Some)
    }

    fn at(directory: &Path, user: ServerUser) -> Result<Self, EmbeddedError> {
        let directory =
            fs::canonicalize(directory).map_err(EmbeddedError::io("resolve", directory))?;
        let socket_dir = socket_dir(&directory)?;
        Ok(Self { directory, socket_dir, user })
    }

    pub(crate) fn user(&self) -> &ServerUser {
        &self.user
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.directory.join("data")
    }

    pub(crate) fn log_dir(&self) -> PathBuf {
        self.directory.join("log")
    }

    pub(crate) fn socket_dir(&self) -> &Path {
        &self.socket_dir
    }

    pub(crate) fn lock_file(&self) -> PathBuf {
        self.directory.join("lock")
    }

    /// Makes sure of a directory that only the server user (and root) can enter.
    pub(crate) fn make_servers_directory(&self, path: &Path) -> Result<(), EmbeddedError> {
        make_directory(path, 0o700, &self.user)?;
        self.user.own(path)
    }

    /// Where a data directory grows up before it is moved to its place as a whole.
    pub(crate) fn nursery(&self) -> PathBuf {
        self.directory.join("data.unfinished")
    }

    /// Removes what a start that was killed left behind. Only with the lock held.
    pub(crate) fn discard_leftovers(&self) -> Result<(), EmbeddedError> {
        let nursery = self.nursery();
        match fs::remove_dir_all(&nursery) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(EmbeddedError::io("remove", nursery)(error))
            }
            _ => Ok(()),
        }
    }

    /// The password, if one was made.
    pub(crate) fn read_password(&self) -> Result<String, EmbeddedError> {
        let path = self.password_file();
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(EmbeddedError::PasswordMissing { path })
            }
            Err(error) => Err(EmbeddedError::io("read", path)(error)),
        }
    }

    /// Makes a new random password and stores it.
    pub(crate) fn create_password(&self) -> Result<String, EmbeddedError> {
        let path = self.password_file();
        let mut bytes = [0_u8; 24];
        getrandom::fill(&mut bytes)
            .map_err(|error| EmbeddedError::io("draw a password for", &path)(error.into()))?;
        let mut password = String::new();
        for byte in bytes {
            write!(password, "{byte:02x}").expect("a String takes any text");
        }
        write_private(&path, &password)?;
        Ok(password)
    }

    fn password_file(&self) -> PathBuf {
        self.directory.join("password")
    }
}

/// Writes `text` to a file that only its owner can read.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<(), EmbeddedError> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
        .and_then(|mut file| {
            file.set_permissions(Permissions::from_mode(0o600))?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .map_err(EmbeddedError::io("write", path))
}

/// The folders above the server's own. As root they must let the server user through.
fn create_parents(directory: &Path) -> Result<(), EmbeddedError> {
    let Some(parent) = directory.parent() else { return Ok(()) };
    let mode = if rustix::process::geteuid().is_root() { 0o755 } else { 0o700 };
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(parent)
        .map_err(EmbeddedError::io("create", parent))
}

/// Makes sure that `path` is a directory of the caller's or the server user's with this mode.
fn make_directory(path: &Path, mode: u32, user: &ServerUser) -> Result<(), EmbeddedError> {
    match DirBuilder::new().mode(mode).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(EmbeddedError::io("create", path)(error)),
    }
    let metadata = fs::symlink_metadata(path).map_err(EmbeddedError::io("look at", path))?;
    if !metadata.is_dir() {
        return Err(EmbeddedError::io("use", path)(io::ErrorKind::NotADirectory.into()));
    }
    let uid = rustix::process::geteuid().as_raw();
    let owner = metadata.uid();
    let is_server_users = matches!(user, ServerUser::Other(account) if account.uid == owner);
    if owner != uid && !is_server_users {
        return Err(EmbeddedError::NotOwner { path: path.to_owned(), owner, uid });
    }
    // The umask may have taken bits away, an older start may have left others.
    fs::set_permissions(path, Permissions::from_mode(mode))
        .map_err(EmbeddedError::io("set the mode of", path))
}

/// The folder of the socket: beside the data if the path is short enough, else a private folder for
/// this directory in the temporary directory.
fn socket_dir(directory: &Path) -> Result<PathBuf, EmbeddedError> {
    let fits = |path: &Path| socket_path(path, u16::MAX).as_os_str().len() <= SOCKET_PATH_LIMIT;
    let beside = directory.join("socket");
    if fits(&beside) {
        return Ok(beside);
    }
    let name = format!("dripline-{:016x}", fnv1a(directory.as_os_str().as_bytes()));
    let short = Path::new("/tmp").join(name);
    if fits(&short) {
        Ok(short)
    } else {
        let path = socket_path(&beside, u16::MAX);
        Err(EmbeddedError::SocketPathTooLong { path, limit: SOCKET_PATH_LIMIT })
    }
}

/// Where PostgreSQL puts its socket.
pub(crate) fn socket_path(directory: &Path, port: u16) -> PathBuf {
    directory.join(format!(".s.PGSQL.{port}"))
}

/// FNV-1a: a name for a path that stays the same between versions of this program, which the
/// standard library's hasher does not promise.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_directory_keeps_its_socket() {
        let directory = Path::new("/var/lib/dripline/postgres");
        assert_eq!(socket_dir(directory).unwrap(), directory.join("socket"));
    }

    #[test]
    fn a_long_directory_gets_a_short_socket_of_its_own() {
        let long = |end: &str| PathBuf::from(format!("/{}/{end}", "x".repeat(120)));
        let first = socket_dir(&long("a")).unwrap();
        assert!(first.starts_with("/tmp"));
        assert_eq!(first, socket_dir(&long("a")).unwrap());
        assert_ne!(first, socket_dir(&long("b")).unwrap());
    }
}
