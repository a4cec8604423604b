//! One process on stage.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::place::Place;
use crate::interrupt;

/// How long an actor may take to say that it is ready: a plugin's first compilation is the longest.
const READY_WITHIN: Duration = Duration::from_mins(1);

/// How long an actor may take to finish what it has in hand.
const ENDS_WITHIN: Duration = Duration::from_secs(40);

/// A process that is stopped when the value is dropped.
#[derive(Debug)]
pub(super) struct Actor {
    name: &'static str,
    child: Child,
}

impl Actor {
    /// Starts the process, with its log in `log`, and waits for its first line, one JSON object.
    pub(super) fn enter(
        place: &Place,
        name: &'static str,
        mut command: Command,
        log: &Path,
    ) -> anyhow::Result<(Self, serde_json::Value)> {
        interrupt::check()?;
        let file = File::create(log).with_context(|| format!("create `{}`", log.display()))?;
        let mut child = command
            // Kept open: the simulator ends when it closes.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .with_context(|| format!("start the {name}"))?;
        let stdout = child.stdout.take();
        let mut actor = Self { name, child };
        place.watch(actor.child.id())?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines()) {
                // After the first line nobody listens, but the pipe must stay empty.
                let _ = line.map(|line| sender.send(line));
            }
        });
        let begin = Instant::now();
        loop {
            interrupt::check()?;
            match lines.recv_timeout(Duration::from_millis(50)) {
                Ok(line) => {
                    let said = serde_json::from_str(&line)
                        .with_context(|| format!("the {name} said `{line}`"))?;
                    return Ok((actor, said));
                }
                Err(RecvTimeoutError::Timeout) if begin.elapsed() < READY_WITHIN => {}
                Err(RecvTimeoutError::Timeout) => bail!("the {name} did not get ready in time"),
                Err(RecvTimeoutError::Disconnected) => {
                    let status = actor.child.wait().context("wait for it")?;
                    bail!("the {name} ended ({status}); see `{}`", log.display());
                }
            }
        }
    }

    /// Fails if the process has ended, which it should not have.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait().with_context(|| format!("look at the {}", self.name))? {
            None => Ok(()),
            Some(status) => bail!("the {} ended by itself ({status})", self.name),
        }
    }

    /// Asks it to end, waits, and says whether it ended well.
    pub(super) fn exit(mut self) -> anyhow::Result<()> {
        let name = self.name;
        let status = self.end().with_context(|| format!("stop the {name}"))?;
        if !status.success() {
            bail!("the {name} ended badly ({status})");
        }
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<std::process::ExitStatus> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(status);
        }
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            kill_process(pid, Signal::TERM).context("send SIGTERM")?;
        }
        let begin = Instant::now();
        while begin.elapsed() < ENDS_WITHIN {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.child.kill()?;
        Ok(self.child.wait()?)
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Whoever wanted to know how it ends has called `exit`.
        let _ = self.end();
    }
}
