//! The schema: apalis' migrations first, ours second, each by its own migrator with its own record.

use apalis_postgres::PostgresStorage;
use sqlx::migrate::{MigrateError as Failure, Migrator};
use sqlx::{Connection, PgConnection};

use crate::{Pool, StoreError, advisory};

/// Our migrations.
static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// Why the schema is not as this program needs it.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// A later version of Dripline has been here.
    #[error(
        "the database has migration {version}, which this version does not know; use a newer one"
    )]
    NewerSchema {
        /// The first migration that is not known here.
        version: i64,
    },
    /// A migration that has run is not the one that this version knows by its number.
    #[error("migration {version} is not what this version knows by that number")]
    Changed {
        /// The migration.
        version: i64,
    },
    /// A migration of apalis did not run.
    #[error("migrate the queue's tables")]
    Queue(#[source] Failure),
    /// A migration of ours did not run.
    #[error("migrate the tables")]
    Ours(#[source] Failure),
    /// The database could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How the database's schema relates to this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SchemaStatus {
    /// There is none.
    Missing,
    /// It lacks so many migrations.
    Behind(usize),
    /// It is the one this program was written for.
    Current,
    /// It has migrations that this program does not know.
    Newer,
}

impl From<sqlx::Error> for MigrateError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Brings the schema up to date. Callers in several processes take turns.
pub async fn migrate(pool: &Pool) -> Result<(), MigrateError> {
    // A session of its own: migrations may take longer than any other statement is allowed to, and the
    // lock must not wait for a second connection of a small pool.
    let mut session = PgConnection::connect_with(&pool.connect_options()).await?;
    sqlx::raw_sql("SET statement_timeout = 0; SET lock_timeout = 0").execute(&mut session).await?;
    sqlx::query!("SELECT pg_advisory_lock($1)::TEXT", advisory::MIGRATION)
        .fetch_one(&mut session)
        .await?;
    PostgresStorage::<()>::migrations()
        .run(&mut session)
        .await
        .map_err(|failure| explain(failure, MigrateError::Queue))?;
    MIGRATOR.run(&mut session).await.map_err(|failure| explain(failure, MigrateError::Ours))?;
    session.close().await?;
    Ok(())
}

fn explain(failure: Failure, otherwise: fn(Failure) -> MigrateError) -> MigrateError {
    match failure {
        Failure::VersionMissing(version) => MigrateError::NewerSchema { version },
        Failure::VersionMismatch(version) => MigrateError::Changed { version },
        failure => otherwise(failure),
    }
}

/// Compares the database's schema with the one this program was written for, without changing it.
pub async fn schema_status(pool: &Pool) -> Result<SchemaStatus, StoreError> {
    // Asked by name at run time: a database without a schema does not have the table.
    let has_record: bool =
        sqlx::query_scalar("SELECT to_regclass('public._sqlx_migrations') IS NOT NULL")
            .fetch_one(pool)
            .await?;
    if !has_record {
        return Ok(SchemaStatus::Missing);
    }
    let applied: Vec<i64> =
        sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
            .fetch_all(pool)
            .await?;
    let known: Vec<i64> = MIGRATOR.iter().map(|migration| migration.version).collect();
    if applied.iter().any(|version| !known.contains(version)) {
        return Ok(SchemaStatus::Newer);
    }
    Ok(match known.len() - applied.len() {
        0 => SchemaStatus::Current,
        behind => SchemaStatus::Behind(behind),
    })
}

/// A digest of every migration, which changes whenever one of them does. For naming template databases.
#[cfg(feature = "testing")]
pub(crate) fn digest() -> String {
    use sha2::{Digest, Sha256};
    let mut digest = Sha256::new();
    for migration in PostgresStorage::<()>::migrations().iter().chain(MIGRATOR.iter()) {
        digest.update(migration.version.to_le_bytes());
        digest.update(&*migration.checksum);
    }
    let digest = digest.finalize();
    let first: [u8; 8] = std::array::from_fn(|place| digest[place]);
    format!("{:016x}", u64::from_be_bytes(first))
}
