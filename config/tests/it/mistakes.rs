use insta::assert_snapshot;

use super::load;

/// What is said, with the directory of the file left out.
fn message(toml: &str, environment: &[(&str, &str)]) -> String {
    let text = load(toml, environment).unwrap_err().to_string();
    let lines = text.lines().map(|line| match line.find("/dripline.toml") {
        Some(end) => {
            let begin = line[..end].rfind([' ', '`']).map_or(0, |begin| begin + 1);
            format!("{}{}", &line[..begin], &line[end + 1..])
        }
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn unknown_key_in_a_file() {
    assert_snapshot!(
        message("\n[worker]\n  concurency = 5\n", &[]),
        @"unknown setting `worker.concurency` in dripline.toml:3:3; did you mean `worker.concurrency`?"
    );
}

#[test]
fn unknown_key_in_the_wrong_section() {
    assert_snapshot!(
        message("worker.max_attempts = 5", &[]),
        @"unknown setting `worker.max_attempts` in dripline.toml:1:8; did you mean `worker.retry.max_attempts`?"
    );
}

#[test]
fn unknown_key_like_no_other() {
    assert_snapshot!(
        message("zebra = 5", &[]),
        @"unknown setting `zebra` in dripline.toml:1:1"
    );
}

#[test]
fn unknown_section() {
    assert_snapshot!(
        message("[wroker]\nconcurrency = 5", &[]),
        @"unknown setting `wroker` in dripline.toml:1:2; did you mean `worker`?"
    );
}

#[test]
fn unknown_variable() {
    assert_snapshot!(
        message("", &[("DRIPLINE__TELEMETRY__FROMAT", "json")]),
        @"unknown setting `telemetry.fromat` in environment variable DRIPLINE__TELEMETRY__FROMAT; did you mean `DRIPLINE__TELEMETRY__FORMAT`?"
    );
}

#[test]
fn wrong_type_in_a_file() {
    assert_snapshot!(
        message("[worker]\nconcurrency = \"many\"", &[]),
        @r#"`worker.concurrency` in dripline.toml:2:15 is "many"; a whole number from 1 to 100000 is needed"#
    );
    assert_snapshot!(
        message("telemetry.filter = [1,\n2]", &[]),
        @r"
    `telemetry.filter` in dripline.toml:1:20 is [1,
    2]; a text is needed
    "
    );
}

#[test]
fn a_value_for_a_section() {
    assert_snapshot!(message("worker = 5", &[]), @"`worker` in dripline.toml:1:1 is 5; a table is needed");
}

#[test]
fn out_of_range() {
    assert_snapshot!(
        message("worker.claim_size = 0x_ffff", &[]),
        @"dripline.toml:1:23 is not valid TOML: `_` may only go between digits"
    );
    assert_snapshot!(
        message("worker.claim_size = 0xffff", &[]),
        @"`worker.claim_size` in dripline.toml:1:21 is 0xffff; a whole number from 1 to 10000 is needed"
    );
    assert_snapshot!(
        message("", &[("DRIPLINE__DATABASE__EMBEDDED__PORT", "99999")]),
        @r#"`database.embedded.port` in environment variable DRIPLINE__DATABASE__EMBEDDED__PORT is "99999"; a whole number from 0 to 65535 is needed"#
    );
}

#[test]
fn a_word_among_some() {
    assert_snapshot!(
        message("telemetry.format = 'yaml'", &[]),
        @"`telemetry.format` in dripline.toml:1:20 is 'yaml'; `human` or `json` is needed"
    );
}

#[test]
fn a_column_counts_characters() {
    assert_snapshot!(
        message("cli = { account = \"Ünïcode🐳\", acount = 1 }", &[]),
        @"unknown setting `cli.acount` in dripline.toml:1:31; did you mean `cli.account`?"
    );
}

#[test]
fn not_toml() {
    assert_snapshot!(
        message("[worker]\nconcurrency = = 3", &[]),
        @"dripline.toml:2:15 is not valid TOML: extra `=`"
    );
}

#[test]
fn settings_that_do_not_fit_together() {
    assert_snapshot!(
        message("worker.heartbeat_seconds = 20", &[("DRIPLINE__WORKER__DEAD_AFTER_SECONDS", "25")]),
        @"`worker.dead_after_seconds` in environment variable DRIPLINE__WORKER__DEAD_AFTER_SECONDS is 25; it must be at least twice `worker.heartbeat_seconds`, which is 20 in dripline.toml:1:28"
    );
    assert_snapshot!(
        message("worker.retry.first_seconds = 1000", &[]),
        @"`worker.retry.ceiling_seconds` in the built-in settings is 900; it must be at least `worker.retry.first_seconds`, which is 1000 in dripline.toml:1:30"
    );
    assert_snapshot!(
        message("worker.connections = 15", &[]),
        @"`worker.connections` in dripline.toml:1:22 is 15; it must leave two of `database.max_connections`, which is 16"
    );
}

#[test]
fn a_place_for_carriers_that_is_none() {
    assert_snapshot!(
        message("worker.webhooks.listen = \"8088\"", &[]),
        @r#"`worker.webhooks.listen` in dripline.toml:1:26 is "8088"; an IP address and a port, such as `127.0.0.1:8088`, is needed"#
    );
    assert_snapshot!(
        message("worker.webhooks.public_url = \"http://sms.example.com\"", &[]),
        @r#"`worker.webhooks.public_url` in dripline.toml:1:30 is "http://sms.example.com"; an address like `https://sms.example.com`, without a user, `?` and `#`, is needed"#
    );
    assert_snapshot!(
        message("worker.webhooks.listen = \"127.0.0.1:8088\"", &[]),
        @"`worker.webhooks.listen` in dripline.toml:1:26 is 127.0.0.1:8088, and `worker.webhooks.public_url` is empty; say there how carriers reach it, such as `https://sms.example.com`"
    );
}

#[test]
fn a_password_in_a_file() {
    let message = message("database.url = \"postgres://anna:hunter2@db/x\"", &[]);
    assert!(!message.contains("hunter2"));
    assert_snapshot!(
        message,
        @"`database.url` in dripline.toml:1:16 contains a password, which must not stand in a file; set DATABASE_URL, or write `env:NAME` or `file:/path`"
    );
}

#[test]
fn a_url_that_is_none() {
    let message = message("", &[("DATABASE_URL", "anna:hunter2@db/x")]);
    assert!(!message.contains("hunter2"));
    assert_snapshot!(
        message,
        @"`database.url` in environment variable DATABASE_URL is something else, not shown since it may hold a password; `postgres://user@host:port/name`, `env:NAME` or `file:/path` is needed"
    );
}

#[test]
fn a_reference_that_leads_nowhere() {
    assert_snapshot!(
        message("database.url = 'env:PG'", &[]),
        @"`database.url` in dripline.toml:1:16 cannot be followed: environment variable PG is not set"
    );
    assert_snapshot!(
        message("database.url = 'env:PG'", &[("PG", "mysql://a:hunter2@b")]),
        @"`database.url` in dripline.toml:1:16 refers to env:PG, which is not a URL of the form `postgres://user@host:port/name`, in which special characters are written like `%40`"
    );
}

#[test]
fn all_mistakes_at_once() {
    assert_snapshot!(
        message("worker.poll_ms = 0\nx = 1", &[("DRIPLINE__Y", "1"), ("DRIPLINE__STATEDIR", "/")]),
        @"
    4 settings are wrong:
      - `worker.poll_ms` in dripline.toml:1:18 is 0; a whole number from 10 to 60000 is needed
      - unknown setting `x` in dripline.toml:2:1
      - unknown setting `statedir` in environment variable DRIPLINE__STATEDIR; did you mean `DRIPLINE__STATE_DIR`?
      - unknown setting `y` in environment variable DRIPLINE__Y
    "
    );
}
