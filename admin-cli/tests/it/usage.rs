use crate::session::{Session, assert_transcript};

#[test]
fn wrong_command_lines() {
    let mut session = Session::without_database();
    session.run("");
    session.run("workflo list");
    session.run("workflow");
    session.run("workflow lst");
    session.run("workflow list --ouput json");
    session.run("workflow list --output yaml");
    session.run("completions dos");
    assert_transcript!(session);
}

#[test]
fn wrong_settings() {
    let mut session = Session::without_database();
    session.file("dripline.toml", "[worker]\nconcurency = 1\n\n[cli]\naccount = 7\n");
    session.run("account list");
    assert_eq!(session.quiet("completions bash").code, 0);
    session.run("account list --config missing.toml");
    session.file("dripline.toml", "");
    session.environment("DRIPLINE__WORKER__CONCURRENCY", "many");
    session.run("account list");
    assert_transcript!(session);
}
