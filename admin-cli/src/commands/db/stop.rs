//! `dripline db stop`.

use anyhow::Context as _;
use dripline_store::embedded::{self, Status, Stopped};
use serde::Serialize;

use super::refuse_if_configured;
use crate::confirm::{self, Confirmed};
use crate::context::Context;
use crate::database::embedded_options;
use crate::exit::Exit;
use crate::output::page::Page;
use crate::output::{Output, Report};

/// Stop the embedded server. Nothing is lost; workers that use it wait until it is started again.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    confirm: confirm::Args,
}

#[derive(Serialize)]
struct Plan {
    dry_run: bool,
    /// The server's process, if one runs.
    pid: Option<i32>,
    stopped: bool,
}

impl Report for Plan {
    fn lay_out(&self, page: &mut Page) {
        match (self.pid, self.stopped) {
            (None, _) => page.line("the embedded server does not run"),
            (Some(pid), true) => page.line(format_args!("stopped the embedded server ({pid})")),
            (Some(pid), false) => {
                page.line(format_args!("the embedded server runs as process {pid}"));
                page.line("sessions of workers and commands end; a worker waits and goes on later");
            }
        }
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    refuse_if_configured(ctx)?;
    let status = embedded::status(embedded_options(&ctx.settings)).await?;
    let pid = match status {
        Status::Running(running) => Some(running.pid),
        Status::Changing { pid } => Some(pid),
        Status::Stopped { .. } | Status::Absent => None,
    };
    let mut plan = Plan { dry_run: args.confirm.is_dry_run(), pid, stopped: false };
    if pid.is_some() {
        let Some(confirmed) = args.confirm.ask(out, &plan, "Stop the embedded server?")? else {
            return Ok(Exit::Done);
        };
        plan.stopped = stop(ctx, confirmed).await?;
    }
    out.data(&plan)?;
    Ok(Exit::Done)
}

async fn stop(ctx: &Context, _: Confirmed) -> anyhow::Result<bool> {
    let stopped = embedded::stop(embedded_options(&ctx.settings)).await;
    let stopped = stopped.context("stop the embedded PostgreSQL")?;
    Ok(matches!(stopped, Stopped::WasRunning { .. }))
}
