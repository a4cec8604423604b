//! What plugins logged: bounded for each plugin, read by filter, and followed without a gap.

use dripline_domain::clock::{Clock, SystemClock};
use dripline_domain::ids::WorkerId;
use dripline_domain::plugin_log::LogLevel::{self, Debug, Error, Info, Warn};
use dripline_store::plugin_log::{
    self, Content, Entry, Follower, KEPT, LogFilter, MESSAGE_BYTES, NewEntry,
};
use dripline_store::testing::TestDatabase;
use dripline_store::testing::factory::{Account, Route};
use dripline_store::{Pool, worker_registry};

const WORKER: WorkerId = WorkerId(7);

fn line(plugin: &str, level: LogLevel, message: &str) -> NewEntry {
    let content = Content::Line { level, message: message.to_owned() };
    entry(plugin, content)
}

fn entry(plugin: &str, content: Content) -> NewEntry {
    NewEntry {
        plugin: plugin.to_owned(),
        digest: "ab".repeat(32),
        route_id: None,
        at: SystemClock.now(),
        content,
    }
}

async fn say(pool: &Pool, plugin: &str, messages: std::ops::Range<u32>) {
    let lines: Vec<_> = messages.map(|n| line(plugin, Info, &n.to_string())).collect();
    plugin_log::write(pool, WORKER, &lines).await.unwrap();
}

fn all() -> LogFilter {
    LogFilter { plugin: None, level: Debug, since: None, limit: None }
}

fn of(plugin: &str) -> LogFilter {
    LogFilter { plugin: Some(plugin.to_owned()), ..all() }
}

/// The messages, and `-count` where lines were dropped.
fn shown(entries: &[Entry]) -> Vec<String> {
    let said =
        |entry: &Entry| entry.message.clone().unwrap_or_else(|| format!("-{}", entry.dropped));
    entries.iter().map(said).collect()
}

async fn read(pool: &Pool, filter: &LogFilter) -> Vec<String> {
    shown(&plugin_log::list(pool, filter).await.unwrap())
}

#[tokio::test]
async fn entries_are_read_by_plugin_level_and_time_the_newest_last() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let entries = [
        line("acme", Debug, "one"),
        line("other", Error, "two"),
        line("acme", Warn, "three"),
        entry("acme", Content::Dropped(12)),
        line("acme", Info, "four"),
        line("acme", Error, "five"),
    ];
    plugin_log::write(pool, WORKER, &entries).await.unwrap();
    assert_eq!(read(pool, &all()).await, ["one", "two", "three", "-12", "four", "five"]);
    assert_eq!(read(pool, &of("acme")).await, ["one", "three", "-12", "four", "five"]);
    let filter = LogFilter { level: Warn, ..all() };
    assert_eq!(read(pool, &filter).await, ["two", "three", "-12", "five"]);
    let filter = LogFilter { limit: Some(2), ..of("acme") };
    assert_eq!(read(pool, &filter).await, ["four", "five"]);
    let later = entries.iter().map(|entry| entry.at).max().unwrap() + chrono::TimeDelta::hours(1);
    let filter = LogFilter { since: Some(later), ..all() };
    assert_eq!(read(pool, &filter).await, [""; 0]);
    assert_eq!(plugin_log::plugins(pool).await.unwrap(), ["acme", "other"]);
}

#[tokio::test]
async fn an_entry_names_its_worker_and_whose_route_it_is() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let account_id = Account::default().create(pool, &SystemClock).await;
    let route_id = Route::default().create(pool, &SystemClock, account_id).await;
    let worker = worker_registry::register(pool, &SystemClock, "the-worker").await.unwrap();
    let known = NewEntry { route_id: Some(route_id), ..line("acme", Info, "known") };
    plugin_log::write(pool, worker.worker_id, &[known]).await.unwrap();
    plugin_log::write(pool, WorkerId(i64::MAX), &[line("acme", Info, "unknown")]).await.unwrap();
    let entries = plugin_log::list(pool, &all()).await.unwrap();
    assert_eq!(entries[0].worker.as_deref(), Some("the-worker"));
    assert_eq!(entries[0].route.as_deref(), Some("main"));
    assert!(entries[0].account.is_some());
    assert_eq!((&entries[1].worker, &entries[1].route, &entries[1].account), (&None, &None, &None));
}

#[tokio::test]
async fn only_the_newest_of_each_plugin_are_kept() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    say(pool, "quiet", 0..3).await;
    for hundred in 0..12 {
        say(pool, "loud", hundred * 100..(hundred + 1) * 100).await;
        let kept = read(pool, &of("loud")).await.len();
        assert!(kept <= KEPT as usize, "{kept}");
    }
    let newest: Vec<_> = (1_200 - KEPT..1_200).map(|n| n.to_string()).collect();
    assert_eq!(read(pool, &of("loud")).await, newest);
    assert_eq!(read(pool, &of("quiet")).await, ["0", "1", "2"]);
}

#[tokio::test]
async fn workers_that_write_at_once_do_not_wait_for_each_other_and_keep_the_bound() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    say(pool, "loud", 0..KEPT).await;
    let writing = (0..8).map(|_| async {
        for _ in 0..5 {
            say(pool, "loud", 0..50).await;
        }
    });
    futures::future::join_all(writing).await;
    // What eight of them wrote in one moment may be on top, until the next one writes.
    assert!(read(pool, &of("loud")).await.len() <= KEPT as usize + 8 * 50);
    say(pool, "loud", 0..1).await;
    assert_eq!(read(pool, &of("loud")).await.len(), KEPT as usize);
}

#[tokio::test]
async fn a_message_is_cut_between_characters() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let long = format!("a{}", "é".repeat(MESSAGE_BYTES));
    plugin_log::write(pool, WORKER, &[line("acme", Info, &long)]).await.unwrap();
    let kept = read(pool, &all()).await.remove(0);
    assert!(long.starts_with(&kept));
    assert_eq!(kept.len(), MESSAGE_BYTES - 1);
}

#[tokio::test]
async fn whoever_follows_is_given_everything_once_also_what_is_committed_late() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    say(pool, "acme", 0..3).await;
    let mut follower = Follower::begin(pool).await.unwrap();
    assert_eq!(follower.next(pool, &all()).await.unwrap(), []);

    // Numbered before the others, and committed after them.
    let mut late = pool.begin().await.unwrap();
    let insert = "INSERT INTO plugin_logs (plugin, digest, worker_id, level, message, written_at)
                  VALUES ('acme', 'd', 1, 'info', 'late', now())";
    sqlx::query(insert).execute(&mut *late).await.unwrap();
    say(pool, "acme", 3..5).await;
    say(pool, "other", 5..6).await;
    assert_eq!(shown(&follower.next(pool, &of("acme")).await.unwrap()), ["3", "4"]);
    late.commit().await.unwrap();
    assert_eq!(shown(&follower.next(pool, &of("acme")).await.unwrap()), ["late"]);
    assert_eq!(follower.next(pool, &of("acme")).await.unwrap(), []);

    // More than it looks back, at once.
    say(pool, "acme", 100..900).await;
    assert_eq!(follower.next(pool, &of("acme")).await.unwrap().len(), 800);
    assert_eq!(follower.next(pool, &of("acme")).await.unwrap(), []);
}
