//! The APIs of other carriers: what each takes, answers and refuses.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::{Answer, Running, SID, TOKEN, exchange, request};

#[derive(Clone)]
struct Api {
    name: &'static str,
    path: String,
    authorization: String,
    body: Value,
    /// Where the body has the recipient.
    to: &'static str,
    /// Whether numbers are digits alone.
    digits: bool,
    status: u16,
    /// Where the answer has the message's id.
    id: &'static str,
    /// The statuses of a recipient that is no number, and of one that opted out.
    refusals: (u16, u16),
}

fn apis() -> Vec<Api> {
    let basic = format!("Basic {}", STANDARD.encode(format!("{SID}:{TOKEN}")));
    let scheme = |scheme: &str| format!("{scheme} {TOKEN}");
    vec![
        Api {
            name: "telnyx",
            path: "/v2/messages".to_owned(),
            authorization: scheme("Bearer"),
            body: json!({"from": "+12025550100", "to": "+12025550123", "text": "Hi"}),
            to: "/to",
            digits: false,
            status: 200,
            id: "/data/id",
            refusals: (400, 400),
        },
        Api {
            name: "vonage",
            path: "/v1/messages".to_owned(),
            authorization: basic.clone(),
            body: json!({
                "message_type": "text", "channel": "sms", "from": "12025550100",
                "to": "12025550123", "text": "Hi", "client_ref": "in5-1-1",
            }),
            to: "/to",
            digits: true,
            status: 202,
            id: "/message_uuid",
            refusals: (422, 422),
        },
        Api {
            name: "plivo",
            path: format!("/v1/Account/{SID}/Message/"),
            authorization: basic,
            body: json!({"src": "12025550100", "dst": "12025550123", "text": "Hi"}),
            to: "/dst",
            digits: true,
            status: 202,
            id: "/message_uuid/0",
            refusals: (400, 400),
        },
        Api {
            name: "sinch",
            path: format!("/xms/v1/{SID}/batches"),
            authorization: scheme("Bearer"),
            body: json!({
                "from": "+12025550100", "to": ["+12025550123"], "body": "Hi",
                "client_reference": "in5-1-1",
            }),
            to: "/to/0",
            digits: false,
            status: 201,
            id: "/id",
            refusals: (400, 403),
        },
        Api {
            name: "infobip",
            path: "/sms/3/messages".to_owned(),
            authorization: scheme("App"),
            body: json!({"messages": [{
                "sender": "12025550100", "content": {"text": "Hi"},
                "destinations": [{"to": "12025550123", "messageId": "in5-1-1"}],
            }]}),
            to: "/messages/0/destinations/0/to",
            digits: true,
            status: 200,
            id: "/messages/0/messageId",
            refusals: (200, 200),
        },
        Api {
            name: "bird",
            path: format!("/workspaces/{SID}/channels/c1/messages"),
            authorization: scheme("AccessKey"),
            body: json!({
                "receiver": {"contacts": [{"identifierValue": "+12025550123"}]},
                "body": {"type": "text", "text": {"text": "Hi"}}, "reference": "in5-1-1",
            }),
            to: "/receiver/contacts/0/identifierValue",
            digits: false,
            status: 202,
            id: "/id",
            refusals: (400, 400),
        },
    ]
}

