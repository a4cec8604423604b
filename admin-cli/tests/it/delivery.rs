use crate::session::{Session, assert_transcript};

#[tokio::test]
async fn messages_are_listed_and_shown() {
    let mut session = Session::furnished().await;
    session.run("delivery list");
    session.run("queue list");
    session.quiet("enrollment add welcome --all --yes");
    session.quiet("enrollment remove 1 --yes");
    session.until_all_is_due();
    session.run("delivery list");
    session.run("delivery list --state cancelled --output json");
    session.run("delivery list --workflow welcome --limit 0");
    session.run("delivery list --contact +393331234502");
    session.run("delivery list --enrollment 3");
    session.run("delivery show 1");
    session.run("delivery show 2 --output json");
    session.run("queue list");
    session.run("queue list --workflow welcome --limit 1 --output json");
    session.run("queue stats --output json");
    session.run("delivery show 9");
    session.run("delivery show x");
    session.run("delivery list --state lost");
    session.run("delivery list --workflow nobody");
    session.run("queue list --state nothing");
    assert_transcript!(session);
}
