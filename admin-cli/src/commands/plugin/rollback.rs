//! `dripline plugin rollback`.

use dripline_store::Pool;
use dripline_store::ops::{NewPluginVersion, install_plugin};
use dripline_store::plugin::{self, PluginVersion};
use serde::Serialize;

use super::install::{explain, labelled};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, refuse};
use crate::output::page::Page;
use crate::output::{Output, Report};

/// Put a version of a plugin in force again that was installed before: the one whose place the present one took.
///
/// What it asks for was approved then. The first version has none before it, so that going back again and again never
/// comes to a version that was gone back from.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The plugin.
    name: String,
    /// Which version, by the beginning of its digest. `plugin show` lists them.
    #[arg(long, value_name = "DIGEST")]
    to: Option<String>,
}

#[derive(Serialize)]
struct RolledBack {
    name: String,
    digest: String,
    version: String,
    changed: bool,
}

impl Report for RolledBack {
    fn lay_out(&self, page: &mut Page) {
        let Self { name, digest, version, .. } = self;
        page.line(format_args!("{} is in force", labelled(name, version, digest)));
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let pool = ctx.pool().await?;
    let versions = plugin::versions(pool, &args.name).await?;
    let chosen = match &args.to {
        Some(digest) => named(&args.name, &versions, digest)?,
        None => earlier(pool, &args.name, &versions).await?,
    };
    let component = plugin::component(pool, &chosen.name, &chosen.digest).await?;
    let Some(component) = component else {
        return Err(refuse("the version is gone").into());
    };
    let new = NewPluginVersion {
        name: &chosen.name,
        kind: &chosen.kind,
        digest: &chosen.digest,
        version: &chosen.version,
        component: &component,
        permissions: &chosen.permissions,
    };
    let changed = install_plugin(pool, &ctx.clock, &new, &ctx.actor).await.map_err(explain)?;
    out.data(&RolledBack {
        name: chosen.name.clone(),
        digest: chosen.digest.clone(),
        version: chosen.version.clone(),
        changed,
    })?;
    Ok(Exit::Done)
}

/// The version whose place the one in force took or, where none is in force, the last one.
async fn earlier<'a>(
    pool: &Pool,
    plugin: &str,
    versions: &'a [PluginVersion],
) -> anyhow::Result<&'a PluginVersion> {
    let Some(last) = versions.first() else {
        return Err(refuse(format!("plugin `{plugin}` was never installed"))
            .hint("`dripline plugin list` lists what is")
            .into());
    };
    let Some(now) = versions.iter().find(|version| version.in_force) else { return Ok(last) };
    let before = plugin::before(pool, &now.name, &now.digest).await?;
    let before = before.and_then(|b| versions.iter().find(|version| version.digest == b.digest));
    before.ok_or_else(|| {
        refuse(format!("plugin `{plugin}` has no earlier version than the one in force"))
            .hint(format!("`dripline plugin show {plugin}` lists all; --to takes any of them"))
            .into()
    })
}

/// The version that the beginning of a digest names, unless it names none or several.
fn named<'a>(
    plugin: &str,
    versions: &'a [PluginVersion],
    digest: &str,
) -> Result<&'a PluginVersion, Failure> {
    let meant: Vec<_> = versions
        .iter()
        .filter(|version| !digest.is_empty() && version.digest.starts_with(digest))
        .collect();
    match meant[..] {
        [version] => Ok(version),
        [] => Err(refuse(format!("plugin `{plugin}` has no version `{digest}`"))
            .hint(format!("`dripline plugin show {plugin}` lists the versions"))),
        _ => {
            let digests: Vec<_> = meant.iter().map(|v| format!("`{}`", v.digest)).collect();
            Err(refuse(format!(
                "`{digest}` begins {} versions of plugin `{plugin}`: {}",
                meant.len(),
                digests.join(", ")
            ))
            .hint("give more of the digest"))
        }
    }
}
