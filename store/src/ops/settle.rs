//! Writing down what a batch decided about deliveries and enrollments, with its money.
//!
//! The decisions were made on rows that were read without their locks. Every write therefore compares
//! what it overwrites with what was read, and the whole batch is undone and decided again if a row
//! has changed in between. Those meetings are rare; locking every row first would cost each message.

use chrono::{DateTime, Utc};
use dripline_domain::delivery::{DeliveryState, Reason};
use dripline_domain::enrollment::ExitCause;
use dripline_domain::ids::{
    AccountId, ContactId, DeliveryId, EnrollmentId, OperationId, WorkflowId,
};
use dripline_domain::ledger::{EntryKind, Hold, Settlement};
use sqlx::PgConnection;

use super::books::Books;
use crate::StoreError;
use crate::queue::{self, Ticket};

mod columns;

use columns::{DeliveryColumns, EnrollmentColumns, NextColumns};

/// Whose rows they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    pub(super) account_id: AccountId,
    pub(super) workflow_id: WorkflowId,
    pub(super) contact_id: ContactId,
    pub(super) enrollment_id: EnrollmentId,
}

/// What happens to one delivery.
#[derive(Debug)]
pub(super) struct DeliveryChange {
    pub(super) owner: Owner,
    pub(super) delivery_id: DeliveryId,
    /// Whether it was read as queued; else as sending or unknown.
    pub(super) was_queued: bool,
    /// Whether somebody had said that it was sent, as it was read; `None`: that does not matter.
    pub(super) said_sent: Option<bool>,
    /// Its attempt as it was read.
    pub(super) attempt: i32,
    pub(super) attempt_after: i32,
    pub(super) to: DeliveryTo,
    /// Overrides the reason that `to` carries none of.
    pub(super) reason: Option<Reason>,
    /// Ends the attempt as well, with this outcome.
    pub(super) outcome: Option<&'static str>,
}

/// Where a delivery goes.
#[derive(Debug)]
pub(super) enum DeliveryTo {
    /// To one of the terminal states.
    Settled { state: DeliveryState, settlement: Settlement, carrier_reference: Option<String> },
    /// Back into the queue.
    Queued { due_at: DateTime<Utc> },
    /// Nobody knows.
    Unknown,
}

/// What happens to one live enrollment.
#[derive(Debug)]
pub(super) struct EnrollmentChange {
    pub(super) owner: Owner,
    /// Its position as it was read.
    pub(super) position: i32,
    /// What it held for its later steps.
    pub(super) remaining: Hold,
    pub(super) to: EnrollmentTo,
}

/// Where an enrollment goes.
#[derive(Debug)]
pub(super) enum EnrollmentTo {
    /// To its next step, which becomes a delivery.
    NextStep { held: Hold, due_at: DateTime<Utc>, expires_at: Option<DateTime<Utc>> },
    /// Out; what remains is released.
    Exit(ExitCause),
}

/// All that one batch changes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) deliveries: Vec<DeliveryChange>,
    pub(super) enrollments: Vec<EnrollmentChange>,
    /// Tickets of deliveries that will not be sent, to be deleted unless somebody has claimed them.
    pub(super) withdrawn: Vec<String>,
    /// Set on the enrollments that end.
    pub(super) operation_id: Option<OperationId>,
    /// Deliveries of which it is known that no attempt was sent, none of those that were repeated either.
    pub(super) repeated_not_sent: Vec<i64>,
    /// Attempts, by their deliveries, that the carrier has taken, though it had been decided otherwise.
    pub(super) taken_after_all: Vec<(i64, i32)>,
    /// Deliveries of which somebody may have said that an earlier attempt was sent.
    pub(super) contradicted: Vec<i64>,
}

impl Changes {
    /// Writes everything: entries, enrollments, deliveries, tickets, balances. The caller has locked
    /// the workflows and commits.
    pub(super) async fn write(
        mut self,
        conn: &mut PgConnection,
        books: &mut Books<'_>,
        actor: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.deliveries.sort_unstable_by_key(|change| change.delivery_id);
        self.enrollments.sort_unstable_by_key(|change| change.owner.enrollment_id);
        self.book(books);
        self.end_taken(conn).await?;
        books.write_entries(conn).await?;
        self.write_enrollments(conn, books, actor, now).await?;
        self.lock_requeued(conn).await?;
        let mut tickets = self.write_deliveries(conn, books, now).await?;
        self.write_said_sent(conn).await?;
        tickets.extend(self.write_next_steps(conn, now).await?);
        queue::push(conn, &tickets).await?;
        queue::withdraw(conn, &self.withdrawn).await?;
        books.change_balances(conn).await
    }

