//! Inquiries: what is done about unknown deliveries whose carrier can be asked by our reference, or told
//! again under the key that it keeps. Each is one statement, and none holds a lock while somebody asks.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::ids::{ContactId, DeliveryId, RouteId};
use dripline_domain::phone::Phone;

use crate::crash::{self, Commit};
use crate::{Pool, StoreError, row};

/// An unknown delivery that its caller has taken on.
#[derive(Clone, Debug)]
pub struct Inquiry {
    /// The delivery.
    pub delivery_id: DeliveryId,
    /// Its last attempt, of which nobody knows.
    pub attempt: u32,
    /// How often it was inquired about, this time included.
    pub inquiry: u32,
    /// The route that the attempt went over.
    pub route_id: RouteId,
    /// The route's revision then.
    pub route_revision: i64,
    /// The carrier plugin.
    pub carrier: String,
    /// Our reference, as the carrier was given it.
    pub reference: String,
    /// Whether the carrier keeps it as a key.
    pub keyed: bool,
    /// Whether its worker is gone, rather than has said that it does not know: the request may have
    /// been about to leave.
    pub orphaned: bool,
    /// To whom.
    pub contact_id: ContactId,
    /// The number of that.
    pub phone: Phone,
    /// When the attempt was marked, by the database's clock.
    pub marked_at: DateTime<Utc>,
    /// How long ago that was, by the same clock.
    pub age: Duration,
}

/// Takes on at most `limit` unknown deliveries of these carriers that are due for an inquiry. Nobody else
/// takes them on for `lease`, nor before [`postpone`] says.
pub async fn claim(
    pool: &Pool,
    clock: &dyn Clock,
    carriers: &[String],
    lease: Duration,
    limit: i64,
) -> Result<Vec<Inquiry>, StoreError> {
    let now = clock.now();
    let update =
        sqlx::query_file!("queries/inquiry/claim.sql", carriers, now, later(now, lease), limit,)
            .fetch_all(pool);
    let rows = crash::statement(Commit::ClaimInquiries, update).await?;
    let claimed = rows.into_iter().map(|row| {
        Ok(Inquiry {
            delivery_id: row.delivery_id.into(),
            attempt: row::ordinal(row.attempt),
            inquiry: row::ordinal(row.inquiry),
            route_id: row.route_id.into(),
            route_revision: row.route_revision,
            carrier: row.carrier,
            reference: row.reference,
            keyed: row.keyed,
            orphaned: row.orphaned,
            contact_id: row.contact_id.into(),
            phone: row::phone(&row.phone, row.contact_id)?,
            marked_at: row.marked_at,
            // A clock that was set back makes nothing older.
            age: Duration::try_from_secs_f64(row.age_seconds).unwrap_or_default(),
        })
    });
    claimed.collect()
}

/// Says when the next inquiry about the delivery is due, unless somebody has taken it on since.
pub async fn postpone(
    pool: &Pool,
    clock: &dyn Clock,
    claimed: &Inquiry,
    wait: Duration,
) -> Result<(), StoreError> {
    let update = sqlx::query!(
        "UPDATE inquiries SET due_at = $3 WHERE delivery_id = $1 AND inquiry = $2",
        claimed.delivery_id.0,
        i32::try_from(claimed.inquiry).unwrap_or(i32::MAX),
        later(clock.now(), wait),
    )
    .execute(pool);
    crash::statement(Commit::PostponeInquiry, update).await?;
    Ok(())
}

/// Forgets the inquiries about deliveries that somebody has decided about. Gives how many.
pub async fn forget_decided(pool: &Pool) -> Result<u64, StoreError> {
    let deletion = sqlx::query!(
        "DELETE FROM inquiries i
         WHERE NOT EXISTS (SELECT FROM deliveries d
                           WHERE d.delivery_id = i.delivery_id AND d.state IN ('unknown', 'sending'))"
    )
    .execute(pool);
    let done = crash::statement(Commit::ForgetInquiries, deletion).await?;
    Ok(done.rows_affected())
}

fn later(now: DateTime<Utc>, wait: Duration) -> DateTime<Utc> {
    let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::days(365));
    now.checked_add_signed(wait).unwrap_or(now)
}
