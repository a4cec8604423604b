//! Deliveries of which nobody knows whether the carrier took them: what the rows themselves say about
//! them, what the carrier says when it is asked or told again, and the deadline.

use std::sync::Arc;
use std::time::Duration;

use dripline_plugin_host::DuplicateClass;
use dripline_store::inquiry::{self, Inquiry};
use dripline_store::ops::{self, Resolution, Resolved};
use dripline_store::sweep::{self, Decided};
use futures::{StreamExt, TryStreamExt, stream};
use uuid::Uuid;

use crate::environment::Environment;
use crate::jobs::deliver::{Deliver, Inquired};
use crate::outage::Unanswered;

/// Inquiries that one run takes on at a time. The next ones are taken on when these are done.
const CLAIM: i64 = 64;

/// How often a run takes some on. Whatever a carrier that is down leaves undone does not keep the sweep from
/// its other duties.
const MOST_CLAIMS: u32 = 16;

/// The shortest pause between two inquiries about a delivery, whatever the settings say.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// Inquiries under way at the same time: carriers limit how often they are asked, and messages that leave
/// for the first time go first.
const CONCURRENT: usize = 8;

/// What an inquiry may take beside its request: plugins, and transactions.
const SLACK: Duration = Duration::from_secs(30);

/// How the sweep works.
#[derive(Clone, Copy, Debug)]
pub struct UnknownOptions {
    /// After how long without evidence a message is taken for sent.
    pub deadline: Duration,
    /// How long one request to a carrier may take.
    pub send_timeout: Duration,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// What the rows themselves decided.
    pub decided: Decided,
    /// Carriers asked or told again.
    pub inquiries: u64,
    /// Deliveries that the carriers' answers decided.
    pub by_carrier: u64,
}

/// Decides what can be decided about unknown deliveries. Several workers may run it at once: each inquiry
/// is taken on by one of them.
pub async fn run_once(
    environment: &Environment,
    deliver: &Arc<Deliver>,
    options: UnknownOptions,
) -> Result<Run, Unanswered> {
    let Environment { pool, clock, outage, .. } = environment;
    let actor = format!("worker {}", environment.worker_id);
    let decided = outage
        .outlast("sweep.unknown_deliveries", || {
            sweep::unknown_deliveries(pool, &**clock, &environment.retry, &actor, options.deadline)
        })
        .await?;
    let mut run = Run { decided, ..Run::default() };
    let carriers = carriers(environment);
    for _ in 0..MOST_CLAIMS {
        if carriers.is_empty() || environment.stop.is_finishing() {
            break;
        }
        // A little longer than what is asked of the eighth part of them one after another could take.
        let turns =
            u32::try_from(CLAIM).unwrap_or(u32::MAX) / u32::try_from(CONCURRENT).unwrap_or(1);
        let lease = (options.send_timeout + SLACK) * turns;
        let claimed = outage
            .outlast("inquiry.claim", || inquiry::claim(pool, &**clock, &carriers, lease, CLAIM))
            .await?;
        if claimed.is_empty() {
            break;
        }
        run.inquiries += claimed.len() as u64;
        run.by_carrier += inquire(environment, deliver, &actor, claimed).await?;
    }
    if run != Run::default() {
        tracing::info!(
            by_receipt = run.decided.by_receipt,
            by_deadline = run.decided.by_deadline,
            inquiries = run.inquiries,
            by_carrier = run.by_carrier,
            "unknown deliveries were looked after"
        );
    }
    Ok(run)
}

/// The loaded carriers that can be asked, or that keep a key.
fn carriers(environment: &Environment) -> Vec<String> {
    let plugins = environment.plugins.plugins();
    let able = plugins.into_iter().filter(|plugin| {
        plugin.manifest.as_ref().is_some_and(|manifest| match manifest.duplicates {
            DuplicateClass::Key => manifest.key_lifetime().is_some(),
            DuplicateClass::Query => plugin.lookup,
            DuplicateClass::Lost => false,
        })
    });
    able.map(|plugin| plugin.name).collect()
}

/// Makes the inquiries that were taken on. Gives how many deliveries they decided.
///
/// Whatever an inquiry needs of the database happens within its own future. The loop must wait for nothing
/// but the next of them: while it does, none of the others goes on, and those hold connections and locks.
async fn inquire(
    environment: &Environment,
    deliver: &Arc<Deliver>,
    actor: &str,
    claimed: Vec<Inquiry>,
) -> Result<u64, Unanswered> {
    let inquiries = claimed.into_iter().map(|inquiry| inquire_one(environment, deliver, inquiry));
    let mut inquired = stream::iter(inquiries).buffer_unordered(CONCURRENT);
    let mut resolutions = Vec::new();
    while let Some(resolution) = inquired.try_next().await? {
        resolutions.extend(resolution);
    }
    resolve(environment, actor, &resolutions).await
}

/// Makes one inquiry. Without evidence there will be another one later.
async fn inquire_one(
    environment: &Environment,
    deliver: &Deliver,
    inquiry: Inquiry,
) -> Result<Option<Resolution>, Unanswered> {
    match deliver.inquire(&inquiry).await {
        Inquired::Evidence(resolution) => return Ok(Some(resolution)),
        Inquired::Repeated => {}
        Inquired::Nothing(reason) => tracing::debug!(
            delivery.id = %inquiry.delivery_id, inquiry = inquiry.inquiry, %reason,
            "nothing is known of a delivery yet"
        ),
        Inquired::Abandoned => return Err(Unanswered::Abandoned),
    }
    postpone(environment, &inquiry).await?;
    Ok(None)
}

/// The pause before the next inquiry doubles, as that between two hand-overs does.
async fn postpone(environment: &Environment, inquiry: &Inquiry) -> Result<(), Unanswered> {
    let Environment { pool, clock, outage, .. } = environment;
    let wait = environment.retry.bound(inquiry.inquiry).max(SHORTEST_PAUSE);
    outage.outlast("inquiry.postpone", || inquiry::postpone(pool, &**clock, inquiry, wait)).await
}

async fn resolve(
    environment: &Environment,
    actor: &str,
    resolutions: &[Resolution],
) -> Result<u64, Unanswered> {
    let Environment { pool, clock, outage, retry, .. } = environment;
    let batch_id = Uuid::now_v7();
    let resolved = outage
        .outlast("op.resolve_unknown", || {
            ops::resolve_unknown(pool, &**clock, retry, actor, batch_id, resolutions)
        })
        .await?;
    let decided = resolved.iter().filter(|one| matches!(one, Resolved::Decided(_)));
    Ok(decided.count() as u64)
}
