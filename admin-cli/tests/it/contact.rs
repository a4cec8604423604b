use crate::session::{PEOPLE, Session, assert_transcript};

#[tokio::test]
async fn contacts_are_imported_and_found() {
    let mut session = Session::new().await;
    session.quiet("account create acme --currency EUR");
    session.file("people.csv", PEOPLE);
    session.run("contact import people.csv --dry-run");
    session.run("contact import people.csv");
    session.run("contact import people.csv --output json");
    session.file(
        "semicolons.csv",
        "\u{feff}phone;city\n333 123 4501;\"Roma; Trastevere\"\n+39 333 123 4509;Milano ñ 😀\n",
    );
    session
        .run("contact import semicolons.csv --delimiter ';' --region IT --time-zone Europe/Rome");
    session.run("contact list");
    session.run("contact list --phone 4509 --output json");
    session.run("contact list --field name=Grace");
    session.run("contact list --time-zone America/New_York");
    session.run("contact list --after 3");
    session.run("contact show +393331234501");
    session.run("contact show 2 --output json");
    assert_transcript!(session);
}

/// One row for each way in which a row can be wrong.
const BAD: &[u8] = b"phone,time_zone,name\n\
    +393331234501,Europe/Rome,Ada\n\
    ,Europe/Rome,nobody\n\
    12,Europe/Rome,short\n\
    333 1234502,Europe/Rome,national\n\
    +39333123450x,Europe/Rome,letter\n\
    +393331234503,Europe/Roma,city\n\
    +393331234504,,no zone\n\
    +393331234501,Europe/Rome,again\n\
    +393331234505,Europe/Rome\n\
    +393331234506,Europe/Rome,too,many\n\
    +393331234507,Europe/Rome,caf\xe9\n\
    +393331234508,Europe/Rome,\"nul\0\"\n\
    +393331234509,Europe/Rome,\"two\nlines\"\n\
    +12015550123,America/New_York,Bob\n";

#[tokio::test]
async fn every_bad_row_is_reported() {
    let mut session = Session::new().await;
    session.quiet("account create acme --currency EUR");
    session.file("bad.csv", BAD);
    session.run("contact import bad.csv");
    session.run("contact list");
    session.run("contact import bad.csv --output json");
    session.run("contact import bad.csv --partial");
    session.run("contact list");
    assert_transcript!(session);
}

#[tokio::test]
async fn wrong_files_and_contacts_are_refused() {
    let mut session = Session::new().await;
    session.quiet("account create acme --currency EUR");
    session.run("contact import missing.csv");
    for (name, content) in [
        ("empty.csv", &b""[..]),
        ("no-phone.csv", b"telephone,time_zone\n1,2\n"),
        ("semicolons.csv", b"phone;time_zone\n1;2\n"),
        ("twice.csv", b"phone,name,name\n1,2,3\n"),
        ("unnamed.csv", b"phone,,name\n1,2,3\n"),
        ("latin1.csv", b"phone,pr\xe9nom\n1,2\n"),
        ("only-header.csv", b"phone,time_zone\n"),
    ] {
        session.file(name, content);
        session.run(&format!("contact import {name}"));
    }
    session.run("contact import only-header.csv --time-zone Europe/Rom");
    session.run("contact import only-header.csv --delimiter ab");
    session.run("contact show +393331234501");
    session.run("contact show 7");
    session.run("contact show Ada");
    session.run("contact list --field name");
    session.run("contact list --limit 0");
    assert_transcript!(session);
}
