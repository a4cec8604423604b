use crate::session::{Session, assert_transcript};

#[tokio::test]
async fn a_wrong_cent_is_found() {
    let mut session = Session::furnished().await;
    session.quiet("enrollment add welcome --all --yes");
    session.run("audit");
    // A micro disappears, which no command could do.
    session.sql("UPDATE balances SET available_micros = available_micros - 1");
    session.run("audit");
    let audit = session.quiet("audit --output json");
    assert_eq!(audit.code, 1);
    let json = audit.json();
    assert_eq!(json["holds"], false);
    assert_eq!(json["invariants"][0]["violations"], 1);
    assert_eq!(json["invariants"].as_array().map(Vec::len), Some(9));
    assert_eq!(json["breaks"][0]["subject"], "account 1");
    assert!(json["deliveries_per_second"].is_u64());
    assert_transcript!(session);
}

#[tokio::test]
async fn a_break_stays_until_it_is_settled() {
    let mut session = Session::furnished().await;
    session.run("audit list");
    session.sql("UPDATE balances SET available_micros = available_micros - 1");
    assert_eq!(session.quiet("audit").code, 1);
    session.sql("UPDATE balances SET available_micros = available_micros + 1");
    session.run("audit");
    session.run("audit settle 1 --reason 'a disk lost a write'");
    session.run("audit settle 1 --amount 0.5 --no-money --reason 'both'");
    session.run("audit settle 1 --amount 0.5 --reason 'a disk lost a write'");
    session.run("audit settle 1 --amount 0.5 --reason 'a disk lost a write' --dry-run");
    session.run("audit settle 1 --amount -500 --reason 'too much' --yes");
    session.run("audit settle 1 --entry 1 --reason 'a top-up' --yes");
    session.run("audit settle 7 --no-money --reason 'a strange one' --yes");
    session.run("audit settle 1 --amount 0.5 --reason 'a disk lost a write' --yes");
    session.run("audit settle 1 --no-money --reason 'again' --yes");
    session.run("audit list");
    session.run("audit list --all");
    session.run("ledger --kind adjust");
    session.run("audit");
    // The same break again is excused, and the next one is not.
    session.sql("UPDATE balances SET available_micros = available_micros - 1");
    session.run("audit");
    session.sql("UPDATE balances SET available_micros = available_micros - 1");
    session.run("audit list --all --output json");
    assert_eq!(session.quiet("audit").code, 1);
    session.run("audit list");
    assert_transcript!(session);
}

#[tokio::test]
async fn a_carriers_log_is_compared() {
    let mut session = Session::furnished().await;
    session.file("carrier.log", "{\"reference\":\"someone-1-1\",\"accepted\":true}\n\n{\"reference\":null,\"accepted\":false}\n");
    session.run("audit --carrier-log carrier.log");
    session.file("other.log", "{\"reference\":\"someone-2-1\",\"accepted\":true}\n");
    session.run("audit --carrier-log carrier.log --carrier-log other.log");
    // The last line is still being written.
    session.file("carrier.log", "{\"reference\":null,\"accepted\":true}\n{\"reference\":\"so");
    assert_eq!(session.quiet("audit --carrier-log carrier.log").code, 0);
    session.file(
        "carrier.log",
        b"{\"reference\":\"x\"}\n{\"reference\":null,\"accepted\":true}\n\xc3\n",
    );
    session.run("audit --carrier-log carrier.log");
    session.file("carrier.log", "what\n".repeat(30));
    session.run("audit --carrier-log carrier.log");
    session.run("audit --carrier-log missing.log");
    assert_transcript!(session);
}

#[tokio::test]
async fn many_breaks_are_counted_and_some_are_shown() {
    let session = Session::furnished().await;
    session.quiet("enrollment add welcome --all --yes");
    session.sql("INSERT INTO audit_breaks (invariant, subject, problem, difference, first_seen_at, last_seen_at)
                 SELECT 4, 'delivery ' || n, 'is wrong', 'is wrong', now(), now() FROM generate_series(1, 60) n");
    let audit = session.quiet("audit");
    assert_eq!(audit.code, 1);
    assert!(audit.stdout.contains("not settled yet, 50 of 60 shown:"), "{}", audit.stdout);
    let listed = session.quiet("audit list --after 11 --limit 4 --output json").json();
    let ids: Vec<_> = listed["breaks"].as_array().unwrap().iter().collect();
    assert_eq!(ids.len(), 4);
    assert_eq!(ids[0]["audit_break_id"], 10);
}
