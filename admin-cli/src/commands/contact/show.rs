//! `dripline contact show`.

use dripline_domain::money::Micros;
use dripline_store::contact::{self, ContactDetail};
use serde::Serialize;

use crate::commands::enrollment::rows;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::page::{Column, Page};
use crate::output::words::time;
use crate::output::{Output, Report};

/// Show one contact: its fields, where it is now, and how it left where it was.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The contact, by phone number or id.
    #[arg(allow_hyphen_values = true)]
    contact: String,
    /// How many of its latest exits to show.
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(i64).range(0..))]
    exits: i64,
}

#[derive(Serialize)]
struct OneContact {
    contact: ContactDetail,
}

impl Report for OneContact {
    fn lay_out(&self, page: &mut Page) {
        let ContactDetail { contact, live, exits } = &self.contact;
        let mut pairs = vec![
            ("contact", contact.contact_id.to_string()),
            ("phone", contact.phone.to_string()),
            ("time zone", contact.time_zone.clone()),
            ("imported", time(contact.created_at)),
        ];
        pairs.extend(contact.opted_out_at.map(|at| ("opted out", time(at))));
        page.pairs(pairs);
        if !contact.fields.is_empty() {
            page.gap();
            page.line("fields:");
            page.pairs(contact.fields.iter().map(|(name, value)| (name.as_str(), value.clone())));
        }
        page.gap();
        if live.is_empty() {
            page.line("in no active workflow");
        } else {
            let columns = [
                Column::Text("IN WORKFLOW"),
                Column::Text("STEP"),
                Column::Text("NEXT MESSAGE"),
                Column::Number("HELD"),
            ];
            let rows = live.iter().map(|enrollment| {
                vec![
                    enrollment.workflow.clone(),
                    rows::step(enrollment),
                    rows::next_message(enrollment),
                    enrollment.held_micros.to_string(),
                ]
            });
            page.table(&columns, rows, "");
        }
        if !exits.is_empty() {
            page.gap();
            rows::exits_table(exits, page);
            let back: Micros = exits.iter().map(|exit| exit.released_micros).sum();
            page.line(format_args!("refunded in all: {back}"));
        }
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let found = ctx.contact(&account, &args.contact).await?;
    let contact = contact::show(ctx.pool().await?, found.contact_id, args.exits).await?;
    let contact = contact.ok_or_else(|| refuse("the contact was removed just now"))?;
    out.data(&OneContact { contact })?;
    Ok(Exit::Done)
}
