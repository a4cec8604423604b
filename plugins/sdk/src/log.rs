//! The plugin's own log lines. The host limits their rate, redacts them, and shows them to the
//! plugin's author; they are no way to pass data on.

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For the plugin's author.
    Debug,
    /// Worth knowing.
    Info,
    /// Something is odd, and the plugin went on.
    Warn,
    /// Something is wrong.
    Error,
}

/// Writes a line to the host's log. Natively, where there is no host, it does nothing.
#[cfg_attr(not(target_family = "wasm"), expect(unused_variables, reason = "there is no host"))]
pub fn write(level: Level, message: &str) {
    #[cfg(target_family = "wasm")]
    crate::edge::log(level, message);
}
