//! Programs as child processes that do not outlive us.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// Long enough for a loaded machine; nothing waits for it when all is well.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// A program that says that it is ready, and goes on. Killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
    // The simulator ends when this does, and nobody's output may be refused.
    _stdin: ChildStdin,
    _stdout: BufReader<ChildStdout>,
}

impl Process {
    /// Starts it, tells it `script` and waits for its first line, a JSON object; `None` when it ended
    /// before, as one does that dies at its beginning.
    pub async fn start(
        name: &'static str,
        mut command: Command,
        log: &Path,
        script: &str,
    ) -> anyhow::Result<(Self, Option<Value>)> {
        let file = File::create(log).with_context(|| format!("create `{}`", log.display()))?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("start the {name}"))?;
        let mut stdin = child.stdin.take().context("speak to it")?;
        stdin.write_all(script.as_bytes()).await.with_context(|| format!("speak to the {name}"))?;
        let mut stdout = BufReader::new(child.stdout.take().context("read its output")?);
        let mut line = String::new();
        let read = tokio::time::timeout(PATIENCE, stdout.read_line(&mut line)).await;
        read.with_context(|| format!("wait for the {name} to be ready"))?
            .with_context(|| format!("read what the {name} says"))?;
        let said = if line.is_empty() {
            None
        } else {
            Some(serde_json::from_str(&line).with_context(|| format!("the {name} said `{line}`"))?)
        };
        let log = log.to_owned();
        Ok((Self { name, child, log, _stdin: stdin, _stdout: stdout }, said))
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        Ok(ended.with_context(|| format!("wait for the {} to end", self.name))??)
    }

    /// SIGKILL, and waits for the end.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill().await.with_context(|| format!("kill the {}", self.name))
    }

    /// SIGTERM.
    pub fn terminate(&self) {
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended in this instant.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// What it has written to its standard error.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// SIGTERM, and it ends well.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        self.terminate();
        let status = self.ended().await?;
        let log = self.log();
        if !status.success() {
            bail!("the {} ended badly ({status}):\n{log}", self.name);
        }
        if log.contains("panicked at") {
            bail!("the {} panicked:\n{log}", self.name);
        }
        Ok(())
    }
}
