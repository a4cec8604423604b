//! The folder of a run, and the promise that nothing of it is left running.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use dripline_store::embedded::{EmbeddedOptions, reachable_by_server_user};

/// Waits until its standard input closes, which the kernel does when we end in any way. Unless the
/// last line was `done`, it ends the processes whose numbers it was told, and Postgres. What Postgres
/// is now stands in its own file; the working directory is compared, since numbers are used again.
const GUARD: &str = r#"
pids=
while read -r line; do
    [ "$line" = done ] && exit 0
    pids="$pids $line"
done
for pid in $pids; do
    [ "$(readlink "/proc/$pid/cwd")" = "$1" ] && kill -KILL "$pid" 2> /dev/null
done
pid=$(head -n 1 "$1/postgres/data/postmaster.pid" 2> /dev/null)
if [ -n "$pid" ] && [ "$(readlink "/proc/$pid/cwd")" = "$1/postgres/data" ]; then
    kill -QUIT "$pid"
    tries=100
    while kill -0 "$pid" 2> /dev/null && [ "$tries" -gt 0 ]; do tries=$((tries - 1)); sleep 0.1; done
fi
"#;

/// A folder of its own. Whether it stays is decided by [`Place::leave`]; where it does not come to that,
/// what runs in it is ended and it goes, unless a panic is to be looked into.
#[derive(Debug)]
pub(crate) struct Place {
    root: PathBuf,
    programs: PathBuf,
    guard: Mutex<Guard>,
    is_left: bool,
}

#[derive(Debug)]
struct Guard {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Place {
    /// Makes the folder, with these plugins in it.
    pub(crate) fn prepare(plugins: &Path, names: &[&str]) -> anyhow::Result<Self> {
        let root = tempfile::Builder::new()
            .prefix("dripline-chaos-")
            .tempdir_in(parent()?)
            .context("create a folder for the run")?
            .keep();
        // Postgres runs as another user when we are root, and must reach its own folder.
        std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o711))
            .context("open the folder to the server's user")?;
        std::fs::create_dir(root.join("plugins")).context("create the plugins' folder")?;
        for name in names {
            let from = plugins.join(name);
            std::fs::copy(&from, root.join("plugins").join(name))
                .with_context(|| format!("copy `{}`", from.display()))?;
        }
        let programs = std::env::current_exe().context("find this program")?;
        let programs = programs.parent().context("find this program's folder")?.to_owned();
        let guard = Mutex::new(Guard::start(&root)?);
        Ok(Self { root, programs, guard, is_left: false })
    }

    /// A path in the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// One of our programs, built beside this one, with nobody's settings but the run's.
    pub(crate) fn command(&self, program: &str) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(self.programs.join(program));
        command
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"))
            .env("DRIPLINE_STATE_DIR", &self.root)
            .current_dir(&self.root)
            .stdin(Stdio::null())
            // A group of its own: Ctrl-C reaches it through us, in order.
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Makes sure that the process ends when we do.
    pub(crate) fn watch(&self, pid: u32) -> anyhow::Result<()> {
        let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        let stdin = guard.stdin.as_mut().context("tell the guard of a process")?;
        writeln!(stdin, "{pid}").context("tell the guard of a process")
    }

    /// Ends the guard, once nothing runs any more, and removes the folder unless it is to be kept.
    pub(crate) fn leave(mut self, keep: bool) -> anyhow::Result<()> {
        self.is_left = true;
        let guard = self.guard.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(stdin) = &mut guard.stdin {
            // If the guard is gone, there is nothing left for it to do either.
            let _ = writeln!(stdin, "done");
        }
        guard.end();
        if keep {
            return Ok(());
        }
        std::fs::remove_dir_all(&self.root)
            .with_context(|| format!("remove `{}`", self.root.display()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_left {
            return;
        }
        self.guard.get_mut().unwrap_or_else(PoisonError::into_inner).end();
        if !std::thread::panicking() {
            // Nobody is left to tell if this fails.
            let _ = std::fs::remove_dir_all(&self.root);
        }
    }
}

impl Guard {
    /// Lets it do what is left for it to do.
    fn end(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }

    fn start(root: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new("/bin/sh")
            .args(["-c", GUARD, "sh"])
            .arg(root)
            .process_group(0)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("run `/bin/sh`")?;
        Ok(Self { stdin: child.stdin.take(), child })
    }
}

/// The first temporary directory that Postgres' user can reach, resolved, since the guard compares it.
fn parent() -> anyhow::Result<PathBuf> {
    let mut refusal = None;
    for parent in [std::env::temp_dir(), PathBuf::from("/tmp"), PathBuf::from("/var/tmp")] {
        let Ok(parent) = parent.canonicalize() else { continue };
        match reachable_by_server_user(&EmbeddedOptions::new(parent.join("dripline/postgres"))) {
            Ok(()) => return Ok(parent),
            Err(error) => refusal = refusal.or(Some(error)),
        }
    }
    let refusal =
        refusal.map_or_else(|| anyhow::anyhow!("there is no temporary directory"), Into::into);
    Err(refusal.context("find a folder for the run"))
}
