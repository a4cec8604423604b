//! A server for tests, which disappears whatever happens to the process that started it.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

use crate::server_user;
use crate::{Durability, EmbeddedError, EmbeddedOptions, EmbeddedPostgres, Running};

/// Waits for its standard input to close, which the kernel does when our process ends in any way;
/// then stops the server in PostgreSQL's immediate way and removes the directory. The working directory
/// is compared, since a server that was killed leaves a number that may be somebody else's by now.
const GUARD: &str = r#"
cat > /dev/null
pid=$(head -n 1 "$1/data/postmaster.pid" 2> /dev/null)
if [ -n "$pid" ] && { [ ! -d /proc/self ] || [ "$(readlink "/proc/$pid/cwd")" = "$1/data" ]; }; then
    kill -QUIT "$pid"
    tries=100
    while [ -e "$1/data/postmaster.pid" ] && kill -0 "$pid" && [ "$tries" -gt 0 ]; do
        tries=$((tries - 1))
        sleep 0.1
    done
fi
rm -rf -- "$1"
"#;

/// A server in a temporary directory. Dropping it stops the server and removes the directory.
#[derive(Debug)]
pub struct Throwaway {
    options: EmbeddedOptions,
    running: Running,
    // Fields are dropped in this order; the server goes last.
    _guard: Guard,
}

impl Throwaway {
    pub(crate) fn start(mut options: EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let guard = Guard::over_new_directory(&options)?;
        options.directory.clone_from(&guard.directory);
        options.durability = Durability::Throwaway;
        let running = EmbeddedPostgres::ensure_started(&options)?;
        Ok(Self { options, running, _guard: guard })
    }

    /// The server as it was when it started.
    pub fn running(&self) -> &Running {
        &self.running
    }

    /// The options it was started with, for tests that stop the server and start it again.
    pub fn options(&self) -> &EmbeddedOptions {
        &self.options
    }
}

#[derive(Debug)]
struct Guard {
    directory: PathBuf,
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Guard {
    fn over_new_directory(options: &EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let parent = temporary_parent(options)?;
        let directory = tempfile::Builder::new()
            .prefix("dripline-postgres-")
            .tempdir_in(&parent)
            .map_err(EmbeddedError::io("create a directory in", &parent))?
            .keep();
        let mut child = Command::new("/bin/sh")
            .args(["-c", GUARD, "sh"])
            .arg(&directory)
            // A group of its own: Ctrl-C in the terminal must not reach it.
            .process_group(0)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(EmbeddedError::io("run", "/bin/sh"))?;
        let stdin = child.stdin.take();
        Ok(Self { directory, child, stdin })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // There is nobody left to tell if this fails.
        let _ = self.child.wait();
    }
}

/// The first temporary directory that the server user can reach. It is resolved, because the guard
/// compares it with the server's working directory.
fn temporary_parent(options: &EmbeddedOptions) -> Result<PathBuf, EmbeddedError> {
    let mut refusal = None;
    for parent in [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")] {
        let Ok(parent) = parent.canonicalize() else { continue };
        let inside = EmbeddedOptions { directory: parent.join("dripline"), ..options.clone() };
        match server_user::reachable_by_server_user(&inside) {
            Ok(()) => return Ok(parent),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    Err(refusal.unwrap_or_else(|| {
        EmbeddedError::io("use", Path::new("/tmp"))(std::io::ErrorKind::NotFound.into())
    }))
}
