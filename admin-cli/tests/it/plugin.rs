use crate::session::{Session, assert_transcript};

#[test]
fn plugins_are_listed_and_shown_without_a_database() {
    let mut session = Session::without_database();
    let list = session.quiet("plugin list --output json");
    assert_eq!(list.code, 0, "{}", list.stderr);
    let json = list.json();
    let names: Vec<_> = json["plugins"].as_array().unwrap().iter().map(|p| &p["name"]).collect();
    assert!(names.iter().any(|name| *name == "template"), "{names:?}");
    assert!(names.iter().any(|name| *name == "twilio"), "{names:?}");
    let twilio = session.quiet("plugin show twilio");
    assert!(twilio.stdout.contains("class L: an attempt without an answer stays unknown"));
    session.run("plugin show twillio");
    session.run("plugin show");
    assert_transcript!(session);
}

#[test]
fn a_broken_file_spoils_only_itself() {
    let mut session = Session::without_database();
    std::fs::create_dir(session.home().join("broken")).unwrap();
    session.file("broken/broken_one.wasm", b"no component");
    session.environment("DRIPLINE__PLUGINS__DIRECTORY", session.home().join("broken"));
    session.run("plugin list");
    session.run("plugin show broken-one");
    session.environment("DRIPLINE__PLUGINS__DIRECTORY", session.home().join("nowhere"));
    session.run("plugin list");
    assert_transcript!(session);
}
