//! Who runs the server: the caller, or, when that is root, somebody unprivileged.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{EmbeddedError, EmbeddedOptions};

/// The user that runs the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServerUser {
    /// Whoever called.
    Caller,
    /// Somebody else, which only root can arrange.
    Other(Account),
}

/// A user of the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl ServerUser {
    /// Decides who runs the server of `data_dir`, which need not exist yet.
    pub(crate) fn choose(
        options: &EmbeddedOptions,
        data_dir: &Path,
    ) -> Result<Self, EmbeddedError> {
        let uid = rustix::process::geteuid().as_raw();
        let owner = fs::metadata(data_dir).ok().map(|metadata| metadata.uid());
        if uid != 0 {
            return match owner {
                Some(owner) if owner != uid => {
                    Err(EmbeddedError::NotOwner { path: data_dir.to_owned(), owner, uid })
                }
                _ => Ok(Self::Caller),
            };
        }
        // Data keeps its owner, whatever the settings say today.
        let tried = match (owner, &options.server_user) {
            (Some(owner), _) if owner != 0 => vec![owner.to_string()],
            (_, Some(name)) => vec![name.clone()],
            _ => vec!["postgres".to_owned(), "nobody".to_owned()],
        };
        match tried.iter().find_map(|name| Account::named(name)) {
            Some(account) => Ok(Self::Other(account)),
            None => Err(EmbeddedError::NoServerUser { tried }),
        }
    }

    /// A command that runs as this user, in `directory`, with an environment that holds nothing of
    /// the caller's (`PGDATA`, `PGHOST` and the like would change what PostgreSQL's programs do).
    pub(crate) fn command(&self, program: impl AsRef<Path>, directory: &Path) -> Command {
        let mut command = Command::new(program.as_ref());
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()))
            .env("LC_ALL", "C")
            .current_dir(directory)
            .stdin(Stdio::null());
        if let Self::Other(account) = self {
            // As root, std also drops the supplementary groups.
            command.uid(account.uid).gid(account.gid);
        }
        command
    }

    /// Hands `path` over to this user.
    pub(crate) fn own(&self, path: &Path) -> Result<(), EmbeddedError> {
        match self {
            Self::Caller => Ok(()),
            Self::Other(account) => {
                std::os::unix::fs::lchown(path, Some(account.uid), Some(account.gid))
                    .map_err(EmbeddedError::io("change the owner of", path))
            }
        }
    }

    fn can_enter(&self, directory: &Path) -> bool {
        let mut command = self.command("/bin/sh", Path::new("/"));
        command.args(["-c", "cd -- \"$1\"", "sh"]).arg(directory);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    }
}

impl Account {
    /// The account called `name` (or with that number), asked of the system, so that users from a
    /// directory service count too. Never root.
    fn named(name: &str) -> Option<Self> {
        let account = Self { name: id("-un", name)?, uid: id("-u", name)?, gid: id("-g", name)? };
        (account.uid != 0).then_some(account)
    }
}

fn id<T: std::str::FromStr>(what: &str, name: &str) -> Option<T> {
    let output = Command::new("id").args([what, "--", name]).output().ok()?;
    if !output.status.success() {
        return None;
    }
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}

/// Checks that the user who would run the server can reach `options.directory`, which need not exist.
///
/// PostgreSQL refuses to run as root, so root's server runs as an unprivileged user, and that user
/// cannot enter, for example, a folder under `/root`. Whoever chooses a default state directory can
/// ask here first. For everybody but root the answer is always yes.
pub fn reachable_by_server_user(options: &EmbeddedOptions) -> Result<(), EmbeddedError> {
    let user = ServerUser::choose(options, &options.directory.join("data"))?;
    check_reachable(&user, &options.directory)
}

/// The directory itself is made enterable when it is prepared, so what counts is the way to it.
pub(crate) fn check_reachable(user: &ServerUser, directory: &Path) -> Result<(), EmbeddedError> {
    let ServerUser::Other(account) = user else { return Ok(()) };
    let directory =
        std::path::absolute(directory).map_err(EmbeddedError::io("resolve", directory))?;
    let existing =
        directory.ancestors().skip(1).find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    if user.can_enter(existing) {
        return Ok(());
    }
    let mut ancestors: Vec<&Path> = existing.ancestors().collect();
    ancestors.reverse();
    let blocked_at = ancestors.into_iter().find(|path| !user.can_enter(path)).unwrap_or(existing);
    Err(EmbeddedError::Unreachable {
        user: account.name.clone(),
        blocked_at: PathBuf::from(blocked_at),
        directory: directory.clone(),
    })
}
