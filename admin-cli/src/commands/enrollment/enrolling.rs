//! Enrolling priced contacts, chunk by chunk.

use std::time::Duration;

use dripline_domain::ids::OperationId;
use dripline_store::account::Account;
use dripline_store::listing::operations;
use dripline_store::ops::{
    self, EnrollChunk, EnrollError, NewEnrolment, PricedContact, SkipReason, begin_enrolment,
    end_enrolment, enroll, enroll_reserved,
};
use dripline_store::workflow::{Workflow, WorkflowDetail};
use uuid::Uuid;

use super::pricing::{self, Priced};
use super::report::{Enrolled, SkippedContact};
use crate::confirm::Confirmed;
use crate::context::Context;
use crate::failure::{interrupted, refuse};
use crate::money;
use crate::output::words::shell_word;
use crate::progress;

/// Contacts in one transaction. More of them are an enrolment that is recorded as an operation.
const CHUNK: usize = 5_000;
/// How often a chunk is tried whose COMMIT got no answer. Its batch id or number makes that safe.
const TRIES: u32 = 5;

/// Enrols everybody who was priced, or nobody: one chunk is one transaction, and before more than one
/// the price of all is reserved.
pub(super) async fn enrol(
    ctx: &Context,
    detail: &WorkflowDetail,
    account: &Account,
    priced: Priced,
    _: Confirmed,
) -> anyhow::Result<Enrolled> {
    let mut done = Enrolled::default();
    let enrolled = if priced.contacts.len() <= CHUNK {
        let chunk = chunk(ctx, detail, &priced.contacts);
        enrol_chunk(ctx, None, &chunk).await.map(|enrolled| done.add(enrolled))
    } else {
        enrol_chunks(ctx, detail, &priced.contacts, &mut done).await
    };
    enrolled.map_err(|error| explain(error, &done, detail, account))?;
    Ok(done)
}

fn chunk(ctx: &Context, detail: &WorkflowDetail, contacts: &[PricedContact]) -> EnrollChunk {
    EnrollChunk {
        workflow_id: detail.workflow.workflow_id,
        revision: detail.workflow.revision,
        batch_id: Uuid::now_v7(),
        actor: ctx.actor.clone(),
        contacts: contacts.to_vec(),
        required: contacts.iter().map(pricing::total).sum(),
    }
}

/// Reserves the price of all, enrols chunk by chunk and gives back what nobody needed: also when a
/// chunk fails, and on Ctrl-C. If this process is killed, a worker's sweep gives it back.
async fn enrol_chunks(
    ctx: &Context,
    detail: &WorkflowDetail,
    contacts: &[PricedContact],
    done: &mut Enrolled,
) -> Result<(), EnrolError> {
    let pool = ctx.pool().await.map_err(EnrolError::Other)?;
    let Workflow { workflow_id, revision, .. } = detail.workflow;
    let new = NewEnrolment::of(workflow_id, revision, &ctx.actor, contacts);
    let enrolment = through_outage(async || begin_enrolment(pool, &ctx.clock, &new).await).await?;
    let id = enrolment.operation_id;
    done.operation_id = Some(id);
    let chunks = async {
        let bar = progress::bar("enrolling", contacts.len() as u64);
        for (number, some) in (1..).zip(contacts.chunks(CHUNK)) {
            let chunk = chunk(ctx, detail, some);
            done.add(enrol_chunk(ctx, Some((id, number)), &chunk).await?);
            bar.inc(some.len() as u64);
        }
        bar.finish_and_clear();
        Ok(())
    };
    let enrolled = tokio::select! {
        enrolled = chunks => enrolled,
        Ok(()) = tokio::signal::ctrl_c() => Err(EnrolError::Interrupted),
    };
    through_outage(async || Ok(end_enrolment(pool, &ctx.clock, id).await?)).await?;
    if enrolled.is_err() {
        // A chunk may have been committed without an answer. The operation knows.
        let recorded = operations::show(pool, id).await.map_err(EnrollError::from);
        let recorded = recorded.map_err(EnrolError::Op)?;
        done.contacts = recorded.map_or(0, |operation| operation.enrolled_enrollments);
    }
    enrolled
}

/// Enrols one chunk: that of a number of a recorded enrolment, or the only one.
async fn enrol_chunk(
    ctx: &Context,
    of: Option<(OperationId, u32)>,
    chunk: &EnrollChunk,
) -> Result<ops::Enrolled, EnrolError> {
    let pool = ctx.pool().await.map_err(EnrolError::Other)?;
    through_outage(async || match of {
        Some((id, number)) => enroll_reserved(pool, &ctx.clock, id, number, chunk).await,
        None => enroll(pool, &ctx.clock, chunk).await,
    })
    .await
}

/// Repeats what the store does once, however often it is asked to, while the database cannot be reached.
async fn through_outage<T>(ask: impl AsyncFn() -> Result<T, EnrollError>) -> Result<T, EnrolError> {
    let mut tries = 1;
    loop {
        match ask().await {
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
    Interrupted,
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
        EnrolError::Interrupted => {
            return interrupted(format!(
                "interrupted: {before}; what the others cost is given back"
            ))
            .hint(again)
            .into();
        }
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
        EnrollError::EnrolmentEnded { operation_id } => {
            refuse(format!("{before}: enrolment {operation_id} was stopped by somebody else"))
                .hint(
                    "who was not enrolled costs nothing: what was reserved for them is given back",
                )
                .hint(again)
                .into()
        }
        refused => refuse(format!("{before}: {refused}")).into(),
    }
}
