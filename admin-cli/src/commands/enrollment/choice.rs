//! Whom to enrol, as the command line says it.

use std::path::PathBuf;

use dripline_domain::ids::OperationId;
use dripline_domain::phone::Phone;
use dripline_store::account::Account;
use dripline_store::selection::{self, Selection};

use crate::contact_csv::{self, BadRow, Dialect};
use crate::context::Context;
use crate::failure::usage;

/// Exactly one way to choose contacts.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    dialect: Dialect,
    /// Enrol the others even when some rows, numbers or messages are bad.
    #[arg(long)]
    pub(super) partial: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct SourceArgs {
    /// Everybody in the account.
    #[arg(long)]
    all: bool,
    /// The contact with this number. Can be repeated.
    #[arg(long, value_name = "PHONE", allow_hyphen_values = true)]
    phone: Vec<String>,
    /// The contacts whose numbers stand in the column `phone` of this CSV file; `-` is stdin.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The people whom this pause, deletion or removal took out.
    #[arg(long, value_name = "ID")]
    from_operation: Option<OperationId>,
}

/// Whom to enrol, and whom that cannot mean.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) selection: Selection,
    pub(super) unknown_phones: Vec<Phone>,
    pub(super) bad_rows: Vec<BadRow>,
}

impl Args {
    /// Reads files and looks numbers up.
    pub(super) async fn read(self, ctx: &Context, account: &Account) -> anyhow::Result<Choice> {
        let Self { source, dialect, .. } = self;
        let mut choice =
            Choice { selection: Selection::All, unknown_phones: vec![], bad_rows: vec![] };
        if let Some(id) = source.from_operation {
            let operation = ctx.operation(account, id).await?;
            choice.selection = Selection::Operation(operation.operation_id);
        } else if let Some(path) = &source.file {
            let sheet = contact_csv::read_phones(contact_csv::open(path)?, &dialect)?;
            choice.bad_rows = sheet.bad_rows;
            choice.selection = Selection::Phones(sheet.rows);
        } else if !source.all {
            let region = dialect.region.as_deref();
            let phones: Result<Vec<_>, _> =
                source.phone.iter().map(|text| Phone::parse(text, region)).collect();
            choice.selection = Selection::Phones(phones.map_err(|error| usage(error.to_string()))?);
        }
        if let Selection::Phones(phones) = &choice.selection {
            let pool = ctx.pool().await?;
            choice.unknown_phones =
                selection::unknown_phones(pool, account.account_id, phones).await?;
        }
        Ok(choice)
    }
}
