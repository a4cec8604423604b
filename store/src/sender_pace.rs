//! How far the senders of throttled routes have come. All workers share it: whoever marks messages of a
//! sender locks its pace until the marks are committed.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use dripline_domain::ids::RouteId;
use dripline_domain::throttle::Pace;
use serde::Serialize;
use sqlx::PgConnection;

use crate::{Pool, StoreError, row};

/// The reason code of a queued delivery that waits for its sender's turn.
pub const THROTTLED: &str = "throttled";

/// One sender of a route.
pub(crate) type Key = (RouteId, String);

/// Paces that are locked until their transaction ends.
#[derive(Debug)]
pub(crate) struct Locked {
    pub(crate) paces: BTreeMap<Key, Pace>,
    /// The time by the database's clock, the one that all workers share. Theirs may differ by more
    /// than a sender's second.
    pub(crate) now: DateTime<Utc>,
}

/// Locks the paces of these senders, behind the contacts and before the deliveries. Without any it asks
/// nobody, and gives `None`.
pub(crate) async fn lock(
    conn: &mut PgConnection,
    keys: BTreeSet<Key>,
) -> Result<Option<Locked>, StoreError> {
    if keys.is_empty() {
        return Ok(None);
    }
    let (routes, senders): (Vec<i64>, Vec<String>) =
        keys.into_iter().map(|(route_id, sender)| (route_id.0, sender)).unzip();
    let rows = sqlx::query_file!("queries/sender_pace/lock.sql", &routes, &senders)
        .fetch_all(conn)
        .await?;
    let now = rows.iter().map(|row| row.now).max();
    let paces = rows.into_iter().map(|row| {
        let pace = Pace {
            full_at: row.full_at,
            line_end_at: row.line_end_at,
            late_end_at: row.late_end_at,
            day: row.day,
            day_segments: row::count(row.day_segments),
        };
        ((RouteId(row.route_id), row.sender), pace)
    });
    let paces = paces.collect();
    Ok(now.map(|now| Locked { paces, now }))
}

impl Locked {
    /// Writes them down.
    pub(crate) async fn save(&self, conn: &mut PgConnection) -> Result<(), StoreError> {
        let mut columns = Columns::default();
        for ((route_id, sender), pace) in &self.paces {
            columns.routes.push(route_id.0);
            columns.senders.push(sender.clone());
            columns.full_at.push(pace.full_at);
            columns.line_end_at.push(pace.line_end_at);
            columns.late_end_at.push(pace.late_end_at);
            columns.days.push(pace.day);
            columns.day_segments.push(i64::try_from(pace.day_segments).unwrap_or(i64::MAX));
        }
        sqlx::query_file!(
            "queries/sender_pace/save.sql",
            &columns.routes,
            &columns.senders,
            &columns.full_at,
            &columns.line_end_at,
            &columns.late_end_at,
            &columns.days,
            &columns.day_segments,
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}

/// Lets nobody stand in line at the senders of a route any more, since everybody is given another turn; nor
/// at those of the routes that share its messages, as failover or as what fails over to it.
pub(crate) async fn clear_lines(
    conn: &mut PgConnection,
    route_id: RouteId,
) -> Result<(), StoreError> {
    // Locked in the order in which marks lock them.
    sqlx::query!(
        "UPDATE sender_paces p
         SET line_end_at = least(p.line_end_at, clock_timestamp()),
             late_end_at = least(p.late_end_at, clock_timestamp())
         FROM (SELECT route_id, sender FROM sender_paces
               WHERE route_id = $1
                  OR route_id IN (SELECT failover_route_id FROM routes WHERE route_id = $1)
                  OR route_id IN (SELECT route_id FROM routes WHERE failover_route_id = $1)
               ORDER BY route_id, sender FOR NO KEY UPDATE) q
         WHERE p.route_id = q.route_id AND p.sender = q.sender",
        route_id.0,
    )
    .execute(conn)
    .await?;
    Ok(())
}

#[derive(Default)]
struct Columns {
    routes: Vec<i64>,
    senders: Vec<String>,
    full_at: Vec<DateTime<Utc>>,
    line_end_at: Vec<DateTime<Utc>>,
    late_end_at: Vec<DateTime<Utc>>,
    days: Vec<chrono::NaiveDate>,
    day_segments: Vec<i64>,
}

/// How far a sender has come, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SenderPace {
    /// The sender.
    pub sender: String,
    /// By when everybody who waits now has had a turn; `None` when nobody waits.
    pub waiting_until: Option<DateTime<Utc>>,
    /// Segments that were marked on this day of UTC.
    pub segments_today: u64,
}

/// The senders of a route that have sent under a throttle, by name.
pub async fn list(pool: &Pool, route_id: RouteId) -> Result<Vec<SenderPace>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT p.sender, nullif(greatest(p.line_end_at, p.late_end_at, now.at), now.at) AS waiting_until,
                  CASE WHEN p.day = (now.at AT TIME ZONE 'UTC')::DATE THEN p.day_segments ELSE 0 END
                      AS "segments_today!"
           FROM sender_paces p, (SELECT clock_timestamp() AS at) now
           WHERE p.route_id = $1
           ORDER BY p.sender"#,
        route_id.0,
    )
    .fetch_all(pool)
    .await?;
    let paces = rows.into_iter().map(|row| SenderPace {
        sender: row.sender,
        waiting_until: row.waiting_until,
        segments_today: row::count(row.segments_today),
    });
    Ok(paces.collect())
}
