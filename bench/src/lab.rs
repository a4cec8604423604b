//! What every bench uses: a server, the time, and the plugins.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use dripline_domain::clock::{Clock, SystemClock};
use dripline_plugin_host::{HostOptions, PluginHost};

use crate::server::Server;

/// What every bench uses.
#[derive(Debug)]
pub(crate) struct Lab {
    /// The server that is measured.
    pub(crate) server: Server,
    /// The machine's clock.
    pub(crate) clock: Arc<dyn Clock>,
    /// The plugins.
    pub(crate) plugins: PluginHost,
}

impl Lab {
    /// Starts a server and loads the plugins of `directory`.
    pub(crate) async fn open(directory: &Path) -> anyhow::Result<Self> {
        let plugins = PluginHost::new(HostOptions::default())?;
        // The bundled ones that are measured, and one that does harm, for what it costs the others.
        for name in ["template.wasm", "twilio.wasm", "hostile_corpus.wasm"] {
            let path = directory.join(name);
            plugins.load_file(&path).with_context(|| format!("load {}", path.display()))?;
        }
        Ok(Self { server: Server::start().await?, clock: Arc::new(SystemClock), plugins })
    }
}
