//! The `log` import: what plugins say, within limits.

use wasmtime::component::{Component, HasSelf, Linker};

use crate::bindings::renderer::dripline::plugin::log::{self, Level};
use crate::inspect;
use crate::limits::Limits;
use crate::outcome::masked;
use crate::state::State;

/// Takes what one batch logs.
#[derive(Debug)]
pub(crate) struct LogSink {
    plugin: String,
    lines_left: u32,
    line_bytes: usize,
    dropped: u32,
}

impl LogSink {
    pub(crate) fn new(plugin: &str, limits: &Limits) -> Self {
        Self {
            plugin: plugin.to_owned(),
            lines_left: limits.log_lines,
            line_bytes: limits.log_line_bytes,
            dropped: 0,
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
        match level {
            Level::Debug => tracing::debug!(plugin, "{text}"),
            Level::Info => tracing::info!(plugin, "{text}"),
            Level::Warn => tracing::warn!(plugin, "{text}"),
            // A plugin's own trouble: somebody should look only when messages fail, and those are
            // reported where they fail.
            Level::Error => tracing::warn!(plugin, "{text}"),
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
