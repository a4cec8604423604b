use std::io::Write as _;
use std::path::PathBuf;
use std::process::Stdio;

use dripline_domain::clock::SystemClock;
use dripline_store::ops::{NewPluginVersion, install_plugin};
use dripline_store::{plugin, worker_registry};

use crate::session::{Session, assert_transcript, read};
use crate::token_server::TokenServer;

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
    let limits = "output limit  1024 KiB a call, 256 KiB a request's body, 20 logged lines\n";
    assert!(twilio.stdout.contains(limits), "{}", twilio.stdout);
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

#[test]
fn a_file_is_checked_before_anybody_depends_on_it() {
    let mut session = Session::without_database();
    // Its digest differs from build to build.
    let checked = session.quiet("plugin check plugins/twilio.wasm");
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    for line in [
        "contract      built for dripline:plugin 0.1.2\n",
        "it asks for:\n  to send to the origin that the setting `api_base` names\n",
        "  to have the secret `auth_token` put into its requests\n",
    ] {
        assert!(checked.stdout.contains(line), "{}", checked.stdout);
    }
    session.file("junk.wasm", b"no component");
    // A core module, which cargo makes for other targets, and not a component.
    session.file("core_module.wasm", b"\0asm\x01\0\0\0");
    session.file("empty.wasm", b"\0asm\x0d\0\x01\0");
    session.run("plugin check junk.wasm");
    session.run("plugin check core_module.wasm");
    session.run("plugin check empty.wasm");
    session.run("plugin check nowhere.wasm");
    assert_transcript!(session);
}

#[test]
fn cases_are_run_on_a_component() {
    let mut session = Session::without_database();
    session.environment("DRIPLINE__PLUGINS__CARRIER__DEADLINE_MS", "2000");
    std::fs::create_dir(session.home().join("cases")).unwrap();
    let case = |sid: &str| {
        format!(
            "[settings]\naccount_sid = 'AC1'\n\n[[case]]\nname = 'taken'\n\
             response = {{ status = 201, body = '{{\"sid\": \"SM1\"}}' }}\n\
             accepted = {{ carrier_references = ['{sid}'] }}\n"
        )
    };
    session.file("cases/answers.toml", case("SM1"));
    session.run("plugin test plugins/twilio.wasm");
    session.file("cases/answers.toml", case("SM2"));
    session.run("plugin test plugins/twilio.wasm");
    session.file("cases/answers.toml", "[[case]]\nname = 'taken'\nrespones = 1\n");
    session.run("plugin test plugins/twilio.wasm");
    std::fs::create_dir(session.home().join("none")).unwrap();
    session.run("plugin test plugins/twilio.wasm --cases none");
    assert_transcript!(session);
}

#[test]
fn what_a_carrier_would_send_is_shown_without_its_secrets() {
    let mut session = Session::without_database();
    session.environment("DRIPLINE__PLUGINS__CARRIER__DEADLINE_MS", "2000");
    session.environment("TOKEN", "hunter2hunter2");
    let tried =
        "--to '+1 202 555 0123' --sender +12025550100 --text 'Hi Zoë' --setting account_sid=AC1";
    let shown = session.quiet(&format!("plugin try twilio {tried} --secret auth_token=env:TOKEN"));
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    for line in [
        "carrier `twilio` would send 1 segment by this request:",
        "POST https://api.twilio.com/2010-04-01/Accounts/AC1/Messages.json",
        "authorization: Basic QUMxO[secret auth_token]",
        "To=%2B12025550123&From=%2B12025550100&Body=Hi+Zo%C3%AB",
    ] {
        assert!(shown.stdout.contains(line), "{line}: {}", shown.stdout);
    }
    assert!(!shown.stdout.contains("hunter2"), "{}", shown.stdout);
    let unset = session.quiet(&format!("plugin try plugins/twilio.wasm {tried}"));
    assert!(unset.stdout.contains("authorization: Basic QUMxO[secret auth_token]"), "{unset:?}");
    session.run(&format!("plugin try twilio {tried} --live --yes"));
    session.run(&format!("plugin try twilio {tried} --secret auth_token=hunter2hunter2"));
    session.run(&format!("plugin try twilio {tried} --secret auth_token=env:NOT_SET"));
    session.run("plugin try twilio --to nobody --sender +1 --text Hi");
    session.run("plugin try twilio --to +12025550123 --text Hi");
    session.run("plugin try plugins/template.wasm --to +12025550123 --sender +1 --text Hi");
    session.run(&format!("plugin try twillio {tried}"));
    assert_transcript!(session);
}

