//! Connecting to Postgres.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection, PgConnection};

use crate::Pool;

/// How long one connection may take, and how long a query waits for one of the pool's.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection that comes back may take to say that it is fit.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements slower than this are reported.
const SLOW: Duration = Duration::from_secs(5);

/// Settings of every session.
const SESSION: [(&str, &str); 10] = [
    // A generic plan cannot know how many ids an array holds, and takes the whole table for a batch.
    ("plan_cache_mode", "force_custom_plan"),
    // The tables of a queue at work are in memory, where an index costs what it reads.
    ("random_page_cost", "1.1"),
    // Compiling costs more than any of our statements.
    ("jit", "off"),
    ("lock_timeout", "30s"),
    ("statement_timeout", "5min"),
    // A client that hangs inside a transaction must not hold a workflow's gate for ever.
    ("idle_in_transaction_session_timeout", "60s"),
    // Nor one that has gone away without a word. (Without effect on a unix socket.)
    ("tcp_keepalives_idle", "15"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "30s"),
];

/// Where the database is and how to use it.
#[derive(Clone)]
pub struct ConnectOptions {
    /// `postgres://user:password@host:port/database`.
    pub url: String,
    /// The most connections the pool opens, at least 1.
    pub max_connections: u32,
    /// What Postgres shows as the session's name.
    pub application_name: String,
}

/// Never shows the password.
impl std::fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let server = PgConnectOptions::from_str(&self.url).map(|options| describe(&options));
        f.debug_struct("ConnectOptions")
            .field("server", &server.as_deref().unwrap_or("unreadable"))
            .field("max_connections", &self.max_connections)
            .field("application_name", &self.application_name)
            .finish()
    }
}

/// Why there is no connection. Never shows the password.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Not a URL for Postgres. What exactly is wrong is kept back, since it may quote the password.
    #[error("the database URL is not of the form postgres://user:password@host:port/database")]
    Url,
    /// Nobody answered in time.
    #[error("{server} did not answer within {} seconds", CONNECT_TIMEOUT.as_secs())]
    Silent {
        /// User, host, port and database.
        server: String,
    },
    /// The server cannot be reached or does not want us.
    #[error("connect to {server}")]
    Refused {
        /// User, host, port and database.
        server: String,
        /// What it said.
        source: sqlx::Error,
    },
}

/// Connects, and fails at once with the server's own words when that is not possible.
pub async fn connect(options: &ConnectOptions) -> Result<Pool, ConnectError> {
    let session = PgConnectOptions::from_str(&options.url)
        .map_err(|_| ConnectError::Url)?
        .application_name(&options.application_name)
        .options(SESSION)
        .log_statements(tracing::log::LevelFilter::Trace)
        .log_slow_statements(tracing::log::LevelFilter::Warn, SLOW);
    let server = describe(&session);
    // The pool would try again and again, and in the end say only that time is up.
    let attempt = PgConnection::connect_with(&session);
    match tokio::time::timeout(CONNECT_TIMEOUT, attempt).await {
        Err(_) => return Err(ConnectError::Silent { server }),
        Ok(Err(source)) => return Err(ConnectError::Refused { server, source }),
        Ok(Ok(connection)) => drop(connection.close().await),
    }
    Ok(PgPoolOptions::new()
        .max_connections(options.max_connections.max(1))
        .acquire_timeout(CONNECT_TIMEOUT)
        .after_release(|connection, _| Box::pin(answers(connection)))
        .connect_lazy_with(session))
}

/// Whether a connection that comes back to the pool still answers. One whose query was given up may
/// never do, and the pool would wait for it without end, one connection short.
async fn answers(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    match tokio::time::timeout(RELEASE_TIMEOUT, connection.ping()).await {
        Ok(answered) => answered.map(|()| true),
        // As an error, since a polite goodbye would wait for the same silent end.
        Err(_) => Err(sqlx::Error::PoolTimedOut),
    }
}

/// User, host, port and database.
fn describe(options: &PgConnectOptions) -> String {
    let host = options
        .get_socket()
        .map_or_else(|| options.get_host().to_owned(), |path| path.display().to_string());
    let database = options.get_database().unwrap_or(options.get_username());
    format!(
        "database `{database}` at {host}:{} as `{}`",
        options.get_port(),
        options.get_username()
    )
}
