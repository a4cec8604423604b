//! The `log` import: what plugins say, within limits.

use std::sync::Arc;

use dripline_domain::ids::RouteId;
use dripline_domain::plugin_log::LogLevel;
use wasmtime::component::{Component, HasSelf, Linker};

use crate::bindings::renderer::dripline::plugin::log::{self, Level};
use crate::inspect;
use crate::limits::Limits;
use crate::outcome::masked;
use crate::state::State;

/// Keeps what plugins log. It is called on the threads that run plugins, once for each batch that said
/// something, and must not wait for anything.
pub trait LogKeeper: std::fmt::Debug + Send + Sync {
    /// Takes what one batch said.
    fn keep(&self, said: Said<'_>);
}

/// What a plugin said in one batch.
#[derive(Debug)]
pub struct Said<'a> {
    /// The plugin.
    pub plugin: &'a str,
    /// Its version, by its digest.
    pub digest: &'a str,
    /// The route that it worked for, where its caller said so ([`crate::PluginHost::on_route`]).
    pub route: Option<RouteId>,
    /// The lines, in their order.
    pub lines: Vec<LogLine>,
    /// How many more lines there were behind them, which the rate limit dropped.
    pub dropped: u64,
}

/// A line: on one line indeed, as short as the limits say, and without anything that looks like a phone number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How grave it is, as the plugin says.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
}

/// Who speaks, and who keeps what is said.
#[derive(Clone, Copy)]
pub(crate) struct Speaker<'a> {
    pub(crate) plugin: &'a str,
    pub(crate) digest: &'a str,
    pub(crate) route: Option<RouteId>,
    pub(crate) keeper: Option<&'a Arc<dyn LogKeeper>>,
}

impl<'a> Speaker<'a> {
    /// Nobody keeps what it says while it is being loaded: whether that worked is known anyway, and why not.
    pub(crate) fn unkept(plugin: &'a str) -> Self {
        Self { plugin, digest: "", route: None, keeper: None }
    }
}

/// Takes what one batch logs.
#[derive(Debug)]
pub(crate) struct LogSink {
    plugin: String,
    lines_left: u32,
    line_bytes: usize,
    dropped: u64,
    /// Who keeps the lines, if anybody does.
    kept: Option<Kept>,
}

/// What is handed over when the batch is done.
#[derive(Debug)]
struct Kept {
    digest: String,
    route: Option<RouteId>,
    keeper: Arc<dyn LogKeeper>,
    lines: Vec<LogLine>,
}

impl LogSink {
    pub(crate) fn new(speaker: Speaker<'_>, limits: &Limits) -> Self {
        let kept = speaker.keeper.map(|keeper| Kept {
            digest: speaker.digest.to_owned(),
            route: speaker.route,
            keeper: Arc::clone(keeper),
            lines: Vec::new(),
        });
        Self {
            plugin: speaker.plugin.to_owned(),
            lines_left: limits.log_lines,
            line_bytes: limits.log_line_bytes,
            dropped: 0,
            kept,
        }
    }

    fn write(&mut self, level: Level, message: &str) {
        if self.lines_left == 0 {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        self.lines_left -= 1;
        let end = message.floor_char_boundary(self.line_bytes);
        let text = masked(&message[..end], self.line_bytes);
        let plugin = &self.plugin;
        let level = match level {
            Level::Debug => LogLevel::Debug,
            Level::Info => LogLevel::Info,
            Level::Warn => LogLevel::Warn,
            Level::Error => LogLevel::Error,
        };
        match level {
            LogLevel::Debug => tracing::debug!(plugin, "{text}"),
            LogLevel::Info => tracing::info!(plugin, "{text}"),
            // A plugin's own trouble: somebody should look only when messages fail, and those are
            // reported where they fail.
            LogLevel::Warn | LogLevel::Error => tracing::warn!(plugin, "{text}"),
        }
        if let Some(kept) = &mut self.kept {
            kept.lines.push(LogLine { level, message: text });
        }
    }
}

impl Drop for LogSink {
    fn drop(&mut self) {
        if self.dropped > 0 {
            tracing::warn!(
                plugin = self.plugin,
                dropped = self.dropped,
                "a plugin logged too much; the rest was dropped"
            );
        }
        if let Some(Kept { digest, route, keeper, lines }) = self.kept.take()
            && (self.dropped > 0 || !lines.is_empty())
        {
            let (plugin, digest) = (self.plugin.as_str(), digest.as_str());
            keeper.keep(Said { plugin, digest, route, lines, dropped: self.dropped });
        }
    }
}

impl log::Host for State {
    fn write(&mut self, level: Level, message: String) {
        self.log.write(level, &message);
    }
}

/// Offers `log` to a plugin under the version that it asks for.
pub(crate) fn add_to_linker(
    linker: &mut Linker<State>,
    component: &Component,
) -> wasmtime::Result<()> {
    for (name, _) in component.component_type().imports(component.engine()) {
        if inspect::contract_interface(name).is_some_and(|(interface, _)| interface == "log") {
            let mut instance = linker.instance(name)?;
            log::add_to_linker_instance::<State, HasSelf<State>>(&mut instance, |state| state)?;
        }
    }
    Ok(())
}
