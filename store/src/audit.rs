//! Proof from the rows: ten sentences that hold at every instant, also in the middle of any fault.
//!
//! Each is one statement that returns what breaks it. All of them read one snapshot, so that an audit
//! runs while everything works and speaks of one instant. To add one: write
//! `queries/audit/<sentence>.sql`, add it to [`INVARIANTS`], and a test that breaks it on purpose.
//!
//! What an audit finds is kept by [`crate::ops::record_breaks`], see [`breaks`].

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use futures::future::try_join;
use serde::Serialize;
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Transaction};

use crate::{Pool, StoreError, row};

pub mod breaks;
pub mod carrier_log;

/// A sentence that always holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Invariant {
    /// Its number.
    pub number: u8,
    /// Its short name.
    pub name: &'static str,
    /// What holds.
    pub sentence: &'static str,
}

/// The invariants in their order. The tenth needs the carrier's own log: see [`carrier_log`].
pub const INVARIANTS: [Invariant; 10] = [
    Invariant {
        number: 1,
        name: "balances_add_up",
        sentence: "per account: top-ups + adjustments = available + held + spent",
    },
    Invariant {
        number: 2,
        name: "held_is_in_rows",
        sentence: "held = what live enrollments and unsettled deliveries still hold",
    },
    Invariant {
        number: 3,
        name: "entries_match_rows",
        sentence: "every ledger entry equals the sum and count of the rows that point at it",
    },
    Invariant {
        number: 4,
        name: "steps_settle_once",
        sentence: "every step is captured or released once; state and entry kind agree",
    },
    Invariant {
        number: 5,
        name: "one_live_at_a_time",
        sentence: "one live delivery per live enrollment, one live enrollment per contact and workflow",
    },
    Invariant {
        number: 6,
        name: "purged_means_empty",
        sentence: "a workflow whose purge is done has nothing queued",
    },
    Invariant {
        number: 7,
        name: "no_mark_behind_a_fence",
        sentence: "no attempt was marked behind a pause of its epoch, or behind its contact's opt-out",
    },
    Invariant {
        number: 8,
        name: "reached_the_carrier_once",
        sentence: "at most one attempt per delivery may have reached the carrier",
    },
    Invariant {
        number: 9,
        name: "tickets_match_deliveries",
        sentence: "every due queued delivery has a live ticket within 2 minutes; no ticket outlives its delivery by more",
    },
    Invariant {
        number: 10,
        name: "carrier_agrees",
        sentence: "the carrier's own log agrees: sent = accepted once; cancelled, failed = never",
    },
];

/// How many breaks of one invariant a result holds. Where there are more, the rest is only counted.
pub const KEPT: i64 = 1_000;

/// The order in which the invariants are checked: those that take longest first, so that two lanes end
/// together.
const BY_COST: [usize; 9] = [4, 3, 8, 5, 7, 9, 2, 6, 1];

/// What the rows say about one invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InvariantResult {
    /// The invariant.
    #[serde(flatten)]
    pub invariant: Invariant,
    /// How many rows of the table it is about were there to be checked.
    pub checked: u64,
    /// How many breaks there are. 0: it holds.
    pub violations: u64,
    /// The first [`KEPT`] of them.
    pub rows: Vec<Violation>,
}

impl InvariantResult {
    /// Whether nothing breaks it.
    pub fn holds(&self) -> bool {
        self.violations == 0
    }

    /// Whether it holds every break there is.
    pub fn is_complete(&self) -> bool {
        self.violations == self.rows.len() as u64
    }
}

/// One break of an invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which row: `delivery 7`.
    pub subject: String,
    /// What is wrong with it. Amounts are in micros.
    pub problem: String,
    /// What stays the same about the break while other things move on, such as by how much a balance
    /// is wrong. A break that was settled is known by it.
    #[serde(skip)]
    pub difference: String,
}

/// Checks invariants 1 to 9 at one instant, and gives the results in their order.
pub async fn run(pool: &Pool, clock: &dyn Clock) -> Result<Vec<InvariantResult>, StoreError> {
    run_watched(pool, clock, |_| {}).await
}

/// The same, and tells `watcher` each result as soon as it is there, in no particular order.
pub async fn run_watched(
    pool: &Pool,
    clock: &dyn Clock,
    watcher: impl Fn(&InvariantResult) + Send + Sync,
) -> Result<Vec<InvariantResult>, StoreError> {
    // Each check is the work of one of the server's processes. Two at a time keep two cores busy, and
    // leave the others to those who send.
    let waiting = Mutex::new(BY_COST.iter().rev().copied().collect::<Vec<_>>());
    let mut first = begin_snapshot(pool).await?;
    let mut results = if pool.options().get_max_connections() < 2 {
        check_waiting(&mut first, clock, &waiting, &watcher).await?
    } else {
        let mut second = join_snapshot(pool, &mut first).await?;
        let (mut results, others) = try_join(
            check_waiting(&mut first, clock, &waiting, &watcher),
            check_waiting(&mut second, clock, &waiting, &watcher),
        )
        .await?;
        second.rollback().await?;
        results.extend(others);
        results
    };
    first.rollback().await?;
    results.sort_by_key(|result| result.invariant.number);
    Ok(results)
}

