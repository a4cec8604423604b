use crate::session::{ROUTE, Session, assert_transcript};

const FILE: &str = r#"name = "from-file"
carrier = "twilio"
sender = "+15005550006"
price_per_segment = "0.0075"
allowed_origins = ["http://127.0.0.1:9999"]
allow_loopback = true

[settings]
account_sid = "AC00000000000000000000000000000000"
api_base = "http://127.0.0.1:9999"

[secrets]
auth_token = "env:TWILIO_AUTH_TOKEN"
"#;

#[tokio::test]
async fn routes_are_added_and_changed() {
    let mut session = Session::new().await;
    session.quiet("account create acme --currency EUR");
    session.file("route.toml", FILE);
    session.run(ROUTE);
    session.run("route add --file route.toml --output json");
    session.run("route list");
    session.run("route edit main --price-per-segment 0.01 --sender ACME");
    // Twilio is elsewhere, unless it is said to be here.
    let here =
        "route edit main --rename primary --allow-loopback --allow-origin http://127.0.0.1:1";
    session.run(here);
    session.run(&format!("{here} --setting api_base=http://127.0.0.1:1"));
    session.run("route show primary");
    assert_transcript!(session);
}

/// By hand and not as a transcript, since the address is another one each time.
#[tokio::test]
async fn a_callback_is_shown_where_carriers_can_call_it_and_changed_on_demand() {
    let mut session = Session::new().await;
    session.quiet("account create acme --currency EUR");
    session.quiet(ROUTE);
    let shown = |session: &Session| session.quiet("route show main --output json").json();
    assert!(shown(&session).get("callback").is_none());
    session.environment("DRIPLINE__WORKER__WEBHOOKS__PUBLIC_URL", "https://sms.example.com/in");
    let first = shown(&session)["callback"].as_str().expect("an address").to_owned();
    let token = first.strip_prefix("https://sms.example.com/in/hooks/").expect("the public one");
    assert!(token.len() == 48 && token.bytes().all(|b| b.is_ascii_digit()), "{token}");
    assert!(session.quiet("route show main").stdout.contains(&first));
    // It is a secret: only who asks for the one route is shown it.
    for elsewhere in ["route list", "route list --output json", "account show acme"] {
        assert!(!session.quiet(elsewhere).stdout.contains(token), "{elsewhere}");
    }
    session.quiet("route edit main --price-per-segment 0.01");
    assert_eq!(shown(&session)["callback"], *first);
    let edited = session.quiet("route edit main --new-callback --output json").json();
    assert_ne!(edited["callback"], *first);
    assert_eq!(shown(&session)["callback"], edited["callback"]);
    assert_eq!(shown(&session)["route"]["revision"], 3);
}

#[tokio::test]
async fn a_route_has_a_pool_of_senders_and_limits() {
    let mut session = Session::new().await;
    session.quiet("account create acme --currency EUR");
    session.run(&format!(
        "{ROUTE} --sender +15005550007 --segments-per-second 10 --segments-per-day 2000 \
         --max-in-flight 8 --timeout-seconds 5"
    ));
    session.run("route list");
    session.run("route edit main --segments-per-second 0 --timeout-seconds 0 --sender ACME");
    session.run("route show main --output json");
    session.run("route edit main --sender ACME --sender BETA --sender ACME");
    session.run("route edit main --sender ''");
    session.run("route edit main --segments-per-second -1");
    session.file("route.toml", "sender = [\"ACME\", 7]\n");
    session.run("route edit main --file route.toml");
    session.file("route.toml", "sender = [\"ACME\", \"BETA\"]\nsegments_per_day = 100\n");
    session.run("route edit main --file route.toml");
    assert_transcript!(session);
}

#[tokio::test]
async fn a_route_fails_over_to_another_one() {
    let mut session = Session::new().await;
    session.quiet("account create acme --currency EUR");
    session.file("route.toml", format!("failover = \"main\"\n{FILE}"));
    session.run("route add --file route.toml");
    session.quiet(ROUTE);
    session.run("route add --file route.toml");
    session.run("route edit main --failover from-file");
    session.run("route edit main --failover main");
    session.run("route edit main --failover form-file");
    session.run("route edit main --failover from-file --no-failover");
    // Whatever else is changed, it stays.
    session.quiet("route edit from-file --price-per-segment 0.01");
    session.run("route edit from-file --no-failover");
    assert_transcript!(session);
}

