//! Whether a round has left everything as it should be: first it must come to rest, then the rows, the
//! carrier's log and this program's own books are compared.

use std::time::{Duration, Instant};

use anyhow::Context;
use dripline_domain::clock::SystemClock;
use dripline_domain::delivery::DeliveryState;
use dripline_store::audit::carrier_log::CarrierLogAudit;
use dripline_store::audit::{self, InvariantResult};
use dripline_store::listing::deliveries::{self, DeliveryFilter};
use dripline_store::listing::enrollments::{self, EnrollmentFilter};
use dripline_store::listing::operations;
use dripline_store::listing::queue::{self as waiting, QueueFilter, QueueSummary};
use dripline_store::{account, queue};

use crate::carrier::Witness;
use crate::stage::{Account, Stage};
use crate::tampering;
use crate::worker::CONCURRENCY;

/// How long a round may take to come to rest once everything is healed. A lost ticket is missed half a
/// minute after it was due; everything else takes seconds.
const REST_WITHIN: Duration = Duration::from_mins(2);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(250);
/// Rows of one page of a list.
const PAGE: i64 = 5_000;
/// Examples of what is stuck.
const EXAMPLES: i64 = 5;

/// Waits until nothing is queued or on the wire, no purge is under way and no ticket is left. Gives
/// what is stuck, if that does not come.
pub(crate) async fn until_quiet(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let begin = Instant::now();
    loop {
        let restless = restlessness(stage).await?;
        if restless.is_empty() {
            return Ok(Vec::new());
        }
        if begin.elapsed() > REST_WITHIN {
            return Ok(restless);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What is not at rest, in words.
async fn restlessness(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let pool = &stage.observer;
    let mut restless = Vec::new();
    for account in stage.accounts() {
        let summary = waiting::summary(pool, &SystemClock, account.account_id).await?;
        let QueueSummary { due, scheduled, sending, .. } = summary;
        if due + scheduled + sending > 0 {
            let example = examples(stage, account).await?;
            restless.push(format!(
                "stuck: account {}: {due} due, {scheduled} scheduled, {sending} sending; {example}",
                account.name
            ));
        }
    }
    let tickets = queue::stats(pool, &SystemClock).await?;
    if tickets.due + tickets.scheduled + tickets.claimed + tickets.other > 0 {
        restless.push(format!("stuck: tickets are left: {tickets:?}"));
    }
    if restless.is_empty() {
        for account in stage.accounts() {
            let found = operations::list(pool, account.account_id, None, None, PAGE).await?;
            let unfinished = found.iter().filter(|operation| operation.finished_at.is_none());
            restless.extend(unfinished.map(|operation| format!("stuck: purge {operation:?}")));
        }
    }
    Ok(restless)
}

async fn examples(stage: &Stage, account: &Account) -> anyhow::Result<String> {
    let mut examples = Vec::new();
    for state in [DeliveryState::Queued, DeliveryState::Sending] {
        let filter = QueueFilter { state: Some(state), limit: EXAMPLES, ..QueueFilter::default() };
        let found = waiting::list(&stage.observer, account.account_id, &filter).await?;
        examples.extend(found.into_iter().map(|delivery| {
            let ticket = delivery.ticket.map(|ticket| (ticket.status, ticket.worker));
            format!("{} is {state} since {}: {ticket:?}", delivery.delivery_id, delivery.due_at)
        }));
    }
    Ok(examples.join("; "))
}

/// What is not as it should be, in words. Everything is at rest.
pub(crate) async fn judge(stage: &Stage, witness: &mut Witness) -> anyhow::Result<Vec<String>> {
    let pool = &stage.observer;
    let mut violations = Vec::new();
    let results = audit::run(pool, &SystemClock).await.context("audit")?;
    violations.extend(results.iter().filter(|result| !result.holds()).map(describe));
    let mut agreement = CarrierLogAudit::begin(pool).await.context("audit")?;
    witness.read()?;
    witness.references.iter().for_each(|reference| agreement.accepted(reference));
    if agreement.foreign() > 0 {
        violations.push(format!("{} references of the carrier are not ours", agreement.foreign()));
    }
    let agrees = agreement.finish().await.context("compare with the carrier's log")?;
    if !agrees.holds() {
        violations.push(describe(&agrees));
    }
    if !witness.twice.is_empty() {
        let some = &witness.twice[..witness.twice.len().min(10)];
        violations.push(format!("taken twice by the carrier: deliveries {some:?}"));
    }
    for account in stage.accounts() {
        violations.extend(money(stage, account).await?);
        let mut stranded = live(stage, account).await?;
        if stranded.is_some() {
            // A worker that was frozen until a moment ago may say that a message was not sent when all was at rest
            // already. That message leaves then; whoever is really stranded stays.
            violations.extend(until_quiet(stage).await?);
            stranded = live(stage, account).await?;
        }
        violations.extend(stranded);
    }
    violations.extend(undecided(stage, witness).await?.violations);
    Ok(violations)
}

fn describe(result: &InvariantResult) -> String {
    let InvariantResult { invariant, violations, rows, .. } = result;
    let rows: Vec<_> =
        rows.iter().take(5).map(|row| format!("{} {}", row.subject, row.problem)).collect();
    let (number, name) = (invariant.number, invariant.name);
    format!("invariant {number} ({name}) is broken {violations} times: {}", rows.join("; "))
}

/// The balance against what this program knows that it paid in.
async fn money(stage: &Stage, account: &Account) -> anyhow::Result<Option<String>> {
    let balance = account::balance(&stage.observer, account.account_id).await?;
    let balance = balance.context("an account has a balance")?;
    let (there, paid) =
        (balance.available.0 + balance.held.0 + balance.spent.0, account.topped_up().0);
    Ok((there != paid).then(|| {
        format!("account {}: {paid} micros were paid in, and {balance:?} is there", account.name)
    }))
}

/// Whoever is still enrolled waits behind a message of which nobody knows.
async fn live(stage: &Stage, account: &Account) -> anyhow::Result<Option<String>> {
    let mut filter =
        EnrollmentFilter { live: Some(true), limit: PAGE, ..EnrollmentFilter::default() };
    let mut stranded = Vec::new();
    loop {
        let page = enrollments::list(&stage.observer, account.account_id, &filter).await?;
        let Some(last) = page.last() else { break };
        filter.after = Some(last.enrollment_id);
        let is_stranded = |step: &enrollments::StepDelivery| step.state != DeliveryState::Unknown;
        let of_page = page.iter().filter(|enrollment| is_stranded(&enrollment.step));
        stranded
            .extend(of_page.map(|enrollment| (enrollment.enrollment_id, enrollment.step.state)));
    }
    Ok((!stranded.is_empty()).then(|| {
        let some: Vec<_> = stranded.iter().take(10).collect();
        format!("{} live enrollments wait for nothing: {some:?}", stranded.len())
    }))
}

/// Messages of which nobody knows, and what there may be of them.
#[derive(Debug)]
pub(crate) struct Undecided {
    /// How many there are.
    pub(crate) count: u64,
    violations: Vec<String>,
}

/// Each message of which nobody knows has its reason, and there are no more of them than of those: a worker
/// that was gone with what it had in flight, an answer of the carrier that did not come or said nothing, or
/// a plugin that could not read the answer.
pub(crate) async fn undecided(stage: &Stage, witness: &Witness) -> anyhow::Result<Undecided> {
    let (mut gone, mut unheard, mut unread) = (0_u64, 0_u64, 0_u64);
    let (mut unexplained, mut misread) = (Vec::new(), Vec::new());
    for account in stage.accounts() {
        let mut filter = DeliveryFilter {
            state: Some(DeliveryState::Unknown),
            limit: PAGE,
            ..DeliveryFilter::default()
        };
        loop {
            let page = deliveries::list(&stage.observer, account.account_id, &filter).await?;
            let Some(last) = page.last() else { break };
            filter.after = Some(last.delivery_id);
            for delivery in page {
                match delivery.reason {
                    None => unexplained.push(delivery.delivery_id),
                    Some(reason) if reason.code == "worker_gone" => gone += 1,
                    Some(reason) if reason.code.starts_with("plugin_") => {
                        unread += 1;
                        if account.account_id != stage.villain() {
                            misread.push(delivery.delivery_id);
                        }
                    }
                    Some(_) => unheard += 1,
                }
            }
        }
    }
    let mut violations = Vec::new();
    if !unexplained.is_empty() {
        violations.push(format!("unknown without a reason: deliveries {unexplained:?}"));
    }
    if !misread.is_empty() {
        violations.push(format!("a sound plugin could not read its answer: {misread:?}"));
    }
    for left in tampering::left_behind(&stage.observer).await? {
        if left.still_works || left.messages > CONCURRENCY {
            violations.push(format!(
                "worker {} left {} messages of which nobody knows; it has {CONCURRENCY} in flight at \
                 most, and {}",
                left.worker_id,
                left.messages,
                if left.still_works { "is at work" } else { "is gone" }
            ));
        }
    }
    let unanswered: u64 = stage.wires.iter().map(crate::proxy::Proxy::unanswered).sum();
    if unheard > unanswered + witness.uncertain {
        violations.push(format!(
            "{unheard} are unknown because of an answer, and only {unanswered} answers did not come \
             and {} said nothing",
            witness.uncertain
        ));
    }
    let count = gone + unheard + unread + unexplained.len() as u64;
    Ok(Undecided { count, violations })
}
