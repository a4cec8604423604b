//! `dripline db stop`.

use anyhow::Context as _;
use dripline_store::embedded::{self, Status, Stopped};
use serde::Serialize;

use super::refuse_if_configured;
use crate::context::Context;
use crate::database::embedded_options;
use crate::exit::Exit;
use crate::output::page::Page;
use crate::output::{Output, Report};

/// Stop the embedded server. Nothing is lost, so nothing is asked; workers that use it wait until it
/// is started again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Say what would happen and stop there.
    #[arg(long)]
    dry_run: bool,
    /// Understood, since scripts give it to whatever stops something.
    #[arg(long, hide = true)]
    yes: bool,
}

#[derive(Serialize)]
struct StopReport {
    dry_run: bool,
    /// The server's process, if one runs.
    pid: Option<i32>,
    stopped: bool,
}

impl Report for StopReport {
    fn lay_out(&self, page: &mut Page) {
        match (self.pid, self.stopped) {
            (None, _) => page.line("the embedded server does not run"),
            (Some(pid), true) => page.line(format_args!("stopped the server, process {pid}")),
            (Some(pid), false) => page.line(format_args!("the server runs as process {pid}")),
        }
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    refuse_if_configured(ctx)?;
    let options = embedded_options(&ctx.settings);
    let pid = match embedded::status(options.clone()).await? {
        Status::Running(running) => Some(running.pid),
        Status::Changing { pid } => Some(pid),
        Status::Stopped { .. } | Status::Absent => None,
    };
    let mut report = StopReport { dry_run: args.dry_run, pid, stopped: false };
    if pid.is_some() && !args.dry_run {
        let stopped = embedded::stop(options).await.context("stop the embedded PostgreSQL")?;
        report.stopped = matches!(stopped, Stopped::WasRunning { .. });
    }
    out.data(&report)?;
    Ok(Exit::Done)
}
