//! Proof from the rows: ten sentences that hold at every instant, also in the middle of any fault.
//!
//! Each is one statement that returns what breaks it, read in a snapshot of its own, so that an audit
//! runs while everything works. To add one: write `queries/audit/<sentence>.sql`, add it to
//! [`INVARIANTS`], and a test that breaks it on purpose.

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use sqlx::{PgConnection, Postgres, Transaction};

use crate::{Pool, StoreError, row};

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

/// How many breaks of one invariant a result shows.
pub const SHOWN: i64 = 20;

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
    /// The first [`SHOWN`] of them.
    pub rows: Vec<Violation>,
}

impl InvariantResult {
    /// Whether nothing breaks it.
    pub fn holds(&self) -> bool {
        self.violations == 0
    }
}

/// One break of an invariant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Which row: `delivery 7`.
    pub subject: String,
    /// What is wrong with it. Amounts are in micros.
    pub problem: String,
}

/// Checks invariants 1 to 9, two at a time, and gives the results in their order.
pub async fn run(pool: &Pool, clock: &dyn Clock) -> Result<Vec<InvariantResult>, StoreError> {
    // Each is mostly the work of one of the server's processes; a second keeps another core busy.
    let mut results = Vec::with_capacity(9);
    for invariant in &INVARIANTS[..9] {
        results.push(check(pool, clock, *invariant));
    }
    stream::iter(results).buffered(2).try_collect().await
}

/// Checks one of the invariants 1 to 9. The tenth holds trivially here, since nothing is known of the
/// carrier's log.
pub async fn check(
    pool: &Pool,
    clock: &dyn Clock,
    invariant: Invariant,
) -> Result<InvariantResult, StoreError> {
    let mut snapshot = begin_snapshot(pool).await?;
    let rows = violations(&mut snapshot, invariant.number, clock.now()).await?;
    let checked = checked(&mut snapshot, invariant.number).await?;
    snapshot.rollback().await?;
    let violations = rows.first().map_or(0, |row| row::count(row.found));
    let rows = rows
        .into_iter()
        .map(|row| Violation { subject: row.subject, problem: row.problem })
        .collect();
    Ok(InvariantResult { invariant, checked, violations, rows })
}

/// A view of all rows as they stand at one instant, which changes nothing and that nobody waits for.
async fn begin_snapshot(pool: &Pool) -> Result<Transaction<'static, Postgres>, StoreError> {
    let mut snapshot = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
    // Sums over millions of rows want their hash tables in memory.
    sqlx::query!("SELECT set_config('work_mem', '256MB', true)").fetch_one(&mut *snapshot).await?;
    Ok(snapshot)
}

struct Found {
    subject: String,
    problem: String,
    found: i64,
}

async fn violations(
    conn: &mut PgConnection,
    number: u8,
    now: DateTime<Utc>,
) -> Result<Vec<Found>, StoreError> {
    macro_rules! find {
        ($path:literal $(, $argument:expr)*) => {
            sqlx::query_file_as!(Found, $path, SHOWN $(, $argument)*).fetch_all(conn).await?
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
