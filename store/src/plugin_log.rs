//! What plugins said lately: written by workers in batches, read by people.
//!
//! Of each plugin the newest [`KEPT`] entries are kept, whatever it writes.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use dripline_domain::ids::{RouteId, WorkerId};
use dripline_domain::plugin_log::LogLevel;
use serde::Serialize;

use crate::crash::{Commit, commit};
use crate::{Pool, StoreError, row};

/// How many entries of each plugin are kept: enough to read what led to a failure over several workers, and a
/// megabyte of messages at the most.
pub const KEPT: u32 = 1_000;

/// How long a kept message is at the most, in bytes.
pub const MESSAGE_BYTES: usize = 1_024;

/// How far back somebody who follows the log looks for entries that became visible late: their numbers are given
/// before their transactions commit.
const LOOK_BACK: i64 = 500;

/// What stands in the place of one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A line.
    Line {
        /// How grave it is, as the plugin says.
        level: LogLevel,
        /// What it says. What is longer than [`MESSAGE_BYTES`] is cut.
        message: String,
    },
    /// So many lines were dropped.
    Dropped(u64),
}

/// What a worker writes down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// The plugin.
    pub plugin: String,
    /// Its version, by its digest.
    pub digest: String,
    /// For which route it worked, where that is one.
    pub route_id: Option<RouteId>,
    /// When it was said.
    pub at: DateTime<Utc>,
    /// What was said.
    pub content: Content,
}

/// An entry as people read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its number. Later entries of one worker have higher ones.
    pub plugin_log_id: i64,
    /// The plugin.
    pub plugin: String,
    /// Its version, by its digest.
    pub digest: String,
    /// Whose route it worked for.
    pub account: Option<String>,
    /// The route that it worked for, where that is known.
    pub route: Option<String>,
    /// The worker's name.
    pub worker: Option<String>,
    /// How grave it is. `None` where lines were dropped.
    pub level: Option<LogLevel>,
    /// What the plugin said. `None` where lines were dropped.
    pub message: Option<String>,
    /// How many lines were dropped here.
    pub dropped: u64,
    /// When.
    pub written_at: DateTime<Utc>,
}

/// Which entries to read.
#[derive(Clone, Debug)]
pub struct LogFilter {
    /// Only of this plugin.
    pub plugin: Option<String>,
    /// Only lines of this level and graver ones.
    pub level: LogLevel,
    /// Only since then.
    pub since: Option<DateTime<Utc>>,
    /// The newest so many. `None`: all.
    pub limit: Option<i64>,
}

/// Writes entries in their order, and deletes the oldest ones of their plugins beyond [`KEPT`].
pub async fn write(pool: &Pool, worker: WorkerId, entries: &[NewEntry]) -> Result<(), StoreError> {
    let plugins: Vec<_> = entries.iter().map(|entry| entry.plugin.clone()).collect();
    let digests: Vec<_> = entries.iter().map(|entry| entry.digest.clone()).collect();
    let routes: Vec<_> = entries.iter().map(|entry| entry.route_id.map(|id| id.0)).collect();
    let times: Vec<_> = entries.iter().map(|entry| entry.at).collect();
    let (mut levels, mut messages, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        let (level, message, lost) = match &entry.content {
            Content::Line { level, message } => {
                let end = message.floor_char_boundary(MESSAGE_BYTES);
                (Some(level.to_string()), Some(message[..end].to_owned()), 0)
            }
            Content::Dropped(lost) => (None, None, i64::try_from(*lost).unwrap_or(i64::MAX)),
        };
        levels.push(level);
        messages.push(message);
        dropped.push(lost);
    }
    let mut tx = pool.begin().await?;
    // Whoever has locked the table must not keep a connection that deliveries need.
    sqlx::query!("SET LOCAL statement_timeout = '5s'").execute(&mut *tx).await?;
    sqlx::query_file!(
        "queries/plugin_log/write.sql",
        worker.0,
        &plugins,
        &digests,
        &routes as &[Option<i64>],
        &levels as &[Option<String>],
        &messages as &[Option<String>],
        &dropped,
        &times,
        i64::from(KEPT),
    )
    .execute(&mut *tx)
    .await?;
    commit(tx, Commit::WritePluginLog).await?;
    Ok(())
}

/// The entries that match, the newest last.
pub async fn list(pool: &Pool, filter: &LogFilter) -> Result<Vec<Entry>, StoreError> {
    read(pool, filter, None, &[]).await
}

/// The names of all plugins of which anything is kept.
pub async fn plugins(pool: &Pool) -> Result<Vec<String>, StoreError> {
    Ok(sqlx::query_scalar!("SELECT DISTINCT plugin FROM plugin_logs ORDER BY plugin")
        .fetch_all(pool)
        .await?)
}

/// Somebody who follows the log: knows what was there before.
#[derive(Debug)]
pub struct Follower {
    /// The newest entries that were there or were given; older ones than [`LOOK_BACK`] are forgotten.
    known: BTreeSet<i64>,
}

impl Follower {
    /// Knows all that is there now.
    pub async fn begin(pool: &Pool) -> Result<Self, StoreError> {
        let newest = sqlx::query_scalar!(
            "SELECT plugin_log_id FROM plugin_logs ORDER BY plugin_log_id DESC LIMIT $1",
            LOOK_BACK,
        )
        .fetch_all(pool)
        .await?;
        Ok(Self { known: newest.into_iter().collect() })
    }

    /// Notes that these entries were given in another way.
    pub fn have(&mut self, entries: &[Entry]) {
        self.known.extend(entries.iter().map(|entry| entry.plugin_log_id));
    }

    /// The entries that match and have come since the last time, the newest last.
    pub async fn next(
        &mut self,
        pool: &Pool,
        filter: &LogFilter,
    ) -> Result<Vec<Entry>, StoreError> {
        let behind = self.known.last().map(|newest| newest.saturating_sub(LOOK_BACK));
        if let Some(behind) = behind {
            self.known.retain(|id| *id > behind);
        }
        let known: Vec<_> = self.known.iter().copied().collect();
        let entries = read(pool, filter, behind, &known).await?;
        self.have(&entries);
        Ok(entries)
    }
}

async fn read(
    pool: &Pool,
    filter: &LogFilter,
    behind: Option<i64>,
    known: &[i64],
) -> Result<Vec<Entry>, StoreError> {
    let levels: Vec<_> = filter.level.and_graver().map(|level| level.to_string()).collect();
    let rows = sqlx::query_file!(
        "queries/plugin_log/list.sql",
        filter.plugin,
        &levels,
        filter.since,
        behind,
        known,
        filter.limit,
    )
    .fetch_all(pool)
    .await?;
    let entries = rows.into_iter().rev().map(|r| {
        let level = r.level.map(|level| row::read(&level, "plugin_logs", "level", r.plugin_log_id));
        Ok(Entry {
            plugin_log_id: r.plugin_log_id,
            plugin: r.plugin,
            digest: r.digest,
            account: r.account,
            route: r.route,
            worker: r.worker,
            level: level.transpose()?,
            message: r.message,
            dropped: row::count(r.dropped),
            written_at: r.written_at,
        })
    });
    entries.collect()
}
