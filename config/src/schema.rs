//! What every setting may be. `default.toml` has the same keys, which a test ensures.

use std::fmt;
use std::ops::RangeInclusive;

/// One setting.
pub(crate) struct Rule {
    pub(crate) key: &'static str,
    pub(crate) allowed: Allowed,
}

/// What may stand there.
#[derive(Debug)]
pub(crate) enum Allowed {
    /// A whole number within bounds.
    Whole(RangeInclusive<i64>),
    /// One of some words.
    OneOf(&'static [&'static str]),
    /// Any text.
    Text,
    /// A path, taken from the directory of the file it stands in.
    Path,
    /// A database's URL, or where it is kept. Its value is never shown.
    Url,
    /// An address and a port of this machine.
    Listen,
    /// The beginning of the addresses that carriers call.
    PublicUrl,
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(range) => {
                write!(f, "a whole number from {} to {}", range.start(), range.end())
            }
            Self::OneOf(words) => {
                let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
                f.write_str(&words.join(" or "))
            }
            Self::Text => f.write_str("a text"),
            Self::Path => f.write_str("a path"),
            Self::Url => {
                f.write_str("`postgres://user@host:port/name`, `env:NAME` or `file:/path`")
            }
            Self::Listen => f.write_str("an IP address and a port, such as `127.0.0.1:8088`,"),
            Self::PublicUrl => f.write_str(
                "an address like `https://sms.example.com`, without a user, `?` and `#`,",
            ),
        }
    }
}

const DAY_SECONDS: i64 = 24 * 60 * 60;

/// Every setting there is.
pub(crate) const RULES: &[Rule] = &[
    rule("state_dir", Allowed::Path),
    rule("database.url", Allowed::Url),
    whole("database.max_connections", 3, 10_000),
    rule("database.embedded.binaries_dir", Allowed::Path),
    whole("database.embedded.port", 0, 65_535),
    whole("worker.concurrency", 1, 100_000),
    whole("worker.claim_size", 1, 10_000),
    whole("worker.connections", 1, 1_000),
    whole("worker.heartbeat_seconds", 1, 3_600),
    whole("worker.dead_after_seconds", 2, DAY_SECONDS),
    whole("worker.poll_ms", 10, 60_000),
    whole("worker.drain_seconds", 0, 3_600),
    whole("worker.send_timeout_ms", 100, 600_000),
    whole("worker.sweep_seconds", 1, 3_600),
    // With the sweeps' interval it stays below the two minutes after which the audit complains.
    whole("worker.missing_ticket_after_seconds", 1, 90),
    whole("worker.unknown_deadline_hours", 1, 24 * 365),
    whole("worker.database_timeout_seconds", 1, 3_600),
    whole("worker.max_claims", 1, 1_000),
    whole("worker.journal_kib", 1, 1024 * 1024),
    whole("worker.retry.max_attempts", 1, 100),
    whole("worker.retry.first_seconds", 0, DAY_SECONDS),
    whole("worker.retry.ceiling_seconds", 0, DAY_SECONDS),
    whole("worker.breaker.failures", 1, 100_000),
    whole("worker.breaker.cool_down_seconds", 1, DAY_SECONDS),
    whole("worker.breaker.ceiling_seconds", 1, DAY_SECONDS),
    whole("worker.breaker.resume_per_second", 1, 1_000_000),
    rule("worker.webhooks.listen", Allowed::Listen),
    rule("worker.webhooks.public_url", Allowed::PublicUrl),
    whole("worker.webhooks.max_requests", 1, 10_000),
    whole("worker.webhooks.max_body_kib", 1, 10 * 1_024),
    whole("worker.webhooks.timeout_seconds", 1, 60),
    rule("plugins.directory", Allowed::Path),
    rule("plugins.cache_directory", Allowed::Path),
    whole("plugins.file_mib", 1, 1_024),
    whole("plugins.compile_seconds", 1, 3_600),
    whole("plugins.threads", 0, 1_024),
    whole("plugins.max_output_bytes", 1_024, 64 * 1024 * 1024),
    whole("plugins.renderer.memory_mib", 1, 4_096),
    whole("plugins.renderer.deadline_ms", 1, 60_000),
    whole("plugins.carrier.memory_mib", 1, 4_096),
    whole("plugins.carrier.deadline_ms", 1, 60_000),
    rule("telemetry.format", Allowed::OneOf(&["human", "json"])),
    rule("telemetry.filter", Allowed::Text),
    rule("cli.account", Allowed::Text),
];

const fn rule(key: &'static str, allowed: Allowed) -> Rule {
    Rule { key, allowed }
}

const fn whole(key: &'static str, least: i64, most: i64) -> Rule {
    Rule { key, allowed: Allowed::Whole(least..=most) }
}

/// The rule of a key.
pub(crate) fn find(key: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.key == key)
}

/// Whether settings stand below the key.
pub(crate) fn is_section(key: &str) -> bool {
    RULES.iter().any(|rule| rule.key.strip_prefix(key).is_some_and(|rest| rest.starts_with('.')))
}

/// The known key that is most like an unknown one, if one is like it at all. The same last part in
/// another section counts as much, since people forget where a setting belongs.
pub(crate) fn nearest(key: &str) -> Option<&'static str> {
    let last = |key: &str| key.rsplit('.').next().unwrap_or_default().to_owned();
    let likeness = |known: &str| {
        let whole = strsim::normalized_damerau_levenshtein(key, known);
        let part = strsim::normalized_damerau_levenshtein(&last(key), &last(known));
        // The whole name breaks ties between equal last parts.
        whole.max(part * 0.9 + whole * 0.1)
    };
    RULES
        .iter()
        .flat_map(|rule| std::iter::once(rule.key).chain(sections(rule.key)))
        .map(|known| (likeness(known), known))
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .filter(|(likeness, _)| *likeness >= 0.7)
        .map(|(_, key)| key)
}

/// The sections that a setting stands in: of `worker.retry.max_attempts`, the first two parts and the
/// first.
fn sections(key: &'static str) -> impl Iterator<Item = &'static str> {
    key.rmatch_indices('.').map(|(end, _)| &key[..end])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::RULES;

    fn keys(prefix: &str, table: &toml::Table, found: &mut BTreeSet<String>) {
        for (key, value) in table {
            let key = format!("{prefix}{key}");
            match value {
                toml::Value::Table(table) => keys(&format!("{key}."), table, found),
                _ => assert!(found.insert(key)),
            }
        }
    }

    #[test]
    fn the_built_in_file_has_every_setting() {
        let mut documented = BTreeSet::new();
        keys("", &crate::DEFAULTS.parse().unwrap(), &mut documented);
        let known: BTreeSet<_> = RULES.iter().map(|rule| rule.key.to_owned()).collect();
        assert_eq!(documented, known);
    }

    #[test]
    fn every_setting_has_a_comment() {
        let mut before = "";
        for line in crate::DEFAULTS.lines() {
            if line.contains(" = ") && !line.starts_with('#') {
                assert!(before.starts_with('#'), "{line}");
            }
            before = line;
        }
    }
}
