//! `dripline contact list`.

use chrono_tz::Tz;
use dripline_domain::ids::ContactId;
use dripline_domain::timing::parse_zone;
use dripline_store::contact::{self, Contact, ContactFilter};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::output::page::{Column, Page};
use crate::output::words::excerpt;
use crate::output::{Output, Report};

/// List the account's contacts, oldest first.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only those whose number contains these digits.
    #[arg(long, value_name = "DIGITS", allow_hyphen_values = true)]
    phone: Option<String>,
    /// Only those with this field of this value.
    #[arg(long, value_name = "NAME=VALUE", value_parser = field)]
    field: Option<(String, String)>,
    /// Only those in this IANA time zone.
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    time_zone: Option<Tz>,
    /// Only those who are in this workflow now.
    #[arg(long, value_name = "WORKFLOW")]
    workflow: Option<String>,
    /// Only those who are (true) or are not (false) in any active workflow.
    #[arg(long, value_name = "BOOL")]
    enrolled: Option<bool>,
    /// Only those who have (true) or have not (false) opted out.
    #[arg(long, value_name = "BOOL")]
    opted_out: Option<bool>,
    /// Continue the list after the contact with this id.
    #[arg(long, value_name = "ID")]
    after: Option<ContactId>,
    /// At most so many.
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..))]
    limit: i64,
}

#[derive(Serialize)]
struct Contacts {
    contacts: Vec<Contact>,
}

impl Report for Contacts {
    fn lay_out(&self, page: &mut Page) {
        let columns = [
            Column::Number("ID"),
            Column::Text("PHONE"),
            Column::Text("TIME ZONE"),
            Column::Text("OPTED OUT"),
            Column::Text("FIELDS"),
        ];
        let rows = self.contacts.iter().map(|contact| {
            let fields: Vec<_> =
                contact.fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
            vec![
                contact.contact_id.to_string(),
                contact.phone.to_string(),
                contact.time_zone.clone(),
                if contact.opted_out_at.is_some() { "yes" } else { "" }.to_owned(),
                excerpt(&fields.join(", "), 60),
            ]
        });
        page.table(&columns, rows, "no contacts");
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let workflow_id = match &args.workflow {
        Some(name) => Some(ctx.workflow(&account, name).await?.workflow_id),
        None => None,
    };
    let filter = ContactFilter {
        phone: args.phone.map(|digits| digits.trim_start_matches('+').to_owned()),
        field: args.field,
        time_zone: args.time_zone.map(|zone| zone.name().to_owned()),
        workflow_id,
        enrolled: args.enrolled,
        opted_out: args.opted_out,
        after: args.after,
        limit: args.limit,
    };
    let contacts = contact::list(ctx.pool().await?, account.account_id, &filter).await?;
    out.data(&Contacts { contacts })?;
    Ok(Exit::Done)
}

fn field(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "write it as NAME=VALUE".to_owned())
}

fn zone(name: &str) -> Result<Tz, dripline_domain::timing::UnknownZone> {
    parse_zone(name)
}
