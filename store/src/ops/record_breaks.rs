//! Writes down what an audit found, so that it is remembered until somebody settles it.

use std::collections::BTreeMap;

use dripline_domain::clock::Clock;

use crate::audit::{InvariantResult, breaks};
use crate::crash::{Commit, commit};
use crate::{Pool, StoreError, row};

/// What one audit means for the breaks that are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordedBreaks {
    /// Breaks found now that nobody has settled, new ones and known ones; at most
    /// [`crate::audit::KEPT`] of each invariant.
    pub found: u64,
    /// Those of them that no audit had found before.
    pub new: u64,
    /// Breaks found now that were settled as they are. They are excused.
    pub excused: u64,
    /// All that nobody has settled, also those that were not found now.
    pub unsettled: u64,
}

/// Writes down what the results of one audit found. Breaks of a checked invariant that were not found
/// are noted as gone, unless there were too many to hold them all; they stay unsettled.
///
/// Running it twice with the same results changes nothing more.
pub async fn record_breaks(
    pool: &Pool,
    clock: &dyn Clock,
    results: &[InvariantResult],
) -> Result<RecordedBreaks, StoreError> {
    let now = clock.now();
    let found = found(results);
    let mut columns = Columns::default();
    for ((invariant, subject), (problem, difference)) in &found {
        columns.invariants.push(*invariant);
        columns.subjects.push(subject);
        columns.problems.push(problem);
        columns.differences.push(difference);
    }
    let complete: Vec<i16> = results
        .iter()
        .filter(|result| result.is_complete())
        .map(|result| i16::from(result.invariant.number))
        .collect();
    let mut tx = pool.begin().await?;
    let recorded = sqlx::query_file!(
        "queries/audit_break/record.sql",
        &columns.invariants,
        &columns.subjects as &[&str],
        &columns.problems as &[&str],
        &columns.differences as &[&str],
        now,
    )
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query!(
        "UPDATE audit_breaks b SET gone_at = $4
         WHERE b.settled_at IS NULL AND b.gone_at IS NULL AND b.invariant = ANY ($1)
           AND NOT EXISTS (SELECT FROM unnest($2::SMALLINT[], $3::TEXT[]) AS q (invariant, subject)
                           WHERE q.invariant = b.invariant AND q.subject = b.subject)",
        &complete,
        &columns.invariants,
        &columns.subjects as &[&str],
        now,
    )
    .execute(&mut *tx)
    .await?;
    let unsettled = breaks::count_unsettled(&mut tx).await?;
    commit(tx, Commit::RecordBreaks).await?;
    let recorded_now = row::count(recorded.recorded);
    Ok(RecordedBreaks {
        found: recorded_now,
        new: row::count(recorded.new),
        excused: found.len() as u64 - recorded_now,
        unsettled,
    })
}

#[derive(Default)]
struct Columns<'a> {
    invariants: Vec<i16>,
    subjects: Vec<&'a str>,
    problems: Vec<&'a str>,
    differences: Vec<&'a str>,
}

/// The breaks by invariant and row. A row that breaks one invariant in two ways is one break.
fn found(results: &[InvariantResult]) -> BTreeMap<(i16, String), (String, String)> {
    let mut found: BTreeMap<_, (String, String)> = BTreeMap::new();
    for result in results {
        for row in &result.rows {
            let key = (i16::from(result.invariant.number), row.subject.clone());
            found
                .entry(key)
                .and_modify(|(problem, difference)| {
                    *problem = format!("{problem}; {}", row.problem);
                    *difference = format!("{difference}; {}", row.difference);
                })
                .or_insert_with(|| (row.problem.clone(), row.difference.clone()));
        }
    }
    found
}
