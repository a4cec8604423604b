//! The name of this installation.

use uuid::Uuid;

use crate::{Pool, StoreError};

/// The installation's id. It never changes, and makes our references to carriers unique even when
/// two installations share one carrier account.
pub async fn id(pool: &Pool) -> Result<Uuid, StoreError> {
    Ok(sqlx::query_scalar!("SELECT installation_id FROM installation").fetch_one(pool).await?)
}
