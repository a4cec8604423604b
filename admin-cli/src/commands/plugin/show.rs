//! `dripline plugin show`.

use chrono::SecondsFormat;
use dripline_store::plugin::{self, PluginLoad, PluginVersion};
use serde::Serialize;

use super::install::short;
use super::report::PluginReport;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::page::{Column, Page};
use crate::output::{Output, Report};
use crate::suggestion;

/// Show one plugin: settings, origins, limits, what it promises against duplicates, its installed versions, and what
/// running workers made of them.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plugin.
    name: String,
}

#[derive(Serialize)]
struct OnePlugin {
    plugin: PluginReport,
    /// Why the version in force cannot be loaded here, so that this is an earlier one.
    problem: Option<String>,
    /// Every version that was installed in the database, the last first.
    versions: Vec<PluginVersion>,
    /// What the running workers made of it.
    workers: Vec<PluginLoad>,
}

impl Report for OnePlugin {
    fn lay_out(&self, page: &mut Page) {
        self.plugin.lay_out(page);
        if self.versions.is_empty() {
            return;
        }
        page.gap();
        let columns = [
            Column::Text("DIGEST"),
            Column::Text("VERSION"),
            Column::Text("INSTALLED"),
            Column::Text("BY"),
            Column::Text("IN FORCE"),
        ];
        let rows = self.versions.iter().map(|version| {
            vec![
                short(&version.digest).to_owned(),
                version.version.clone(),
                version.installed_at.to_rfc3339_opts(SecondsFormat::Secs, true),
                version.installed_by.clone(),
                if version.in_force { "yes" } else { "" }.to_owned(),
            ]
        });
        page.table(&columns, rows, "");
        if let Some(problem) = &self.problem {
            page.line(format_args!("the version in force cannot be loaded here: {problem}"));
        }
        for PluginLoad { worker, digest, problem, runs, .. } in &self.workers {
            let (digest, runs) = (short(digest), runs.as_deref().map_or("none", short));
            match problem {
                None => page.line(format_args!("worker {worker} runs {digest}")),
                Some(problem) => page.line(format_args!(
                    "worker {worker} cannot load {digest} and runs {runs}: {problem}"
                )),
            }
        }
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let plugins = ctx.plugins.list().await?;
    let problem = ctx.plugins.broken().await?.get(&args.name);
    let Some(info) = plugins.iter().find(|info| info.name == args.name) else {
        if let Some(why) = problem {
            return Err(refuse(format!("plugin `{}` cannot be loaded: {why}", args.name)).into());
        }
        let names = plugins.iter().map(|info| info.name.as_str());
        let hint = suggestion::hint(&args.name, names, "dripline plugin list");
        return Err(refuse(format!("there is no plugin `{}`", args.name)).hint(hint).into());
    };
    let (versions, workers) = if ctx.plugins.is_installed(&args.name).await? {
        let pool = ctx.pool().await?;
        (plugin::versions(pool, &args.name).await?, plugin::loads(pool, &args.name).await?)
    } else {
        Default::default()
    };
    let plugin = PluginReport::new(info, ctx.plugins.limits());
    out.data(&OnePlugin { plugin, problem: problem.cloned(), versions, workers })?;
    Ok(Exit::Done)
}
