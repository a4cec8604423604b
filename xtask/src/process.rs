//! Running programs, so that none is left when we end.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Output, Stdio};

use anyhow::{Context, bail};

use crate::interrupt::{self, Registered};

/// A program to run to its end, as part of a step.
#[derive(Debug)]
pub(crate) struct Program {
    command: Command,
    shown: String,
}

impl Program {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program.as_ref());
        // A group of its own: a signal reaches it, and what it started, through us and only once.
        command.stdin(Stdio::null()).process_group(0);
        Self { shown: short(program.as_ref()), command }
    }

    /// The cargo that runs us.
    pub(crate) fn cargo() -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut program = Self::new(cargo);
        // What `cargo run` set for us is not meant for what we build.
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                program.command.env_remove(&*name);
            }
        }
        "cargo".clone_into(&mut program.shown);
        program
    }

    pub(crate) fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.shown.push(' ');
        self.shown.push_str(&argument.as_ref().to_string_lossy());
        self.command.arg(argument);
        self
    }

    pub(crate) fn args<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// Sets a variable; it is not shown, since it may be a secret.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn env_remove(mut self, name: &str) -> Self {
        self.command.env_remove(name);
        self
    }

    pub(crate) fn in_directory(mut self, directory: &Path) -> Self {
        self.command.current_dir(directory);
        self
    }

    /// Runs it with our output; anything but success is an error.
    pub(crate) fn run(mut self) -> anyhow::Result<()> {
        let status = self.wait()?;
        self.demand(status, &[])
    }

    /// Runs it and gives what it printed; its stderr is shown only if it fails.
    pub(crate) fn capture(mut self) -> anyhow::Result<String> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = self.output()?;
        self.demand(output.status, &output.stderr)?;
        String::from_utf8(output.stdout)
            .with_context(|| format!("read the output of `{}`", self.shown))
    }

    fn output(&mut self) -> anyhow::Result<Output> {
        interrupt::check()?;
        let child = self.spawn()?;
        let _registered = Registered::new(child.id());
        child.wait_with_output().with_context(|| format!("wait for `{}`", self.shown))
    }

    /// Whether it can be run at all, and succeeds.
    pub(crate) fn succeeds(mut self) -> bool {
        self.command.stdout(Stdio::null()).stderr(Stdio::null());
        self.wait().is_ok_and(|status| status.success())
    }

    fn wait(&mut self) -> anyhow::Result<ExitStatus> {
        interrupt::check()?;
        let mut child = self.spawn()?;
        let _registered = Registered::new(child.id());
        child.wait().with_context(|| format!("wait for `{}`", self.shown))
    }

    fn spawn(&mut self) -> anyhow::Result<std::process::Child> {
        self.command.spawn().with_context(|| format!("run `{}`", self.shown))
    }

    fn demand(&self, status: ExitStatus, stderr: &[u8]) -> anyhow::Result<()> {
        if !status.success() {
            let said = String::from_utf8_lossy(stderr);
            let said = said.trim();
            let separator = if said.is_empty() { "" } else { ":\n" };
            bail!("`{}` failed ({status}){separator}{said}", self.shown);
        }
        Ok(())
    }
}

/// Programs are shown without their folder.
fn short(program: &OsStr) -> String {
    Path::new(program).file_name().unwrap_or(program).to_string_lossy().into_owned()
}
