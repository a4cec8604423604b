//! `dripline plugin list`.

use serde::Serialize;

use super::report::PluginReport;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::{Column, Page};
use crate::output::{Output, Report};

/// List the installed plugins, and files that cannot be loaded with why.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct List {
    directory: String,
    plugins: Vec<PluginReport>,
    broken: Vec<Broken>,
}

#[derive(Serialize)]
struct Broken {
    name: String,
    reason: String,
}

impl Report for List {
    fn lay_out(&self, page: &mut Page) {
        let columns = [
            Column::Text("NAME"),
            Column::Text("KIND"),
            Column::Text("VERSION"),
            Column::Number("BYTES"),
            Column::Text("DIGEST"),
        ];
        let rows = self.plugins.iter().map(|plugin| {
            vec![
                plugin.name.clone(),
                plugin.kind.clone(),
                plugin.version().unwrap_or_default(),
                plugin.file_bytes.to_string(),
                plugin.digest.chars().take(12).collect(),
            ]
        });
        page.table(&columns, rows, &format!("no plugins in {}", self.directory));
        for Broken { name, reason } in &self.broken {
            page.line(format_args!("{name} cannot be loaded: {reason}"));
        }
    }
}

pub(crate) async fn run(_: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let plugins = ctx.plugins.list().await?;
    let broken = ctx.plugins.broken().await?.iter();
    out.data(&List {
        directory: ctx.plugins.directory.display().to_string(),
        plugins: plugins.iter().map(|info| PluginReport::new(info, ctx.plugins.limits())).collect(),
        broken: broken
            .map(|(name, reason)| Broken { name: name.clone(), reason: reason.clone() })
            .collect(),
    })?;
    Ok(Exit::Done)
}