    /// Ends the repeated attempts of deliveries of which none was sent. Before [`Changes::write`].
    pub(super) async fn end_repeated(&self, conn: &mut PgConnection) -> Result<(), StoreError> {
        if self.repeated_not_sent.is_empty() {
            return Ok(());
        }
        sqlx::query!(
            "UPDATE attempts SET outcome = 'not_sent'
             WHERE delivery_id = ANY ($1) AND outcome = 'repeated'",
            &self.repeated_not_sent,
        )
        .execute(conn)
        .await?;
        Ok(())
    }

    /// Ends attempts as accepted that had ended otherwise.
    async fn end_taken(&self, conn: &mut PgConnection) -> Result<(), StoreError> {
        if self.taken_after_all.is_empty() {
            return Ok(());
        }
        let (deliveries, attempts): (Vec<i64>, Vec<i32>) =
            self.taken_after_all.iter().copied().unzip();
        sqlx::query!(
            "UPDATE attempts a SET outcome = 'accepted', reason_code = NULL, reason_text = NULL
             FROM unnest($1::BIGINT[], $2::INTEGER[]) AS q (delivery_id, attempt)
             WHERE a.delivery_id = q.delivery_id AND a.attempt = q.attempt",
            &deliveries,
            &attempts,
        )
        .execute(conn)
        .await?;
        Ok(())
    }

    fn book(&self, books: &mut Books<'_>) {
        for change in &self.deliveries {
            let DeliveryTo::Settled { state, settlement, .. } = &change.to else { continue };
            let Owner { account_id, workflow_id, .. } = change.owner;
            if *state == DeliveryState::Sent {
                books.add(EntryKind::Capture, account_id, workflow_id, settlement.captured);
            }
            if releases(*state, settlement) {
                books.add(EntryKind::Release, account_id, workflow_id, settlement.released);
            }
        }
        for change in &self.enrollments {
            if matches!(change.to, EnrollmentTo::Exit(_)) && change.remaining != Hold::NONE {
                let Owner { account_id, workflow_id, .. } = change.owner;
                books.add(EntryKind::Release, account_id, workflow_id, change.remaining);
            }
        }
    }

    async fn write_enrollments(
        &self,
        conn: &mut PgConnection,
        books: &Books<'_>,
        actor: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        if self.enrollments.is_empty() {
            return Ok(());
        }
        let mut columns = EnrollmentColumns::default();
        for change in &self.enrollments {
            columns.push(change, books);
        }
        let done = sqlx::query_file!(
            "queries/enrollment/change.sql",
            &columns.ids,
            &columns.positions,
            &columns.positions_after,
            &columns.remaining_segments,
            &columns.remaining_micros,
            &columns.exit_causes as &[Option<&str>],
            &columns.released_segments,
            &columns.released_micros,
            &columns.release_entries as &[Option<i64>],
            self.operation_id.map(|id| id.0),
            actor,
            now,
        )
        .execute(conn)
        .await?;
        expect_all(done.rows_affected(), self.enrollments.len())
    }

    /// Keeps the enrollments of deliveries that go back into the queue from ending until the commit.
    /// Nothing of them is overwritten here, so that nothing else would notice that a removal has just
    /// ended one; and a removal that comes later must find its delivery queued.
    async fn lock_requeued(&self, conn: &mut PgConnection) -> Result<(), StoreError> {
        let requeued = self.deliveries.iter();
        let requeued = requeued.filter(|change| matches!(change.to, DeliveryTo::Queued { .. }));
        let ids: Vec<i64> = requeued.map(|change| change.owner.enrollment_id.0).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let live = sqlx::query_scalar!(
            "SELECT enrollment_id FROM enrollments
             WHERE enrollment_id = ANY ($1) AND exit_cause IS NULL
             ORDER BY enrollment_id FOR SHARE",
            &ids,
        )
        .fetch_all(conn)
        .await?;
        expect_all(live.len() as u64, ids.len())
    }

