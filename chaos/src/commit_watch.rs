//! Finds the COMMIT in what a client says to Postgres.
//!
//! A client sends frames: one octet that names the kind, four that give the length with themselves
//! included, and the content. Only the first ones of a connection have no kind. A COMMIT is a simple
//! query (`Q`), or a statement that was parsed (`P`), bound (`B`) and is then executed (`E`).

use std::collections::BTreeSet;

/// Frames are looked into up to so many octets: a COMMIT is short, and what a portal or a statement is
/// called stands at the beginning.
const LOOKED_AT: usize = 512;

/// The code of a request to speak TLS or GSSAPI, after which the client begins once more.
const ENCRYPTION_REQUESTS: [u32; 2] = [80_877_103, 80_877_104];

/// Follows one connection.
#[derive(Debug, Default)]
pub(crate) struct CommitWatch {
    /// Whether the first frames, which have no kind, are over.
    started: bool,
    /// The beginning of the frame under way.
    head: Vec<u8>,
    /// How much of the frame under way is still to come, once its length is known.
    rest: Option<usize>,
    /// Where the frame under way began, in octets since the watch began.
    frame_begin: u64,
    /// Octets seen.
    seen: u64,
    /// Prepared statements that are a COMMIT.
    statements: BTreeSet<Vec<u8>>,
    /// Whether the portal that was bound last is one.
    bound: bool,
}

/// A COMMIT in what was just said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Commit {
    /// How many octets of the piece stand before it. 0 also when it began in an earlier piece.
    pub(crate) before: usize,
}

impl CommitWatch {
    /// Takes the next piece of what the client says. Gives the first COMMIT that is complete with it.
    pub(crate) fn feed(&mut self, piece: &[u8]) -> Option<Commit> {
        let piece_begin = self.seen;
        let mut found = None;
        let mut left = piece;
        while !left.is_empty() {
            if self.head.is_empty() && self.rest.is_none() {
                self.frame_begin = self.seen;
            }
            let header = if self.started { 5 } else { 4 };
            let rest = if let Some(rest) = self.rest {
                rest
            } else {
                let take = (header - self.head.len()).min(left.len());
                self.take(&mut left, take);
                if self.head.len() < header {
                    break;
                }
                let length: [u8; 4] = self.head[header - 4..].try_into().expect("four octets");
                (u32::from_be_bytes(length) as usize).saturating_sub(4)
            };
            let take = rest.min(left.len());
            self.take(&mut left, take);
            self.rest = Some(rest - take);
            if rest == take {
                if self.is_commit() && found.is_none() {
                    let before = self.frame_begin.saturating_sub(piece_begin);
                    found = Some(Commit { before: usize::try_from(before).unwrap_or(0) });
                }
                self.head.clear();
                self.rest = None;
            }
        }
        found
    }

    fn take(&mut self, left: &mut &[u8], count: usize) {
        let (taken, rest) = left.split_at(count);
        let room = LOOKED_AT.saturating_sub(self.head.len());
        self.head.extend_from_slice(&taken[..count.min(room)]);
        self.seen += count as u64;
        *left = rest;
    }

    /// Looks at a frame that is complete.
    fn is_commit(&mut self) -> bool {
        if !self.started {
            let code = self.head.get(4..8).and_then(|code| code.try_into().ok());
            let code = code.map(u32::from_be_bytes);
            self.started = !code.is_some_and(|code| ENCRYPTION_REQUESTS.contains(&code));
            return false;
        }
        let content = &self.head[5..];
        match self.head[0] {
            b'Q' => is_commit(text(content).0),
            b'P' => {
                let (name, rest) = text(content);
                if is_commit(text(rest).0) {
                    self.statements.insert(name.to_vec());
                } else {
                    self.statements.remove(name);
                }
                false
            }
            b'B' => {
                let (_portal, rest) = text(content);
                self.bound = self.statements.contains(text(rest).0);
                false
            }
            b'E' => std::mem::take(&mut self.bound),
            _ => false,
        }
    }
}

/// A text up to its zero, and what follows.
fn text(content: &[u8]) -> (&[u8], &[u8]) {
    let end = content.iter().position(|octet| *octet == 0).unwrap_or(content.len());
    (&content[..end], content.get(end + 1..).unwrap_or_default())
}

fn is_commit(query: &[u8]) -> bool {
    let query = query.trim_ascii().strip_suffix(b";").unwrap_or(query.trim_ascii());
    query.trim_ascii().eq_ignore_ascii_case(b"commit")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len() + 4).unwrap();
        [&[kind][..], &length.to_be_bytes(), content].concat()
    }

    fn startup(code: u32, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len() + 8).unwrap();
        [&length.to_be_bytes()[..], &code.to_be_bytes(), content].concat()
    }

    fn started() -> CommitWatch {
        let mut watch = CommitWatch::default();
        assert_eq!(watch.feed(&startup(80_877_103, b"")), None);
        assert_eq!(watch.feed(&startup(196_608, b"user\0dripline\0\0")), None);
        watch
    }

    #[test]
    fn a_simple_commit_is_found_where_it_stands() {
        let mut watch = started();
        let query = frame(b'Q', b"SELECT 1\0");
        let piece = [query.clone(), frame(b'Q', b" commit ;\0"), frame(b'X', b"")].concat();
        assert_eq!(watch.feed(&piece), Some(Commit { before: query.len() }));
        assert_eq!(watch.feed(&query), None);
    }

    #[test]
    fn a_commit_in_many_pieces_is_found_with_its_last_octet() {
        let mut watch = started();
        let commit = frame(b'Q', b"COMMIT\0");
        for octet in &commit[..commit.len() - 1] {
            assert_eq!(watch.feed(&[*octet]), None);
        }
        assert_eq!(watch.feed(b"\0"), Some(Commit { before: 0 }));
        assert_eq!(watch.feed(&frame(b'Q', b"COMMITTED\0")), None);
    }

    #[test]
    fn a_prepared_commit_is_found_when_it_is_executed() {
        let mut watch = started();
        assert_eq!(watch.feed(&frame(b'P', b"s1\0COMMIT\0\0\0")), None);
        assert_eq!(watch.feed(&frame(b'P', b"s2\0SELECT 1\0\0\0")), None);
        assert_eq!(watch.feed(&frame(b'B', b"\0s2\0\0\0\0\0\0\0")), None);
        assert_eq!(watch.feed(&frame(b'E', b"\0\0\0\0\0")), None);
        let bind = frame(b'B', b"\0s1\0\0\0\0\0\0\0");
        let piece = [bind.clone(), frame(b'E', b"\0\0\0\0\0"), frame(b'S', b"")].concat();
        assert_eq!(watch.feed(&piece), Some(Commit { before: bind.len() }));
    }

    #[test]
    fn long_frames_are_passed_over() {
        let mut watch = started();
        let mut long = frame(b'Q', &[b"SELECT '", &vec![b'Q'; 100_000][..], b"'\0"].concat());
        long.extend(frame(b'Q', b"COMMIT\0"));
        let commits = long.chunks(777).filter_map(|piece| watch.feed(piece)).count();
        assert_eq!(commits, 1);
    }
}
