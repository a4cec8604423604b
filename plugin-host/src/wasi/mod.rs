//! The bare parts of WASI that languages' runtimes drag in, made neutral.
//!
//! A guest can print to standard error, which is kept for its error message; everything else tells
//! it nothing: no arguments, no environment, input at its end, a clock that stands still, a random
//! generator with a known seed. What is not listed in [`ALLOWED`] is refused when a plugin is
//! loaded. Functions of allowed interfaces that have no meaning here trap with their name.
//!
//! To allow another interface, add it to [`ALLOWED`] and define in `imports` what must not trap.

mod imports;
mod tail;

use chrono::{DateTime, Utc};

pub(crate) use self::imports::add_to_linker;
use self::tail::Tail;

/// The interfaces that a plugin may import.
const ALLOWED: [&str; 17] = [
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// Whether a plugin may import `name`, such as `wasi:io/streams@0.2.6`.
pub(crate) fn is_allowed(name: &str) -> bool {
    let Some((interface, version)) = name.split_once('@') else { return false };
    ALLOWED.contains(&interface) && version.starts_with("0.2.")
}

/// What one instance sees of the world.
#[derive(Debug)]
pub(crate) struct Neutral {
    /// The end of what it printed, to either stream.
    printed: Tail,
    /// When its batch began. It never moves.
    now: DateTime<Utc>,
    random: u64,
}

impl Neutral {
    pub(crate) fn new(now: DateTime<Utc>) -> Self {
        Self { printed: Tail::default(), now, random: 0 }
    }

    /// When its batch began.
    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.now
    }

    /// Makes everything random depend on `text` alone, so that a call can be repeated exactly.
    pub(crate) fn seed(&mut self, text: &str) {
        // FNV-1a: spreads well enough for a seed.
        self.random = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    }

    /// The last line that it printed.
    pub(crate) fn last_line(&self) -> Option<String> {
        self.printed.last_line()
    }

    /// `SplitMix64`.
    fn next_random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.random;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_listed_interfaces_of_wasi_0_2_are_allowed() {
        for (name, expected) in [
            ("wasi:io/streams@0.2.0", true),
            ("wasi:io/streams@0.2.12", true),
            ("wasi:cli/environment@0.2.6", true),
            ("wasi:io/streams@0.3.0", false),
            ("wasi:io/streams", false),
            ("wasi:filesystem/types@0.2.0", false),
            ("wasi:sockets/tcp@0.2.0", false),
            ("wasi:http/outgoing-handler@0.2.0", false),
            ("evil:io/streams@0.2.0", false),
        ] {
            assert_eq!(is_allowed(name), expected, "{name}");
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_numbers() {
        let numbers = |seed: &str| {
            let mut neutral = Neutral::new(DateTime::UNIX_EPOCH);
            neutral.seed(seed);
            [neutral.next_random(), neutral.next_random()]
        };
        assert_eq!(numbers("a"), numbers("a"));
        assert_ne!(numbers("a"), numbers("b"));
    }
}
