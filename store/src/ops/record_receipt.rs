//! Records what carriers report on messages that they have. For a message of which nobody knew whether
//! the carrier took it, a report is evidence that it did.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::delivery::Reason;
use dripline_domain::evidence::Evidence;
use dripline_domain::ids::{AccountId, DeliveryId, RouteId};
use dripline_domain::receipt::ReceiptStatus;
use dripline_domain::retry::RetryPolicy;
use sqlx::PgConnection;
use uuid::Uuid;

use super::finish_attempts::Finished;
use super::hearing::{Hearing, Keep, Resolved, Said};
use super::situation;
use crate::audit::carrier_log::parse_reference;
use crate::crash::{Commit, commit};
use crate::retries::Retries;
use crate::{Pool, StoreError, row};

/// A carrier's report.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// The route over which it came. It is believed of messages of that route's account alone, and of those only when
    /// this route, or another one to the same carrier, has handed them over.
    pub over: RouteId,
    /// On which message.
    pub of: ReceiptOf,
    /// How far it has come.
    pub status: ReceiptStatus,
    /// The carrier's own id of the message, where the report names it.
    pub carrier_reference: Option<String>,
    /// Why it did not arrive. Never a phone number or message text.
    pub reason: Option<Reason>,
}

/// How a report names its message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReceiptOf {
    /// By our reference, `<installation>-<delivery>-<attempt>`.
    Ours(String),
    /// By the carrier's own id.
    Carriers(String),
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It says something new about a message that was sent, and moved no money.
    Recorded,
    /// As much was known before.
    Known,
    /// Nobody had known whether the carrier took it: this is what the delivery became.
    Decided(Finished),
    /// It had been decided that the message was not sent. Nothing moved, and it is kept for people to see.
    Contradicted,
    /// It names no message that can have gone over its route. Nothing was stored.
    Unknown,
    /// The carrier's id names several messages. Nothing was stored.
    Ambiguous,
}

/// Records a batch of reports in one transaction. Gives the answers in the order of the reports.
///
/// The status of a message never falls back: `queued`, then `sent`, then `delivered` or `undelivered`.
/// What was accepted and did not arrive stays captured. Running the batch again changes nothing.
pub async fn record_receipts(
    pool: &Pool,
    clock: &dyn Clock,
    policy: &RetryPolicy,
    actor: &str,
    batch_id: Uuid,
    receipts: &[Receipt],
) -> Result<Vec<Received>, StoreError> {
    if receipts.is_empty() {
        return Ok(Vec::new());
    }
    let mut retries = Retries::default();
    loop {
        match run(pool, clock, policy, actor, batch_id, receipts).await {
            Ok(received) => return Ok(received),
            Err(error) if retries.again(&error).await => {}
            Err(error) => return Err(error),
        }
    }
}

async fn run(
    pool: &Pool,
    clock: &dyn Clock,
    policy: &RetryPolicy,
    actor: &str,
    batch_id: Uuid,
    receipts: &[Receipt],
) -> Result<Vec<Received>, StoreError> {
    let mut tx = pool.begin().await?;
    let sources = sources(&mut tx, receipts).await?;
    let named = locate(&mut tx, &sources, receipts).await?;
    let workflows = situation::lock_workflows(&mut tx, &ids(&named)).await?;
    let (named, keyed) = only_made(&mut tx, &sources, named).await?;
    let now = clock.now();
    let new = receive(&mut tx, receipts, &named, now).await?;
    let pieces = pieces(receipts, &named, &keyed);
    let hearing = Hearing { batch_id, actor, now };
    let said: Vec<Said<'_>> = pieces.iter().map(|(_, said)| said.clone()).collect();
    let heard = hearing.hear(&mut tx, policy, &workflows, &said, Keep::Contradictions).await?;
    commit(tx, Commit::RecordReceipts).await?;
    let heard: HashMap<usize, Resolved> =
        pieces.iter().map(|(place, _)| *place).zip(heard).collect();
    let received = named.iter().enumerate().map(|(place, named)| match named {
        Err(Unnamed::Nothing) => Received::Unknown,
        Err(Unnamed::Several) => Received::Ambiguous,
        Ok(named) => match heard.get(&place) {
            Some(Resolved::Decided(finished)) => Received::Decided(*finished),
            Some(Resolved::Contradicted { .. }) => Received::Contradicted,
            _ if new.get(&(named.delivery_id, named.attempt)) == Some(&place) => Received::Recorded,
            _ => Received::Known,
        },
    });
    Ok(received.collect())
}

/// The message that a report is on.
#[derive(Clone, Copy, Debug)]
struct Named {
    delivery_id: DeliveryId,
    /// 0: the delivery as a whole.
    attempt: u32,
}

/// Why a report is on none.
#[derive(Clone, Copy, Debug)]
enum Unnamed {
    Nothing,
    Several,
}

type OneNamed = Result<Named, Unnamed>;

/// Whose word a report is.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    account_id: AccountId,
    /// The carrier plugin's name.
    carrier: String,
}

