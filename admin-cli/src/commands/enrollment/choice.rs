//! Whom to enrol or to remove, as the command line says it.

use std::path::PathBuf;

use dripline_domain::ids::{EnrollmentId, OperationId};
use dripline_domain::phone::Phone;
use dripline_store::account::Account;
use dripline_store::selection::{self, Audience, Selection};

use super::condition;
use crate::contact_csv::{self, BadRow, Dialect};
use crate::context::Context;
use crate::failure::{refuse, usage};
use crate::output::words::count;

/// At most one way to name contacts, and conditions.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    conditions: condition::Args,
    #[command(flatten)]
    dialect: Dialect,
    /// Go on with the others even when some rows, numbers or messages are bad.
    #[arg(long)]
    pub(super) partial: bool,
}

#[derive(Debug, clap::Args)]
#[group(required = false, multiple = false)]
struct SourceArgs {
    /// Everybody: in the account, or, when removing, in the workflow.
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

/// Whom a command means, and whom it cannot mean.
#[derive(Debug)]
pub(super) struct Choice {
    pub(super) audience: Audience,
    /// The choice in words.
    pub(super) description: String,
    pub(super) unknown_phones: Vec<Phone>,
    pub(super) bad_rows: Vec<BadRow>,
}

impl Choice {
    /// Chooses among these enrollments instead of everybody.
    pub(super) fn among_enrollments(&mut self, ids: Vec<EnrollmentId>) {
        let numbers: Vec<_> = ids.iter().map(EnrollmentId::to_string).collect();
        let conditions = self.description.strip_prefix("all").unwrap_or_default();
        self.description = format!("enrollments {}{conditions}", numbers.join(", "));
        self.audience.among = Selection::Enrollments(ids);
    }
}

impl Args {
    /// Whether nobody is chosen.
    pub(super) fn is_empty(&self) -> bool {
        !self.names_contacts() && self.conditions.is_empty()
    }

    /// Whether contacts are named, and not only narrowed by conditions.
    pub(super) fn names_contacts(&self) -> bool {
        let SourceArgs { all, phone, file, from_operation } = &self.source;
        *all || !phone.is_empty() || file.is_some() || from_operation.is_some()
    }

    /// Reads files and looks numbers up. Conditions alone choose among everybody.
    pub(super) async fn read(self, ctx: &Context, account: &Account) -> anyhow::Result<Choice> {
        let Self { source, conditions, dialect, .. } = self;
        let mut bad_rows = vec![];
        let (among, mut description) = if let Some(id) = source.from_operation {
            let operation = ctx.operation(account, id).await?;
            if operation.kind == "enrol" {
                return Err(refuse(format!(
                    "operation {id} enrolled contacts and took nobody out"
                ))
                .hint("`dripline operation list` shows those that did")
                .into());
            }
            let taken_out = Selection::Operation(operation.operation_id);
            (taken_out, format!("those of operation {id}"))
        } else if let Some(path) = &source.file {
            let sheet = contact_csv::read_phones(contact_csv::open(path)?, &dialect)?;
            bad_rows = sheet.bad_rows;
            let numbers = count(sheet.rows.len() as u64, "number");
            (Selection::Phones(sheet.rows), format!("{numbers} of `{}`", path.display()))
        } else if source.phone.is_empty() {
            (Selection::All, "all".to_owned())
        } else {
            let region = dialect.region.as_deref();
            let phones: Result<Vec<_>, _> =
                source.phone.iter().map(|text| Phone::parse(text, region)).collect();
            let phones = phones.map_err(|error| usage(error.to_string()))?;
            let numbers = count(phones.len() as u64, "number");
            (Selection::Phones(phones), numbers)
        };
        if !conditions.is_empty() {
            description = format!("{description} where {}", conditions.describe());
        }
        let mut unknown_phones = vec![];
        if let Selection::Phones(phones) = &among {
            let pool = ctx.pool().await?;
            unknown_phones = selection::unknown_phones(pool, account.account_id, phones).await?;
        }
        let audience = Audience { among, conditions: conditions.read() };
        Ok(Choice { audience, description, unknown_phones, bad_rows })
    }
}
