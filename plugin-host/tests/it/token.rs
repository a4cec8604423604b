//! Carriers that fetch tokens, and those that do not.

use dripline_plugin_host::egress::{
    Egress, EgressOptions, Grant, RouteRights, Secrets, WireOutcome,
};
use dripline_plugin_host::{
    CallError, Credential, Header, Manifest, Outgoing, PluginError, Request, Response, Settings,
    Token, TokenPlace,
};

use crate::fixtures::host;
use crate::server::{Behaviour, Server};

const TOKENED: &str = "token-carrier";

fn settings(origin: &str, client_in: &str) -> Settings {
    [("client_id", "AC1"), ("api_base", origin), ("client_in", client_in)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn message(text: &str) -> Outgoing {
    Outgoing {
        reference: "in5-7-1".to_owned(),
        sender: "+15550000000".to_owned(),
        recipient: "+15551234567".to_owned(),
        text: text.to_owned(),
        callback_url: None,
    }
}

#[tokio::test]
async fn a_carrier_that_exports_token_names_requests_and_sees_no_token() {
    let host = host(&[TOKENED, "keyed-carrier", "contract-0-1-0"]);
    let able: Vec<_> = host.plugins().iter().map(|p| (p.name.clone(), p.token)).collect();
    let expected = [("contract-0-1-0", false), ("keyed-carrier", false), (TOKENED, true)];
    assert_eq!(able, expected.map(|(name, token)| (name.to_owned(), token)));

    let settings = settings("https://carrier.example", "form");
    let secrets = Secrets::default();
    let request = host.build_token_request(TOKENED, &settings, &secrets).await.unwrap();
    assert_eq!(request.url, "https://carrier.example/tokens/oauth");
    let body = String::from_utf8(request.body.clone()).unwrap();
    assert!(body.contains("client_secret=%7B%7Bsecret%3Aclient_secret%7D%7D"), "{body}");
    assert!(!request.wants_token());

    let messages = vec![message("Hi"), message("my {{token}}"), message("my %7B%7btoken%7D%7D")];
    let built = host.build_requests(TOKENED, &settings, &secrets, messages).await;
    let request = built[0].as_ref().unwrap();
    assert!(request.wants_token());
    assert_eq!(request.credential, Some(Credential::Bearer { secret: "{{token}}".to_owned() }));
    for smuggled in &built[1..] {
        let Err(CallError::Failure(failure)) = smuggled else { panic!("{smuggled:?}") };
        assert_eq!(failure.code, "secret_placeholder");
    }

    // The body would make the plugin say what it says of every refusal, if it saw it.
    let answer =
        |status, body: &str| Response { status, headers: vec![], body: body.as_bytes().to_vec() };
    let place = TokenPlace {
        value: "/access_token".to_owned(),
        expires_in: Some("/expires_in".to_owned()),
    };
    let read = host.read_token_answer(TOKENED, &settings, &answer(200, "{}")).await;
    assert_eq!(read, Ok(place));
    let refused = answer(400, r#"{"error":"invalid_scope"}"#);
    let read = host.read_token_answer(TOKENED, &settings, &refused).await;
    let Err(CallError::Failure(failure)) = read else { panic!("{read:?}") };
    assert_eq!(failure.code, "invalid_scope");
    assert!(failure.is_about_route());
}

#[tokio::test]
async fn where_there_are_no_tokens_the_placeholder_is_words_like_any_other() {
    let host = host(&["keyed-carrier"]);
    let settings = [("account_sid", "AC1"), ("api_base", "https://carrier.example")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let messages = vec![message("my {{token}}")];
    let built =
        host.build_requests("keyed-carrier", &settings, &Secrets::default(), messages).await;
    assert!(built[0].is_ok(), "{built:?}");
    let asked = host.build_token_request("keyed-carrier", &settings, &Secrets::default()).await;
    let error = PluginError::NoToken { plugin: "keyed-carrier".to_owned() };
    assert_eq!(asked, Err(CallError::Plugin(error.clone())));
    assert_eq!(
        error.to_string(),
        "plugin `keyed-carrier` fetches no token, since it exports no `token`"
    );
}

#[tokio::test]
async fn a_token_is_fetched_through_the_door_and_goes_where_it_is_asked_for() {
    let body = r#"{"access_token":"t0k3n/of+the~test","token_type":"Bearer","expires_in":60}"#;
    let server = Server::answering(&format!(
        "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    ))
    .await;
    let (host, origin) = (host(&[TOKENED]), server.origin());
    let settings = settings(&origin, "header");
    let grant = grant(&host.manifest(TOKENED).unwrap(), &settings, &origin);
    let egress = Egress::new(EgressOptions::default());
    let token = host.fetch_token(&egress, TOKENED, &settings, &grant).await.unwrap();
    assert_eq!(token.lifetime().map(|lifetime| lifetime.as_secs()), Some(60));
    let basic = "authorization: Basic QUMxOmh1bnRlcjJodW50ZXIy\r\n";
    assert!(server.requests()[0].contains(basic), "{}", server.requests()[0]);

    let messages = vec![message("Hi")];
    let built = host.build_requests(TOKENED, &settings, grant.secrets(), messages).await;
    let request = built.into_iter().next().unwrap().unwrap();
    let with_token = grant.with_token(&token);
    egress.send(&with_token, request.clone()).await;
    let sent = &server.requests()[1];
    assert!(sent.contains("authorization: Bearer t0k3n/of+the~test\r\n"), "{sent}");

    // Without it nothing leaves, and with it nothing shows.
    let refused = grant.preview(request.clone(), &EgressOptions::default()).unwrap_err();
    assert!(refused.to_string().starts_with("there is no token"), "{refused}");
    let shown = with_token.preview(request, &EgressOptions::default()).unwrap();
    let value = |name: &str| shown.headers.iter().find(|h| h.name == name).unwrap().value.clone();
    assert_eq!(value("authorization"), "Bearer [token]");
    assert!(!format!("{with_token:?}{token:?}").contains("t0k3n"));
}

/// The carrier's manifest says that it wants its client form-encoded, and so it is, where a token is fetched.
#[tokio::test]
async fn a_client_is_form_encoded_where_a_token_is_fetched_and_nowhere_else() {
    let server = Server::start(Behaviour::Echo, "").await;
    let (host, origin) = (host(&[TOKENED]), server.origin());
    let settings = settings(&origin, "header");
    let mut secrets = Secrets::default();
    secrets.insert("client_secret", "hunt:r+2/ %").unwrap();
    let rights = RouteRights {
        allowed_origins: std::slice::from_ref(&origin),
        allow_loopback: true,
        secrets,
        ..RouteRights::default()
    };
    let grant = Grant::new(&host.manifest(TOKENED).unwrap(), &settings, &rights).unwrap();
    let request = host.build_token_request(TOKENED, &settings, grant.secrets()).await.unwrap();
    let egress = Egress::new(EgressOptions::default());
    let outcome = egress.send(&grant, request.clone()).await;
    // AC1:hunt%3Ar%2B2%2F%20%25
    let encoded = "QUMxOmh1bnQlM0FyJTJCMiUyRiUyMCUyNQ==";
    let arrived = &server.requests()[0];
    assert!(arrived.contains(&format!("authorization: Basic {encoded}\r\n")), "{arrived}");

    // What echoes it, and what is shown of it, has nothing of it.
    let WireOutcome::Response(response) = outcome else { panic!("{outcome:?}") };
    let echoed = String::from_utf8_lossy(&response.body).into_owned();
    let shown = grant.preview(request, &EgressOptions::default()).unwrap();
    let shown = shown.headers.iter().find(|h| h.name == "authorization").unwrap().value.clone();
    for text in [echoed, shown] {
        assert!(text.contains("Basic QUMxO[secret client_secret]"), "{text}");
        assert!(!text.contains("h1bnQl"), "{text}");
    }

    let plain = Request {
        method: "POST".to_owned(),
        url: origin,
        headers: vec![],
        body: vec![],
        credential: Some(Credential::Basic {
            user: "AC1".to_owned(),
            password_secret: "client_secret".to_owned(),
        }),
    };
    egress.send(&grant, plain).await;
    let arrived = &server.requests()[1];
    assert!(arrived.contains("authorization: Basic QUMxOmh1bnQ6cisyLyAl\r\n"), "{arrived}");
}

#[tokio::test]
async fn whatever_echoes_a_token_is_blotted_out() {
    let server = Server::start(Behaviour::Echo, "").await;
    let origin = server.origin();
    let host = host(&[TOKENED]);
    let settings = settings(&origin, "header");
    let grant = grant(&host.manifest(TOKENED).unwrap(), &settings, &origin);
    let token = Token::new("t0k3n/of+the~test", None).unwrap();
    let request = Request {
        method: "POST".to_owned(),
        url: format!("{origin}/?t={{{{token}}}}"),
        headers: vec![Header::new("content-type", "application/json")],
        body: br#"{"t":"{{token}}"}"#.to_vec(),
        credential: Some(Credential::Basic {
            user: "AC1".to_owned(),
            password_secret: "{{token}}".to_owned(),
        }),
    };
    let egress = Egress::new(EgressOptions::default());
    let outcome = egress.send(&grant.with_token(&token), request).await;
    let WireOutcome::Response(response) = outcome else { panic!("{outcome:?}") };
    let arrived = &server.requests()[0];
    for expected in [
        "/?t=t0k3n%2Fof%2Bthe~test",
        r#"{"t":"t0k3n/of+the~test"}"#,
        "Basic QUMxOnQwazNuL29mK3RoZX50ZXN0",
    ] {
        assert!(arrived.contains(expected), "{expected} in {arrived}");
    }
    let seen = String::from_utf8_lossy(&response.body).into_owned();
    assert_eq!(seen.matches("[token]").count(), 3, "{seen}");
    for leaked in ["t0k3n", "QwazNu", "0azNuL2"] {
        assert!(!seen.contains(leaked), "{leaked} in {seen}");
    }
}

fn grant(manifest: &Manifest, settings: &Settings, origin: &str) -> Grant {
    let mut secrets = Secrets::default();
    secrets.insert("client_secret", "hunter2hunter2").unwrap();
    let allowed = [origin.to_owned()];
    let rights = RouteRights {
        allowed_origins: &allowed,
        allow_loopback: true,
        secrets,
        ..RouteRights::default()
    };
    Grant::new(manifest, settings, &rights).unwrap()
}
