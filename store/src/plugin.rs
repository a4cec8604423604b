//! Plugins that were installed, the versions of each, and what workers made of them.

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::ids::WorkerId;
use serde::Serialize;

use crate::crash::{self, Commit};
use crate::{Pool, StoreError};

/// A version of a plugin, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PluginVersion {
    /// Under which steps and routes name it.
    pub name: String,
    /// `renderer` or `carrier`.
    pub kind: String,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub digest: String,
    /// The plugin's own version, as it says.
    pub version: String,
    /// What it asks for and somebody approved, sorted.
    pub permissions: Vec<String>,
    /// When this version was first installed.
    pub installed_at: DateTime<Utc>,
    /// By whom.
    pub installed_by: String,
    /// Whether it is the one in force.
    pub in_force: bool,
}

/// What one worker made of a plugin.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PluginLoad {
    /// The worker's name.
    pub worker: String,
    /// Which version it tried.
    pub digest: String,
    /// Why that could not be loaded. `None`: it runs it.
    pub problem: Option<String>,
    /// Which version it runs: with a problem, an earlier one. `None`: none of them.
    pub runs: Option<String>,
    /// When.
    pub loaded_at: DateTime<Utc>,
}

/// The version of every plugin that is in force, by name.
pub async fn in_force(pool: &Pool) -> Result<Vec<PluginVersion>, StoreError> {
    let versions = sqlx::query_as!(
        PluginVersion,
        r#"SELECT v.name, v.kind, v.digest, v.version, v.permissions, v.installed_at, v.installed_by,
                  TRUE AS "in_force!"
           FROM plugins p JOIN plugin_versions v USING (plugin_version_id)
           ORDER BY v.name"#,
    )
    .fetch_all(pool)
    .await?;
    Ok(versions)
}

/// Every version of a plugin, the last installed first. Empty: there never was one of that name.
pub async fn versions(pool: &Pool, name: &str) -> Result<Vec<PluginVersion>, StoreError> {
    let versions = sqlx::query_as!(
        PluginVersion,
        r#"SELECT v.name, v.kind, v.digest, v.version, v.permissions, v.installed_at, v.installed_by,
                  (p.name IS NOT NULL) AS "in_force!"
           FROM plugin_versions v LEFT JOIN plugins p USING (plugin_version_id)
           WHERE v.name = $1
           ORDER BY v.plugin_version_id DESC"#,
        name,
    )
    .fetch_all(pool)
    .await?;
    Ok(versions)
}

/// The version that was in force when the one with this digest was first installed: what to go back to when that one
/// cannot be loaded. A version that was rolled back before that is passed over, since nobody wanted it any more.
pub async fn before(
    pool: &Pool,
    name: &str,
    digest: &str,
) -> Result<Option<PluginVersion>, StoreError> {
    let before = sqlx::query_as!(
        PluginVersion,
        r#"SELECT b.name, b.kind, b.digest, b.version, b.permissions, b.installed_at, b.installed_by,
                  FALSE AS "in_force!"
           FROM plugin_versions v JOIN plugin_versions b ON b.plugin_version_id = v.replaced_id
           WHERE v.name = $1 AND v.digest = $2"#,
        name,
        digest,
    )
    .fetch_optional(pool)
    .await?;
    Ok(before)
}

/// The bytes of a version.
pub async fn component(
    pool: &Pool,
    name: &str,
    digest: &str,
) -> Result<Option<Vec<u8>>, StoreError> {
    let component = sqlx::query_scalar!(
        "SELECT component FROM plugin_versions WHERE name = $1 AND digest = $2",
        name,
        digest,
    )
    .fetch_optional(pool)
    .await?;
    Ok(component)
}

/// What the workers that run now made of a plugin, by their names.
pub async fn loads(pool: &Pool, name: &str) -> Result<Vec<PluginLoad>, StoreError> {
    let loads = sqlx::query_as!(
        PluginLoad,
        "SELECT w.name AS worker, l.digest, l.problem, l.runs, l.loaded_at
         FROM plugin_loads l JOIN workers w USING (worker_id)
         WHERE l.name = $1 AND w.stopped_at IS NULL
         ORDER BY w.name",
        name,
    )
    .fetch_all(pool)
    .await?;
    Ok(loads)
}

/// Writes down what a worker made of a plugin's version. Repeating it changes nothing.
pub async fn record_load(
    pool: &Pool,
    clock: &dyn Clock,
    worker: WorkerId,
    name: &str,
    digest: &str,
    problem: Option<&str>,
    runs: Option<&str>,
) -> Result<(), StoreError> {
    let insert = sqlx::query!(
        "INSERT INTO plugin_loads (worker_id, name, digest, problem, runs, loaded_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (worker_id, name) DO UPDATE
         SET digest = excluded.digest, problem = excluded.problem, runs = excluded.runs,
             loaded_at = excluded.loaded_at",
        worker.0,
        name,
        digest,
        problem,
        runs,
        clock.now(),
    )
    .execute(pool);
    crash::statement(Commit::RecordPluginLoad, insert).await?;
    Ok(())
}
