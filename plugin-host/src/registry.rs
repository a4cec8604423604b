//! The plugins that are loaded, and everything that is checked before one is.
//!
//! To check something more, add a step to `Loader::load` and a variant to [`LoadError`].

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use wasmtime::component::{Component, InstancePre, Linker};

use crate::bindings::{
    carrier::CarrierPluginPre, lookup::LookupPluginPre, renderer::RendererPluginPre,
    token::TokenPluginPre, webhook::WebhookPluginPre,
};
use crate::cache::Cache;
use crate::egress::Secrets;
use crate::engine::Engine;
use crate::error::{LoadError, PluginError};
use crate::inspect;
use crate::limits::Limits;
use crate::log::Speaker;
use crate::manifest::Manifest;
use crate::session::Setting;
use crate::state::State;
use crate::{carrier, keyed, log, renderer, wasi};

/// What a plugin is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PluginKind {
    /// Turns a template and fields into text.
    Renderer,
    /// Says what request sends a message, and what the answer means.
    Carrier,
}

impl fmt::Display for PluginKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Renderer => "renderer",
            Self::Carrier => "carrier",
        })
    }
}

/// A loaded plugin, as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginInfo {
    /// Under which steps and routes name it.
    pub name: String,
    /// What it is for.
    pub kind: PluginKind,
    /// The SHA-256 of its file, in hexadecimal.
    pub digest: String,
    /// The size of its file.
    pub file_bytes: usize,
    /// The version of the contract that it was built for, such as `0.1.2`.
    pub contract: String,
    /// What it says about itself; carriers only.
    pub manifest: Option<Arc<Manifest>>,
    /// Whether it is a carrier that can be asked by our reference: it exports `lookup`.
    pub lookup: bool,
    /// Whether it is a carrier that fetches tokens: it exports `token`.
    pub token: bool,
    /// Whether it is a carrier that reports: it exports `webhook`.
    pub webhook: bool,
    /// The contract's interfaces that it imports, such as `log` and `sign`, sorted.
    pub imports: Vec<String>,
}

impl PluginInfo {
    /// Whether these are the bytes that it was loaded from.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        digest(bytes) == self.digest
    }
}

/// A loaded plugin, ready to be instantiated.
pub(crate) struct Plugin {
    pub(crate) info: PluginInfo,
    pub(crate) ready: Ready,
}

pub(crate) enum Ready {
    Renderer(RendererPluginPre<State>),
    Carrier(CarrierReady),
}

/// A carrier with the further abilities that it has.
pub(crate) struct CarrierReady {
    pub(crate) carrier: CarrierPluginPre<State>,
    pub(crate) lookup: Option<LookupPluginPre<State>>,
    pub(crate) token: Option<TokenPluginPre<State>>,
    pub(crate) webhook: Option<WebhookPluginPre<State>>,
}

impl Ready {
    /// The carrier in it. The registry has checked the kind.
    pub(crate) fn carrier(&self) -> &CarrierReady {
        match self {
            Self::Carrier(ready) => ready,
            Self::Renderer(_) => unreachable!("the registry checked the kind"),
        }
    }

    /// The renderer in it. The registry has checked the kind.
    pub(crate) fn renderer(&self) -> &RendererPluginPre<State> {
        match self {
            Self::Renderer(pre) => pre,
            Self::Carrier(_) => unreachable!("the registry checked the kind"),
        }
    }
}

/// The loaded plugins by name. A plugin that is loaded again replaces the old one; calls under way
/// finish on the old one.
#[derive(Default)]
pub(crate) struct Registry {
    plugins: RwLock<BTreeMap<String, Arc<Plugin>>>,
    changes: AtomicU64,
}

impl Registry {
    pub(crate) fn get(&self, name: &str, kind: PluginKind) -> Result<Arc<Plugin>, PluginError> {
        let plugins = self.plugins.read().unwrap_or_else(PoisonError::into_inner);
        let plugin =
            plugins.get(name).ok_or_else(|| PluginError::NotLoaded { name: name.to_owned() })?;
        if plugin.info.kind != kind {
            return Err(PluginError::WrongKind {
                name: name.to_owned(),
                actual: plugin.info.kind,
                wanted: kind,
            });
        }
        Ok(Arc::clone(plugin))
    }

    pub(crate) fn list(&self) -> Vec<PluginInfo> {
        let plugins = self.plugins.read().unwrap_or_else(PoisonError::into_inner);
        plugins.values().map(|plugin| plugin.info.clone()).collect()
    }

    pub(crate) fn insert(&self, plugin: Plugin) {
        let mut plugins = self.plugins.write().unwrap_or_else(PoisonError::into_inner);
        plugins.insert(plugin.info.name.clone(), Arc::new(plugin));
        self.changes.fetch_add(1, Ordering::Release);
    }

    pub(crate) fn remove(&self, name: &str) -> bool {
        let mut plugins = self.plugins.write().unwrap_or_else(PoisonError::into_inner);
        let removed = plugins.remove(name).is_some();
        self.changes.fetch_add(u64::from(removed), Ordering::Release);
        removed
    }

    /// How often it has changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }
}

/// What loading needs.
pub(crate) struct Loader<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) limits: &'a Limits,
    pub(crate) cache: Option<&'a Cache>,
    pub(crate) now: chrono::DateTime<chrono::Utc>,
}

