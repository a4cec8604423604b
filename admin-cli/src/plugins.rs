//! The plugins that commands use: what is installed in the database, and every `*.wasm` of the plugin directory whose
//! name is not taken; loaded when first asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use dripline_config::Settings;
use dripline_domain::clock::{Clock, SystemClock};
use dripline_domain::ids::ContactId;
use dripline_plugin_host::quote::{self, QuoteError};
use dripline_plugin_host::{
    Fields, HostOptions, Limits, LoadError, LogKeeper, Manifest, PluginError, PluginHost,
    PluginInfo, RenderCheckError,
};
use dripline_store::Pool;
use dripline_store::ops::PricedContact;
use dripline_store::plugin::{self, PluginVersion};
use tokio::sync::OnceCell;

pub(crate) use dripline_plugin_host::quote::{QuoteReason, QuoteStep};

use crate::database::Database;
use crate::failure::refuse;
use crate::suggestion::nearest;

/// The plugins of one installation.
#[derive(Debug)]
pub(crate) struct Plugins {
    pub(crate) directory: PathBuf,
    cache_directory: PathBuf,
    threads: Option<usize>,
    limits: Limits,
    database: Arc<Database>,
    loaded: OnceCell<Loaded>,
}

/// What could be loaded, and what could not. One broken file does not spoil the others.
#[derive(Debug)]
struct Loaded {
    host: PluginHost,
    /// Name to why it was not loaded. An earlier version of what is installed may be loaded in its place.
    broken: BTreeMap<String, String>,
    /// Which names are installed in the database.
    installed: BTreeSet<String>,
}

/// What a renderer says about a template.
#[derive(Debug)]
pub(crate) enum TemplateCheck {
    /// It is right, and may say something else to everybody.
    Right,
    /// It is right, and reads nothing of a contact.
    RightForAll,
    /// Line, column (both from 1) and what is wrong there.
    Wrong(Vec<(u32, u32, String)>),
    /// There is no such renderer.
    NoRenderer(String),
}

impl Plugins {
    /// Where they are and what they may use. Loads nothing yet.
    pub(crate) fn new(settings: &Settings, database: Arc<Database>) -> Self {
        let plugins = &settings.plugins;
        let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        let limits = Limits {
            renderer_memory_bytes: bytes(plugins.renderer.memory_bytes()),
            carrier_memory_bytes: bytes(plugins.carrier.memory_bytes()),
            carrier_deadline: plugins.carrier.deadline(),
            render_deadline: plugins.renderer.deadline(),
            output_bytes: plugins.max_output_bytes,
            file_bytes: bytes(plugins.file_bytes()),
            compile_timeout: plugins.compile_timeout(),
            ..Limits::default()
        };
        Self {
            directory: plugins.directory.clone(),
            cache_directory: plugins.cache_directory.clone(),
            threads: plugins.threads,
            limits,
            database,
            loaded: OnceCell::new(),
        }
    }

    /// Every plugin that was loaded, by name.
    pub(crate) async fn list(&self) -> anyhow::Result<Vec<PluginInfo>> {
        Ok(self.loaded().await?.host.plugins())
    }

    /// The host with every plugin that was loaded.
    pub(crate) async fn host(&self) -> anyhow::Result<PluginHost> {
        Ok(self.loaded().await?.host.clone())
    }

    /// The files that could not be loaded, each with why.
    pub(crate) async fn broken(&self) -> anyhow::Result<&BTreeMap<String, String>> {
        Ok(&self.loaded().await?.broken)
    }

    /// Whether a plugin is installed in the database, rather than a file.
    pub(crate) async fn is_installed(&self, name: &str) -> anyhow::Result<bool> {
        Ok(self.loaded().await?.installed.contains(name))
    }

    /// What plugins may use.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// What a carrier says about itself.
    pub(crate) async fn carrier(&self, name: &str) -> anyhow::Result<Arc<Manifest>> {
        let loaded = self.loaded().await?;
        loaded.host.manifest(name).ok_or_else(|| {
            refuse(self.missing(loaded, name, "carrier"))
                .hint("`dripline plugin list` lists what is installed")
                .into()
        })
    }

    /// What a renderer says about a template.
    pub(crate) async fn check_template(
        &self,
        renderer: &str,
        template: &str,
    ) -> anyhow::Result<TemplateCheck> {
        let loaded = self.loaded().await?;
        match loaded.host.check_template(renderer, template).await {
            Ok(fields) if fields.is_empty() => Ok(TemplateCheck::RightForAll),
            Ok(_) => Ok(TemplateCheck::Right),
            Err(RenderCheckError::Problems { problems, .. }) => {
                let problems = problems.into_iter();
                Ok(TemplateCheck::Wrong(problems.map(|p| (p.line, p.column, p.text)).collect()))
            }
            Err(RenderCheckError::Plugin(PluginError::NotLoaded { .. })) => {
                Ok(TemplateCheck::NoRenderer(self.missing(loaded, renderer, "renderer")))
            }
            Err(RenderCheckError::Plugin(error @ PluginError::WrongKind { .. })) => {
                Ok(TemplateCheck::NoRenderer(error.to_string()))
            }
            Err(RenderCheckError::Plugin(error)) => {
                Err(error).with_context(|| format!("check a template with renderer `{renderer}`"))
            }
        }
    }

    /// The exact price of every step for every contact, in their order.
    pub(crate) async fn quote(
        &self,
        steps: &[QuoteStep],
        audience: Vec<(ContactId, Fields)>,
    ) -> anyhow::Result<Vec<Result<PricedContact, QuoteError>>> {
        let host = &self.loaded().await?.host;
        let quotes = quote::quote(host, steps, &audience).await.context("render the messages")?;
        let priced = quotes.into_iter().map(|quote| {
            quote.map(|quote| PricedContact {
                contact_id: quote.contact_id,
                step_segments: quote.step_segments,
                step_micros: quote.step_micros,
            })
        });
        Ok(priced.collect())
    }