    /// Gives the tickets of the deliveries that are queued again.
    async fn write_deliveries(
        &self,
        conn: &mut PgConnection,
        books: &Books<'_>,
        now: DateTime<Utc>,
    ) -> Result<Vec<Ticket>, StoreError> {
        if self.deliveries.is_empty() {
            return Ok(Vec::new());
        }
        let mut columns = DeliveryColumns::default();
        let mut tickets = Vec::new();
        for change in &self.deliveries {
            columns.push(change, books, &mut tickets);
        }
        let changed = sqlx::query_file_scalar!(
            "queries/delivery/settle.sql",
            &columns.ids,
            &columns.was_queued,
            &columns.attempts,
            &columns.states as &[&str],
            &columns.attempts_after,
            &columns.due_at as &[Option<DateTime<Utc>>],
            &columns.ticket_ids as &[Option<String>],
            &columns.captured_segments,
            &columns.captured_micros,
            &columns.capture_entries as &[Option<i64>],
            &columns.released_segments,
            &columns.released_micros,
            &columns.release_entries as &[Option<i64>],
            &columns.carrier_references as &[Option<&str>],
            &columns.reason_codes as &[Option<&str>],
            &columns.reason_texts as &[Option<&str>],
            &columns.settled,
            &columns.outcomes as &[Option<&str>],
            now,
            &columns.said_sent as &[Option<bool>],
        )
        .fetch_one(conn)
        .await?;
        expect_all(u64::try_from(changed).unwrap_or(0), self.deliveries.len())?;
        Ok(tickets)
    }

    /// Behind the deliveries, since what a batch settles itself is compared with how it was read.
    async fn write_said_sent(&self, conn: &mut PgConnection) -> Result<(), StoreError> {
        if self.contradicted.is_empty() {
            return Ok(());
        }
        let states = sqlx::query_file_scalar!("queries/evidence/said_sent.sql", &self.contradicted)
            .fetch_all(&mut *conn)
            .await?;
        // It was queued once more since it was read. Read again, it is settled at once: a purge or a removal would
        // give back what was sent.
        if states.iter().any(|state| state == DeliveryState::Queued.as_str()) {
            return Err(StoreError::Raced);
        }
        // Only now, since whoever was requeuing one of them has ended, and what he wrote can be seen. And again, as
        // long as something is found: who requeues the last of a chain is waited for by its row, and what he has
        // written is seen by the next statement only.
        loop {
            let found =
                sqlx::query_file!("queries/evidence/said_sent_requeued.sql", &self.contradicted)
                    .execute(&mut *conn)
                    .await?;
            if found.rows_affected() == 0 {
                return Ok(());
            }
        }
    }

    /// Inserts the next steps' deliveries and gives their tickets.
    async fn write_next_steps(
        &self,
        conn: &mut PgConnection,
        now: DateTime<Utc>,
    ) -> Result<Vec<Ticket>, StoreError> {
        let mut columns = NextColumns::default();
        for change in &self.enrollments {
            columns.push(change);
        }
        if columns.enrollments.is_empty() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query!(
            r#"INSERT INTO deliveries (account_id, workflow_id, enrollment_id, contact_id, position,
                                       due_at, expires_at, held_segments, held_micros, ticket_id,
                                       created_at)
               SELECT q.*, $11::TIMESTAMPTZ
               FROM unnest($1::BIGINT[], $2::BIGINT[], $3::BIGINT[], $4::BIGINT[], $5::INTEGER[],
                           $6::TIMESTAMPTZ[], $7::TIMESTAMPTZ[], $8::BIGINT[], $9::BIGINT[],
                           $10::TEXT[]) AS q
               RETURNING delivery_id, ticket_id AS "ticket_id!", due_at"#,
            &columns.accounts,
            &columns.workflows,
            &columns.enrollments,
            &columns.contacts,
            &columns.positions,
            &columns.due_at,
            &columns.expires_at as &[Option<DateTime<Utc>>],
            &columns.held_segments,
            &columns.held_micros,
            &columns.ticket_ids,
            now,
        )
        .fetch_all(conn)
        .await?;
        let tickets = rows.into_iter().map(|row| Ticket {
            ticket_id: row.ticket_id,
            delivery_id: DeliveryId(row.delivery_id),
            run_at: row.due_at,
        });
        Ok(tickets.collect())
    }
}

/// A delivery that was not sent points at its release even when nothing was held for it, so that every
/// settled delivery has an entry; one that was sent only if something came back.
fn releases(state: DeliveryState, settlement: &Settlement) -> bool {
    state != DeliveryState::Sent || settlement.released != Hold::NONE
}

/// Fails as a race unless as many rows were changed as were meant.
pub(super) fn expect_all(changed: u64, wanted: usize) -> Result<(), StoreError> {
    if changed == wanted as u64 { Ok(()) } else { Err(StoreError::Raced) }
}