/// Whose word each report is; `None` when there is no such route.
async fn sources(
    conn: &mut PgConnection,
    receipts: &[Receipt],
) -> Result<Vec<Option<Source>>, StoreError> {
    let routes: Vec<i64> = receipts.iter().map(|receipt| receipt.over.0).collect();
    let rows = sqlx::query!(
        "SELECT route_id, account_id, carrier FROM routes WHERE route_id = ANY ($1)",
        &routes,
    )
    .fetch_all(conn)
    .await?;
    let sources: HashMap<i64, Source> = rows
        .into_iter()
        .map(|row| {
            (row.route_id, Source { account_id: row.account_id.into(), carrier: row.carrier })
        })
        .collect();
    Ok(routes.iter().map(|route_id| sources.get(route_id).cloned()).collect())
}

/// Finds the message of each report among those of its account.
async fn locate(
    conn: &mut PgConnection,
    sources: &[Option<Source>],
    receipts: &[Receipt],
) -> Result<Vec<OneNamed>, StoreError> {
    let installation = sqlx::query_scalar!("SELECT installation_id FROM installation")
        .fetch_one(&mut *conn)
        .await?;
    let mut wanted: BTreeMap<AccountId, Vec<String>> = BTreeMap::new();
    for (receipt, source) in receipts.iter().zip(sources) {
        if let (ReceiptOf::Carriers(reference), Some(source)) = (&receipt.of, source) {
            wanted.entry(source.account_id).or_default().push(reference.clone());
        }
    }
    let mut found: HashMap<(AccountId, String), OneNamed> = HashMap::new();
    for (account_id, references) in wanted {
        let rows = sqlx::query_file!("queries/evidence/locate.sql", account_id.0, &references)
            .fetch_all(&mut *conn)
            .await?;
        for row in rows {
            let named = Named {
                delivery_id: row.delivery_id.into(),
                attempt: u32::try_from(row.attempt).unwrap_or(0),
            };
            found
                .entry((account_id, row.carrier_reference))
                .and_modify(|named| *named = Err(Unnamed::Several))
                .or_insert(Ok(named));
        }
    }
    let named = receipts.iter().zip(sources).map(|(receipt, source)| {
        let account_id = source.as_ref().ok_or(Unnamed::Nothing)?.account_id;
        match &receipt.of {
            ReceiptOf::Ours(reference) => match parse_reference(installation, reference) {
                Some((delivery_id, attempt)) => Ok(Named { delivery_id, attempt }),
                None => Err(Unnamed::Nothing),
            },
            ReceiptOf::Carriers(reference) => {
                let found = found.get(&(account_id, reference.clone()));
                found.copied().unwrap_or(Err(Unnamed::Nothing))
            }
        }
    });
    let named: Vec<OneNamed> = named.collect();
    only_of_account(conn, sources, named).await
}

/// Leaves out what names a message of another account. Before anything is locked: nobody has to wait for what
/// somebody says over another account's route.
async fn only_of_account(
    conn: &mut PgConnection,
    sources: &[Option<Source>],
    named: Vec<OneNamed>,
) -> Result<Vec<OneNamed>, StoreError> {
    let rows = sqlx::query!(
        "SELECT delivery_id, account_id FROM deliveries WHERE delivery_id = ANY ($1)",
        &ids(&named),
    )
    .fetch_all(conn)
    .await?;
    let accounts: HashMap<i64, AccountId> =
        rows.into_iter().map(|row| (row.delivery_id, row.account_id.into())).collect();
    let checked = named.into_iter().zip(sources).map(|(one, source)| {
        let named = one?;
        let account = accounts.get(&named.delivery_id.0);
        let is_its = account.is_some() && account == source.as_ref().map(|of| &of.account_id);
        if is_its { Ok(named) } else { Err(Unnamed::Nothing) }
    });
    Ok(checked.collect())
}

/// The deliveries that are named.
fn ids(named: &[OneNamed]) -> Vec<i64> {
    named.iter().flatten().map(|named| named.delivery_id.0).collect()
}

/// Leaves out what names an attempt that was never made, or that went to another carrier than the one that speaks: it
/// cannot know it. Attempt 0 is of every delivery that was handed over with a key; gives the last such attempt of
/// each, too.
async fn only_made(
    conn: &mut PgConnection,
    sources: &[Option<Source>],
    named: Vec<OneNamed>,
) -> Result<(Vec<OneNamed>, HashMap<DeliveryId, u32>), StoreError> {
    let rows = sqlx::query!(
        r#"SELECT a.delivery_id AS "delivery_id!", a.attempt AS "attempt!",
                  r.key_expires_at IS NOT NULL AS "keyed!", o.carrier AS "carrier?"
           FROM attempts a
           LEFT JOIN attempt_references r USING (delivery_id, attempt)
           LEFT JOIN routes o ON o.route_id = a.route_id
           WHERE a.delivery_id = ANY ($1)"#,
        &ids(&named),
    )
    .fetch_all(conn)
    .await?;
    // To which carriers; one from before that was written down may have gone to any.
    let mut made: HashMap<(i64, i64), Vec<Option<String>>> = HashMap::new();
    let mut keyed: HashMap<DeliveryId, u32> = HashMap::new();
    for attempt in rows {
        let key = (attempt.delivery_id, attempt.attempt.into());
        made.entry(key).or_default().push(attempt.carrier.clone());
        if attempt.keyed {
            made.entry((attempt.delivery_id, 0)).or_default().push(attempt.carrier);
            let last = keyed.entry(attempt.delivery_id.into()).or_default();
            *last = (*last).max(row::ordinal(attempt.attempt));
        }
    }
    let checked = named.into_iter().zip(sources).map(|(one, source)| {
        let named = one?;
        let to = made.get(&(named.delivery_id.0, named.attempt.into())).into_iter().flatten();
        let speaks = source.as_ref().map(|source| &source.carrier);
        let mut knows = to.map(|carrier| carrier.is_none() || carrier.as_ref() == speaks);
        if knows.any(|knows| knows) { Ok(named) } else { Err(Unnamed::Nothing) }
    });
    Ok((checked.collect(), keyed))
}

