//! A real database for every test, and factories to fill it.
//!
//! `DRIPLINE_TEST_SERVER_URL` names a Postgres server whose user may create databases. The first test
//! migrates a template there; every test gets a copy of it, which is dropped with its
//! [`TestDatabase`].

use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

use dripline_domain::ids::{DeliveryId, RouteId};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection, PgConnection};

use crate::{ConnectOptions, Pool, advisory, connect, migrate, schema};

pub mod factory;

/// The environment variable that names the server.
pub const SERVER_URL: &str = "DRIPLINE_TEST_SERVER_URL";

/// A migrated database of one test. Dropping it drops the database, whoever is still connected.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
    pool: Pool,
}

/// Over which route reports on a delivery come: that of its last attempt, or else one of its account.
///
/// # Panics
/// When there is no such delivery.
pub async fn route_of(pool: &Pool, delivery_id: DeliveryId) -> RouteId {
    let route_id = sqlx::query_scalar(
        "SELECT coalesce(
             (SELECT a.route_id FROM attempts a WHERE a.delivery_id = d.delivery_id ORDER BY a.attempt DESC LIMIT 1),
             (SELECT min(r.route_id) FROM routes r WHERE r.account_id = d.account_id))
         FROM deliveries d WHERE d.delivery_id = $1",
    )
    .bind(delivery_id.0)
    .fetch_one(pool)
    .await
    .expect("the delivery's route can be read");
    RouteId(route_id)
}

impl TestDatabase {
    /// Creates a database.
    ///
    /// # Panics
    /// When the server cannot be used: a test cannot go on without it.
    pub async fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let server = server_url();
        let template = template(&server).await;
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let unique = uuid::Uuid::new_v4().simple().to_string();
        let name = format!("dripline_test_{}_{number}_{}", std::process::id(), &unique[..8]);
        let mut session = open(&server).await;
        execute(&mut session, &format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        session.close().await.expect("the session ends");
        let url = with_database(&server, &name);
        let options = ConnectOptions {
            url: url.clone(),
            max_connections: 16,
            application_name: "dripline-test".to_owned(),
        };
        let pool = connect(&options).await.expect("the new database can be connected to");
        Self { name, url, pool }
    }

    /// A pool of its connections.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Its URL, for processes under test.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let name = self.name.clone();
        // A test's runtime cannot be blocked on from within; a thread with its own can.
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(async {
                let mut session = open(&server_url()).await;
                execute(&mut session, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
                    .await;
            });
        });
        let dropped = dropped.join().is_ok();
        assert!(
            dropped || std::thread::panicking(),
            "test database {} could not be dropped",
            self.name
        );
    }
}

/// The server's URL.
///
/// # Panics
/// When the variable is not set.
pub fn server_url() -> String {
    std::env::var(SERVER_URL).unwrap_or_else(|_| {
        panic!("set {SERVER_URL} to the URL of a Postgres server, or run `cargo xtask test`")
    })
}

/// The name of the migrated template. Made by whoever comes first, in whichever process.
async fn template(server: &str) -> String {
    let name = format!("dripline_template_{}", schema::digest());
    let mut session = open(server).await;
    sqlx::query("SELECT pg_advisory_lock($1)")
        .bind(advisory::MIGRATION)
        .execute(&mut session)
        .await
        .expect("the template can be locked");
    let exists: bool =
        sqlx::query_scalar("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)")
            .bind(&name)
            .fetch_one(&mut session)
            .await
            .expect("the databases can be listed");
    if !exists {
        // Under another name until it is complete: a process that dies here leaves no half template.
        let unfinished = format!("{name}_unfinished");
        execute(&mut session, &format!("DROP DATABASE IF EXISTS {unfinished} WITH (FORCE)")).await;
        execute(&mut session, &format!("CREATE DATABASE {unfinished}")).await;
        let options = ConnectOptions {
            url: with_database(server, &unfinished),
            max_connections: 2,
            application_name: "dripline-test-template".to_owned(),
        };
        let pool = connect(&options).await.expect("the template can be connected to");
        migrate(&pool).await.expect("the template can be migrated");
        pool.close().await;
        execute(&mut session, &format!("ALTER DATABASE {unfinished} RENAME TO {name}")).await;
    }
    session.close().await.expect("the session ends");
    name
}

fn with_database(server: &str, database: &str) -> String {
    let options = PgConnectOptions::from_str(server).expect("the server's URL is one for Postgres");
    options.database(database).to_url_lossy().to_string()
}

async fn open(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("the test server can be connected to")
}

/// Runs a statement whose names are ours, since names cannot be parameters.
async fn execute(session: &mut PgConnection, statement: &str) {
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(session)
        .await
        .unwrap_or_else(|error| panic!("{statement}: {error}"));
}
