//! What plugins log is written down beside the work, and never holds it up.

use std::time::{Duration, Instant};

use dripline_domain::delivery::DeliveryState;
use dripline_domain::plugin_log::LogLevel;
use dripline_domain::workflow::StepDraft;
use dripline_store::plugin_log::{self, Entry, KEPT, LogFilter};
use dripline_store::testing::factory::step;

use crate::support::{PATIENCE, Stage, pause};

const KEYED: &str = "keyed-carrier";
const HOSTILE: &str = "hostile-renderer";

async fn entries(stage: &Stage, plugin: &str) -> Vec<Entry> {
    let filter = LogFilter {
        plugin: Some(plugin.to_owned()),
        level: LogLevel::Debug,
        since: None,
        limit: None,
    };
    plugin_log::list(&stage.pool, &filter).await.unwrap()
}

/// Waits until what is kept of a plugin is enough.
async fn wait_for(stage: &Stage, plugin: &str, enough: impl Fn(&[Entry]) -> bool) -> Vec<Entry> {
    let begun = Instant::now();
    loop {
        let entries = entries(stage, plugin).await;
        if enough(&entries) {
            return entries;
        }
        assert!(begun.elapsed() < PATIENCE, "{} entries: {:?}", entries.len(), entries.last());
        pause().await;
    }
}

/// How many lines these stand for.
fn lines(entries: &[Entry]) -> u64 {
    entries.iter().map(|entry| if entry.message.is_some() { 1 } else { entry.dropped }).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carriers_lines_are_kept_with_worker_and_route_and_without_numbers() {
    let stage = Stage::new().await;
    let scene = stage.enrol_over(KEYED, vec![step(Duration::ZERO)], 5).await;
    let worker = stage.worker().start();
    stage.wait_for(&scene, DeliveryState::Sent, 5).await;
    // Whatever was not written yet is written at the stop.
    worker.stop().await;
    let entries = entries(&stage, KEYED).await;
    assert_eq!(lines(&entries), 5, "{entries:?}");
    for entry in &entries {
        assert_eq!(entry.message.as_deref(), Some("builds a request to [number] forged"));
        assert_eq!(entry.level, Some(LogLevel::Debug));
        assert_eq!(entry.route.as_deref(), Some("main"));
        assert_eq!(entry.digest.len(), 64);
        assert!(entry.account.is_some() && entry.worker.is_some(), "{entry:?}");
    }
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_that_floods_fills_nothing_and_hides_no_other() {
    let stage = Stage::new().await;
    // As much as is kept is there already.
    stage.sql(&format!(
        "INSERT INTO plugin_logs (plugin, digest, worker_id, level, message, written_at)
         SELECT '{HOSTILE}', 'd', 1, 'info', 'before', now() FROM generate_series(1, {KEPT})"
    ));
    let flood = StepDraft {
        template: "log-flood".to_owned(),
        renderer: HOSTILE.to_owned(),
        ..step(Duration::ZERO)
    };
    let flooding = stage.enrol_over(KEYED, vec![flood], 30).await;
    let worker = stage.worker().start();
    stage.wait_for(&flooding, DeliveryState::Sent, 30).await;
    worker.stop().await;
    let flooded = entries(&stage, HOSTILE).await;
    assert_eq!(flooded.len(), KEPT as usize);
    let fresh: Vec<_> =
        flooded.into_iter().filter(|entry| entry.message.as_deref() != Some("before")).collect();
    // Each call of the renderer says 10,001 lines, and each of them is here or counted.
    let said = lines(&fresh);
    assert!(said > 0 && said.is_multiple_of(10_001), "{said}");
    assert!(
        fresh
            .iter()
            .all(|entry| entry.message.as_deref().is_none_or(|m| m.contains("[number] forged")))
    );
    assert_eq!(lines(&entries(&stage, KEYED).await), 30);
    stage.assert_invariants().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_leave_while_no_line_can_be_written_and_what_is_lost_is_counted() {
    let stage = Stage::new().await;
    let held = stage.hold("LOCK TABLE plugin_logs IN ACCESS EXCLUSIVE MODE");
    let scene = stage.enrol_over(KEYED, vec![step(Duration::ZERO); 3], 40).await;
    let worker = stage.worker().setting("TELEMETRY__FILTER", &"info").start();
    stage.wait_for(&scene, DeliveryState::Sent, 120).await;
    worker.says("the database takes nothing of what plugins log").await;
    drop(held);
    let entries = wait_for(&stage, KEYED, |entries| lines(entries) >= 120).await;
    assert_eq!(lines(&entries), 120);
    assert!(entries.iter().any(|entry| entry.dropped > 0), "{entries:?}");
    worker.stop().await;
    stage.assert_invariants().await;
}
