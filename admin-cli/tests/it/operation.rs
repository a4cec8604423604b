use crate::session::{Session, assert_transcript};

#[tokio::test]
async fn receipts_are_kept() {
    let mut session = Session::furnished().await;
    session.run("operation list");
    session.quiet("enrollment add welcome --all --yes");
    session.quiet("enrollment remove 1 --reason 'asked' --yes");
    session.quiet("workflow pause welcome --yes");
    session.run("operation list");
    session.run("operation list --workflow welcome --limit 1 --output json");
    session.run("operation show 2");
    session.run("operation show 1 --output json");
    session.run("operation show 3");
    session.run("operation show x");
    session.run("operation list --workflow nobody");
    assert_transcript!(session);
}
