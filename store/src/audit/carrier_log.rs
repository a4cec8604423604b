//! Invariant 10: our rows against the log that a carrier keeps of its own.

use dripline_domain::ids::DeliveryId;
use sqlx::{Postgres, Transaction};
use uuid::Uuid;

use super::{INVARIANTS, InvariantResult, KEPT, Violation, begin_snapshot};
use crate::{Pool, StoreError, row};

/// Deliveries that one statement compares.
const CHUNK: usize = 100_000;

/// A comparison under way. It sees the rows as they stood when it began, so the log must be read
/// after that: what is settled in the rows is then in the log.
#[derive(Debug)]
pub struct CarrierLogAudit {
    snapshot: Transaction<'static, Postgres>,
    installation: Uuid,
    /// The delivery of each line that says it was accepted: eight bytes a message, since a log is long.
    accepted: Vec<i64>,
    foreign: u64,
}

impl CarrierLogAudit {
    /// Takes the snapshot.
    pub async fn begin(pool: &Pool) -> Result<Self, StoreError> {
        let mut snapshot = begin_snapshot(pool).await?;
        let installation = sqlx::query_scalar!("SELECT installation_id FROM installation")
            .fetch_one(&mut *snapshot)
            .await?;
        Ok(Self { snapshot, installation, accepted: Vec::new(), foreign: 0 })
    }

    /// One message that the carrier accepted, by the reference we gave it. References of other
    /// installations are counted and left out.
    pub fn accepted(&mut self, reference: &str) {
        match parse_reference(self.installation, reference) {
            Some((delivery_id, _)) => self.accepted.push(delivery_id.0),
            None => self.foreign += 1,
        }
    }

    /// How many references were not of this installation.
    pub fn foreign(&self) -> u64 {
        self.foreign
    }

    /// Compares every delivery with the log.
    pub async fn finish(mut self) -> Result<InvariantResult, StoreError> {
        let checked = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM deliveries"#)
            .fetch_one(&mut *self.snapshot)
            .await?;
        let mut result = InvariantResult {
            invariant: INVARIANTS[9],
            checked: row::count(checked),
            violations: 0,
            rows: Vec::new(),
        };
        let mut accepted = std::mem::take(&mut self.accepted);
        accepted.sort_unstable();
        let mut log = &accepted[..];
        let mut from = 0;
        while let Some(to) = self.end_of_chunk(from, log).await? {
            let (chunk, rest) = log.split_at(log.partition_point(|id| *id <= to));
            self.compare(from, to, chunk, &mut result).await?;
            (from, log) = (to, rest);
        }
        self.snapshot.rollback().await?;
        Ok(result)
    }

    /// The last id of the chunk behind `from`: at most [`CHUNK`] deliveries and about [`CHUNK`] lines of
    /// what is left of the log. `None`: nothing is left of either.
    async fn end_of_chunk(&mut self, from: i64, log: &[i64]) -> Result<Option<i64>, StoreError> {
        let rows = sqlx::query_scalar!(
            "SELECT max(delivery_id) FROM (
                 SELECT delivery_id FROM deliveries WHERE delivery_id > $1
                 ORDER BY delivery_id LIMIT $2
             ) chunk",
            from,
            i64::try_from(CHUNK).unwrap_or(i64::MAX),
        )
        .fetch_one(&mut *self.snapshot)
        .await?;
        let log = log.get(CHUNK - 1).or(log.last()).copied();
        // Either one alone when the other has ended, else the nearer one.
        Ok(match (rows, log) {
            (Some(rows), Some(log)) => Some(rows.min(log)),
            (rows, log) => rows.or(log),
        })
    }

    async fn compare(
        &mut self,
        from: i64,
        to: i64,
        log: &[i64],
        result: &mut InvariantResult,
    ) -> Result<(), StoreError> {
        let (ids, times): (Vec<i64>, Vec<i64>) = log
            .chunk_by(|one, next| one == next)
            .map(|same| (same[0], i64::try_from(same.len()).unwrap_or(i64::MAX)))
            .unzip();
        let rows = sqlx::query_file!("queries/audit/carrier_log.sql", &ids, &times, from, to, KEPT)
            .fetch_all(&mut *self.snapshot)
            .await?;
        result.violations += rows.first().map_or(0, |row| row::count(row.found));
        let kept = usize::try_from(KEPT).unwrap_or(usize::MAX);
        let room = kept.saturating_sub(result.rows.len());
        let rows = rows.into_iter().take(room);
        result.rows.extend(rows.map(|r| Violation {
            subject: r.subject,
            difference: r.problem.clone(),
            problem: r.problem,
        }));
        Ok(())
    }
}

/// Reads `<installation>-<delivery>-<attempt>`, the reference of one attempt to a carrier. `None`: it
/// is none of this installation's.
pub fn parse_reference(installation: Uuid, reference: &str) -> Option<(DeliveryId, u32)> {
    let rest = reference.strip_prefix(installation.simple().to_string().as_str())?;
    let (delivery_id, attempt) = rest.strip_prefix('-')?.split_once('-')?;
    Some((DeliveryId(delivery_id.parse().ok()?), attempt.parse().ok()?))
}
