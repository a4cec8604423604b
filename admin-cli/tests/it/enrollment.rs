use crate::session::{PEOPLE, Session, WELCOME, assert_transcript};

#[tokio::test]
async fn enrolment_is_priced_to_the_segment() {
    let mut session = Session::furnished().await;
    session.run("enrollment add welcome --all --dry-run");
    session.run("enrollment add welcome --all --dry-run --output json");
    session.run("enrollment add welcome --all");
    session.run("enrollment add welcome --phone +393331234501 --phone '+39 333 123 4502' --yes");
    session.run("enrollment add welcome --all --yes --output json");
    session.run("enrollment add welcome --all --yes");
    session.run("account balance");
    session.run("enrollment list");
    session.run("enrollment list --contact +12015550123 --output json");
    session.run("contact show +393331234501");
    session.until_all_is_due();
    session.run("queue stats");
    session.run("audit");
    assert_transcript!(session);
}

#[tokio::test]
async fn what_the_balance_does_not_cover_enrols_nobody() {
    let mut session = Session::furnished().await;
    session.quiet("account adjust acme -99.97 --reason 'a test' --yes");
    session.run("enrollment add welcome --all --yes");
    session.run("enrollment add welcome --all --dry-run --output json");
    session.run("enrollment add welcome --phone +393331234501 --phone +393331234502 --yes");
    session.run("enrollment add welcome --all --yes");
    session.run("enrollment list");
    assert_transcript!(session);
}

#[tokio::test]
async fn a_contact_is_in_one_workflow_at_a_time() {
    let mut session = Session::furnished().await;
    session.file("second.toml", WELCOME.replace("\"welcome\"", "\"second\""));
    session.quiet("workflow create --file second.toml");
    session.quiet("enrollment add second --phone +393331234501 --yes");
    session.run("enrollment add welcome --all --yes");
    session.run("enrollment list --live true");
    session.run("enrollment remove --contact +393331234501 --yes");
    session.run("enrollment add welcome --all --yes");
    assert_transcript!(session);
}

#[tokio::test]
async fn one_contact_leaves_and_the_others_go_on() {
    let mut session = Session::furnished().await;
    session.quiet("enrollment add welcome --all --yes");
    session.run("enrollment remove --contact +393331234501 --dry-run");
    session.run("enrollment remove --contact +393331234501 --workflow welcome");
    session.run("enrollment remove --contact +393331234501 --reason 'asked by phone' --yes");
    session.run("enrollment remove 1 3 --dry-run --output json");
    session.run("enrollment remove 1 --yes --output json");
    session.run("enrollment list");
    session.run("operation show 1");
    session.run("account balance");
    session.run("enrollment add welcome --phone +393331234501 --yes");
    session.run("enrollment remove 2 --yes");
    session.run("enrollment remove 99 --yes");
    session.run("enrollment remove --contact +393331234502 --yes");
    session.run("enrollment remove --contact +393331234502 --workflow nobody --yes");
    session.run("enrollment remove --contact +393331234599 --yes");
    session.run("enrollment remove");
    session.run("audit");
    assert_transcript!(session);
}

#[tokio::test]
async fn a_file_chooses_contacts() {
    let mut session = Session::furnished().await;
    session.file("some.csv", "phone\n+393331234501\n+393339999999\nnonsense\n+393331234501\n");
    session.run("enrollment add welcome --file some.csv --yes");
    session.run("enrollment add welcome --file some.csv --yes --output json");
    session.run("enrollment add welcome --file some.csv --partial --yes");
    session.file("people.csv", PEOPLE);
    session.run("enrollment add welcome --file people.csv --yes");
    assert_transcript!(session);
}

#[tokio::test]
async fn a_text_that_lacks_a_field_prices_nobody() {
    let mut session = Session::furnished().await;
    session.file(
        "strict.toml",
        WELCOME.replace(" | default('there')", "").replace("\"welcome\"", "\"strict\""),
    );
    session.quiet("workflow create --file strict.toml");
    session.run("enrollment add strict --all --yes");
    session.run("enrollment add strict --all --partial --dry-run");
    session.run("enrollment add strict --all --partial --yes --output json");
    assert_transcript!(session);
}

#[tokio::test]
async fn many_prices_are_grouped() {
    let mut session = Session::furnished().await;
    let mut people = String::from("phone,time_zone,name\n");
    for number in 0..120 {
        let name = if number % 3 == 0 { "é😀".repeat(30) } else { format!("Person {number}") };
        let row = format!("+39333200{number:04},Europe/Rome,{name}\n");
        people.push_str(&row);
    }
    session.file("many.csv", people);
    session.quiet("contact import many.csv");
    session.run("enrollment add welcome --all --dry-run");
    session.run("enrollment add welcome --all --yes");
    assert_transcript!(session);
}

#[tokio::test]
async fn wrong_choices_are_refused() {
    let mut session = Session::furnished().await;
    session.run("enrollment add welcome");
    session.run("enrollment add welcome --all --phone +393331234501");
    session.run("enrollment add nobody --all --yes");
    session.run("enrollment add welcome --phone 12 --yes");
    session.run("enrollment add welcome --phone +393339999999 --yes");
    session.run("enrollment add welcome --file missing.csv --yes");
    session.run("enrollment add welcome --from-operation 5 --yes");
    session.run("enrollment list --workflow nobody");
    session.run("enrollment list --cause bored");
    session.run("enrollment list --contact nobody");
    assert_transcript!(session);
}
