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
    assert_transcript!(session);
}

#[tokio::test]
async fn a_carriers_log_is_compared() {
    let mut session = Session::furnished().await;
    session.file("carrier.log", "{\"reference\":\"someone-1-1\",\"accepted\":true}\n\n{\"reference\":null,\"accepted\":false}\n");
    session.run("audit --carrier-log carrier.log");
    session.file("carrier.log", "{\"reference\":\"x\"}\n");
    session.run("audit --carrier-log carrier.log");
    session.run("audit --carrier-log missing.log");
    assert_transcript!(session);
}