impl Api {
    async fn send(&self, simulator: &Running, changes: &[(&'static str, &str)]) -> Answer {
        let mut headers = vec![
            ("authorization", self.authorization.clone()),
            ("content-type", "application/json".to_owned()),
            ("x-dripline-reference", "in5-1-1".to_owned()),
        ];
        let mut body = self.body.clone();
        for (name, value) in changes {
            match headers.iter_mut().find(|(key, _)| key == name) {
                Some(header) => (*value).clone_into(&mut header.1),
                None if *name == "idempotency-key" => headers.push((name, (*value).to_owned())),
                None => *body.pointer_mut(name).expect("a place in the body") = json!(value),
            }
        }
        let request = request("POST", &self.path, &headers, &body.to_string());
        exchange(simulator.address, &request).await.expect("answered")
    }

    /// What a message cannot do without, and the status of one that has not all of it.
    fn required(&self) -> (&'static [&'static str], u16) {
        match self.name {
            "telnyx" => (&["/from", "/to", "/text"], 422),
            "vonage" => (&["/message_type", "/channel", "/from", "/to", "/text"], 422),
            "plivo" => (&["/src", "/dst", "/text"], 400),
            "sinch" => (&["/from", "/to", "/to/0", "/body"], 400),
            "infobip" => (
                &[
                    "/messages",
                    "/messages/0",
                    "/messages/0/sender",
                    "/messages/0/content",
                    "/messages/0/content/text",
                    "/messages/0/destinations",
                    "/messages/0/destinations/0",
                    "/messages/0/destinations/0/to",
                ],
                400,
            ),
            "bird" => (
                &[
                    "/receiver",
                    "/receiver/contacts",
                    "/receiver/contacts/0",
                    "/receiver/contacts/0/identifierValue",
                    "/body",
                    "/body/type",
                    "/body/text",
                    "/body/text/text",
                ],
                400,
            ),
            name => panic!("what does {name} require?"),
        }
    }

    fn number(&self, digits: &str) -> String {
        if self.digits { digits.to_owned() } else { format!("+{digits}") }
    }
}

#[tokio::test]
async fn a_message_is_taken_and_answered_as_each_carrier_does() {
    let simulator = Running::start("").await;
    for (index, api) in apis().iter().enumerate() {
        let answer = api.send(&simulator, &[]).await;
        assert_eq!(answer.status, api.status, "{}: {answer:?}", api.name);
        let id = answer.json().pointer(api.id).and_then(Value::as_str).map(str::to_owned);
        assert!(id.is_some_and(|id| !id.is_empty()), "{}: {answer:?}", api.name);
        let log = simulator.log();
        assert_eq!(log.len(), index + 1);
        let entry = log.last().expect("logged");
        assert!(entry.accepted, "{}: {entry:?}", api.name);
        assert_eq!((&*entry.to, entry.segments), ("+12025550123", 1), "{}", api.name);
        assert_eq!(entry.reference.as_deref(), Some("in5-1-1"), "{}", api.name);
    }
}

#[tokio::test]
async fn what_each_carrier_refuses_is_refused() {
    let simulator = Running::start("").await;
    for api in apis() {
        let check = async |change: (&'static str, &str), status: u16| {
            let answer = api.send(&simulator, &[change]).await;
            assert_eq!(answer.status, status, "{}, {change:?}: {answer:?}", api.name);
        };
        check(("authorization", "Bearer wrong"), 401).await;
        check(("content-type", "application/x-www-form-urlencoded"), 415).await;
        let (no_number, stopped) = api.refusals;
        check((api.to, "nobody"), no_number).await;
        check((api.to, &api.number("15005550004")), stopped).await;
        // The other way of writing a number is not this carrier's.
        let other = if api.digits { "+12025550123" } else { "12025550123" };
        check((api.to, other), no_number).await;
    }
    assert!(simulator.log().iter().all(|entry| !entry.accepted && entry.segments == 0));
    let elsewhere = apis().into_iter().filter(|api| api.path.contains(SID)).map(|api| Api {
        path: api.path.replace(SID, "AC00000000000000000000000000000002"),
        ..api
    });
    for api in elsewhere {
        let answer = api.send(&simulator, &[]).await;
        assert_eq!(answer.status, 404, "{}: {answer:?}", api.name);
    }
}

#[tokio::test]
async fn what_a_message_lacks_is_missed() {
    let simulator = Running::start("").await;
    for api in apis() {
        let (required, status) = api.required();
        for pointer in required {
            let lacking = Api { body: without(&api.body, pointer), ..api.clone() };
            let answer = lacking.send(&simulator, &[]).await;
            assert_eq!(answer.status, status, "{}, {pointer}: {answer:?}", api.name);
            assert!(answer.json().is_object(), "{}, {pointer}: {answer:?}", api.name);
        }
        let empty = Api { body: json!({}), ..api.clone() };
        assert_eq!(empty.send(&simulator, &[]).await.status, status, "{}", api.name);
        let none = Api { body: json!([]), ..api.clone() };
        assert_eq!(none.send(&simulator, &[]).await.status, 400, "{}", api.name);
    }
    assert!(simulator.log().iter().all(|entry| !entry.accepted && entry.segments == 0));
    assert_eq!(simulator.stats().await.accepted, 0);
}

/// The body without what stands at the pointer, which must be there.
fn without(body: &Value, pointer: &str) -> Value {
    let mut body = body.clone();
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let removed = match body.pointer_mut(parent).expect("a parent") {
        Value::Array(items) => Some(items.remove(key.parse().expect("an index"))),
        parent => parent.as_object_mut().expect("an object").remove(key),
    };
    assert!(removed.is_some(), "{pointer}");
    body
}

#[tokio::test]
async fn infobip_rejects_one_message_in_an_answer_that_is_right() {
    let simulator = Running::start("").await;
    let infobip = apis().into_iter().find(|api| api.name == "infobip").expect("listed");
    let answer = infobip.send(&simulator, &[(infobip.to, "15005550009")]).await;
    let status = answer.json()["messages"][0]["status"].clone();
    assert_eq!((answer.status, &status["groupId"], &status["id"]), (200, &json!(5), &json!(52)));
    let log = simulator.log();
    assert_eq!((log[0].accepted, log[0].code), (false, Some(52)));
}

#[tokio::test]
async fn faults_speak_each_carriers_language() {
    let plan = "[[rules]]\nfault = \"throttle\"\nretry_after_seconds = 3\n";
    let simulator = Running::start(plan).await;
    for api in apis() {
        let answer = api.send(&simulator, &[]).await;
        assert_eq!(answer.status, 429, "{}", api.name);
        assert!(answer.head.contains("retry-after: 3"), "{}: {answer:?}", api.name);
        assert!(answer.json().is_object(), "{}: {answer:?}", api.name);
    }
}

#[tokio::test]
async fn what_was_taken_is_found_where_the_carrier_can_be_asked() {
    let simulator = Running::start("").await;
    for (name, query, ids) in [
        ("sinch", format!("/xms/v1/{SID}/batches?client_reference="), "/batches"),
        ("infobip", "/sms/3/logs?messageId=".to_owned(), "/results"),
    ] {
        let api = apis().into_iter().find(|api| api.name == name).expect("listed");
        api.send(&simulator, &[]).await;
        for (reference, count) in [("in5-1-1", 1), ("in5-1-2", 0)] {
            let headers = [("authorization", api.authorization.clone())];
            let asking = request("GET", &format!("{query}{reference}"), &headers, "");
            let answer = exchange(simulator.address, &asking).await.expect("answered");
            let found = answer.json().pointer(ids).and_then(Value::as_array).map(Vec::len);
            assert_eq!((answer.status, found), (200, Some(count)), "{name}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn telnyx_keeps_keys() {
    let simulator = Running::start("").await;
    let telnyx = apis().into_iter().find(|api| api.name == "telnyx").expect("listed");
    let key = ("idempotency-key", "in5-1-0");
    let first = telnyx.send(&simulator, &[key]).await;
    let again = telnyx.send(&simulator, &[key]).await;
    assert_eq!((first.status, again.status), (200, 200));
    assert_eq!(first.json()["data"]["id"], again.json()["data"]["id"]);
    assert_eq!(telnyx.send(&simulator, &[key, ("/text", "Bye")]).await.status, 422);
    assert_eq!(telnyx.send(&simulator, &[("idempotency-key", "no spaces")]).await.status, 400);
    assert_eq!(simulator.stats().await.accepted, 1);
}

#[tokio::test]
async fn refusals_have_the_codes_that_are_documented() {
    let simulator = Running::start("").await;
    let long = "x".repeat(2_001);
    for (name, change, place, code) in [
        ("vonage", ("/to", "15005550004"), "/type", "/messages#1240"),
        ("vonage", ("/channel", "fax"), "/type", "/messages#1400"),
        ("vonage", ("/message_type", "image"), "/type", "/messages#1440"),
        ("vonage", ("/client_ref", &long[..101]), "/type", "/messages#1450"),
        ("vonage", ("content-type", "text/plain"), "/type", "#content-type-header"),
        ("telnyx", ("/to", "+15005550004"), "/errors/0/code", "40300"),
        ("sinch", ("/body", &long), "/code", "syntax_constraint_violation"),
        ("sinch", ("/to/0", "nobody"), "/code", "syntax_invalid_parameter_format"),
        ("infobip", ("/messages/0/content/text", ""), "/errorCode", "E400"),
        ("infobip", ("/messages/0/destinations/0/messageId", &long[..201]), "/errorCode", "E400"),
    ] {
        let api = apis().into_iter().find(|api| api.name == name).expect("listed");
        let answer = api.send(&simulator, &[change]).await.json();
        let found = answer.pointer(place).and_then(Value::as_str).unwrap_or_default();
        assert!(found.ends_with(code), "{name}: {answer}");
    }
    let infobip = apis().into_iter().find(|api| api.name == "infobip").expect("listed");
    for (number, id) in [("nobody", 52), ("15005550004", 14)] {
        let answer = infobip.send(&simulator, &[(infobip.to, number)]).await.json();
        assert_eq!(answer["messages"][0]["status"]["id"], id, "{answer}");
        assert_eq!(answer["messages"][0]["status"]["groupId"], 5, "{answer}");
    }
    assert!(simulator.log().iter().all(|entry| !entry.accepted));
}
