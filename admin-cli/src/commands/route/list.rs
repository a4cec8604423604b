//! `dripline route list`.

use dripline_store::route::{self, Route};
use serde::Serialize;

use super::report::origins;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::{Column, Page};
use crate::output::{Output, Report};

/// List the account's routes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Routes {
    routes: Vec<Route>,
}

impl Report for Routes {
    fn lay_out(&self, page: &mut Page) {
        let columns = [
            Column::Text("NAME"),
            Column::Text("CARRIER"),
            Column::Text("SENDERS"),
            Column::Number("PRICE"),
            Column::Text("MAY SEND TO"),
            Column::Text("FAILOVER"),
            Column::Text("PAUSED"),
        ];
        let rows = self.routes.iter().map(|route| {
            vec![
                route.name.clone(),
                route.carrier.clone(),
                route.senders.join(", "),
                route.price_micros_per_segment.to_string(),
                origins(route),
                route.failover.clone().unwrap_or_default(),
                if route.paused_at.is_some() { "paused" } else { "" }.to_owned(),
            ]
        });
        page.table(&columns, rows, "no routes yet");
    }
}

pub(crate) async fn run(_: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let routes = route::list(ctx.pool().await?, account.account_id).await?;
    out.data(&Routes { routes })?;
    Ok(Exit::Done)
}
