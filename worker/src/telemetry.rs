//! Logs, for people or as JSON lines, on standard error.

use std::io::IsTerminal;

use anyhow::Context;
use dripline_config::LogFormat;
use tracing_subscriber::EnvFilter;

/// Sends the process's logs to standard error. `filter` is in the form of
/// `tracing_subscriber::EnvFilter`, for example `info,dripline_worker=debug`.
pub fn start(format: LogFormat, filter: &str) -> anyhow::Result<()> {
    let filter =
        EnvFilter::try_new(filter).with_context(|| format!("read the log filter `{filter}`"))?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let started = match format {
        LogFormat::Human => logs.with_target(false).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!(error)).context("start logging")
}
