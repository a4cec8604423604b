use crate::session::{Session, assert_transcript};

#[tokio::test]
async fn a_server_of_ones_own() {
    let mut session = Session::new().await;
    session.run("db migrate");
    session.run("db start");
    session.run("db stop --yes");
    assert!(session.quiet("db status").stdout.contains("current"));
    session.environment("DATABASE_URL", "postgres://nobody:geheim@127.0.0.1:1/none");
    session.run("db status");
    session.run("account list");
    session.environment("DATABASE_URL", "mysql://x");
    session.run("account list");
    assert_transcript!(session);
}

#[tokio::test]
async fn an_empty_database_is_not_migrated_unasked() {
    let mut session = Session::new().await;
    session.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public; DROP SCHEMA apalis CASCADE");
    session.run("account list");
    let migrated = session.quiet("db migrate --output json");
    assert_eq!(migrated.json()["schema"], "current", "{}", migrated.stderr);
    session.sql("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (99990101000000, 'later', true, '', 0)");
    session.run("account list");
    session.run("db migrate");
    assert_transcript!(session);
}

#[test]
fn the_embedded_server_starts_by_itself_and_stops_when_told() {
    let mut session = Session::without_database();
    session.run("db status");
    session.run("db stop --yes");
    session.run("account create acme --currency EUR");
    session.run("db stop --dry-run");
    let status = session.quiet("db status --output json").json();
    assert_eq!((&status["state"], &status["schema"]), (&"running".into(), &"current".into()));
    let stopped = session.quiet("db stop --output json").json();
    assert_eq!(stopped["stopped"], true);
    session.run("db stop --dry-run");
    let started = session.quiet("db start --output json").json();
    assert_eq!(started["state"], "running");
    session.run("account list");
    assert_eq!(session.quiet("db stop --yes").code, 0);
    assert_transcript!(session);
}