/// Writes the reports down that say something new. Gives the place of each, by its message. Of several
/// reports on one message only the one of the highest rank counts, the first of them.
async fn receive(
    conn: &mut PgConnection,
    receipts: &[Receipt],
    named: &[OneNamed],
    now: DateTime<Utc>,
) -> Result<HashMap<(DeliveryId, u32), usize>, StoreError> {
    let mut highest: BTreeMap<(DeliveryId, u32), usize> = BTreeMap::new();
    for (place, named) in named.iter().enumerate() {
        let Ok(named) = named else { continue };
        let best = highest.entry((named.delivery_id, named.attempt)).or_insert(place);
        if receipts[place].status.rank() > receipts[*best].status.rank() {
            *best = place;
        }
    }
    let mut columns = Columns::default();
    for ((delivery_id, attempt), place) in &highest {
        columns.push(*delivery_id, *attempt, &receipts[*place]);
    }
    let written = columns.write(conn, now).await?;
    Ok(highest.into_iter().filter(|(key, _)| written.contains(key)).collect())
}

#[derive(Default)]
struct Columns<'a> {
    deliveries: Vec<i64>,
    attempts: Vec<i32>,
    statuses: Vec<&'static str>,
    ranks: Vec<i16>,
    references: Vec<Option<&'a str>>,
    codes: Vec<Option<&'a str>>,
    texts: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    fn push(&mut self, delivery_id: DeliveryId, attempt: u32, receipt: &'a Receipt) {
        let named = match &receipt.of {
            ReceiptOf::Ours(_) => receipt.carrier_reference.as_deref(),
            ReceiptOf::Carriers(reference) => Some(reference.as_str()),
        };
        self.deliveries.push(delivery_id.0);
        self.attempts.push(i32::try_from(attempt).unwrap_or(i32::MAX));
        self.statuses.push(receipt.status.as_str());
        self.ranks.push(receipt.status.rank().into());
        self.references.push(named);
        self.codes.push(receipt.reason.as_ref().map(|reason| reason.code.as_str()));
        self.texts.push(receipt.reason.as_ref().map(|reason| reason.text.as_str()));
    }

    /// Gives those that were written.
    async fn write(
        &self,
        conn: &mut PgConnection,
        now: DateTime<Utc>,
    ) -> Result<HashSet<(DeliveryId, u32)>, StoreError> {
        if self.deliveries.is_empty() {
            return Ok(HashSet::new());
        }
        let written = sqlx::query_file!(
            "queries/evidence/receive.sql",
            &self.deliveries,
            &self.attempts,
            &self.statuses as &[&str],
            &self.ranks,
            &self.references as &[Option<&str>],
            &self.codes as &[Option<&str>],
            &self.texts as &[Option<&str>],
            now,
        )
        .fetch_all(conn)
        .await?;
        let key =
            |row: i64, attempt: i32| (DeliveryId(row), u32::try_from(attempt).unwrap_or(u32::MAX));
        Ok(written.into_iter().map(|row| key(row.delivery_id, row.attempt)).collect())
    }
}

/// The reports as evidence, with their places. One on a delivery as a whole speaks of the last attempt under
/// its key.
fn pieces<'a>(
    receipts: &'a [Receipt],
    named: &[OneNamed],
    keyed: &HashMap<DeliveryId, u32>,
) -> Vec<(usize, Said<'a>)> {
    let pieces = receipts.iter().zip(named).enumerate();
    let pieces = pieces.filter_map(|(place, (receipt, named))| {
        let Named { delivery_id, attempt } = *named.as_ref().ok()?;
        let carrier_reference = match &receipt.of {
            ReceiptOf::Ours(_) => receipt.carrier_reference.as_deref(),
            ReceiptOf::Carriers(reference) => Some(reference.as_str()),
        };
        let said = Said {
            delivery_id,
            attempt: if attempt > 0 { Some(attempt) } else { keyed.get(&delivery_id).copied() },
            evidence: Evidence::Receipt,
            carrier_reference,
            reason: Some(format!("the carrier reports it as {}", receipt.status)),
        };
        Some((place, said))
    });
    pieces.collect()
}
