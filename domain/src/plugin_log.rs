//! What plugins say of themselves.

use crate::named::named;

/// How grave a line is, as the plugin that wrote it says. The least grave comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LogLevel {
    /// For the plugin's author.
    Debug,
    /// Worth knowing.
    Info,
    /// Something is odd, and the plugin went on.
    Warn,
    /// Something is wrong.
    Error,
}

named!(LogLevel is "a level" {
    Debug = "debug",
    Info = "info",
    Warn = "warn",
    Error = "error",
});

impl LogLevel {
    /// This level and every graver one.
    pub fn and_graver(self) -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(move |level| *level >= self)
    }
}

#[cfg(test)]
mod tests {
    use super::LogLevel::{self, Debug, Error, Info, Warn};

    #[test]
    fn a_level_stands_for_itself_and_what_is_graver() {
        for (level, expected) in [
            (Debug, &[Debug, Info, Warn, Error] as &[LogLevel]),
            (Warn, &[Warn, Error]),
            (Error, &[Error]),
        ] {
            assert!(level.and_graver().eq(expected.iter().copied()), "{level}");
        }
    }
}
