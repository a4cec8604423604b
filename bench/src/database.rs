//! The database that is measured, and what it says about itself.

use anyhow::Context;
use dripline_store::Pool;

/// One line for the report: Postgres' version and the settings that decide the figures.
pub(crate) async fn describe(pool: &Pool) -> anyhow::Result<String> {
    let names = [
        "server_version",
        "fsync",
        "synchronous_commit",
        "shared_buffers",
        "max_wal_size",
        "full_page_writes",
    ];
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT name, current_setting(name) FROM pg_settings WHERE name = ANY($1) ORDER BY name",
    )
    .bind(&names[..])
    .fetch_all(pool)
    .await
    .context("read the server's settings")?;
    Ok(rows.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" "))
}

/// Brings the planner's statistics up to date, as autovacuum would in time.
pub(crate) async fn analyze(pool: &Pool) -> anyhow::Result<()> {
    sqlx::raw_sql("ANALYZE").execute(pool).await.context("analyze")?;
    Ok(())
}
