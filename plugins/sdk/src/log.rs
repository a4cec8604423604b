//! The plugin's own log lines. The host limits their rate, redacts them, and keeps the newest ones for operators, who
//! read them by `dripline plugin logs`; they are no way to pass data on. Never log a message's text, a phone number, a
//! name, or a carrier's answer as a whole: only numbers of seven digits and more are masked.

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
