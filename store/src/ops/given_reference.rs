//! Under what a carrier knows an attempt, recorded with its mark.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use dripline_domain::ids::RouteId;
use sqlx::PgConnection;

use crate::StoreError;

/// Our reference of an attempt, as the carrier is given it. Only for carriers that can be asked by it, or
/// that keep it as a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenReference {
    /// Over which route.
    pub route_id: RouteId,
    /// The route's revision.
    pub route_revision: i64,
    /// The carrier plugin's name.
    pub carrier: String,
    /// The reference itself.
    pub reference: String,
    /// How the carrier keeps it, if it does.
    pub key: Option<GivenKey>,
}

/// A reference that the carrier keeps as an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenKey {
    /// How long the carrier keeps it.
    pub lifetime: Duration,
    /// Tells whether another request is the same one.
    pub request_digest: String,
}

/// References of one batch of marks.
#[derive(Default)]
pub(super) struct References<'a> {
    given: Vec<(i64, i32, &'a GivenReference)>,
}

impl<'a> References<'a> {
    pub(super) fn push(&mut self, delivery_id: i64, attempt: i32, given: &'a GivenReference) {
        self.given.push((delivery_id, attempt, given));
    }

    /// Writes those of the deliveries that were marked.
    pub(super) async fn write(
        &self,
        conn: &mut PgConnection,
        is_marked: impl Fn(i64) -> bool,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut columns = Columns::default();
        for (delivery_id, attempt, given) in &self.given {
            if is_marked(*delivery_id) {
                columns.push(*delivery_id, *attempt, given, now);
            }
        }
        columns.write(conn).await
    }
}

#[derive(Default)]
struct Columns<'a> {
    deliveries: Vec<i64>,
    attempts: Vec<i32>,
    routes: Vec<i64>,
    revisions: Vec<i64>,
    carriers: Vec<&'a str>,
    references: Vec<&'a str>,
    expire_at: Vec<Option<DateTime<Utc>>>,
    digests: Vec<Option<&'a str>>,
}

impl<'a> Columns<'a> {
    fn push(
        &mut self,
        delivery_id: i64,
        attempt: i32,
        given: &'a GivenReference,
        now: DateTime<Utc>,
    ) {
        self.deliveries.push(delivery_id);
        self.attempts.push(attempt);
        self.routes.push(given.route_id.0);
        self.revisions.push(given.route_revision);
        self.carriers.push(&given.carrier);
        self.references.push(&given.reference);
        self.expire_at.push(given.key.as_ref().map(|key| {
            // A lifetime beyond all time is one that outlives everything here.
            let lifetime = TimeDelta::from_std(key.lifetime).unwrap_or(TimeDelta::days(36_500));
            now.checked_add_signed(lifetime).unwrap_or(now)
        }));
        self.digests.push(given.key.as_ref().map(|key| key.request_digest.as_str()));
    }

    async fn write(&self, conn: &mut PgConnection) -> Result<(), StoreError> {
        if self.deliveries.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "INSERT INTO attempt_references (delivery_id, attempt, route_id, route_revision, carrier,
                                             reference, key_expires_at, request_digest)
             SELECT * FROM unnest($1::BIGINT[], $2::INTEGER[], $3::BIGINT[], $4::BIGINT[], $5::TEXT[],
                                  $6::TEXT[], $7::TIMESTAMPTZ[], $8::TEXT[])",
            &self.deliveries,
            &self.attempts,
            &self.routes,
            &self.revisions,
            &self.carriers as &[&str],
            &self.references as &[&str],
            &self.expire_at as &[Option<DateTime<Utc>>],
            &self.digests as &[Option<&str>],
        )
        .execute(conn)
        .await?;
        Ok(())
    }
}
