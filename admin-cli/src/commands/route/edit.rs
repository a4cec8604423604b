//! `dripline route edit`.

use anyhow::Context as _;
use dripline_store::ops::{UpdateRouteError, update_route};
use dripline_store::route::{self, CallbackChange, RouteDraft};

use super::draft;
use super::report::OneRoute;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, refuse, usage};
use crate::output::Output;
use crate::suggestion;

/// Change a route; workers use it from their next batch. What is held for messages under way stays
/// as it was priced. What waits for one of its limits is looked at again at once.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The route.
    name: String,
    /// Give it another name.
    #[arg(long, value_name = "NAME")]
    rename: Option<String>,
    /// Give it another callback, for example since somebody else has learnt the old one. What is reported to that is
    /// not heard any more, also of messages that have left already; a carrier whose console has it needs the new one.
    #[arg(long)]
    new_callback: bool,
    /// Take a setting or a secret away, also one that --file gives. Can be repeated.
    #[arg(long, value_name = "NAME")]
    unset: Vec<String>,
    /// Do not let it send to this machine itself any more.
    #[arg(long, conflicts_with = "allow_loopback")]
    no_allow_loopback: bool,
    #[command(flatten)]
    draft: draft::Args,
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let takes_away = args.no_allow_loopback || !args.unset.is_empty();
    let changes_more = args.rename.is_some() || args.new_callback || takes_away;
    if args.draft.is_empty() && !changes_more {
        return Err(usage("say what to change, by --file or by flags")
            .hint("`dripline route edit --help` lists them")
            .into());
    }
    let account = ctx.account().await?;
    let current = ctx.route(&account, &args.name).await?;
    let name = args.rename.or(Some(args.name));
    let (mut draft, says_origins) = args.draft.draft(name, Some(&current))?;
    for name in &args.unset {
        unset(&mut draft, name)?;
    }
    if args.no_allow_loopback {
        draft.allow_loopback = false;
    }
    // What nobody chose follows the carrier and its settings.
    if !says_origins && draft::has_carriers_origins(&current, ctx).await {
        draft.allowed_origins.clear();
    }
    draft::check(&mut draft, ctx, &account).await?;
    let callback = if args.new_callback { CallbackChange::Renew } else { CallbackChange::Keep };
    let (pool, clock, revision) = (ctx.pool().await?, &ctx.clock, Some(current.revision));
    update_route(pool, clock, current.route_id, &draft, callback, revision, &ctx.actor)
        .await
        .map_err(explain)?;
    let route = route::load(pool, current.route_id).await?.context("the route is gone")?;
    out.data(&OneRoute::new(route, account.currency, ctx))?;
    Ok(Exit::Done)
}

fn unset(draft: &mut RouteDraft, name: &str) -> Result<(), Failure> {
    let (setting, secret) = (draft.settings.remove(name), draft.secrets.remove(name));
    if setting.or(secret).is_some() {
        return Ok(());
    }
    let names = draft.settings.keys().chain(draft.secrets.keys()).map(String::as_str);
    let hint = suggestion::hint(name, names, &format!("dripline route show {}", draft.name));
    Err(refuse(format!("route `{}` has no setting or secret `{name}`", draft.name)).hint(hint))
}

fn explain(error: UpdateRouteError) -> anyhow::Error {
    match error {
        UpdateRouteError::Store(error) => anyhow::Error::new(error).context("change the route"),
        refused => refuse(refused.to_string()).into(),
    }
}
