//! `dripline contact import`.

use std::path::PathBuf;

use anyhow::Context as _;
use chrono_tz::Tz;
use dripline_domain::contact::ContactDraft;
use dripline_domain::timing::{UnknownZone, parse_zone};
use dripline_store::account::Account;
use dripline_store::ops::{ImportContactsError, Imported, import_contacts};
use serde::Serialize;

use crate::contact_csv::{self, BadRow, Dialect, Sheet};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::page::Page;
use crate::output::words::count;
use crate::output::{Output, Report};

/// Import contacts from a CSV file; known phones are updated.
///
/// The first line names the columns: `phone` (required), `time_zone` (an IANA name; required unless
/// --time-zone gives a default), and any other column as a template field. An empty value is a
/// missing field. When any row is bad, every bad row is listed and nothing is imported, unless
/// --partial asks for the rest.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The CSV file, in UTF-8; `-` is stdin.
    file: PathBuf,
    /// Import the good rows even when others are bad.
    #[arg(long)]
    partial: bool,
    /// The time zone of rows that have none, for example Europe/Rome.
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    time_zone: Option<Tz>,
    #[command(flatten)]
    dialect: Dialect,
    /// Only check the file.
    #[arg(long)]
    dry_run: bool,
}

#[derive(Serialize)]
struct ImportReport {
    dry_run: bool,
    /// Nothing was imported, since some rows are bad.
    refused: bool,
    file: String,
    /// Rows of the file, without the header.
    rows: usize,
    good_rows: usize,
    #[serde(flatten)]
    imported: Imported,
    bad_rows: Vec<BadRow>,
}

impl Report for ImportReport {
    fn lay_out(&self, page: &mut Page) {
        contact_csv::lay_out_bad_rows(&self.bad_rows, page);
        page.gap();
        let Imported { inserted, updated, unchanged } = self.imported;
        if self.refused {
            // The error says it.
        } else if self.dry_run {
            page.line(format_args!("{} of {} rows can be imported", self.good_rows, self.rows));
        } else {
            page.line(format_args!(
                "imported {}: {inserted} new, {updated} changed, {unchanged} as they were",
                count(inserted + updated + unchanged, "contact"),
            ));
        }
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let file = args.file.display().to_string();
    let sheet =
        contact_csv::read_contacts(contact_csv::open(&args.file)?, &args.dialect, args.time_zone)
            .with_context(|| format!("cannot read `{file}`"))?;
    let account = ctx.account().await?;
    let Sheet { rows, bad_rows } = sheet;
    let bad = bad_rows.len();
    let refused = bad > 0 && !args.partial;
    let mut report = ImportReport {
        dry_run: args.dry_run,
        refused,
        file,
        rows: rows.len() + bad,
        good_rows: rows.len(),
        imported: Imported::default(),
        bad_rows,
    };
    if !refused && !args.dry_run {
        report.imported = import(ctx, &account, &rows).await?;
    }
    out.data(&report)?;
    if refused {
        let rows = report.rows;
        return Err(refuse(format!("{bad} of {rows} rows are bad; nothing was imported"))
            .hint("correct them, or pass --partial to import the rest")
            .into());
    }
    Ok(Exit::Done)
}

async fn import(
    ctx: &Context,
    account: &Account,
    contacts: &[ContactDraft],
) -> anyhow::Result<Imported> {
    let pool = ctx.pool().await?;
    import_contacts(pool, &ctx.clock, account.account_id, contacts, &ctx.actor).await.map_err(
        |error| match error {
            ImportContactsError::Store(error) => {
                anyhow::Error::new(error).context("import the contacts")
            }
            refused => refuse(refused.to_string()).into(),
        },
    )
}

fn zone(name: &str) -> Result<Tz, UnknownZone> {
    parse_zone(name)
}
