//! Goes on with pauses, deletions and removals whose caller is gone.

use dripline_domain::clock::Clock;
use dripline_domain::ids::OperationId;

use crate::ops;
use crate::{Pool, StoreError};

/// Finishes every purge that is not finished, oldest first. Gives how many it finished. One that its
/// caller is still working on is shared with that caller.
pub async fn unfinished_purges(pool: &Pool, clock: &dyn Clock) -> Result<u64, StoreError> {
    let unfinished = sqlx::query_scalar!(
        "SELECT operation_id FROM operations WHERE finished_at IS NULL AND kind <> 'enrol'
         ORDER BY operation_id"
    )
    .fetch_all(pool)
    .await?;
    let mut finished = 0;
    for id in unfinished {
        let operation_id = OperationId(id);
        let purged = ops::purge(pool, clock, operation_id).await?;
        tracing::info!(
            operation.id = %operation_id,
            removed = purged.removed,
            "purge finished by the sweep"
        );
        finished += 1;
    }
    Ok(finished)
}
