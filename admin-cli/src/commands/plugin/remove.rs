//! `dripline plugin remove`.

use dripline_store::ops::{RemovePluginError, remove_plugin};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::page::Page;
use crate::output::{Output, Report};

/// Remove an installed plugin. Refused while routes or workflows use it.
///
/// Running workers unload it within a sweep's interval. Its versions are kept: `plugin rollback` brings the last one
/// back. A file of the same name in the plugin directory is used again when a worker starts.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plugin.
    name: String,
}

#[derive(Serialize)]
struct Removed {
    name: String,
}

impl Report for Removed {
    fn lay_out(&self, page: &mut Page) {
        page.line(format_args!("removed `{}`", self.name));
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let pool = ctx.pool().await?;
    match remove_plugin(pool, &ctx.clock, &args.name, &ctx.actor).await {
        Ok(()) => {
            out.data(&Removed { name: args.name })?;
            Ok(Exit::Done)
        }
        Err(RemovePluginError::Store(error)) => {
            Err(anyhow::Error::new(error).context("remove the plugin"))
        }
        Err(refused) => {
            let hint = match refused {
                RemovePluginError::InUse { .. } => "give them another plugin first",
                _ => "`dripline plugin list` lists what is installed",
            };
            Err(refuse(refused.to_string()).hint(hint).into())
        }
    }
}
