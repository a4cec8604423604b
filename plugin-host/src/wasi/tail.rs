//! The end of what a guest printed.

use std::collections::VecDeque;

/// How much is kept.
const KEPT_BYTES: usize = 4 * 1024;

/// The last bytes written to it.
#[derive(Debug, Default)]
pub(super) struct Tail(VecDeque<u8>);

impl Tail {
    pub(super) fn write(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(KEPT_BYTES)..];
        let surplus = (self.0.len() + bytes.len()).saturating_sub(KEPT_BYTES);
        self.0.drain(..surplus);
        self.0.extend(bytes);
    }

    /// The message of the last panic when there is one, else the last line that is not empty.
    pub(super) fn last_line(&self) -> Option<String> {
        let bytes: Vec<u8> = self.0.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        // Rust prints where it panicked, then why, then a note about backtraces.
        let panic = lines.iter().rposition(|line| line.contains("panicked at"));
        match panic {
            Some(index) => {
                Some(lines[index..].iter().take(2).copied().collect::<Vec<_>>().join(" "))
            }
            None => lines.last().map(|line| (*line).to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept() {
        let mut tail = Tail::default();
        assert_eq!(tail.last_line(), None);
        tail.write(&[b'x'; KEPT_BYTES]);
        tail.write(b"\nlast\n\n");
        assert_eq!(tail.last_line().as_deref(), Some("last"));
        assert_eq!(tail.0.len(), KEPT_BYTES);
        tail.write(&[b'y'; 3 * KEPT_BYTES]);
        assert_eq!(tail.0.len(), KEPT_BYTES);
    }

    #[test]
    fn a_panic_is_found_with_its_message() {
        let mut tail = Tail::default();
        tail.write(
            b"\nthread '<unnamed>' panicked at src/lib.rs:1:2:\nno such thing\nnote: run with\n",
        );
        assert_eq!(
            tail.last_line().as_deref(),
            Some("thread '<unnamed>' panicked at src/lib.rs:1:2: no such thing")
        );
    }
}
