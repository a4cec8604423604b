//! `dripline plugin install`.

use std::path::PathBuf;

use anyhow::Context as _;
use dripline_plugin_host::{Permission, PluginInfo};
use dripline_store::ops::{InstallPluginError, NewPluginVersion, install_plugin};
use dripline_store::plugin::{self, PluginVersion};
use serde::Serialize;

use super::misfit::{self, Misfit};
use super::report::sentence;
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::page::Page;
use crate::output::{Output, Report};

/// Install a plugin, or another version of one, for every worker and command.
///
/// The file is checked as `plugin check` does, kept in the database with its digest, and loaded by running workers
/// within a sweep's interval, without a restart; what is under way ends on the version before. What it asks for must
/// be approved once: a version that asks for more than the one before is asked about again. Where one does not load, the
/// newest version before it that does is at work: see `plugin show`. Routes of any account that it does not fit, by their
/// settings or the origins that they allow, are listed and asked about as well. Installing the same file again changes nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The component. Its name is the plugin's, with `_` as `-`.
    file: PathBuf,
    #[command(flatten)]
    confirm: confirm::Args,
}

#[derive(Serialize)]
struct Installation {
    name: String,
    kind: String,
    version: String,
    digest: String,
    /// What was in force before.
    before: Option<String>,
    /// What nobody has approved yet.
    asks_for_more: Vec<String>,
    /// Routes that it does not fit.
    misfits: Vec<Misfit>,
    /// Whether it is in force now because of this.
    installed: bool,
    /// Whether it was in force already, and what it asks for was approved by this.
    approved: bool,
}

impl Report for Installation {
    fn lay_out(&self, page: &mut Page) {
        let this = format!("{} {}", self.kind, labelled(&self.name, &self.version, &self.digest));
        match (&self.before, self.installed) {
            _ if self.approved => page.line(format_args!("approved what {this} asks for")),
            (_, true) => page.line(format_args!("installed {this}")),
            (Some(before), false) if *before == self.digest => {
                page.line(format_args!("{this} is in force already"));
            }
            (Some(before), false) => {
                page.line(format_args!("installing {this} in the place of {}", short(before)));
            }
            (None, false) => page.line(format_args!("installing {this}")),
        }
        if !self.installed && !self.approved && !self.asks_for_more.is_empty() {
            page.line("it asks for what nobody has approved yet:");
            for permission in &self.asks_for_more {
                page.line(format_args!("  {permission}"));
            }
        }
        if !self.installed && !self.misfits.is_empty() {
            page.line("these routes do not fit it, until `dripline route edit` changes them:");
            for misfit in &self.misfits {
                page.line(format_args!("  {misfit}"));
            }
        }
    }
}

/// A version of a plugin in one line. Renderers say no version of their own.
pub(super) fn labelled(name: &str, version: &str, digest: &str) -> String {
    let version = if version.is_empty() { String::new() } else { format!(" {version}") };
    format!("`{name}`{version} ({})", short(digest))
}

/// Enough of a digest for a person.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let (_, info) = ctx.plugins.open(&args.file).await?;
    let component =
        std::fs::read(&args.file).with_context(|| format!("read `{}`", args.file.display()))?;
    // Only what was checked may be approved: a build may have written another file meanwhile.
    if !info.is_of(&component) {
        return Err(refuse(format!("`{}` changed while it was read", args.file.display()))
            .hint("install it again once nothing writes to it")
            .into());
    }
    let pool = ctx.pool().await?;
    let versions = plugin::versions(pool, &info.name).await?;
    let before = versions.into_iter().find(|version| version.in_force);
    let mut installation = plan(&info, before.as_ref());
    let is_new = installation.before.as_ref() != Some(&info.digest);
    if is_new {
        installation.misfits = misfit::of(&info, ctx).await?;
    }
    // What is in force may have been approved with less, by a host that knew of fewer permissions.
    let is_asked = !installation.asks_for_more.is_empty() || !installation.misfits.is_empty();
    if is_asked || args.confirm.is_dry_run() {
        let question = format!("Install `{}`?", info.name);
        if args.confirm.ask(out, &installation, &question)?.is_none() {
            return Ok(Exit::Done);
        }
    }
    let permissions: Vec<String> = info.permissions().iter().map(Permission::to_string).collect();
    let new = NewPluginVersion {
        name: &info.name,
        kind: &info.kind.to_string(),
        digest: &info.digest,
        version: &installation.version,
        component: &component,
        permissions: &permissions,
    };
    let changed = install_plugin(pool, &ctx.clock, &new, &ctx.actor).await.map_err(explain)?;
    installation.installed = changed && is_new;
    installation.approved = changed && !is_new;
    out.data(&installation)?;
    Ok(Exit::Done)
}

fn plan(info: &PluginInfo, before: Option<&PluginVersion>) -> Installation {
    let approved = before.map(|before| before.permissions.as_slice()).unwrap_or_default();
    let more = info.permissions();
    let more = more.iter().filter(|asked| !approved.contains(&asked.to_string()));
    let version = info.manifest.as_ref().map(|manifest| manifest.version.clone());
    Installation {
        name: info.name.clone(),
        kind: info.kind.to_string(),
        version: version.unwrap_or_default(),
        digest: info.digest.clone(),
        before: before.map(|before| before.digest.clone()),
        asks_for_more: more.map(sentence).collect(),
        misfits: Vec::new(),
        installed: false,
        approved: false,
    }
}

pub(super) fn explain(error: InstallPluginError) -> anyhow::Error {
    match error {
        InstallPluginError::Store(error) => anyhow::Error::new(error).context("install the plugin"),
        refused @ InstallPluginError::OtherKind { .. } => {
            refuse(refused.to_string()).hint("give the file another name").into()
        }
    }
}