/// Checks one of the invariants 1 to 9. The tenth holds trivially here, since nothing is known of the
/// carrier's log.
pub async fn check(
    pool: &Pool,
    clock: &dyn Clock,
    invariant: Invariant,
) -> Result<InvariantResult, StoreError> {
    let mut snapshot = begin_snapshot(pool).await?;
    let result = check_in(&mut snapshot, clock, invariant).await?;
    snapshot.rollback().await?;
    Ok(result)
}

/// Takes one invariant after the other from those that wait.
async fn check_waiting(
    conn: &mut PgConnection,
    clock: &dyn Clock,
    waiting: &Mutex<Vec<usize>>,
    watcher: &(impl Fn(&InvariantResult) + Sync),
) -> Result<Vec<InvariantResult>, StoreError> {
    let mut results = Vec::new();
    loop {
        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some(number) = next else { return Ok(results) };
        let result = check_in(conn, clock, INVARIANTS[number - 1]).await?;
        watcher(&result);
        results.push(result);
    }
}

async fn check_in(
    conn: &mut PgConnection,
    clock: &dyn Clock,
    invariant: Invariant,
) -> Result<InvariantResult, StoreError> {
    let rows = violations(conn, invariant.number, clock.now()).await?;
    let checked = checked(conn, invariant.number).await?;
    let violations = rows.first().map_or(0, |row| row::count(row.found));
    let rows = rows
        .into_iter()
        .map(|Found { subject, problem, difference, .. }| Violation {
            subject,
            problem,
            difference,
        })
        .collect();
    Ok(InvariantResult { invariant, checked, violations, rows })
}

/// A view of all rows as they stand at one instant, which changes nothing and that nobody waits for.
async fn begin_snapshot(pool: &Pool) -> Result<Transaction<'static, Postgres>, StoreError> {
    let mut snapshot = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    make_patient(&mut snapshot).await?;
    Ok(snapshot)
}

/// The same view in a second session.
async fn join_snapshot(
    pool: &Pool,
    first: &mut PgConnection,
) -> Result<Transaction<'static, Postgres>, StoreError> {
    let name =
        sqlx::query_scalar!(r#"SELECT pg_export_snapshot() AS "name!""#).fetch_one(first).await?;
    let mut second = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    // Must be the transaction's first statement, and takes no parameter. The name is the server's own.
    let join = format!("SET TRANSACTION SNAPSHOT '{name}'");
    sqlx::raw_sql(AssertSqlSafe(join)).execute(&mut *second).await?;
    make_patient(&mut second).await?;
    Ok(second)
}

/// An audit may take as long as there are rows, or lines in a carrier's log, while it holds no lock. Its
/// hash tables belong in memory, and it takes no more processes of the server than it has sessions.
async fn make_patient(snapshot: &mut PgConnection) -> Result<(), StoreError> {
    sqlx::query!(
        "SELECT set_config(name, value, true) FROM (VALUES
             ('statement_timeout', '0'), ('idle_in_transaction_session_timeout', '0'),
             ('work_mem', '256MB'), ('max_parallel_workers_per_gather', '0')) AS s (name, value)"
    )
    .fetch_all(snapshot)
    .await?;
    Ok(())
}

struct Found {
    subject: String,
    problem: String,
    difference: String,
    found: i64,
}

async fn violations(
    conn: &mut PgConnection,
    number: u8,
    now: DateTime<Utc>,
) -> Result<Vec<Found>, StoreError> {
    macro_rules! find {
        ($path:literal $(, $argument:expr)*) => {
            sqlx::query_file_as!(Found, $path, KEPT $(, $argument)*).fetch_all(conn).await?
        };
    }
    Ok(match number {
        1 => find!("queries/audit/balances_add_up.sql"),
        2 => find!("queries/audit/held_is_in_rows.sql"),
        3 => find!("queries/audit/entries_match_rows.sql"),
        4 => find!("queries/audit/steps_settle_once.sql"),
        5 => find!("queries/audit/one_live_at_a_time.sql"),
        6 => find!("queries/audit/purged_means_empty.sql"),
        7 => find!("queries/audit/no_mark_behind_a_fence.sql"),
        8 => find!("queries/audit/reached_the_carrier_once.sql"),
        9 => find!("queries/audit/tickets_match_deliveries.sql", now),
        _ => Vec::new(),
    })
}

/// Counts the table that the invariant is about.
async fn checked(conn: &mut PgConnection, number: u8) -> Result<u64, StoreError> {
    macro_rules! rows_of {
        ($sql:literal) => {
            sqlx::query_scalar!($sql).fetch_one(conn).await?
        };
    }
    let count = match number {
        1 | 2 => rows_of!(r#"SELECT count(*) AS "count!" FROM accounts"#),
        3 => rows_of!(r#"SELECT count(*) AS "count!" FROM ledger_entries"#),
        4 => rows_of!(r#"SELECT count(*) AS "count!" FROM deliveries"#),
        5 => rows_of!(r#"SELECT count(*) AS "count!" FROM enrollments"#),
        6 => rows_of!(r#"SELECT count(*) AS "count!" FROM operations"#),
        7 | 8 => rows_of!(r#"SELECT count(*) AS "count!" FROM attempts"#),
        9 => rows_of!(
            r#"SELECT count(*) AS "count!" FROM apalis.jobs WHERE job_type = 'dripline.deliver'"#
        ),
        _ => 0,
    };
    Ok(row::count(count))
}