/// A component of the tests' own.
fn built(name: &str) -> PathBuf {
    let folder = std::env::var_os("DRIPLINE_TEST_PLUGINS");
    PathBuf::from(folder.expect("`cargo xtask test` says where it has built the plugins"))
        .join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn which_texts_a_carrier_takes_is_shown_and_kept_to() {
    let mut session = Session::furnished().await;
    let brief = built("brief_carrier.wasm");
    std::os::unix::fs::symlink(brief, session.home().join("plugins/brief_carrier.wasm")).unwrap();
    for command in ["plugin check plugins/brief_carrier.wasm", "plugin show brief-carrier"] {
        let shown = session.quiet(command);
        assert!(shown.stdout.contains("texts         gsm7; at most 40 characters\n"), "{shown:?}");
        let shown = session.quiet(&format!("{command} --output json")).json();
        let carrier = &shown["plugin"]["carrier"];
        assert_eq!(carrier["encodings"], serde_json::json!(["gsm7"]));
        assert_eq!(carrier["max_characters"], 40);
    }
    let list = session.quiet("plugin list").stdout;
    let row = |name: &str| list.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let cells: Vec<_> = row("brief-carrier").split_whitespace().map(str::to_owned).collect();
    assert_eq!(cells[..5], ["brief-carrier", "carrier", "0.1.0", "gsm7", "40"]);

    session.run(
        "route add brief --carrier brief-carrier --sender +12025550100 --price-per-segment 0.01 \
         --setting account_sid=AC1 --setting api_base=https://api.example.com \
         --secret auth_token=env:TOKEN",
    );
    session.environment("TOKEN", "hunter2hunter2");
    let long = "x".repeat(41);
    session.run(&format!("route test brief --to +12025550123 --text {long}"));
    session.run("plugin try brief-carrier --route brief --to +12025550123 --text 'Don’t forget'");
    // What everybody would get is refused when it is written, what some would get when they are enrolled.
    for template in ["Don’t forget", "Hi, this is for {{ name }} and longer than it may be"] {
        let step = format!("[[steps]]\nroute = \"brief\"\ntemplate = \"{template}\"\n");
        session.file("brief.toml", format!("name = \"brief\"\n\n{step}"));
        session.run("workflow create --file brief.toml");
    }
    session.run("enrollment add brief --all --dry-run");
    assert_transcript!(session);
}

#[test]
fn a_carrier_that_says_nothing_sensible_of_texts_is_not_taken() {
    let mut session = Session::without_database();
    let sound = std::fs::read(built("hostile_corpus.wasm")).unwrap();
    let marker = b"dripline hostile mode:";
    let place = sound.windows(marker.len()).position(|window| window == marker).unwrap();
    for mode in ["odd-encoding", "no-encoding", "few-characters"] {
        let mut bytes = sound.clone();
        let mode = format!("describe {mode}");
        bytes[place + marker.len()..][..mode.len()].copy_from_slice(mode.as_bytes());
        session.file("hostile_corpus.wasm", bytes);
        session.run("plugin check hostile_corpus.wasm");
        session.run("plugin test hostile_corpus.wasm");
    }
    assert_transcript!(session);
}

#[test]
fn a_message_is_really_tried_only_when_it_is_asked_for() {
    let session = Session::without_database();
    // A port that nobody listens on.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", taken.local_addr().unwrap());
    drop(taken);
    session.file("token", "hunter2hunter2");
    let secret = format!("auth_token=file:{}", session.home().join("token").display());
    let tried = format!(
        "plugin try twilio --to +12025550123 --sender +12025550100 --text Hi --allow-loopback \
         --setting account_sid=AC1 --setting api_base={origin} --secret {secret} --live"
    );
    let unasked = session.quiet(&tried);
    assert_eq!(unasked.code, 4, "{}", unasked.stderr);
    assert!(unasked.stdout.is_empty());
    let sent = session.quiet(&format!("{tried} --yes"));
    assert_eq!(sent.code, 1, "{}", sent.stderr);
    assert!(sent.stdout.contains("outcome: not_sent: connect"), "{}", sent.stdout);
    assert!(!format!("{sent:?}").contains("hunter2"));
}

#[test]
fn a_new_plugin_builds_and_passes_at_once() {
    let mut session = Session::without_database();
    session.environment("DRIPLINE__PLUGINS__CARRIER__DEADLINE_MS", "2000");
    session.environment("DRIPLINE__PLUGINS__RENDERER__DEADLINE_MS", "2000");
    session.with_rust();
    // A build folder that the next run finds again. What is made of the carrier is shown by the tutorial's test.
    let target = concat!(env!("CARGO_TARGET_TMPDIR"), "/scaffold");
    session.environment("CARGO_TARGET_DIR", target);
    for (kind, name) in [("carrier", "acme-sms"), ("renderer", "brackets")] {
        session.run(&format!("plugin new {kind} {name}"));
        session.run(&format!("plugin new {kind} {name}"));
    }
    let tested = session.shell("cargo test --quiet --manifest-path brackets/Cargo.toml").output();
    let tested = read(tested.unwrap());
    assert_eq!(tested.code, 0, "{}{}", tested.stdout, tested.stderr);
    let built = session.quiet("plugin build brackets --output json");
    assert_eq!(built.code, 0, "{}", built.stderr);
    let component = built.json()["component"].as_str().unwrap().to_owned();
    let verdict = session.quiet(&format!("plugin test {component} --cases brackets/cases"));
    assert_eq!(verdict.code, 0, "{}{}", verdict.stdout, verdict.stderr);
    session.run("plugin new carrier Acme");
    session.run("plugin build nowhere");
    assert_transcript!(session);
}

#[tokio::test(flavor = "multi_thread")]
async fn plugins_are_installed_replaced_brought_back_and_removed() {
    let mut session = Session::new().await;
    let built = PathBuf::from(std::env::var_os("DRIPLINE_TEST_PLUGINS").unwrap());
    std::os::unix::fs::symlink(built, session.home().join("built")).unwrap();
    std::fs::remove_file(session.home().join("plugins/twilio.wasm")).unwrap();
    // What asks for nothing needs no approval; what asks for something is not installed without one.
    session.run("plugin install built/plain.wasm");
    session.run("plugin install built/plain.wasm");
    session.run("plugin install built/twilio.wasm --dry-run");
    session.run("plugin install built/twilio.wasm");
    session.run("plugin install built/twilio.wasm --yes");
    let list = session.quiet("plugin list --output json").json();
    let listed = list["plugins"].as_array().unwrap();
    let installed: Vec<_> = listed
        .iter()
        .filter(|plugin| plugin["installed"] == true)
        .map(|plugin| plugin["name"].as_str().unwrap())
        .collect();
    assert_eq!(installed, ["plain", "twilio"]);
    // Another file under a name that is taken by another kind.
    std::fs::copy(session.home().join("built/twilio.wasm"), session.home().join("plain.wasm"))
        .unwrap();
    let refused = session.quiet("plugin install plain.wasm --yes");
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    session.run("plugin rollback plain");
    session.run("plugin rollback nobody");
    session.run("plugin remove nobody");
    // It can be used at once, and not removed while it is.
    session.run("account create acme --currency EUR");
    let added = session.quiet(
        "route add main --carrier twilio --sender +15005550006 --price-per-segment 0.01 \
         --setting account_sid=AC1 --secret auth_token=env:NOWHERE",
    );
    assert_eq!(added.code, 0, "{}", added.stderr);
    session.run("plugin remove twilio");
    session.run("plugin remove plain");
    let gone = session.quiet("plugin show plain");
    assert_eq!(gone.code, 1, "{}", gone.stdout);
    session.run("plugin rollback plain");
    assert_transcript!(session);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_asks_for_more_is_asked_about_again() {
    let session = Session::new().await;
    let built = PathBuf::from(std::env::var_os("DRIPLINE_TEST_PLUGINS").unwrap());
    // Three versions of one name. The second wants one origin more; the third is the second with a note in it.
    let file = |folder: &str, bytes: &[u8]| {
        std::fs::create_dir(session.home().join(folder)).unwrap();
        session.file(&format!("{folder}/twilio.wasm"), bytes);
        format!("{folder}/twilio.wasm")
    };
    let next = std::fs::read(built.join("twilio_next.wasm")).unwrap();
    let first = file("first", &std::fs::read(built.join("twilio.wasm")).unwrap());
    let second = file("second", &next);
    let third = file("third", &[&next[..], b"\0\x05\x04note"].concat());
    let in_force = || session.quiet("plugin show twilio --output json").json()["plugin"].clone();

    assert_eq!(session.quiet(&format!("plugin install {first} --yes")).code, 0);
    let before = in_force();
    for further in ["", " --dry-run"] {
        let asked = session.quiet(&format!("plugin install {second}{further}"));
        assert_eq!(asked.code, if further.is_empty() { 4 } else { 0 }, "{asked:?}");
        let said = format!("{}{}", asked.stdout, asked.stderr);
        // Of all that it asks for, what is new.
        assert_eq!(said.matches("\n  to ").count(), 1, "{said}");
        assert!(said.contains("\n  to send to https://next.twilio.example\n"), "{said}");
        assert_eq!(in_force(), before);
    }
    assert_eq!(session.quiet(&format!("plugin install {second} --yes")).code, 0);
    assert_eq!(in_force()["carrier"]["version"], "2.0.0");
    // No more, and less: nobody is asked.
    for file in [&third, &first] {
        let installed = session.quiet(&format!("plugin install {file}"));
        assert_eq!(installed.code, 0, "{installed:?}");
        assert!(installed.stdout.starts_with("installed carrier `twilio`"), "{installed:?}");
    }
    assert_eq!(in_force(), before);
    // Now it would be more again.
    assert_eq!(session.quiet(&format!("plugin install {third}")).code, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_version_in_force_does_not_load_the_one_before_is_used_and_shown() {
    let session = Session::new().await;
    let (pool, clock) = (session.pool(), &SystemClock);
    let installed = session.quiet("plugin install plugins/twilio.wasm --yes --output json");
    let (first, second) = (installed.json()["digest"].clone(), "ab".repeat(32));
    let first = first.as_str().unwrap();
    let broken = NewPluginVersion {
        name: "twilio",
        kind: "carrier",
        digest: &second,
        version: "2",
        component: b"no component",
        permissions: &[],
    };
    install_plugin(pool, clock, &broken, "ann").await.unwrap();
    for (worker, runs) in [("w1", Some(first)), ("w2", None)] {
        let id = worker_registry::register(pool, clock, worker).await.unwrap().worker_id;
        let problem = Some("it is broken");
        plugin::record_load(pool, clock, id, "twilio", &second, problem, runs).await.unwrap();
    }
    let shown = session.quiet("plugin show twilio");
    assert_eq!(shown.code, 0, "{shown:?}");
    for line in [
        format!("{first}\n"),
        "the version in force cannot be loaded here: plugin `twilio` is not a valid".to_owned(),
        format!("worker w1 cannot load abababababab and runs {}: it is broken\n", &first[..12]),
        "worker w2 cannot load abababababab and runs none: it is broken\n".to_owned(),
    ] {
        assert!(shown.stdout.contains(&line), "{line}: {}", shown.stdout);
    }
    let rolled_back = session.quiet("plugin rollback twilio");
    assert!(rolled_back.stdout.contains(&first[..12]), "{rolled_back:?}");
    let shown = session.quiet("plugin show twilio");
    assert!(!shown.stdout.contains("cannot be loaded here"), "{}", shown.stdout);
}

/// The carrier that wants tokens, which is no bundled one.
fn token_carrier() -> String {
    let built = std::env::var_os("DRIPLINE_TEST_PLUGINS").expect("run `cargo xtask test`");
    PathBuf::from(built).join("token_carrier.wasm").display().to_string()
}

#[test]
fn a_carrier_that_wants_tokens_is_shown_with_the_request_for_one() {
    let mut session = Session::without_database();
    session.environment("DRIPLINE__PLUGINS__CARRIER__DEADLINE_MS", "2000");
    let plugin = token_carrier();
    let checked = session.quiet(&format!("plugin check {plugin}"));
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    for words in ["lookup, token", "tokens", "it never sees it"] {
        assert!(checked.stdout.contains(words), "{words}: {}", checked.stdout);
    }
    let tried = format!(
        "plugin try {plugin} --to +12025550123 --sender +12025550100 --text Hi \
         --setting client_id=AC1 --setting api_base=https://carrier.example"
    );
    let shown = session.quiet(&tried);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    for line in [
        "POST https://carrier.example/tokens/AC1/messages\n",
        "authorization: Bearer [token]\n",
        "and before it, unless it has a token, fetch one by this request:\n",
        "POST https://carrier.example/tokens/oauth\n",
        "authorization: Basic QUMxO[secret client_secret]",
        "grant_type=client_credentials&scope=sms",
    ] {
        assert!(shown.stdout.contains(line), "{line}: {}", shown.stdout);
    }
    assert!(!shown.stdout.contains("not-fetched"), "{}", shown.stdout);
    let json = session.quiet(&format!("{tried} --output json")).json();
    assert_eq!(json["url"], "https://carrier.example/tokens/AC1/messages");
    assert_eq!(json["token"]["url"], "https://carrier.example/tokens/oauth");
}

#[test]
fn a_message_that_is_really_tried_has_a_token_fetched_for_it() {
    let mut session = Session::without_database();
    session.environment("DRIPLINE__PLUGINS__CARRIER__DEADLINE_MS", "2000");
    session.environment("CLIENT_SECRET", "hunter2hunter2");
    let tried = |origin: &str| {
        format!(
            "plugin try {} --to +12025550123 --sender +12025550100 --text Hi --allow-loopback \
             --setting client_id=AC1 --setting api_base={origin} \
             --secret client_secret=env:CLIENT_SECRET --live --yes",
            token_carrier()
        )
    };
    let carrier = TokenServer::start(r#"{"access_token":"t0k3n-of-the-test","expires_in":60}"#);
    let sent = session.quiet(&tried(&carrier.origin));
    assert_eq!(sent.code, 0, "{sent:?}");
    assert!(sent.stdout.contains("outcome: accepted: SM1"), "{}", sent.stdout);
    // The carrier repeats the token, and it is not shown.
    assert!(sent.stdout.contains("x-echo: Bearer [token]"), "{}", sent.stdout);
    assert!(!format!("{sent:?}").contains("t0k3n"), "{sent:?}");
    let asked = carrier.asked();
    assert!(asked[0].starts_with("POST /tokens/oauth "), "{asked:?}");
    assert!(asked[1].contains("authorization: Bearer t0k3n-of-the-test\r\n"), "{asked:?}");

    let carrier = TokenServer::start(r#"{"error":"none"}"#);
    let unsent = session.quiet(&tried(&carrier.origin));
    assert_eq!(unsent.code, 1, "{unsent:?}");
    let words = "the message was not sent: token_unread: no token: the answer has no text at \
                 `/access_token`";
    assert!(unsent.stderr.contains(words), "{}", unsent.stderr);
    assert_eq!(carrier.asked().len(), 1);
}

/// Twilio's carrier, and the same with a note in it, as two versions of one name.
fn two_versions(session: &Session) -> [String; 2] {
    let first = std::fs::read(session.home().join("plugins/twilio.wasm"));
    let first = first.expect("a bundled plugin can be read");
    let second = [&first[..], b"\0\x05\x04note"].concat();
    [("first", first), ("second", second)].map(|(folder, bytes)| {
        std::fs::create_dir(session.home().join(folder)).expect("a folder can be made");
        session.file(&format!("{folder}/twilio.wasm"), bytes);
        format!("{folder}/twilio.wasm")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_never_goes_forward() {
    let session = Session::new().await;
    let digests = two_versions(&session).map(|file| {
        let installed = session.quiet(&format!("plugin install {file} --yes --output json"));
        installed.json()["digest"].as_str().unwrap().to_owned()
    });
    let in_force = || {
        let shown = session.quiet("plugin show twilio --output json").json();
        shown["plugin"]["digest"].as_str().unwrap().to_owned()
    };
    assert_eq!(in_force(), digests[1]);
    assert_eq!(session.quiet("plugin rollback twilio").code, 0);
    assert_eq!(in_force(), digests[0]);
    let refused = session.quiet("plugin rollback twilio");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("no earlier version"), "{refused:?}");
    assert!(refused.stderr.contains("hint: "), "{refused:?}");
    assert_eq!(in_force(), digests[0]);

    // Nobody knows which of two is meant.
    let alike = format!("{}{}", &digests[1][..8], "0".repeat(56));
    session.sql(&format!(
        "INSERT INTO plugin_versions (name, kind, digest, version, component, permissions, installed_at, installed_by)
         SELECT name, kind, '{alike}', version, component, permissions, installed_at, installed_by
         FROM plugin_versions WHERE digest = '{}'",
        digests[1]
    ));
    let refused = session.quiet(&format!("plugin rollback twilio --to {}", &digests[1][..8]));
    assert_eq!(refused.code, 1, "{refused:?}");
    for digest in [&digests[1], &alike] {
        assert!(refused.stderr.contains(&digest[..12]), "{refused:?}");
    }
    assert_eq!(in_force(), digests[0]);
    let chosen = session.quiet(&format!("plugin rollback twilio --to {}", digests[1]));
    assert_eq!(chosen.code, 0, "{chosen:?}");
    assert_eq!(in_force(), digests[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_never_approved_is_asked_about_whoever_installed_it() {
    let session = Session::new().await;
    let file = session.home().join("plugins/twilio.wasm");
    let checked = session.quiet("plugin check plugins/twilio.wasm --output json").json();
    // As a host that knew of fewer permissions stored it.
    let stored = NewPluginVersion {
        name: "twilio",
        kind: "carrier",
        digest: checked["plugin"]["digest"].as_str().unwrap(),
        version: "1",
        component: &std::fs::read(file).unwrap(),
        permissions: &["secret auth_token".to_owned()],
    };
    install_plugin(session.pool(), &SystemClock, &stored, "ann").await.unwrap();
    let approved = || async {
        let versions = plugin::versions(session.pool(), "twilio").await.unwrap();
        versions.into_iter().next().unwrap().permissions
    };
    let asked = session.quiet("plugin install plugins/twilio.wasm");
    assert_eq!(asked.code, 4, "{asked:?}");
    assert!(asked.stderr.contains("  to send to the origin that"), "{asked:?}");
    assert_eq!(approved().await, ["secret auth_token"]);

    let installed = session.quiet("plugin install plugins/twilio.wasm --yes");
    assert_eq!(installed.code, 0, "{installed:?}");
    assert!(installed.stdout.starts_with("approved what carrier `twilio`"), "{installed:?}");
    assert!(!installed.stdout.contains("nobody has approved"), "{installed:?}");
    let all = ["origin {api_base}", "secret account_token", "secret auth_token"];
    assert_eq!(approved().await, all);
    session.sql(
        "DO $$ BEGIN
             ASSERT (SELECT count(*) FROM audit_trail WHERE action = 'plugin.approve') = 1;
         END $$",
    );
    let again = session.quiet("plugin install plugins/twilio.wasm");
    assert_eq!(again.code, 0, "{again:?}");
    assert!(again.stdout.contains("is in force already"), "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_bytes_that_were_checked_are_installed() {
    let session = Session::new().await;
    let built = PathBuf::from(std::env::var_os("DRIPLINE_TEST_PLUGINS").unwrap());
    let component = std::fs::read(built.join("plain.wasm")).unwrap();
    // What is read from a pipe is not there when it is read again.
    let mut command = session.command("plugin install /dev/stdin --yes");
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(&component).unwrap();
    let refused = read(child.wait_with_output().unwrap());
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(refused.stderr.contains("`/dev/stdin` changed while it was read"), "{refused:?}");
    assert_eq!(plugin::in_force(session.pool()).await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_that_a_version_does_not_fit_are_shown_before_it_is_installed() {
    let session = Session::new().await;
    let built = PathBuf::from(std::env::var_os("DRIPLINE_TEST_PLUGINS").unwrap());
    std::fs::create_dir(session.home().join("next")).unwrap();
    let (file, next) = (built.join("twilio_next.wasm"), "next/twilio.wasm");
    std::fs::copy(file, session.home().join(next)).unwrap();
    let twilio = "--carrier twilio --sender +15005550006 --price-per-segment 0.01 \
                  --setting account_sid=AC1 --secret auth_token=env:NOWHERE";
    let base = "--setting api_base=https://api.twilio.com";
    for command in [
        "plugin install plugins/twilio.wasm --yes".to_owned(),
        "account create acme --currency EUR".to_owned(),
        format!("--account acme route add plain {twilio}"),
        "account create other --currency EUR".to_owned(),
        format!("--account other route add narrow {twilio} {base}"),
    ] {
        let done = session.quiet(&command);
        assert_eq!(done.code, 0, "{command}: {done:?}");
    }
    let asked = session.quiet(&format!("plugin install {next}"));
    assert_eq!(asked.code, 4, "{asked:?}");
    let dry = session.quiet(&format!("plugin install {next} --dry-run --output json"));
    let misfits = dry.json()["misfits"].clone();
    let found: Vec<_> = misfits.as_array().unwrap().iter().collect();
    assert_eq!(found.len(), 2, "{misfits}");
    for (misfit, account, route, reason) in [
        (found[0], "acme", "plain", "needs the setting `api_base`"),
        (found[1], "other", "narrow", "does not allow https://next.twilio.example"),
    ] {
        assert_eq!((&misfit["account"], &misfit["route"]), (&account.into(), &route.into()));
        assert!(misfit["reason"].as_str().unwrap().contains(reason), "{misfit}");
        assert!(
            asked.stderr.contains(&format!("route `{route}` of account `{account}`")),
            "{asked:?}"
        );
    }
    // What the version in force asked for already is nobody's news.
    let allowed =
        "--allow-origin https://api.twilio.com --allow-origin https://next.twilio.example";
    for edit in [
        format!("acme route edit plain {base} {allowed}"),
        format!("other route edit narrow {allowed}"),
    ] {
        let done = session.quiet(&format!("--account {edit}"));
        assert_eq!(done.code, 0, "{edit}: {done:?}");
    }
    let dry = session.quiet(&format!("plugin install {next} --dry-run --output json")).json();
    assert_eq!(dry["misfits"], serde_json::json!([]));
    let installed = session.quiet(&format!("plugin install {next} --yes"));
    assert_eq!(installed.code, 0, "{installed:?}");
}
