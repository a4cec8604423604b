//! What Twilio does not have: keys, questions by reference, and tokens.

use dripline_carrier_simulator::log::LogEntry;

use crate::client::{Answer, Running, SID, TOKEN, authorization, exchange, request};

async fn keyed(simulator: &Running, key: &str, text: &str) -> std::io::Result<Answer> {
    let form: String = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("To", "+12025550123"), ("From", "+12025550100"), ("Body", text)])
        .finish();
    let headers = [
        authorization(TOKEN),
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ("x-dripline-reference", key.to_owned()),
        ("idempotency-key", key.to_owned()),
    ];
    let request = request("POST", &format!("/keyed/{SID}/messages"), &headers, &form);
    exchange(simulator.address, &request).await
}

fn decisions(log: &[LogEntry]) -> Vec<(&str, bool)> {
    log.iter().map(|entry| (entry.decision.as_str(), entry.accepted)).collect()
}

#[tokio::test]
async fn a_key_takes_one_message_and_answers_alike() {
    let simulator = Running::start("").await;
    let first = keyed(&simulator, "in5-7-0", "Hi").await.expect("answered");
    let again = keyed(&simulator, "in5-7-0", "Hi").await.expect("answered");
    assert_eq!((first.status, again.status), (201, 201));
    assert_eq!(first.json()["sid"], again.json()["sid"]);
    let other = keyed(&simulator, "in5-8-0", "Hi").await.expect("answered");
    assert_ne!(first.json()["sid"], other.json()["sid"]);
    assert_eq!(keyed(&simulator, "in5-7-0", "Bye").await.expect("answered").status, 409);
    assert_eq!(keyed(&simulator, "", "Hi").await.expect("answered").status, 400);
    let log = simulator.log();
    let expected = [
        ("accept", true),
        ("replay", false),
        ("accept", true),
        ("refuse", false),
        ("refuse", false),
    ];
    assert_eq!(decisions(&log), expected);
    assert_eq!(simulator.stats().await.accepted, 2);
}

#[tokio::test]
async fn a_key_is_kept_when_the_answer_is_lost_and_only_then() {
    for (fault, expected) in [("reset-after", "replay"), ("reset-before", "accept")] {
        let plan = format!("[[rules]]\nattempts = 1\nfault = \"{fault}\"\n");
        let simulator = Running::start(&plan).await;
        keyed(&simulator, "in5-7-0", "Hi").await.expect_err("reset");
        assert_eq!(keyed(&simulator, "in5-7-0", "Hi").await.expect("answered").status, 201);
        let log = simulator.log();
        assert_eq!(log[1].decision, expected, "{fault}");
        assert_eq!(log.iter().filter(|entry| entry.accepted).count(), 1, "{fault}");
    }
}

#[tokio::test]
async fn what_was_taken_is_found_by_its_reference() {
    let plan = "[[rules]]\nattempts = 1\nfault = \"reset-after\"\n";
    let simulator = Running::start(plan).await;
    let path = format!("/queried/{SID}/messages");
    let headers = [
        authorization(TOKEN),
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ("x-dripline-reference", "in5-7-1".to_owned()),
    ];
    let form = "To=%2B12025550123&From=%2B12025550100&Body=Hi";
    let sending = request("POST", &path, &headers, form);
    exchange(simulator.address, &sending).await.expect_err("reset");
    let look_up = async |token: &str, query: &str| {
        let asking = request("GET", &format!("{path}?{query}"), &[authorization(token)], "");
        exchange(simulator.address, &asking).await.expect("answered")
    };
    let found = look_up(TOKEN, "reference=in5-7-1").await;
    let sid = simulator.log()[0].sid.clone().expect("taken");
    assert_eq!(found.json()["messages"], serde_json::json!([{ "sid": sid }]));
    let found = look_up(TOKEN, "reference=in5-7-2").await;
    assert_eq!((found.status, &found.json()["messages"]), (200, &serde_json::json!([])));
    assert_eq!(look_up("wrong", "reference=in5-7-1").await.status, 401);
    assert_eq!(look_up(TOKEN, "").await.status, 400);
    let log = simulator.log();
    assert_eq!(decisions(&log), [("reset-after", true), ("look-up", false), ("look-up", false)]);
}

/// A request for a token with the client in the header.
async fn token(simulator: &Running, secret: &str) -> Answer {
    let headers =
        [authorization(secret), ("content-type", "application/x-www-form-urlencoded".to_owned())];
    let request = request("POST", "/tokens/oauth", &headers, "grant_type=client_credentials");
    exchange(simulator.address, &request).await.expect("answered")
}

async fn send_with(simulator: &Running, token: &str) -> Answer {
    let headers = [
        ("authorization", format!("Bearer {token}")),
        ("content-type", "application/x-www-form-urlencoded".to_owned()),
        ("x-dripline-reference", "in5-7-1".to_owned()),
    ];
    let form = "To=%2B12025550123&From=%2B12025550100&Body=Hi";
    let request = request("POST", &format!("/tokens/{SID}/messages"), &headers, form);
    exchange(simulator.address, &request).await.expect("answered")
}

#[tokio::test]
async fn only_a_token_that_is_good_sends() {
    let simulator = Running::start("[tokens]\nuses = 2\nlifetime_seconds = 60\n").await;
    let granted = token(&simulator, TOKEN).await;
    assert_eq!(granted.status, 200);
    assert!(granted.head.contains("cache-control: no-store"), "{}", granted.head);
    assert_eq!(granted.json()["expires_in"], 60);
    let value = granted.json()["access_token"].as_str().expect("a token").to_owned();
    assert_eq!(send_with(&simulator, &value).await.status, 201);
    let path = format!("/tokens/{SID}/messages?reference=in5-7-1");
    let asking = request("GET", &path, &[("authorization", format!("Bearer {value}"))], "");
    let found = exchange(simulator.address, &asking).await.expect("answered");
    let sid = simulator.log()[1].sid.clone().expect("taken");
    assert_eq!(found.json()["messages"], serde_json::json!([{ "sid": sid }]));
    for wrong in [value.as_str(), TOKEN] {
        let refused = send_with(&simulator, wrong).await;
        assert_eq!(refused.status, 401);
        assert!(refused.head.contains("www-authenticate: bearer"), "{}", refused.head);
    }
    let refused = token(&simulator, "wrong").await;
    assert_eq!((refused.status, &refused.json()["error"]), (401, &"invalid_client".into()));
    assert!(refused.head.contains("www-authenticate: basic"), "{}", refused.head);
    let expected = [
        ("token", false),
        ("accept", true),
        ("look-up", false),
        ("refuse", false),
        ("refuse", false),
        ("token-refused", false),
    ];
    assert_eq!(decisions(&simulator.log()), expected);
}

#[tokio::test]
async fn nobody_gets_a_token_when_the_plan_says_so() {
    let simulator = Running::start("[tokens]\nfault = \"error-before\"\n").await;
    assert_eq!(token(&simulator, TOKEN).await.status, 500);
    assert_eq!(decisions(&simulator.log()), [("error-before", false)]);
}