impl Loader<'_> {
    pub(crate) fn load(&self, name: &str, bytes: &[u8]) -> Result<Plugin, LoadError> {
        inspect::name(name)?;
        if bytes.len() > self.limits.file_bytes {
            return Err(LoadError::TooLarge {
                plugin: name.to_owned(),
                limit_bytes: self.limits.file_bytes,
                actual_bytes: bytes.len(),
            });
        }
        let digest = digest(bytes);
        let component = self.component(name, &digest, bytes)?;
        let exports = inspect::exports(name, &component)?;
        let kind = exports.kind;
        inspect::imports(name, &component)?;
        let ready = self.link(name, &exports, &component)?;
        let manifest = self.self_check(name, kind, &ready)?;
        let info = PluginInfo {
            name: name.to_owned(),
            kind,
            digest,
            file_bytes: bytes.len(),
            contract: exports.contract,
            manifest: manifest.map(Arc::new),
            lookup: exports.lookup,
            token: exports.token,
            webhook: exports.webhook,
            imports: inspect::contract_imports(&component),
        };
        Ok(Plugin { info, ready })
    }

    fn component(&self, name: &str, digest: &str, bytes: &[u8]) -> Result<Component, LoadError> {
        let cached = self.cache.and_then(|cache| cache.get(&self.engine.wasm, digest));
        if let Some(component) = cached {
            return Ok(component);
        }
        let component = self.compile(name, bytes)?;
        if let Some(cache) = self.cache {
            cache.put(digest, &component);
        }
        Ok(component)
    }

    /// Compiles on a thread of its own: a compiler cannot be interrupted, but it can be left behind.
    fn compile(&self, name: &str, bytes: &[u8]) -> Result<Component, LoadError> {
        let (done, compiled) = std::sync::mpsc::channel();
        let (engine, bytes) = (self.engine.wasm.clone(), bytes.to_owned());
        std::thread::Builder::new()
            .name("plugin-compile".to_owned())
            .spawn(move || {
                // Nobody waits any more after the timeout.
                let _ = done.send(Component::from_binary(&engine, &bytes));
            })
            .map_err(|source| LoadError::Read { path: name.into(), source })?;
        let limit = self.limits.compile_timeout;
        match compiled.recv_timeout(limit) {
            Ok(Ok(component)) => Ok(component),
            Ok(Err(error)) => {
                Err(LoadError::Invalid { plugin: name.to_owned(), text: format!("{error:#}") })
            }
            Err(_) => Err(LoadError::CompileTimeout { plugin: name.to_owned(), limit }),
        }
    }

    fn link(
        &self,
        name: &str,
        exports: &inspect::Exports,
        component: &Component,
    ) -> Result<Ready, LoadError> {
        let link = || -> wasmtime::Result<Ready> {
            let mut linker = Linker::<State>::new(&self.engine.wasm);
            log::add_to_linker(&mut linker, component)?;
            if exports.kind == PluginKind::Carrier {
                keyed::add_to_linker(&mut linker, component)?;
            }
            wasi::add_to_linker(&mut linker, component)?;
            let instance: InstancePre<State> = linker.instantiate_pre(component)?;
            Ok(match exports.kind {
                PluginKind::Renderer => Ready::Renderer(RendererPluginPre::new(instance)?),
                PluginKind::Carrier => Ready::Carrier(CarrierReady {
                    carrier: CarrierPluginPre::new(instance.clone())?,
                    lookup: exports
                        .lookup
                        .then(|| LookupPluginPre::new(instance.clone()))
                        .transpose()?,
                    token: exports
                        .token
                        .then(|| TokenPluginPre::new(instance.clone()))
                        .transpose()?,
                    webhook: exports
                        .webhook
                        .then(|| WebhookPluginPre::new(instance))
                        .transpose()?,
                }),
            })
        };
        link().map_err(|error| LoadError::Contract {
            plugin: name.to_owned(),
            host: inspect::CONTRACT_VERSION,
            text: format!("{error:#}"),
        })
    }

    /// The one call that every plugin must stand before messages depend on it.
    fn self_check(
        &self,
        name: &str,
        kind: PluginKind,
        ready: &Ready,
    ) -> Result<Option<Manifest>, LoadError> {
        let setting = Setting {
            engine: self.engine,
            limits: self.limits,
            plugin: name,
            kind,
            now: self.now,
            secrets: &Secrets::default(),
            speaker: Speaker::unkept(name),
        };
        let failed = |source| LoadError::SelfCheck { plugin: name.to_owned(), source };
        match ready {
            Ready::Renderer(pre) => {
                renderer::self_check(setting, pre).map_err(failed)?;
                Ok(None)
            }
            Ready::Carrier(ready) => {
                let said = carrier::describe(setting, &ready.carrier).map_err(failed)?;
                let manifest =
                    carrier::manifest(said).map_err(|text| inspect::wrong_manifest(name, &text))?;
                inspect::manifest(name, &manifest)?;
                Ok(Some(manifest))
            }
        }
    }
}

/// SHA-256 in hexadecimal.
fn digest(bytes: &[u8]) -> String {
    use sha2::Digest as _;
    use std::fmt::Write as _;

    sha2::Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
