//! `dripline plugin logs`.

use std::time::Duration;

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::plugin_log::LogLevel;
use dripline_store::plugin;
use dripline_store::plugin_log::{self, Entry, Follower, LogFilter};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use super::install::short;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{refuse, usage};
use crate::output::page::Page;
use crate::output::words::{count, time};
use crate::output::{Output, Report};
use crate::suggestion;

/// Between two looks at what has come.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Show what plugins have logged lately on all workers, the newest last.
///
/// Each line has the time, the level, the plugin with its digest, the worker, and the account and route that it worked
/// for. The newest 1,000 entries of each plugin are kept. What a plugin says beyond its limits, or while the database is
/// away, is counted instead. What commands of this program make plugins say goes to stderr with --verbose.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only of this plugin.
    name: Option<String>,
    /// Only lines of this level and graver ones: debug, info, warn or error.
    #[arg(long, value_name = "LEVEL", default_value_t = LogLevel::Debug)]
    level: LogLevel,
    /// Only what was said in this time until now: `90s`, `10m`, `2h`.
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    since: Option<Duration>,
    /// The newest so many.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
    /// Then show what comes until Ctrl-C; with `--output json`, one document a line.
    #[arg(long)]
    follow: bool,
}

#[derive(Serialize)]
struct Logs {
    entries: Vec<Entry>,
}

impl Report for Logs {
    fn lay_out(&self, page: &mut Page) {
        if self.entries.is_empty() {
            page.line("nothing was logged");
        }
        for entry in &self.entries {
            entry.lay_out(page);
        }
    }
}

impl Report for Entry {
    fn lay_out(&self, page: &mut Page) {
        let Self { plugin, digest, level, message, dropped, .. } = self;
        let level = level.map_or("-", LogLevel::as_str);
        let worker = self.worker.as_deref().unwrap_or("-");
        let route = match (&self.account, &self.route) {
            (Some(account), Some(route)) => format!(" {account}/{route}"),
            _ => String::new(),
        };
        let said = match message {
            Some(message) => message.clone(),
            None => format!("({} dropped)", count(*dropped, "line")),
        };
        page.line(format_args!(
            "{} {level:<5} {plugin} ({}) {worker}{route}: {said}",
            time(self.written_at),
            short(digest),
        ));
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let since = args.since.map(|since| beginning(ctx, since)).transpose()?;
    if let Some(name) = &args.name {
        must_be_known(ctx, name).await?;
    }
    let Args { name: plugin, level, limit, .. } = args;
    let filter = LogFilter { plugin, level, since, limit: Some(limit) };
    if args.follow {
        return follow(filter, ctx, out).await;
    }
    let entries = plugin_log::list(ctx.pool().await?, &filter).await?;
    out.data(&Logs { entries })?;
    Ok(Exit::Done)
}

fn beginning(ctx: &Context, since: Duration) -> anyhow::Result<DateTime<Utc>> {
    let begin =
        TimeDelta::from_std(since).ok().and_then(|since| ctx.clock.now().checked_sub_signed(since));
    begin.ok_or_else(|| {
        let since = humantime::format_duration(since);
        usage(format!("`--since {since}` begins before any time there is"))
            .hint("without --since everything that is kept is shown")
            .into()
    })
}

/// Shows what is there, and then what comes, until somebody interrupts or nobody reads any more.
async fn follow(filter: LogFilter, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let mut interrupts = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let showing = async {
        let pool = ctx.pool().await?;
        // First, so that nothing comes between the two.
        let mut follower = Follower::begin(pool).await?;
        let mut entries = plugin_log::list(pool, &filter).await?;
        follower.have(&entries);
        let filter = LogFilter { since: None, limit: None, ..filter };
        loop {
            for entry in &entries {
                if !out.next(entry)? {
                    return anyhow::Ok(Exit::Done);
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
            entries = follower.next(pool, &filter).await?;
        }
    };
    tokio::select! {
        ended = showing => ended,
        _ = interrupts.recv() => Ok(Exit::Interrupted),
    }
}

/// A name that is neither installed, nor a file, nor that of a plugin which has ever said anything is a mistake.
async fn must_be_known(ctx: &Context, name: &str) -> anyhow::Result<()> {
    let pool = ctx.pool().await?;
    let mut names = plugin_log::plugins(pool).await?;
    if names.iter().any(|known| known == name) || !plugin::versions(pool, name).await?.is_empty() {
        return Ok(());
    }
    names.extend(ctx.plugins.list().await?.into_iter().map(|plugin| plugin.name));
    names.extend(ctx.plugins.broken().await?.keys().cloned());
    if names.iter().any(|known| known == name) {
        return Ok(());
    }
    let names = names.iter().map(String::as_str);
    let hint = suggestion::hint(name, names, "dripline plugin list");
    Err(refuse(format!("there is no plugin `{name}`")).hint(hint).into())
}
