use crate::session::{Session, assert_transcript};

#[tokio::test]
async fn money_goes_in_and_is_corrected() {
    let mut session = Session::new().await;
    session.run("account create acme --currency eur");
    session.run("account topup acme 12.50 --reason 'first payment'");
    session.run("account topup acme 7.25 --payment-id 0198c5b0-0000-7000-8000-000000000001");
    session.run("account topup acme 7.25 --payment-id 0198c5b0-0000-7000-8000-000000000001");
    session.run("account adjust acme -0.75 --reason 'typed wrong' --dry-run");
    session.run("account adjust acme -0.75 --reason 'typed wrong' --yes");
    session.run("account balance");
    session.run("account balance acme --output json");
    session.run("account create 'second one' --currency USD --many-workflows-per-contact");
    session.run("account list");
    session.run("account list --output json");
    session.run("ledger --account acme");
    session.run("ledger --account acme --kind topup --limit 1 --output json");
    assert_transcript!(session);
}

#[tokio::test]
async fn wrong_money_is_refused() {
    let mut session = Session::new().await;
    session.run("account balance");
    session.run("account create acme --currency EURO");
    session.run("account create ' ' --currency EUR");
    session.run("account create acme --currency EUR");
    session.run("account create acme --currency EUR");
    session.run("account topup acme 0");
    session.run("account topup acme -5");
    session.run("account topup acme 1.2345678");
    session.run("account topup acme 1e3");
    session.run("account topup acme 99999999999999999999");
    session.run("account topup acne 5");
    session.run("account adjust acme -5 --reason 'too much' --yes");
    session.run("account adjust acme 5 --reason ' ' --yes");
    session.run("account adjust acme 0 --reason 'nothing' --yes");
    session.run("account adjust acme 5 --yes");
    session.run("account adjust acme 5 --reason 'nobody to ask'");
    session.run("account create other --currency EUR");
    session.run("contact list");
    session.run("contact list --account acmee");
    session.run("ledger --account acme --kind refund");
    session.run("ledger --account acme --since yesterday");
    assert_transcript!(session);
}
