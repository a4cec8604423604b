//! Gives back what enrolments have reserved whose caller is gone.

use dripline_domain::clock::Clock;
use dripline_domain::ids::OperationId;
use dripline_domain::money::Micros;

use crate::ops::end_abandoned;
use crate::{Pool, StoreError};

/// Ends every enrolment whose process is gone: Postgres has given up the lock of its session. What was
/// enrolled until then stays. Gives the money that came back.
///
/// Should a process have lost only its session, its next chunk is refused and nothing is wrong either.
pub async fn abandoned_enrolments(pool: &Pool, clock: &dyn Clock) -> Result<Micros, StoreError> {
    let unfinished = sqlx::query_scalar!(
        "SELECT operation_id FROM operations WHERE finished_at IS NULL AND kind = 'enrol'
         ORDER BY operation_id"
    )
    .fetch_all(pool)
    .await?;
    let mut returned = Micros::ZERO;
    for id in unfinished {
        let operation_id = OperationId(id);
        let rest = end_abandoned(pool, clock, operation_id).await?;
        if rest > Micros::ZERO {
            tracing::warn!(
                operation.id = %operation_id,
                returned_micros = rest.0,
                "an enrolment was abandoned; what it had reserved is given back"
            );
        }
        returned += rest;
    }
    Ok(returned)
}
