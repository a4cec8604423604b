//! Which failed deliveries can be requeued, and what that costs.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use dripline_domain::ids::{ContactId, DeliveryId, WorkflowId};
use dripline_domain::money::Micros;
use dripline_domain::phone::Phone;
use dripline_store::account::Account;
use dripline_store::listing::failed::{FailedDelivery, RequeueObstacle};
use dripline_store::ops::PricedContact;
use dripline_store::workflow;
use serde::Serialize;

use crate::commands::account::balance::read_balance;
use crate::commands::enrollment::pricing::quote_steps;
use crate::context::Context;
use crate::progress;

/// Contacts rendered at a time.
const RENDERED: usize = 2_000;

/// Everything that was asked for.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// What can be requeued, by workflow.
    pub(super) workflows: Vec<WorkflowPlan>,
    /// What cannot.
    pub(super) refused: Vec<Refused>,
    /// What the account can spend.
    pub(super) available: Micros,
}

/// What can be requeued of one workflow.
#[derive(Debug)]
pub(super) struct WorkflowPlan {
    pub(super) workflow_id: WorkflowId,
    pub(super) workflow: String,
    /// The revision that was priced.
    pub(super) revision: i64,
    /// Each with its price: nothing for the steps before the failed one.
    pub(super) deliveries: Vec<(DeliveryId, PricedContact)>,
    /// Messages that are paid for: the failed steps and all later ones.
    pub(super) messages: u64,
}

/// A failed delivery that stays as it is.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Refused {
    pub(super) delivery_id: DeliveryId,
    pub(super) phone: Phone,
    pub(super) reason: String,
}

impl WorkflowPlan {
    pub(super) fn needed(&self) -> Micros {
        self.deliveries.iter().flat_map(|(_, priced)| &priced.step_micros).copied().sum()
    }

    pub(super) fn segments(&self) -> u64 {
        let segments = self.deliveries.iter().flat_map(|(_, priced)| &priced.step_segments);
        segments.map(|segments| u64::from(*segments)).sum()
    }
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        self.workflows.is_empty()
    }

    pub(super) fn deliveries(&self) -> u64 {
        self.workflows.iter().map(|workflow| workflow.deliveries.len() as u64).sum()
    }

    pub(super) fn needed(&self) -> Micros {
        self.workflows.iter().map(WorkflowPlan::needed).sum()
    }

    pub(super) fn missing(&self) -> Micros {
        let needed = self.needed();
        if needed > self.available { needed - self.available } else { Micros::ZERO }
    }

    fn refuse(&mut self, failed: &FailedDelivery, reason: impl Into<String>) {
        let FailedDelivery { delivery_id, phone, .. } = failed;
        let (delivery_id, phone) = (*delivery_id, phone.clone());
        self.refused.push(Refused { delivery_id, phone, reason: reason.into() });
    }
}

/// Sorts out what can be requeued and prices it. `failed` is latest first.
pub(super) async fn make(
    ctx: &Context,
    account: &Account,
    failed: Vec<FailedDelivery>,
) -> anyhow::Result<Plan> {
    let mut plan = Plan::default();
    let mut taken: BTreeSet<(ContactId, Option<WorkflowId>)> = BTreeSet::new();
    let mut chosen: BTreeMap<WorkflowId, BTreeMap<u32, Vec<FailedDelivery>>> = BTreeMap::new();
    for one in failed {
        if let Some(obstacle) = &one.obstacle {
            plan.refuse(&one, describe(obstacle));
            continue;
        }
        // One way at a time: through each workflow, or through all of them together.
        let scope = (!account.one_live_workflow_per_contact).then_some(one.workflow_id);
        if taken.insert((one.contact_id, scope)) {
            chosen.entry(one.workflow_id).or_default().entry(one.position).or_default().push(one);
        } else {
            plan.refuse(&one, "a later failure of the same contact is requeued instead");
        }
    }
    let total = chosen.values().flat_map(BTreeMap::values).map(|f| f.len() as u64).sum();
    let bar = progress::bar("pricing", total);
    for (workflow_id, by_position) in chosen {
        let detail = workflow::show(ctx.pool().await?, workflow_id)
            .await?
            .with_context(|| format!("workflow {workflow_id} was deleted just now"))?;
        let mut of_workflow = WorkflowPlan {
            workflow_id,
            workflow: detail.workflow.name.clone(),
            revision: detail.workflow.revision,
            deliveries: Vec::new(),
            messages: 0,
        };
        let steps = quote_steps(ctx, &detail).await?;
        for (position, failed) in by_position {
            let first = usize::try_from(position).unwrap_or(usize::MAX).saturating_sub(1);
            let later = steps.get(first..).unwrap_or_default();
            for page in failed.chunks(RENDERED) {
                let audience = page.iter().map(|one| (one.contact_id, one.fields.clone()));
                let quotes = ctx.plugins.quote(later, audience.collect()).await?;
                for (one, quote) in page.iter().zip(quotes) {
                    match quote {
                        Ok(priced) => {
                            of_workflow.messages += later.len() as u64;
                            let priced = behind(first, priced);
                            of_workflow.deliveries.push((one.delivery_id, priced));
                        }
                        Err(error) => {
                            let step = u64::from(error.position) + first as u64;
                            let reason =
                                format!("step {step} cannot be rendered: {}", error.reason);
                            plan.refuse(one, reason);
                        }
                    }
                }
                bar.inc(page.len() as u64);
            }
        }
        if !of_workflow.deliveries.is_empty() {
            plan.workflows.push(of_workflow);
        }
    }
    bar.finish_and_clear();
    plan.refused.sort_by_key(|refused| std::cmp::Reverse(refused.delivery_id));
    plan.available = read_balance(ctx, account).await?.available;
    Ok(plan)
}

/// The price of all steps, of which the first so many are not paid for.
fn behind(first: usize, later: PricedContact) -> PricedContact {
    let mut step_segments = vec![0; first];
    step_segments.extend(later.step_segments);
    let mut step_micros = vec![Micros::ZERO; first];
    step_micros.extend(later.step_micros);
    PricedContact { contact_id: later.contact_id, step_segments, step_micros }
}

/// Why a failed delivery stays as it is.
pub(super) fn describe(obstacle: &RequeueObstacle) -> String {
    match obstacle {
        RequeueObstacle::NotFailed => "has not failed".to_owned(),
        RequeueObstacle::AlreadyRequeued => "was requeued before".to_owned(),
        RequeueObstacle::SaidSent => "somebody says that it was sent after all".to_owned(),
        RequeueObstacle::WorkflowDeleted => "its workflow is deleted".to_owned(),
        RequeueObstacle::WorkflowEdited => "its workflow was edited since".to_owned(),
        RequeueObstacle::OptedOut => "the contact has opted out".to_owned(),
        RequeueObstacle::AlreadyEnrolled => "the contact is in the workflow again".to_owned(),
        RequeueObstacle::InOtherWorkflow { workflow } => {
            format!("the contact is in workflow `{workflow}`")
        }
    }
}