#[tokio::test]
async fn wrong_routes_are_refused() {
    let mut session = Session::new().await;
    session.quiet("account create acme --currency EUR");
    session.quiet(ROUTE);
    session.run(ROUTE);
    session.run("route add second");
    session.run("route add second --carrier twillio --sender x --price-per-segment 1");
    session.run("route add second --carrier template --sender x --price-per-segment 1");
    session.run("route add second --carrier twilio --sender x --price-per-segment 1");
    session.run(
        "route add second --carrier twilio --sender x --price-per-segment 1 --setting account_sid=AC1 \
         --setting acount=2 --secret auth_token=env:X",
    );
    session.run(
        "route add second --carrier twilio --sender x --price-per-segment 1 --setting account_sid=AC1 \
         --setting auth_token=geheim",
    );
    session.run(
        "route add second --carrier twilio --sender x --price-per-segment 1 --setting account_sid=AC1 \
         --secret auth_token=geheim",
    );
    session.run(
        "route add second --carrier twilio --sender x --price-per-segment -1 \
         --setting account_sid=AC00000000000000000000000000000000 --secret auth_token=env:X",
    );
    session.run("route add second --setting account_sid");
    let twilio = "route add second --carrier twilio --sender x --price-per-segment 1 \
                  --setting account_sid=AC00000000000000000000000000000000 --secret auth_token=env:X";
    session.run(&format!("{twilio} --allow-origin 'https://*.twilio.com'"));
    session.run(&format!("{twilio} --allow-origin https://api.twilio.example"));
    session.run(&format!("{twilio} --setting api_base=http://127.0.0.1:4010"));
    session.run(&format!("{twilio} --setting api_base=https://10.0.0.1 --allow-loopback"));
    session.file("route.toml", "name = \"x\"\nsendr = \"y\"\n");
    session.run("route add --file route.toml");
    session.file("route.toml", "name = \"x\"\nprice_per_segment = 0.1\n");
    session.run("route add --file route.toml");
    session.run("route add --file missing.toml");
    session.run("route show man");
    session.run("route edit main");
    session.run("route edit other --sender x");
    assert_transcript!(session);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_paused_and_runs_again() {
    let mut session = Session::furnished().await;
    session.run("route pause main --reason 'the carrier asked for it'");
    session.run("route pause main");
    session.run("route list");
    session.run("route show main");
    session.run("queue stats");
    session.run("route pause mian");
    session.run("route resume main");
    session.run("route resume main");
    assert_transcript!(session);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_tested_before_anybody_sends_over_it() {
    let mut session = Session::furnished().await;
    // Its secret cannot be read here.
    session.run("route test main --to +12025550123");
    session.environment("TWILIO_AUTH_TOKEN", "a-secret-token");
    let shown = session.quiet("route test main --to +12025550123 --text Hello");
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(shown.stdout.contains("POST https://api.twilio.com/2010-04-01/"), "{}", shown.stdout);
    assert!(shown.stdout.contains("Body=Hello"), "{}", shown.stdout);
    assert!(!shown.stdout.contains("a-secret-token"), "{}", shown.stdout);
    session.run("route test main --to nobody");
    session.run("route test mian --to +12025550123");
    // It has a reference of its own each time.
    let live = session.quiet("route test main --to +12025550123 --live");
    assert_eq!(live.code, 4, "{}", live.stdout);
    assert!(live.stderr.contains("not confirmed"), "{}", live.stderr);
    assert_transcript!(session);

    // Nobody is there. What was tried counts for its sender all the same, and the next one has to wait.
    session.quiet(
        "route edit main --segments-per-day 1 --allow-loopback --allow-origin http://127.0.0.1:1 \
         --setting api_base=http://127.0.0.1:1",
    );
    let live = "route test main --to +12025550123 --live --yes";
    let tried = session.quiet(live);
    assert!(tried.stdout.contains("outcome: not_sent"), "{tried:?}");
    let refused = session.quiet(live);
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("has sent what it may over route `main`"), "{refused:?}");
    assert!(refused.stderr.contains("nothing was sent"), "{refused:?}");
}

#[tokio::test]
async fn origins_that_nobody_chose_follow_the_settings() {
    let session = Session::new().await;
    let built = std::path::PathBuf::from(std::env::var_os("DRIPLINE_TEST_PLUGINS").unwrap());
    let link = session.home().join("plugins/telnyx.wasm");
    std::os::unix::fs::symlink(built.join("telnyx.wasm"), link).unwrap();
    session.quiet("account create acme --currency EUR");
    session.quiet(ROUTE);
    let origins = || {
        session.quiet("route show main --output json").json()["route"]["allowed_origins"].clone()
    };
    assert_eq!(origins(), serde_json::json!(["https://api.twilio.com"]));
    let elsewhere = session.quiet("route edit main --setting api_base=https://twilio.example");
    assert_eq!(elsewhere.code, 0, "{elsewhere:?}");
    assert_eq!(origins(), serde_json::json!(["https://twilio.example"]));
    // An empty setting is none.
    let back = session.quiet("route edit main --setting api_base=");
    assert_eq!(back.code, 0, "{back:?}");
    assert_eq!(origins(), serde_json::json!(["https://api.twilio.com"]));
    session.file("route.toml", "[settings]\n[secrets]\napi_key = 'env:TELNYX_API_KEY'\n");
    let other = session.quiet("route edit main --carrier telnyx --file route.toml");
    assert_eq!(other.code, 0, "{other:?}");
    assert_eq!(origins(), serde_json::json!(["https://api.telnyx.com"]));

    // What somebody chose stays until somebody chooses otherwise.
    let both = "--allow-origin https://api.telnyx.com --allow-origin https://telnyx.example";
    assert_eq!(session.quiet(&format!("route edit main {both}")).code, 0);
    let refused = session.quiet("route edit main --setting api_base=https://elsewhere.example");
    assert_eq!(refused.code, 1, "{refused:?}");
    let within = session.quiet("route edit main --setting api_base=https://telnyx.example");
    assert_eq!(within.code, 0, "{within:?}");
    let chosen = serde_json::json!(["https://api.telnyx.com", "https://telnyx.example"]);
    assert_eq!(origins(), chosen);
    // A file that has none of them asks for the carrier's own again.
    session.file("route.toml", "allowed_origins = []\n");
    assert_eq!(session.quiet("route edit main --file route.toml").code, 0);
    assert_eq!(origins(), serde_json::json!(["https://telnyx.example"]));
}

#[tokio::test]
async fn flags_take_away_what_a_route_has() {
    let mut session = Session::new().await;
    session.quiet("account create acme --currency EUR");
    session.file("route.toml", FILE);
    session.quiet("route add --file route.toml");
    // Without that setting it is Twilio's, and needs nothing of this machine.
    session.run("route edit from-file --unset api_base --no-allow-loopback");
    session.run("route edit from-file --unset api_bas");
    session.run("route edit from-file --unset auth_tokn");
    session.run("route edit from-file --unset auth_token");
    session.run("route edit from-file --allow-loopback --no-allow-loopback");
    assert_transcript!(session);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_is_tested_with_its_own_patience() {
    let mut session = Session::furnished().await;
    session.environment("TWILIO_AUTH_TOKEN", "a-secret-token");
    // It takes the request and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", silent.local_addr().unwrap());
    let edit = format!("route edit main --setting api_base={origin} --allow-loopback");
    let edited = session.quiet(&format!("{edit} --timeout-seconds 1"));
    assert_eq!(edited.code, 0, "{edited:?}");
    let tried = session.quiet("route test main --to +12025550123 --live --yes");
    assert!(tried.stdout.contains("outcome: unknown: timeout"), "{tried:?}");
    assert!(tried.stdout.contains("within 1 s"), "{tried:?}");
}
