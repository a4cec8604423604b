//! What plugins have logged, as an operator reads it.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use crate::session::{Session, assert_transcript};

/// Lines of two plugins on two workers, one of which nobody knows any more.
fn fill(session: &Session) {
    session.sql(
        "INSERT INTO workers (name, started_at, heartbeat_at) VALUES ('worker-a', now(), now());
         INSERT INTO plugin_logs (plugin, digest, route_id, worker_id, level, message, dropped, written_at)
         SELECT plugin, repeat('ab', 32), (SELECT route_id FROM routes), worker_id, level, message,
                coalesce(dropped, 0), now() - age * INTERVAL '1 minute'
         FROM (VALUES
             (1, 'twilio', 1, 'debug', 'begins', NULL, 90),
             (2, 'template', 1, 'info', 'a template with a loop', NULL, 80),
             (3, 'twilio', 99, 'warn', 'a status that is not known', NULL, 70),
             (4, 'twilio', 1, NULL, NULL, 12, 5),
             (5, 'gone', 1, 'error', E'hides \\u202etxt \\u001b[2J and\\nerror: forged', NULL, 4)
         ) AS q (place, plugin, worker_id, level, message, dropped, age)
         ORDER BY place",
    );
}

#[tokio::test]
async fn what_plugins_logged_is_shown_the_newest_last() {
    let mut session = Session::furnished().await;
    session.run("plugin logs");
    session.run("plugin logs twilio");
    fill(&session);
    session.run("plugin logs");
    session.run("plugin logs twilio --level warn");
    session.run("plugin logs gone");
    session.run("plugin logs --since 1h");
    session.run("plugin logs --limit 2");
    session.run("plugin logs twillio");
    session.run("plugin logs nobody-at-all");
    session.run("plugin logs --level loud");
    session.run("plugin logs --since soon");
    session.run("plugin logs --since 1000000years");
    session.run("plugin logs twilio --limit 1 --output json");
    assert_transcript!(session);
}

#[tokio::test]
async fn a_log_is_followed_until_it_is_interrupted() {
    let session = Session::furnished().await;
    fill(&session);
    for (format, begin) in [("table", ""), ("json", "{")] {
        let follow = format!("plugin logs twilio --level error --follow --output {format}");
        let mut following = session
            .command(&follow)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be run");
        let mut lines = BufReader::new(following.stdout.take().expect("it is piped")).lines();
        let mut next = || lines.next().expect("it goes on").expect("it is text");
        // What was there is there once it follows, and every level shows what was dropped.
        let first = next();
        assert!(first.starts_with(begin) && first.contains("12"), "{first}");
        session.sql(
            "INSERT INTO plugin_logs (plugin, digest, worker_id, level, message, written_at)
             VALUES ('twilio', 'd', 1, 'info', 'not so grave', now()),
                    ('template', 'd', 1, 'error', 'of another', now()),
                    ('twilio', 'd', 1, 'error', E'has\\u001b[2J come', now())",
        );
        let line = next();
        assert!(line.starts_with(begin) && line.contains("[2J come"), "{line}");
        assert!(!line.contains('\u{1b}'), "{line:?}");
        let pid = following.id().to_string();
        assert!(
            std::process::Command::new("kill")
                .args(["-INT", &pid])
                .status()
                .expect("kill can be run")
                .success()
        );
        assert_eq!(following.wait().expect("it ends").code(), Some(130));
        session.sql("DELETE FROM plugin_logs WHERE message IS NOT NULL");
    }
}
