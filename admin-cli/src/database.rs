//! Which database a command uses, and whether its schema fits.

use anyhow::Context as _;
use dripline_config::Settings;
use dripline_store::embedded::{self, EmbeddedOptions};
use dripline_store::{ConnectOptions, Pool, SchemaStatus};
use tokio::sync::OnceCell;

use crate::failure::refuse;
use crate::progress;

/// The database of the settings, opened and checked when it is first asked for.
#[derive(Debug)]
pub(crate) struct Database {
    settings: Settings,
    pool: OnceCell<Pool>,
}

impl Database {
    /// Opens nothing yet.
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, pool: OnceCell::new() }
    }

    /// Whether there can be anything in it: one is configured, or the embedded one was made. Without one, nothing is
    /// started or made only to find it empty.
    pub(crate) fn may_exist(&self) -> bool {
        self.settings.database.url.is_some() || self.settings.postgres_dir().exists()
    }

    /// Its connections.
    pub(crate) async fn pool(&self) -> anyhow::Result<&Pool> {
        self.pool.get_or_try_init(|| open(&self.settings)).await
    }
}

/// Opens the configured database, or else the embedded one, which is started and migrated when
/// needed. A database of the operator's own is never migrated without being asked to.
pub(crate) async fn open(settings: &Settings) -> anyhow::Result<Pool> {
    if settings.database.url.is_none() {
        return open_embedded(settings).await;
    }
    let pool = connect(settings).await?;
    match dripline_store::schema_status(&pool).await? {
        SchemaStatus::Current => Ok(pool),
        SchemaStatus::Missing => Err(refuse("the database has no Dripline schema yet")
            .hint("`dripline db migrate` makes it")
            .into()),
        SchemaStatus::Behind(count) => {
            Err(refuse(format!("the database lacks {count} of this version's migrations"))
                .hint("`dripline db migrate` applies them")
                .into())
        }
        SchemaStatus::Newer => Err(newer()),
    }
}

/// Opens the configured database as it is.
pub(crate) async fn connect(settings: &Settings) -> anyhow::Result<Pool> {
    let url = settings.database.url.as_ref().context("no database is configured")?;
    connect_to(settings, url.expose().to_owned()).await
}

/// Starts the embedded server if it does not run, and brings its schema up to date.
pub(crate) async fn open_embedded(settings: &Settings) -> anyhow::Result<Pool> {
    let spinner = progress::spinner("starting the embedded PostgreSQL");
    let running = embedded::ensure_started(embedded_options(settings))
        .await
        .context("start the embedded PostgreSQL")?;
    let pool = connect_to(settings, running.url).await?;
    match dripline_store::schema_status(&pool).await? {
        SchemaStatus::Current => {}
        SchemaStatus::Newer => return Err(newer()),
        SchemaStatus::Missing | SchemaStatus::Behind(_) => {
            spinner.set_message("bringing the schema up to date");
            dripline_store::migrate(&pool).await.context("bring the schema up to date")?;
        }
    }
    spinner.finish_and_clear();
    Ok(pool)
}

/// How the embedded server is run with these settings.
pub(crate) fn embedded_options(settings: &Settings) -> EmbeddedOptions {
    let chosen = &settings.database.embedded;
    EmbeddedOptions {
        binaries_dir: chosen.binaries_dir.clone(),
        port: chosen.port,
        ..EmbeddedOptions::new(settings.postgres_dir())
    }
}

/// A command asks one thing at a time; the other connections are the workers'.
const MAX_CONNECTIONS: u32 = 4;

/// Opens the database at `url`.
pub(crate) async fn connect_to(settings: &Settings, url: String) -> anyhow::Result<Pool> {
    let options = ConnectOptions {
        url,
        max_connections: settings.database.max_connections.min(MAX_CONNECTIONS),
        application_name: "dripline".to_owned(),
    };
    Ok(dripline_store::connect(&options).await?)
}

fn newer() -> anyhow::Error {
    refuse("the database was made by a newer version of Dripline")
        .hint("use that version; this one does not know all of its schema")
        .into()
}
