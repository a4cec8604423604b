//! Puts a version of a plugin in force: a new one, or one that was in force before.

use dripline_domain::clock::Clock;
use serde_json::json;

use crate::crash::{Commit, commit};
use crate::trail::{self, Deed};
use crate::{Pool, StoreError};

/// A component that was checked, and what was approved of it.
#[derive(Clone, Debug)]
pub struct NewPluginVersion<'a> {
    /// Under which steps and routes name it.
    pub name: &'a str,
    /// `renderer` or `carrier`.
    pub kind: &'a str,
    /// The SHA-256 of `component`, in hexadecimal.
    pub digest: &'a str,
    /// The plugin's own version, as it says.
    pub version: &'a str,
    /// The component's bytes.
    pub component: &'a [u8],
    /// All that it asks for, approved and sorted.
    pub permissions: &'a [String],
}

/// Why a plugin was not installed.
#[derive(Debug, thiserror::Error)]
pub enum InstallPluginError {
    /// Steps and routes rely on what it is.
    #[error("plugin `{name}` is a {before}, and cannot become a {after}")]
    OtherKind {
        /// The plugin.
        name: String,
        /// What it is.
        before: String,
        /// What the new version is.
        after: String,
    },
    /// The database did not do it.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for InstallPluginError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Installs the version, approves what it asks for, and puts it in force. Gives whether anything changed: doing it
/// again changes nothing.
pub async fn install_plugin(
    pool: &Pool,
    clock: &dyn Clock,
    new: &NewPluginVersion<'_>,
    actor: &str,
) -> Result<bool, InstallPluginError> {
    let now = clock.now();
    let mut tx = pool.begin().await?;
    let other = sqlx::query_scalar!(
        "SELECT kind FROM plugin_versions WHERE name = $1 AND kind <> $2 LIMIT 1",
        new.name,
        new.kind,
    )
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(before) = other {
        let (name, after) = (new.name.to_owned(), new.kind.to_owned());
        return Err(InstallPluginError::OtherKind { name, before, after });
    }
    let approved = sqlx::query_scalar!(
        "SELECT permissions FROM plugin_versions WHERE name = $1 AND digest = $2 FOR UPDATE",
        new.name,
        new.digest,
    )
    .fetch_optional(&mut *tx)
    .await?;
    // What is approved again may have been approved with less before.
    let version_id = sqlx::query_scalar!(
        "INSERT INTO plugin_versions (name, kind, digest, version, component, permissions,
                                      installed_at, installed_by, replaced_id)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8,
                 (SELECT plugin_version_id FROM plugins WHERE name = $1))
         ON CONFLICT (name, digest) DO UPDATE SET permissions = excluded.permissions
         RETURNING plugin_version_id",
        new.name,
        new.kind,
        new.digest,
        new.version,
        new.component,
        new.permissions,
        now,
        actor,
    )
    .fetch_one(&mut *tx)
    .await?;
    let changed = sqlx::query_scalar!(
        "INSERT INTO plugins AS p (name, plugin_version_id, changed_at, changed_by)
         VALUES ($1, $2, $3, $4)
         ON CONFLICT (name) DO UPDATE
         SET plugin_version_id = excluded.plugin_version_id, changed_at = excluded.changed_at,
             changed_by = excluded.changed_by
         WHERE p.plugin_version_id <> excluded.plugin_version_id
         RETURNING TRUE AS changed",
        new.name,
        version_id,
        now,
        actor,
    )
    .fetch_optional(&mut *tx)
    .await?
    .is_some();
    let approves = approved.is_some_and(|approved| approved != new.permissions);
    let detail = json!({
        "digest": new.digest,
        "version": new.version,
        "permissions": new.permissions,
    });
    let action = match (changed, approves) {
        (true, _) => Some("plugin.install"),
        (false, true) => Some("plugin.approve"),
        (false, false) => None,
    };
    if let Some(action) = action {
        let subject = new.name;
        let deed = Deed { account_id: None, actor, action, subject, detail, at: now };
        trail::record(&mut tx, &deed).await?;
    }
    commit(tx, Commit::InstallPlugin).await?;
    Ok(changed || approves)
}
