//! Small pieces of text that many commands print the same way.

use chrono::{DateTime, Utc};

/// An instant, to the second, in UTC.
pub(crate) fn time(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// An instant, or a dash.
pub(crate) fn time_or_dash(instant: Option<DateTime<Utc>>) -> String {
    instant.map_or_else(|| "-".to_owned(), time)
}

/// A number with its noun: `1 contact`, `12 contacts`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// A name as it can be pasted into a shell.
pub(crate) fn shell_word(name: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '@' | ':');
    if !name.is_empty() && !name.starts_with('-') && name.chars().all(plain) {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', r"'\''"))
    }
}

/// The first line of a longer text, cut to `limit` characters.
pub(crate) fn excerpt(text: &str, limit: usize) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    if line.len() == text.trim().len() && line.chars().count() <= limit {
        return line.to_owned();
    }
    let cut: String = line.chars().take(limit.saturating_sub(1)).collect();
    format!("{cut}…")
}

#[cfg(test)]
mod tests {
    use super::{count, excerpt, shell_word};

    #[test]
    fn shell_words_paste_as_one_word() {
        let cases = [
            ("welcome", "welcome"),
            ("+393331234567", "+393331234567"),
            ("spring sale", "'spring sale'"),
            ("it's", r"'it'\''s'"),
            ("-x", "'-x'"),
            ("", "''"),
        ];
        for (name, word) in cases {
            assert_eq!(shell_word(name), word);
        }
    }

    #[test]
    fn excerpts_say_that_they_are_cut() {
        assert_eq!(excerpt("short", 10), "short");
        assert_eq!(excerpt("a longer text", 8), "a longe…");
        assert_eq!(excerpt("two\nlines", 20), "two…");
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!(
            (count(1, "contact"), count(0, "contact")),
            ("1 contact".into(), "0 contacts".into())
        );
    }
}
