//! `dripline plugin rollback`.

use dripline_store::ops::{NewPluginVersion, install_plugin};
use dripline_store::plugin;
use serde::Serialize;

use super::install::{explain, labelled};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::page::Page;
use crate::output::{Output, Report};

/// Put a version of a plugin in force again that was installed before: the one whose place the present one took.
///
/// What it asks for was approved then.
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
    let before = match versions.iter().find(|version| version.in_force) {
        Some(now) => plugin::before(pool, &now.name, &now.digest).await?,
        None => None,
    };
    let chosen = versions.iter().find(|version| match (&args.to, &before) {
        (Some(digest), _) => !digest.is_empty() && version.digest.starts_with(digest),
        (None, Some(before)) => version.digest == before.digest,
        (None, None) => !version.in_force,
    });
    let Some(chosen) = chosen else {
        let why = match &args.to {
            Some(digest) => format!("plugin `{}` has no version `{digest}`", args.name),
            None if versions.is_empty() => format!("plugin `{}` was never installed", args.name),
            None => format!("plugin `{}` has no other version", args.name),
        };
        return Err(refuse(why).hint("`dripline plugin show` lists the versions").into());
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