    /// A plugin that is not installed, from its file, with a host of its own.
    pub(crate) async fn open(&self, file: &Path) -> anyhow::Result<(PluginHost, PluginInfo)> {
        self.open_with(file, Arc::new(SystemClock), None).await
    }

    /// The same, with another time than the system's, and an ear for what is logged.
    pub(crate) async fn open_with(
        &self,
        file: &Path,
        clock: Arc<dyn Clock>,
        log_keeper: Option<Arc<dyn LogKeeper>>,
    ) -> anyhow::Result<(PluginHost, PluginInfo)> {
        // Not cached: it may be another one after the next build.
        let limits = self.limits.clone();
        let options = HostOptions { limits, clock, log_keeper, ..self.thread_options() };
        let path = file.to_owned();
        tokio::task::spawn_blocking(move || {
            let host = PluginHost::new(options).context("start the plugin host")?;
            match host.load_file(&path) {
                Ok(info) => Ok((host, info)),
                Err(error @ LoadError::Read { .. }) => Err(error.into()),
                Err(error) => {
                    let is_no_component = matches!(error, LoadError::Invalid { .. });
                    let refusal = refuse(in_one_line(error));
                    Err(if is_no_component {
                        refusal.hint("a plugin is a component, as `dripline plugin build` makes it")
                    } else {
                        refusal
                    }
                    .into())
                }
            }
        })
        .await
        .map_err(|error| anyhow!("loading the plugin was cut short: {error}"))?
    }

    async fn loaded(&self) -> anyhow::Result<&Loaded> {
        self.loaded
            .get_or_try_init(|| async {
                let options = HostOptions {
                    limits: self.limits.clone(),
                    cache_directory: Some(self.cache_directory.clone()),
                    clock: Arc::new(SystemClock),
                    ..self.thread_options()
                };
                // Before the host, which makes folders that an embedded server has to be able to enter.
                let pool = if self.database.may_exist() {
                    Some(self.database.pool().await?)
                } else {
                    None
                };
                let host = PluginHost::new(options).context("start the plugin host")?;
                let (broken, installed) = (BTreeMap::new(), BTreeSet::new());
                let mut loaded = Loaded { host, broken, installed };
                if let Some(pool) = pool {
                    for version in plugin::in_force(pool).await? {
                        loaded.add_installed(pool, version).await?;
                    }
                }
                let directory = self.directory.clone();
                blocking(move || loaded.add_files(&directory)).await?
            })
            .await
    }

    fn thread_options(&self) -> HostOptions {
        let default = HostOptions::default();
        let threads = self.threads.and_then(NonZeroUsize::new).unwrap_or(default.threads);
        HostOptions { threads, ..default }
    }

    fn missing(&self, loaded: &Loaded, name: &str, kind: &str) -> String {
        if let Some(why) = loaded.broken.get(name) {
            return format!("{kind} `{name}` cannot be loaded: {why}");
        }
        let plugins = loaded.host.plugins();
        if let Some(other) = plugins.iter().find(|plugin| plugin.name == name) {
            return format!("plugin `{name}` is a {}, not a {kind}", other.kind);
        }
        let names = plugins
            .iter()
            .filter(|plugin| plugin.kind.to_string() == kind)
            .map(|plugin| plugin.name.as_str());
        match nearest(name, names) {
            Some(near) => format!("{kind} `{name}` is not installed; did you mean `{near}`?"),
            None => format!(
                "{kind} `{name}` is neither installed nor a file in {}",
                self.directory.display()
            ),
        }
    }
}

impl Loaded {
    /// Loads the version in force or, as a worker does, the newest before it that loads.
    async fn add_installed(&mut self, pool: &Pool, in_force: PluginVersion) -> anyhow::Result<()> {
        let mut next = Some(in_force);
        while let Some(version) = next {
            self.installed.insert(version.name.clone());
            let bytes = plugin::component(pool, &version.name, &version.digest).await?;
            let (host, bytes, tried) = (self.host.clone(), bytes.unwrap_or_default(), version);
            let (version, loaded) = blocking(move || {
                let PluginVersion { name, digest, permissions, .. } = &tried;
                let loaded = host.load_approved(name, &bytes, digest, permissions);
                (tried, loaded)
            })
            .await?;
            let PluginVersion { name, digest, .. } = version;
            let Err(error) = loaded else { break };
            next = plugin::before(pool, &name, &digest).await?;
            self.broken.entry(name).or_insert_with(|| in_one_line(error));
        }
        Ok(())
    }

    /// Loads the files of a directory whose names are not taken.
    fn add_files(mut self, directory: &Path) -> anyhow::Result<Self> {
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            // Nothing is installed yet.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(self),
            Err(error) => {
                return Err(error).with_context(|| format!("read `{}`", directory.display()));
            }
        };
        for entry in entries {
            let path = entry.with_context(|| format!("read `{}`", directory.display()))?.path();
            if path.extension().is_none_or(|extension| extension != "wasm") {
                continue;
            }
            let name = path.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-");
            if self.installed.contains(&name) {
                continue;
            }
            if let Err(error) = self.host.load_file(&path) {
                self.broken.insert(name, in_one_line(error));
            }
        }
        Ok(self)
    }
}

/// Compiling a plugin takes a second.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> anyhow::Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| anyhow!("loading the plugins was cut short: {error}"))
}

/// The compiler's own words are laid out over many lines.
fn in_one_line(error: LoadError) -> String {
    let why = format!("{:#}", anyhow::Error::new(error));
    why.split_whitespace().collect::<Vec<_>>().join(" ")
}
