//! Enrolling, without end: there is always something to send.

use std::time::Duration;

use anyhow::Context;
use dripline_domain::clock::SystemClock;
use dripline_domain::ids::{ContactId, WorkflowId};
use dripline_domain::money::Micros;
use dripline_plugin_host::quote::{QuoteStep, quote};
use dripline_store::ops::{self, EnrollChunk, EnrollError, PricedContact};
use dripline_store::workflow::{self, WorkflowDetail};
use dripline_store::{StoreError, queue};
use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use uuid::Uuid;

use crate::deed;
use crate::outlast::outlast;
use crate::stage::{ACTOR, Account, PEOPLE, PRICE, Stage};

/// Tickets that may wait before no more are issued: seconds of work, so that a round ends soon after
/// its last enrolment.
const ENOUGH: u64 = 5_000;
/// Between two looks while there is enough.
const REST: Duration = Duration::from_millis(150);

/// Enrols until it is dropped.
pub(crate) async fn feed(stage: &Stage, mut rng: Xoshiro256PlusPlus) -> anyhow::Result<()> {
    loop {
        let waiting = outlast(|| queue::stats(&stage.observer, &SystemClock)).await.known()?;
        let enough =
            waiting.is_none_or(|stats| stats.due + stats.claimed + stats.scheduled > ENOUGH);
        if enough {
            tokio::time::sleep(REST).await;
            continue;
        }
        let account = stage.account(rng.random_range(0..PEOPLE));
        let choice = rng.random_range(0..1_000);
        let count = rng.random_range(100..1_200);
        enrol(stage, account, choice, count).await?;
    }
}

/// Enrols the account's next contacts in one of its workflows, priced by rendering.
async fn enrol(
    stage: &Stage,
    account: &Account,
    choice: usize,
    count: usize,
) -> anyhow::Result<()> {
    let id = account.account_id;
    let choices = outlast(|| workflow::choices(&stage.deeds, id)).await.known()?;
    let choices = choices.unwrap_or_default();
    let Some(chosen) = choices.get(choice % choices.len().max(1)) else { return Ok(()) };
    let detail = outlast(|| workflow::show(&stage.deeds, chosen.workflow_id)).await.known()?;
    let Some(detail) = detail.flatten() else { return Ok(()) };
    let contacts = price(stage, account, &detail, count).await?;
    let chunk = chunk(detail.workflow.workflow_id, detail.workflow.revision, contacts);
    if let Some(true) = enroll(stage, &chunk).await? {
        deed::top_up(stage, account, 200).await?;
    }
    Ok(())
}

/// Messages that a plugin makes trouble with.
pub(crate) async fn misbehave(
    stage: &Stage,
    misdeed: usize,
    contacts: usize,
) -> anyhow::Result<()> {
    let workflow_id = stage.misdeeds[misdeed];
    let found = outlast(|| workflow::load(&stage.deeds, workflow_id)).await.known()?;
    let Some(workflow) = found.flatten() else { return Ok(()) };
    let contacts = stage.villain.next_contacts(contacts).into_iter().map(|(contact_id, _)| {
        // What it comes to nobody will know.
        PricedContact { contact_id, step_segments: vec![1], step_micros: vec![PRICE] }
    });
    enroll(stage, &chunk(workflow_id, workflow.revision, contacts.collect())).await?;
    Ok(())
}

fn chunk(workflow_id: WorkflowId, revision: i64, contacts: Vec<PricedContact>) -> EnrollChunk {
    EnrollChunk {
        workflow_id,
        revision,
        batch_id: Uuid::new_v4(),
        actor: ACTOR.to_owned(),
        contacts,
        required: Micros::ZERO,
    }
}

/// Enrols a chunk. Gives whether the money was not enough.
async fn enroll(stage: &Stage, chunk: &EnrollChunk) -> anyhow::Result<Option<bool>> {
    let enrolled = outlast(|| async {
        match ops::enroll(&stage.deeds, &SystemClock, chunk).await {
            Ok(_) => Ok::<_, StoreError>(false),
            Err(EnrollError::Store(error)) => Err(error),
            Err(EnrollError::InsufficientBalance(_)) => Ok(true),
            // Somebody edited, paused or deleted it just now.
            Err(_) => Ok(false),
        }
    });
    enrolled.await.known()
}

async fn price(
    stage: &Stage,
    account: &Account,
    detail: &WorkflowDetail,
    count: usize,
) -> anyhow::Result<Vec<PricedContact>> {
    let manifest = stage.plugins.manifest("twilio").context("the carrier is not loaded")?;
    let steps: Vec<QuoteStep> = detail
        .to_draft()
        .steps
        .into_iter()
        .map(|step| QuoteStep {
            template: step.template.into(),
            renderer: step.renderer,
            rules: manifest.texts,
            price_per_segment: PRICE,
        })
        .collect();
    let contacts: Vec<(ContactId, _)> = account.next_contacts(count);
    let quoted = quote(&stage.plugins, &steps, &contacts).await?;
    let priced = quoted.into_iter().map(|quoted| {
        let quoted = quoted?;
        Ok(PricedContact {
            contact_id: quoted.contact_id,
            step_segments: quoted.step_segments,
            step_micros: quoted.step_micros,
        })
    });
    priced.collect()
}
