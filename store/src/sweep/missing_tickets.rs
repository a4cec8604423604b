//! Issues tickets anew for due deliveries that have lost theirs.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::ids::DeliveryId;

use super::BATCH;
use crate::crash::{Commit, commit};
use crate::queue::{self, Ticket};
use crate::{Pool, StoreError};

/// Issues a ticket for every delivery that has been due for `after` and has none. Gives how many.
/// Nothing is wrong with a delivery that has only just been claimed.
///
/// A ticket goes missing only by a hand that is not ours, or when it was acknowledged although its
/// delivery was not dealt with.
pub async fn missing_tickets(
    pool: &Pool,
    clock: &dyn Clock,
    after: Duration,
) -> Result<u64, StoreError> {
    let due_by = clock.now() - TimeDelta::from_std(after).unwrap_or(TimeDelta::days(1));
    let mut issued = 0;
    let mut behind = (DateTime::<Utc>::UNIX_EPOCH, 0);
    loop {
        let rows = sqlx::query_file!(
            "queries/sweep/missing_tickets.sql",
            due_by,
            behind.0,
            behind.1,
            BATCH,
        )
        .fetch_all(pool)
        .await?;
        let Some(last) = rows.last() else { return Ok(issued) };
        behind = (last.due_at, last.delivery_id);
        let lost: Vec<(DeliveryId, String)> = rows
            .iter()
            .filter(|row| !row.ticketed)
            .map(|row| (DeliveryId(row.delivery_id), row.ticket_id.clone()))
            .collect();
        if !lost.is_empty() {
            tracing::warn!(deliveries = lost.len(), "due deliveries had lost their tickets");
            issued += issue(pool, &lost).await?;
        }
        if rows.len() < usize::try_from(BATCH).unwrap_or(usize::MAX) {
            return Ok(issued);
        }
    }
}

/// Issues tickets for deliveries that are still queued with the lost ones.
async fn issue(pool: &Pool, lost: &[(DeliveryId, String)]) -> Result<u64, StoreError> {
    let ids: Vec<i64> = lost.iter().map(|(id, _)| id.0).collect();
    let old: Vec<String> = lost.iter().map(|(_, ticket)| ticket.clone()).collect();
    let new: Vec<String> = lost.iter().map(|_| queue::new_ticket_id()).collect();
    let mut tx = pool.begin().await?;
    // Whoever is working on a delivery at this moment will issue its ticket, if it needs one. The lost
    // ticket is deleted in case it exists in a state that apalis' own tools have given it.
    let rows = sqlx::query!(
        r#"WITH lost AS (
               SELECT d.delivery_id, q.old_ticket_id, q.new_ticket_id
               FROM deliveries d
               JOIN unnest($1::BIGINT[], $2::TEXT[], $3::TEXT[])
                    AS q (delivery_id, old_ticket_id, new_ticket_id) USING (delivery_id)
               WHERE d.state = 'queued' AND d.ticket_id = q.old_ticket_id
               ORDER BY d.delivery_id
               FOR NO KEY UPDATE OF d SKIP LOCKED),
           gone AS (DELETE FROM apalis.jobs j USING lost l WHERE j.id = l.old_ticket_id)
           UPDATE deliveries d SET ticket_id = l.new_ticket_id
           FROM lost l WHERE d.delivery_id = l.delivery_id
           RETURNING d.delivery_id, d.ticket_id AS "ticket_id!", d.due_at"#,
        &ids,
        &old,
        &new,
    )
    .fetch_all(&mut *tx)
    .await?;
    let tickets: Vec<Ticket> = rows
        .into_iter()
        .map(|row| Ticket {
            ticket_id: row.ticket_id,
            delivery_id: row.delivery_id.into(),
            run_at: row.due_at,
        })
        .collect();
    queue::push(&mut tx, &tickets).await?;
    commit(tx, Commit::IssueTickets).await?;
    Ok(tickets.len() as u64)
}
