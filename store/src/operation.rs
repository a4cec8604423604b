//! Operations: deeds on many contacts that are begun in one transaction and go on in chunks, from any
//! process, until they are done.

use chrono::{DateTime, Utc};
use dripline_domain::ids::{AccountId, OperationId, WorkflowId};
use dripline_domain::money::Micros;
use serde::Serialize;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::plan::InFlight;
use crate::{StoreError, row};

/// What there was to do when an operation began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// Contacts to be taken out, or to be enrolled.
    pub contacts: u64,
    /// Their messages that were not handed over.
    pub messages: u64,
    /// The segments of those messages.
    pub segments: u64,
    /// Their money, in micros.
    pub micros: Micros,
    /// Messages that were in flight.
    pub in_flight: u64,
}

impl Preview {
    /// From its columns, which are all null or all known.
    pub(crate) fn read(
        contacts: Option<i64>,
        messages: Option<i64>,
        segments: Option<i64>,
        micros: Option<i64>,
        in_flight: Option<i64>,
    ) -> Option<Self> {
        Some(Self {
            contacts: row::count(contacts?),
            messages: row::count(messages?),
            segments: row::count(segments?),
            micros: Micros(micros?),
            in_flight: row::count(in_flight?),
        })
    }
}

/// An operation that takes contacts out, about to begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewOperation<'a> {
    pub(crate) account_id: AccountId,
    pub(crate) workflow_id: WorkflowId,
    /// `pause`, `delete` or `remove`.
    pub(crate) kind: &'static str,
    /// The epoch that a pause or a deletion closes.
    pub(crate) closed_epoch: Option<i64>,
    /// Whom a removal by filter chose, as it was asked for.
    pub(crate) selection: Option<&'a str>,
    /// Under which it is found when it is begun again.
    pub(crate) batch_id: Option<Uuid>,
    pub(crate) actor: &'a str,
    pub(crate) reason: Option<&'a str>,
    pub(crate) started_at: DateTime<Utc>,
}

/// Writes an operation down, with nothing done yet.
pub(crate) async fn insert(
    conn: &mut PgConnection,
    operation: &NewOperation<'_>,
) -> Result<OperationId, StoreError> {
    let id = sqlx::query_scalar!(
        "INSERT INTO operations (account_id, workflow_id, kind, closed_epoch, selection, batch_id,
                                 actor, reason, started_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING operation_id",
        operation.account_id.0,
        operation.workflow_id.0,
        operation.kind,
        operation.closed_epoch,
        operation.selection,
        operation.batch_id,
        operation.actor,
        operation.reason,
        operation.started_at,
    )
    .fetch_one(conn)
    .await?;
    Ok(OperationId(id))
}

/// The operation that was begun under this name, if it was.
pub(crate) async fn find_batch(
    conn: &mut PgConnection,
    batch_id: Uuid,
) -> Result<Option<OperationId>, StoreError> {
    let id =
        sqlx::query_scalar!("SELECT operation_id FROM operations WHERE batch_id = $1", batch_id)
            .fetch_optional(conn)
            .await?;
    Ok(id.map(OperationId))
}

/// Writes down what there is to do.
pub(crate) async fn record_preview(
    conn: &mut PgConnection,
    id: OperationId,
    preview: &Preview,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE operations
         SET preview_contacts = $2, preview_messages = $3, preview_segments = $4,
             preview_micros = $5, preview_in_flight = $6
         WHERE operation_id = $1",
        id.0,
        signed(preview.contacts),
        signed(preview.messages),
        signed(preview.segments),
        preview.micros.0,
        signed(preview.in_flight),
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// What there was to do. `None`: that is not known, or not yet.
pub(crate) async fn read_preview(
    conn: &mut PgConnection,
    id: OperationId,
) -> Result<Option<Preview>, StoreError> {
    let row = sqlx::query!(
        "SELECT preview_contacts, preview_messages, preview_segments, preview_micros,
                preview_in_flight
         FROM operations WHERE operation_id = $1",
        id.0,
    )
    .fetch_one(conn)
    .await?;
    Ok(Preview::read(
        row.preview_contacts,
        row.preview_messages,
        row.preview_segments,
        row.preview_micros,
        row.preview_in_flight,
    ))
}

/// Writes down what the operation could not cancel any more, beside what it found before.
pub(crate) async fn record_in_flight(
    conn: &mut PgConnection,
    id: OperationId,
    in_flight: &[InFlight],
) -> Result<(), StoreError> {
    let deliveries: Vec<i64> = in_flight.iter().map(|found| found.delivery_id.0).collect();
    let attempts: Vec<i32> =
        in_flight.iter().map(|found| i32::try_from(found.attempt).unwrap_or(i32::MAX)).collect();
    if deliveries.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "INSERT INTO operation_in_flight (operation_id, delivery_id, attempt)
         SELECT $1, q.* FROM unnest($2::BIGINT[], $3::INTEGER[]) AS q (delivery_id, attempt)
         ON CONFLICT DO NOTHING",
        id.0,
        &deliveries,
        &attempts,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// A count as the database has it.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).expect("what is counted here fits a BIGINT")
}
