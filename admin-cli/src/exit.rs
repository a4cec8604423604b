//! What the exit code of every command means.

use std::process::ExitCode;

/// How a command ended. The numbers are part of the interface: scripts rely on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// 0: what was asked for has been done, or had been done before.
    Done = 0,
    /// 1: refused by a rule; nothing was changed. The message says which rule and what to do.
    Refused = 1,
    /// 2: the command line itself was wrong. (clap uses this number too.)
    Usage = 2,
    /// 3: something failed that should not: no database, a broken plugin, a full disk.
    Unexpected = 3,
    /// 4: the question was answered with no, or could not be asked.
    NotConfirmed = 4,
    /// 130: Ctrl-C ended the waiting. What was begun goes on.
    Interrupted = 130,
}

impl Exit {
    /// One line per code, for `--help` and `docs/cli.md`.
    pub(crate) const HELP: &str = "Exit codes: 0 done, 1 refused by a rule (nothing was changed), \
        2 wrong usage, 3 unexpected failure, 4 not confirmed, 130 interrupted (what was begun goes on).";
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}
