//! `dripline plugin list`.

use serde::Serialize;

use super::report::PluginReport;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::{Column, Page};
use crate::output::{Output, Report};

/// List the plugins, and those that cannot be loaded with why.
///
/// What is installed in the database takes the place of a file of the same name.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct List {
    directory: String,
    plugins: Vec<Listed>,
    broken: Vec<Broken>,
}

#[derive(Serialize)]
struct Listed {
    #[serde(flatten)]
    plugin: PluginReport,
    /// Whether it is installed in the database, rather than a file of the directory.
    installed: bool,
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
            Column::Text("ENCODINGS"),
            Column::Number("MAX CHARACTERS"),
            Column::Number("BYTES"),
            Column::Text("DIGEST"),
            Column::Text("FROM"),
        ];
        let rows = self.plugins.iter().map(|listed| {
            let plugin = &listed.plugin;
            let (encodings, max_characters) = plugin.texts();
            let from = if listed.installed { "database" } else { "file" };
            vec![
                plugin.name.clone(),
                plugin.kind.clone(),
                plugin.version().unwrap_or_default(),
                encodings,
                max_characters.map(|most| most.to_string()).unwrap_or_default(),
                plugin.file_bytes.to_string(),
                plugin.digest.chars().take(12).collect(),
                from.to_owned(),
            ]
        });
        page.table(&columns, rows, &format!("no plugins in {}", self.directory));
        for Broken { name, reason } in &self.broken {
            page.line(format_args!("{name} cannot be loaded: {reason}"));
        }
    }
}

pub(crate) async fn run(_: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let mut plugins = Vec::new();
    for info in ctx.plugins.list().await? {
        let installed = ctx.plugins.is_installed(&info.name).await?;
        plugins.push(Listed { plugin: PluginReport::new(&info, ctx.plugins.limits()), installed });
    }
    let broken = ctx.plugins.broken().await?.iter();
    out.data(&List {
        directory: ctx.plugins.directory.display().to_string(),
        plugins,
        broken: broken
            .map(|(name, reason)| Broken { name: name.clone(), reason: reason.clone() })
            .collect(),
    })?;
    Ok(Exit::Done)
}
