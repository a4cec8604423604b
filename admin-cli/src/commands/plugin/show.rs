//! `dripline plugin show`.

use serde::Serialize;

use super::report::PluginReport;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::page::Page;
use crate::output::{Output, Report};
use crate::suggestion;

/// Show one plugin: settings, origins, limits, and what it promises against duplicates.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plugin.
    name: String,
}

#[derive(Serialize)]
struct OnePlugin {
    plugin: PluginReport,
}

impl Report for OnePlugin {
    fn lay_out(&self, page: &mut Page) {
        self.plugin.lay_out(page);
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let plugins = ctx.plugins.list().await?;
    let Some(info) = plugins.iter().find(|info| info.name == args.name) else {
        if let Some(why) = ctx.plugins.broken().await?.get(&args.name) {
            return Err(refuse(format!("plugin `{}` cannot be loaded: {why}", args.name)).into());
        }
        let names = plugins.iter().map(|info| info.name.as_str());
        let hint = suggestion::hint(&args.name, names, "dripline plugin list");
        return Err(refuse(format!("there is no plugin `{}`", args.name)).hint(hint).into());
    };
    out.data(&OnePlugin { plugin: PluginReport::new(info, ctx.plugins.limits()) })?;
    Ok(Exit::Done)
}
