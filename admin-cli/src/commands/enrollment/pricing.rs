//! The exact price of every message for every chosen contact, by rendering each.

use std::collections::BTreeMap;

use anyhow::Context as _;
use dripline_domain::ids::ContactId;
use dripline_domain::money::Micros;
use dripline_domain::phone::Phone;
use dripline_store::account::Account;
use dripline_store::ops::PricedContact;
use dripline_store::selection::{self, Audience, Candidate, Obstacle};
use dripline_store::workflow::WorkflowDetail;
use serde::Serialize;

use crate::context::Context;
use crate::plugins::QuoteStep;
use crate::progress;

/// Contacts rendered at a time.
const PAGE: i64 = 2_000;

/// Everybody who was chosen.
#[derive(Debug, Default)]
pub(super) struct Priced {
    pub(super) contacts: Vec<PricedContact>,
    /// The numbers of `contacts`, in the same order.
    pub(super) phones: Vec<Phone>,
    pub(super) skipped: Skipped,
    pub(super) unpriced: Vec<Unpriced>,
}

/// Who is left out because a rule says so, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Skipped {
    pub(super) already_enrolled: u64,
    pub(super) in_other_workflow: u64,
    pub(super) opted_out: u64,
}

/// A contact for whom a message cannot be rendered.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Unpriced {
    pub(super) contact_id: ContactId,
    pub(super) phone: Phone,
    /// The step, from 1.
    pub(super) step: u32,
    pub(super) reason: String,
}

/// One contact's price.
#[derive(Debug, Serialize)]
pub(super) struct PriceLine {
    pub(super) contact_id: ContactId,
    pub(super) phone: Phone,
    /// Of each step.
    pub(super) segments: Vec<u32>,
    /// Of each step.
    pub(super) micros: Vec<Micros>,
    pub(super) total_micros: Micros,
}

impl Priced {
    pub(super) fn total(&self) -> Micros {
        self.contacts.iter().map(total).sum()
    }

    pub(super) fn messages(&self) -> u64 {
        self.contacts.iter().map(|contact| contact.step_micros.len() as u64).sum()
    }

    pub(super) fn segments(&self) -> u64 {
        let segments = self.contacts.iter().flat_map(|contact| &contact.step_segments);
        segments.map(|segments| u64::from(*segments)).sum()
    }

    /// What each contact costs.
    pub(super) fn lines(&self) -> Vec<PriceLine> {
        let lines = self.contacts.iter().zip(&self.phones).map(|(contact, phone)| PriceLine {
            contact_id: contact.contact_id,
            phone: phone.clone(),
            segments: contact.step_segments.clone(),
            micros: contact.step_micros.clone(),
            total_micros: total(contact),
        });
        lines.collect()
    }
}

/// What one contact costs.
pub(super) fn total(contact: &PricedContact) -> Micros {
    contact.step_micros.iter().copied().sum()
}

/// Prices the chosen contacts, page by page.
pub(super) async fn price(
    ctx: &Context,
    account: &Account,
    detail: &WorkflowDetail,
    chosen: &Audience,
) -> anyhow::Result<Priced> {
    let steps = quote_steps(ctx, detail).await?;
    let pool = ctx.pool().await?;
    let bar = progress::bar("pricing", selection::count(pool, account.account_id, chosen).await?);
    let mut priced = Priced::default();
    let mut after = None;
    loop {
        let page = selection::page(
            pool,
            account.account_id,
            detail.workflow.workflow_id,
            chosen,
            after,
            PAGE,
        )
        .await?;
        let Some(last) = page.last() else { break };
        after = Some(last.contact_id);
        bar.inc(page.len() as u64);
        priced.add(ctx, &steps, page).await?;
    }
    bar.finish_and_clear();
    Ok(priced)
}

impl Priced {
    async fn add(
        &mut self,
        ctx: &Context,
        steps: &[QuoteStep],
        page: Vec<Candidate>,
    ) -> anyhow::Result<()> {
        let mut audience = Vec::with_capacity(page.len());
        let mut phones = Vec::with_capacity(page.len());
        for candidate in page {
            if let Some(obstacle) = candidate.obstacle {
                self.skipped.count(&obstacle);
                continue;
            }
            audience.push((candidate.contact_id, candidate.fields));
            phones.push(candidate.phone);
        }
        let quotes = ctx.plugins.quote(steps, audience).await?;
        for (quote, phone) in quotes.into_iter().zip(phones) {
            match quote {
                Ok(contact) => {
                    self.contacts.push(contact);
                    self.phones.push(phone);
                }
                Err(error) => self.unpriced.push(Unpriced {
                    contact_id: error.contact_id,
                    phone,
                    step: error.position,
                    reason: error.reason.to_string(),
                }),
            }
        }
        Ok(())
    }
}

impl Skipped {
    fn count(&mut self, obstacle: &Obstacle) {
        match obstacle {
            Obstacle::AlreadyEnrolled => self.already_enrolled += 1,
            Obstacle::InOtherWorkflow { .. } => self.in_other_workflow += 1,
            Obstacle::OptedOut => self.opted_out += 1,
        }
    }
}

/// The steps with what their carriers say of texts.
pub(crate) async fn quote_steps(
    ctx: &Context,
    detail: &WorkflowDetail,
) -> anyhow::Result<Vec<QuoteStep>> {
    let mut rules = BTreeMap::new();
    let mut steps = Vec::with_capacity(detail.steps.len());
    for step in &detail.steps {
        if !rules.contains_key(&step.carrier) {
            let manifest = ctx.plugins.carrier(&step.carrier).await;
            let manifest =
                manifest.with_context(|| format!("route `{}` cannot be used", step.route))?;
            rules.insert(step.carrier.clone(), manifest.texts);
        }
        steps.push(QuoteStep {
            template: step.template.as_str().into(),
            renderer: step.renderer.clone(),
            rules: rules[&step.carrier],
            price_per_segment: step.price_micros_per_segment,
        });
    }
    Ok(steps)
}
