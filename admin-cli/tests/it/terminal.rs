//! Whatever stands in the database, a terminal is only ever told printable text.

use crate::session::{Session, WELCOME};

/// Clears the screen, sets the title, hides behind a right-to-left override, uses C1 controls.
const EVIL: &str =
    "\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}txt\u{2066}\u{9b}31m\u{7f}\u{200b}\u{e0041}";

fn assert_harmless(command: &str, text: &str) {
    let bad = text.chars().find(|c| {
        (c.is_control() && *c != '\n')
            || matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{e0041}')
    });
    assert_eq!(bad, None, "{command}: {text:?}");
}

#[tokio::test]
async fn nothing_untrusted_reaches_the_terminal_raw() {
    let session = Session::furnished().await;
    session.file(
        "evil.csv",
        format!("phone,time_zone,name,{EVIL}\n+393331234511,Europe/Rome,{EVIL},x\n"),
    );
    let evil = WELCOME
        .replace("\"welcome\"", "\"evil\"")
        .replace("How is it", r"\u001b[2J\u202e\u009b31m How");
    session.file("evil.toml", evil);
    session.quiet("contact import evil.csv");
    session.quiet("workflow create --file evil.toml");
    session.quiet("enrollment add evil --phone +393331234511 --yes");
    session.sql(&format!("UPDATE workflows SET name = 'evil {EVIL}' WHERE name = 'evil'"));
    session.sql(&format!("UPDATE enrollments SET enrolled_by = '{EVIL}'"));
    session.sql(&format!("UPDATE routes SET sender = '{EVIL}'"));
    session.sql(&format!(
        "INSERT INTO audit_trail (actor, action, subject, created_at) VALUES ('{EVIL}', 'x', 'x', now())"
    ));
    session.sql(&format!(
        "INSERT INTO plugin_logs (plugin, digest, worker_id, level, message, written_at)
         VALUES ('{EVIL}', '{EVIL}', 1, 'info', '{EVIL}', now())"
    ));
    for command in [
        "plugin logs",
        "contact list",
        "contact show +393331234511",
        "workflow list",
        "workflow show 2",
        "workflow export 2",
        "workflow pause 2 --dry-run",
        "workflow pause 2",
        "workflow pause 2 --reason '\u{1b}[2J' --yes",
        "workflow history 2",
        "workflow show '\u{1b}[2J\u{202e}'",
        "workflow create --file '\u{1b}[2J'",
        "contact import '\u{9b}31m'",
        "enrollment list",
        "delivery list",
        "delivery show 1",
        "operation show 1",
        "operation list",
        "ledger",
        "route list",
        "route show main",
        "account create '\u{1b}[2J' --currency EUR",
        "account list",
    ] {
        for format in ["table", "json"] {
            let done = session.quiet(&format!("{command} --output {format}"));
            assert_harmless(command, &done.stdout);
            assert_harmless(command, &done.stderr);
        }
    }
}

#[tokio::test]
async fn json_still_means_what_was_stored() {
    let session = Session::furnished().await;
    session.file("evil.csv", format!("phone,time_zone,name\n+393331234511,Europe/Rome,{EVIL}\n"));
    session.quiet("contact import evil.csv");
    let shown = session.quiet("contact show +393331234511 --output json").json();
    assert_eq!(shown["contact"]["fields"]["name"], EVIL);
}
