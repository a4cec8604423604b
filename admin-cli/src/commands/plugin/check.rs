//! `dripline plugin check`.

use std::path::PathBuf;

use serde::Serialize;

use super::report::{PluginReport, sentence};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::Page;
use crate::output::{Output, Report};

/// Check a plugin's file: that it can be loaded, what it is, and what it asks for.
///
/// Nothing is installed. A file that cannot be loaded is refused with the reason: no component, another
/// version of the contract, an import that plugins never get, too large, or a manifest that contradicts
/// itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The component. Its name is the plugin's, with `_` as `-`.
    file: PathBuf,
}

#[derive(Serialize)]
struct Checked {
    plugin: PluginReport,
    /// What its manifest asks for, which a route has to give.
    asks_for: Vec<String>,
}

impl Report for Checked {
    fn lay_out(&self, page: &mut Page) {
        self.plugin.lay_out(page);
        page.gap();
        page.line("it asks for:");
        for permission in &self.asks_for {
            page.line(format_args!("  {permission}"));
        }
        if self.asks_for.is_empty() {
            page.line("  nothing");
        }
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let (_, info) = ctx.plugins.open(&args.file).await?;
    let plugin = PluginReport::new(&info, ctx.plugins.limits());
    let asks_for = info.permissions().iter().map(sentence).collect();
    out.data(&Checked { plugin, asks_for })?;
    Ok(Exit::Done)
}
