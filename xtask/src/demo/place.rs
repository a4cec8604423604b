//! The demo's own folder, and the promise that nothing of it is left running.

use std::fs::{self, File, TryLockError};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, bail};
use dripline_embedded_postgres::{EmbeddedOptions, reachable_by_server_user};

use crate::plugins::BUNDLED;
use crate::say;
use crate::workspace::Workspace;

/// The settings of the demo, and nobody else's: no file and no variable of the person who runs it.
///
/// Little concurrency, so that the sending takes long enough to be paused in its middle.
const SETTINGS: &str = "\
[worker]
concurrency = 60
poll_ms = 100
[worker.retry]
first_seconds = 1
[telemetry]
format = \"json\"
";

/// Waits until its standard input closes, which the kernel does when we end in any way. Unless the
/// last line was `done`, it ends the processes whose numbers it was told and stops the database.
const GUARD: &str = r#"
pids=
while read -r line; do
    [ "$line" = done ] && exit 0
    pids="$pids $line"
done
for pid in $pids; do kill -TERM "$pid" 2> /dev/null; done
tries=100
for pid in $pids; do
    while kill -0 "$pid" 2> /dev/null && [ "$tries" -gt 0 ]; do tries=$((tries - 1)); sleep 0.1; done
    kill -KILL "$pid" 2> /dev/null
done
exec "$1" db stop
"#;

/// The folder, locked against a second demo.
#[derive(Debug)]
pub(super) struct Place {
    root: PathBuf,
    programs: PathBuf,
    guard: Mutex<Guard>,
    // Last, so that another demo waits for all of the above.
    _lock: File,
}

#[derive(Debug)]
struct Guard {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Place {
    /// Makes the folder anew, with the plugins in it. What an earlier run may have left is stopped.
    pub(super) fn prepare(
        workspace: &Workspace,
        programs: PathBuf,
        plugins: &Path,
    ) -> anyhow::Result<Self> {
        let parent = parent(workspace)?;
        let root = parent.join("demo");
        let lock = lock(&parent.join("demo.lock"))?;
        if root.exists() {
            // Removing the folder of a server that runs would leave it running.
            stop_database(&programs, &root).context("stop the database of an earlier demo")?;
            fs::remove_dir_all(&root).with_context(|| format!("remove `{}`", root.display()))?;
        }
        let at = || format!("fill `{}`", root.display());
        fs::create_dir_all(root.join("state/plugins")).with_context(at)?;
        fs::write(root.join("demo.toml"), SETTINGS).with_context(at)?;
        for name in BUNDLED {
            let to = root.join("state/plugins").join(name);
            fs::copy(plugins.join(name), to).with_context(at)?;
        }
        let guard = Mutex::new(Guard::start(&programs, &root)?);
        Ok(Self { root, programs, guard, _lock: lock })
    }

    /// A path in the folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The folder, for people.
    pub(super) fn shown(&self) -> String {
        self.root.display().to_string()
    }

    /// A command with the demo's settings and nobody else's.
    pub(super) fn command(&self, program: &str) -> Command {
        command(&self.programs, &self.root, program)
    }

    /// Makes sure that the process ends when we do.
    pub(super) fn watch(&self, pid: u32) -> anyhow::Result<()> {
        let mut guard = self.guard.lock().unwrap_or_else(PoisonError::into_inner);
        let stdin = guard.stdin.as_mut().context("tell the guard of a process")?;
        writeln!(stdin, "{pid}").context("tell the guard of a process")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let stopped = stop_database(&self.programs, &self.root);
        let guard = self.guard.get_mut().unwrap_or_else(PoisonError::into_inner);
        match stopped {
            Ok(()) => {
                // If the guard is gone, there is nothing left for it to do either.
                let _ = guard.stdin.as_mut().map(|stdin| writeln!(stdin, "done"));
            }
            // The guard tries again.
            Err(error) => {
                say::line(&format!("the demo's database could not be stopped: {error:#}"));
            }
        }
        drop(guard.stdin.take());
        let _ = guard.child.wait();
    }
}

impl Guard {
    fn start(programs: &Path, root: &Path) -> anyhow::Result<Self> {
        let mut child = command(programs, root, "/bin/sh")
            .args(["-c", GUARD, "sh"])
            .arg(programs.join("dripline"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("run `/bin/sh`")?;
        Ok(Self { stdin: child.stdin.take(), child })
    }
}

fn command(programs: &Path, root: &Path, program: &str) -> Command {
    let mut command = Command::new(programs.join(program));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DRIPLINE_") || name == "DATABASE_URL" {
            command.env_remove(name);
        }
    }
    command
        .env("DRIPLINE_STATE_DIR", root.join("state"))
        .env("DRIPLINE_CONFIG", root.join("demo.toml"))
        .current_dir(root)
        .stdin(Stdio::null())
        // A group of its own: Ctrl-C reaches it through us, in order.
        .process_group(0);
    command
}

fn stop_database(programs: &Path, root: &Path) -> anyhow::Result<()> {
    let output = command(programs, root, "dripline")
        .args(["db", "stop"])
        .output()
        .context("run `dripline`")?;
    if !output.status.success() {
        bail!("`dripline db stop` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("open `{}`", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("another demo is running, with `{}`", path.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("lock `{}`", path.display()))
        }
    }
}

/// The project's state directory. Root's database runs as an unprivileged user, who must be able to
/// come there, and cannot if the clone is in root's home.
fn parent(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let own = workspace.path(".dripline");
    let reachable = |parent: &Path| {
        reachable_by_server_user(&EmbeddedOptions::new(parent.join("demo/state/postgres")))
    };
    fs::create_dir_all(&own).with_context(|| format!("create `{}`", own.display()))?;
    let Err(refusal) = reachable(&own) else { return Ok(own) };
    let shared = PathBuf::from("/var/lib/dripline");
    if fs::create_dir_all(&shared).is_ok() && reachable(&shared).is_ok() {
        return Ok(shared);
    }
    Err(refusal).context("find a folder for the demo")
}
