//! Enrolling priced contacts, chunk by chunk.

use std::time::Duration;

use dripline_domain::money::Micros;
use dripline_store::account::Account;
use dripline_store::ops::{self, EnrollChunk, EnrollError, SkipReason, enroll};
use dripline_store::workflow::WorkflowDetail;
use uuid::Uuid;

use super::pricing::{self, Priced};
use super::report::{Enrolled, SkippedContact};
use crate::confirm::Confirmed;
use crate::context::Context;
use crate::failure::refuse;
use crate::money;
use crate::output::words::shell_word;
use crate::progress;

/// Contacts in one transaction.
const CHUNK: usize = 5_000;
/// How often a chunk is tried whose COMMIT got no answer. Its batch id makes that safe.
const TRIES: u32 = 5;

/// Enrols everybody who was priced. The first chunk asks for the money of all of them, so that a
/// balance which does not cover the whole enrols nobody.
pub(super) async fn enrol(
    ctx: &Context,
    detail: &WorkflowDetail,
    account: &Account,
    priced: Priced,
    _: Confirmed,
) -> anyhow::Result<Enrolled> {
    let bar = progress::bar("enrolling", priced.contacts.len() as u64);
    let mut required = priced.total();
    let mut done = Enrolled::default();
    for contacts in priced.contacts.chunks(CHUNK) {
        let price: Micros = contacts.iter().map(pricing::total).sum();
        let chunk = EnrollChunk {
            workflow_id: detail.workflow.workflow_id,
            revision: detail.workflow.revision,
            batch_id: Uuid::new_v4(),
            actor: ctx.actor.clone(),
            contacts: contacts.to_vec(),
            required,
        };
        let enrolled = enrol_chunk(ctx, &chunk).await;
        done.add(enrolled.map_err(|error| explain(error, &done, detail, account))?);
        required -= price;
        bar.inc(contacts.len() as u64);
    }
    bar.finish_and_clear();
    Ok(done)
}

async fn enrol_chunk(ctx: &Context, chunk: &EnrollChunk) -> Result<ops::Enrolled, EnrolError> {
    let pool = ctx.pool().await.map_err(EnrolError::Other)?;
    let mut tries = 1;
    loop {
        match enroll(pool, &ctx.clock, chunk).await {
            Err(EnrollError::Store(error)) if error.is_connection_lost() && tries < TRIES => {
                tracing::warn!(tries, "lost the database while enrolling; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
                tries += 1;
            }
            done => return done.map_err(EnrolError::Op),
        }
    }
}

/// Why a chunk was not enrolled.
enum EnrolError {
    Op(EnrollError),
    Other(anyhow::Error),
}

impl Enrolled {
    fn add(&mut self, chunk: ops::Enrolled) {
        self.contacts += chunk.enrolled.len() as u64;
        self.segments += chunk.segments;
        self.held_micros += chunk.held;
        let skipped = chunk.skipped.into_iter();
        self.skipped.extend(skipped.map(|(contact_id, reason)| SkippedContact {
            contact_id,
            reason: match reason {
                SkipReason::AlreadyEnrolled => "is in the workflow now".to_owned(),
                SkipReason::InOtherWorkflow { name } => format!("is in workflow `{name}` now"),
                SkipReason::OptedOut => "has opted out".to_owned(),
                SkipReason::NotFound => "does not exist any more".to_owned(),
            },
        }));
    }
}

/// The failure of a chunk, with what the chunks before it did.
fn explain(
    error: EnrolError,
    done: &Enrolled,
    detail: &WorkflowDetail,
    account: &Account,
) -> anyhow::Error {
    let name = &detail.workflow.name;
    let before = match done.contacts {
        0 => "nobody was enrolled".to_owned(),
        n => format!("only {n} contacts were enrolled"),
    };
    let again = "run the same command again: who is enrolled is skipped";
    let error = match error {
        EnrolError::Other(error) => return error.context(before),
        EnrolError::Op(error) => error,
    };
    match error {
        EnrollError::Store(error) => anyhow::Error::new(error).context(before),
        EnrollError::InsufficientBalance(short) => {
            let show = |amount| money::show(amount, &account.currency);
            refuse(format!(
                "{before}: {} needed, {} available, {} missing",
                show(short.needed),
                show(short.available),
                show(short.missing()),
            ))
            .hint(format!(
                "`dripline account topup {} {}` puts in what is missing",
                shell_word(&account.name),
                short.missing(),
            ))
            .into()
        }
        EnrollError::WorkflowChanged { .. } => {
            refuse(format!("{before}: `{name}` was changed while it was priced")).hint(again).into()
        }
        EnrollError::PurgeUnfinished { operation_id } => {
            refuse(format!("{before}: operation {operation_id} is taking contacts out of `{name}`"))
                .hint(format!("`dripline operation show {operation_id}` shows how far it is"))
                .into()
        }
        refused => refuse(format!("{before}: {refused}")).into(),
    }
}
