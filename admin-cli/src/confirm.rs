//! The question before anything is spent, stopped or deleted.
//!
//! A command reads its plan, shows it, and asks. Only the answer yes (or `--yes`) makes a
//! [`Confirmed`], and functions that act take one, so that no path can forget the question.

use std::io::{self, IsTerminal};

use anyhow::Context as _;

use crate::failure::not_confirmed;
use crate::output::sanitise::sanitise;
use crate::output::{Output, Report};

/// The flags that every spending, stopping and deleting command has.
#[derive(Clone, Copy, Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Do it without asking.
    #[arg(long)]
    yes: bool,
    /// Show what would happen and stop there.
    #[arg(long)]
    dry_run: bool,
}

/// Proof that the operator agreed to the plan that was shown.
#[derive(Debug)]
pub(crate) struct Confirmed(());

impl Args {
    /// Shows `plan` and asks `question`; the default answer is no.
    ///
    /// `Ok(None)` is a dry run: the plan is then the command's data and goes to stdout. A no, or
    /// nobody to ask, is a failure with [`crate::exit::Exit::NotConfirmed`].
    pub(crate) fn ask(
        self,
        out: &mut Output,
        plan: &impl Report,
        question: &str,
    ) -> anyhow::Result<Option<Confirmed>> {
        if self.dry_run {
            out.data(plan)?;
            return Ok(None);
        }
        out.aside(plan);
        if self.yes {
            return Ok(Some(Confirmed(())));
        }
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(not_confirmed("not confirmed: there is no terminal to ask on")
                .hint("pass --yes to do it without being asked, or --dry-run to only see the plan")
                .into());
        }
        let answer = dialoguer::Confirm::new()
            .with_prompt(sanitise(question))
            .default(false)
            .interact_opt()
            .context("ask for confirmation")?;
        if answer == Some(true) {
            Ok(Some(Confirmed(())))
        } else {
            Err(not_confirmed("not confirmed: nothing was changed").into())
        }
    }

    /// Whether only the plan is wanted.
    pub(crate) fn is_dry_run(self) -> bool {
        self.dry_run
    }
}
