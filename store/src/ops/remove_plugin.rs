//! Takes a plugin out of force, when nothing uses it.

use dripline_domain::clock::Clock;
use serde_json::json;

use crate::crash::{Commit, commit};
use crate::trail::{self, Deed};
use crate::{Pool, StoreError};

/// Why a plugin was not removed.
#[derive(Debug, thiserror::Error)]
pub enum RemovePluginError {
    /// No plugin of that name is installed.
    #[error("no plugin `{0}` is installed")]
    NotInstalled(String),
    /// Messages depend on it.
    #[error("plugin `{name}` is in use by {users}")]
    InUse {
        /// The plugin.
        name: String,
        /// Routes, and workflows that are not deleted, with their accounts.
        users: String,
    },
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for RemovePluginError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Removes it. Its versions are kept.
pub async fn remove_plugin(
    pool: &Pool,
    clock: &dyn Clock,
    name: &str,
    actor: &str,
) -> Result<(), RemovePluginError> {
    let now = clock.now();
    let mut tx = pool.begin().await?;
    let removed = sqlx::query_scalar!(
        "DELETE FROM plugins WHERE name = $1 RETURNING plugin_version_id",
        name
    )
    .fetch_optional(&mut *tx)
    .await?;
    if removed.is_none() {
        return Err(RemovePluginError::NotInstalled(name.to_owned()));
    }
    // Whoever begins to use it in this very moment is told by the worker, which halts the route.
    let users = sqlx::query_scalar!(
        r#"SELECT u.words AS "words!" FROM (
               SELECT 'route `' || r.name || '` of account `' || a.name || '`' AS words
               FROM routes r JOIN accounts a USING (account_id) WHERE r.carrier = $1
               UNION
               SELECT 'workflow `' || w.name || '` of account `' || a.name || '`'
               FROM steps s JOIN workflows w USING (workflow_id) JOIN accounts a USING (account_id)
               WHERE s.renderer = $1 AND w.deleted_at IS NULL
           ) u ORDER BY u.words LIMIT 10"#,
        name,
    )
    .fetch_all(&mut *tx)
    .await?;
    if !users.is_empty() {
        return Err(RemovePluginError::InUse { name: name.to_owned(), users: users.join(", ") });
    }
    let deed = Deed {
        account_id: None,
        actor,
        action: "plugin.remove",
        subject: name,
        detail: json!({}),
        at: now,
    };
    trail::record(&mut tx, &deed).await?;
    commit(tx, Commit::RemovePlugin).await?;
    Ok(())
}
