//! `dripline queue stats`.

use chrono::{DateTime, Utc};
use dripline_store::listing::queue::{self, QueueSummary};
use dripline_store::queue::{QueueStats, stats};
use dripline_store::route::{self, Route};
use dripline_store::route_halt::{self, RouteHalt};
use dripline_store::worker_registry::{self, Worker};
use serde::Serialize;

use crate::commands::route::halts;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::{Column, Page};
use crate::output::words::{time, time_or_dash};
use crate::output::{Output, Report};

/// Count what waits, what is due and who works.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Stats {
    /// The account's messages that are not settled.
    deliveries: QueueSummary,
    /// The tickets of the whole installation.
    tickets: QueueStats,
    /// The account's routes that are paused.
    paused_routes: Vec<PausedRoute>,
    /// The account's routes that are halted, by worker.
    halted_routes: Vec<RouteHalt>,
    /// The workers that have not stopped, and the latest of those that have.
    workers: Vec<Worker>,
}

/// A route that keeps its messages until an operator lets it run.
#[derive(Serialize)]
struct PausedRoute {
    route: String,
    paused_at: DateTime<Utc>,
    reason: Option<String>,
}

impl PausedRoute {
    fn of(route: Route) -> Option<Self> {
        let Route { name, paused_at, paused_reason, .. } = route;
        Some(Self { route: name, paused_at: paused_at?, reason: paused_reason })
    }
}

impl Report for Stats {
    fn lay_out(&self, page: &mut Page) {
        let Self { deliveries, tickets, paused_routes, halted_routes, workers } = self;
        page.line("messages of this account:");
        page.pairs([
            ("due", deliveries.due.to_string()),
            ("scheduled", deliveries.scheduled.to_string()),
            ("sending", deliveries.sending.to_string()),
            ("unknown", deliveries.unknown.to_string()),
            ("longest overdue", time_or_dash(deliveries.oldest_due_at)),
            ("next due", time_or_dash(deliveries.next_due_at)),
        ]);
        page.gap();
        page.line("tickets of the installation:");
        page.pairs([
            ("due", tickets.due.to_string()),
            ("scheduled", tickets.scheduled.to_string()),
            ("claimed", tickets.claimed.to_string()),
            ("foreign", tickets.other.to_string()),
        ]);
        page.gap();
        if !paused_routes.is_empty() {
            page.line("paused; what is due waits until `dripline route resume`:");
            let columns = [Column::Text("ROUTE"), Column::Text("SINCE"), Column::Text("REASON")];
            let rows = paused_routes.iter().map(|paused| {
                let reason = paused.reason.clone().unwrap_or_default();
                vec![paused.route.clone(), time(paused.paused_at), reason]
            });
            page.table(&columns, rows, "");
            page.gap();
        }
        if !halted_routes.is_empty() {
            halts::lay_out(halted_routes, page);
            page.gap();
        }
        let columns = [
            Column::Text("WORKER"),
            Column::Text("STARTED"),
            Column::Text("LAST SIGN OF LIFE"),
            Column::Text("STOPPED"),
        ];
        let rows = workers.iter().map(|worker| {
            vec![
                worker.name.clone(),
                time(worker.started_at),
                time(worker.heartbeat_at),
                time_or_dash(worker.stopped_at),
            ]
        });
        page.table(&columns, rows, "no worker has ever run");
    }
}

/// How many workers are shown.
const WORKERS: i64 = 20;

pub(crate) async fn run(_: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let pool = ctx.pool().await?;
    let routes = route::list(pool, account.account_id).await?;
    let report = Stats {
        deliveries: queue::summary(pool, &ctx.clock, account.account_id).await?,
        tickets: stats(pool, &ctx.clock).await?,
        paused_routes: routes.into_iter().filter_map(PausedRoute::of).collect(),
        halted_routes: route_halt::current(pool, account.account_id, None).await?,
        workers: worker_registry::list(pool, WORKERS).await?,
    };
    out.data(&report)?;
    Ok(Exit::Done)
}
