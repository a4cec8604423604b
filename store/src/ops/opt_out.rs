//! A contact that wants to hear nothing more leaves every workflow.

use dripline_domain::clock::Clock;
use dripline_domain::enrollment::ExitCause;
use dripline_domain::ids::{ContactId, EnrollmentId};
use sqlx::PgConnection;

use super::remove_contact::{self, Removal, RemoveContactError};
use crate::crash::{Commit, commit};
use crate::{Pool, StoreError};

/// Notes that the contact opted out and ends all of its enrollments, refunding what was not sent.
/// Gives how many it ended. `None`: there is no such contact.
///
/// After this has returned, no message can start to leave for the contact. Contact and enrollments are
/// written in transactions of their own: a mark refuses a contact that opted out in any case.
pub async fn opt_out(
    pool: &Pool,
    clock: &dyn Clock,
    contact_id: ContactId,
    actor: &str,
) -> Result<Option<u64>, StoreError> {
    let mut tx = pool.begin().await?;
    if note(&mut tx, &[contact_id.0]).await?.is_empty() {
        return Ok(None);
    }
    commit(tx, Commit::OptOut).await?;
    leave_all(pool, clock, contact_id, actor).await.map(Some)
}

/// Notes on contacts that they want to hear nothing more, and keeps them locked. Gives those that there are.
pub(super) async fn note(
    conn: &mut PgConnection,
    contacts: &[i64],
) -> Result<Vec<ContactId>, StoreError> {
    // Locked in a statement of its own: the next one's clock then reads later than every mark that
    // this has waited for, and the audit can compare the two.
    let found = sqlx::query_scalar!(
        "SELECT contact_id FROM contacts WHERE contact_id = ANY ($1)
         ORDER BY contact_id FOR NO KEY UPDATE",
        contacts,
    )
    .fetch_all(&mut *conn)
    .await?;
    sqlx::query!(
        "UPDATE contacts SET opted_out_at = clock_timestamp(), updated_at = clock_timestamp()
         WHERE contact_id = ANY ($1) AND opted_out_at IS NULL",
        &found,
    )
    .execute(conn)
    .await?;
    Ok(found.into_iter().map(ContactId).collect())
}

/// Ends all enrollments of a contact that has opted out.
pub(super) async fn leave_all(
    pool: &Pool,
    clock: &dyn Clock,
    contact_id: ContactId,
    actor: &str,
) -> Result<u64, StoreError> {
    let enrollments = sqlx::query_scalar!(
        "SELECT enrollment_id FROM enrollments WHERE contact_id = $1 AND exit_cause IS NULL
         ORDER BY enrollment_id",
        contact_id.0,
    )
    .fetch_all(pool)
    .await?;
    let mut ended = 0;
    for id in enrollments {
        let removal =
            Removal { enrollment_id: EnrollmentId(id), actor: actor.to_owned(), reason: None };
        match remove_contact::end(pool, clock, &removal, ExitCause::OptedOut).await {
            Ok(_) => ended += 1,
            // Somebody else has just ended it.
            Err(RemoveContactError::Ended { .. } | RemoveContactError::NotFound(_)) => {}
            Err(RemoveContactError::Store(error)) => return Err(error),
        }
    }
    Ok(ended)
}
