//! The Postgres server that is measured: durable, on this machine, thrown away afterwards.

use anyhow::Context;
use dripline_store::embedded::{self, EmbeddedOptions};
use dripline_store::{ConnectOptions, Pool};

/// As `performance.md`'s figures of other queues were taken: full durability, 1 GiB of page cache.
const SHARED_BUFFERS_MIB: u32 = 1024;
/// Enough that no checkpoint falls into a short run, which would compare disks instead of programs.
const MAX_WAL_SIZE: &str = "8GB";

/// A running server. Call [`Server::stop`] when done.
#[derive(Debug)]
pub(crate) struct Server {
    options: EmbeddedOptions,
    url: String,
    // Removed when dropped, after the server has stopped.
    _directory: tempfile::TempDir,
}

impl Server {
    /// Starts a new, empty server in a temporary directory.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("dripline-bench-")
            .tempdir()
            .context("create a directory for the server")?;
        // The server runs as another user when we are root, and must reach its directory.
        make_traversable(directory.path())?;
        let mut options = EmbeddedOptions::new(directory.path().join("postgres"));
        options.shared_buffers_mib = SHARED_BUFFERS_MIB;
        options.settings.insert("max_wal_size".to_owned(), MAX_WAL_SIZE.to_owned());
        let running = embedded::ensure_started(options.clone()).await.context("start Postgres")?;
        Ok(Self { options, url: running.url.clone(), _directory: directory })
    }

    /// A migrated, empty database of its own for one bench.
    pub(crate) async fn database(&self, name: &str) -> anyhow::Result<Pool> {
        let admin = self.connect(&self.url, 1).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("CREATE DATABASE \"{name}\"")))
            .execute(&admin)
            .await
            .context("create the bench's database")?;
        admin.close().await;
        let mut url = url::Url::parse(&self.url).context("read the server's address")?;
        url.set_path(name);
        let pool = self.connect(url.as_str(), 16).await?;
        dripline_store::migrate(&pool).await.context("migrate")?;
        Ok(pool)
    }

    /// The server's version and the settings that decide the figures.
    pub(crate) async fn describe(&self) -> anyhow::Result<String> {
        let admin = self.connect(&self.url, 1).await?;
        let described = crate::database::describe(&admin).await;
        admin.close().await;
        described
    }

    async fn connect(&self, url: &str, max_connections: u32) -> anyhow::Result<Pool> {
        let options = ConnectOptions {
            url: url.to_owned(),
            max_connections,
            application_name: "dripline-bench".to_owned(),
        };
        dripline_store::connect(&options).await.context("connect")
    }

    /// Stops the server and removes its directory.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        embedded::stop(self.options.clone()).await.context("stop Postgres")?;
        Ok(())
    }
}

fn make_traversable(directory: &std::path::Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o711))
        .context("open the server's directory to its user")
}
