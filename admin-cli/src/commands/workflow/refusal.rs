//! Why an active workflow refuses to be changed, in the operator's words.

use dripline_store::ops::{ActiveWorkflow, EditWorkflowError};
use dripline_store::plan::PausePlan;

use crate::failure::{Failure, refuse};
use crate::money;
use crate::output::words::{count, shell_word, time};

/// How many contacts, since when, and which command pauses it with what refund.
pub(super) fn active(active: &ActiveWorkflow, currency: &str) -> Failure {
    let ActiveWorkflow { name, contacts, since, pause } = active;
    let contacts = match contacts {
        1 => "1 contact is".to_owned(),
        n => format!("{n} contacts are"),
    };
    refuse(format!(
        "workflow `{name}` is active and cannot be changed: {contacts} in it since {}",
        time(*since),
    ))
    .hint(format!(
        "`dripline workflow pause {}` {}",
        shell_word(name),
        consequences(pause, currency)
    ))
}

/// What a pause would do, as the rest of a sentence.
fn consequences(plan: &PausePlan, currency: &str) -> String {
    let in_flight = match plan.in_flight.len() {
        0 => String::new(),
        1 => "; 1 message is in flight and cannot be cancelled".to_owned(),
        n => format!("; {n} messages are in flight and cannot be cancelled"),
    };
    format!(
        "removes all contacts, cancels {} ({}) and refunds {}{in_flight}",
        count(plan.messages, "message"),
        count(plan.segments, "segment"),
        money::show(plan.micros, currency),
    )
}

/// The failure of an edit.
pub(super) fn edit(error: EditWorkflowError, name: &str, currency: &str) -> anyhow::Error {
    match error {
        EditWorkflowError::Store(error) => {
            anyhow::Error::new(error).context(format!("change workflow `{name}`"))
        }
        EditWorkflowError::Active(details) => active(&details, currency).into(),
        EditWorkflowError::PurgeUnfinished { operation_id, .. } => refuse(error.to_string())
            .hint(format!("`dripline operation show {operation_id}` shows how far it is"))
            .into(),
        EditWorkflowError::Changed { .. } => refuse(error.to_string())
            .hint(format!("look at it with `dripline workflow show {}`", shell_word(name)))
            .into(),
        refused => refuse(refused.to_string()).into(),
    }
}
