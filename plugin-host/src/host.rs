//! The host: plugins by name, and calls that never run on the caller's thread.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use dripline_domain::clock::{Clock, SystemClock};
use dripline_domain::contact::Fields;
use dripline_domain::ids::RouteId;
use futures::future::try_join_all;

use crate::cache::Cache;
use crate::cpu::CpuThreads;
use crate::egress::Secrets;
use crate::engine::Engine;
use crate::error::{HostError, LoadError, PluginError};
use crate::http::{Credential, Request, Response};
use crate::limits::Limits;
use crate::log::{LogKeeper, Speaker};
use crate::manifest::Manifest;
use crate::message::{Accepted, CallError, Outgoing, Question, Settings};
use crate::registry::{CarrierReady, Loader, Plugin, PluginInfo, PluginKind, Registry};
use crate::renderer::{self, RenderCheckError, RenderError};
use crate::session::Setting;
use crate::token::{self, TokenPlace};
use crate::webhook::{self, Heard, Hook, HookError};
use crate::{carrier, lookup};

/// How a host is made.
#[derive(Debug)]
pub struct HostOptions {
    /// What plugins may use.
    pub limits: Limits,
    /// Where compiled plugins are kept; `None` compiles on every start. It must not be readable by
    /// anybody else.
    pub cache_directory: Option<PathBuf>,
    /// Threads that run plugins.
    pub threads: NonZeroUsize,
    /// What plugins are told about the time.
    pub clock: Arc<dyn Clock>,
    /// Keeps what plugins log, beside the process's own log.
    pub log_keeper: Option<Arc<dyn LogKeeper>>,
}

impl Default for HostOptions {
    /// The default limits, no cache, and as many threads as there are processors.
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            cache_directory: None,
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            clock: Arc::new(SystemClock),
            log_keeper: None,
        }
    }
}

/// Loads plugins and calls them. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct PluginHost {
    shared: Arc<Inner>,
    /// For which route it works, if for one: what plugins log is kept with it.
    route: Option<RouteId>,
    /// The carrier that stays the version that it was, whatever is loaded meanwhile.
    held: Option<Arc<Plugin>>,
}

struct Inner {
    engine: Engine,
    limits: Limits,
    cache: Option<Cache>,
    clock: Arc<dyn Clock>,
    threads: CpuThreads,
    registry: Registry,
    /// One plugin is loaded at a time, so that loading needs one instance slot only.
    loading: Mutex<()>,
    log_keeper: Option<Arc<dyn LogKeeper>>,
}

impl std::fmt::Debug for PluginHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PluginHost").field("plugins", &self.plugins()).finish_non_exhaustive()
    }
}

impl PluginHost {
    /// A host without plugins. Starts its threads.
    pub fn new(options: HostOptions) -> Result<Self, HostError> {
        let HostOptions { limits, cache_directory, threads, clock, log_keeper } = options;
        // Each thread has one instance at a time and loading another, so the pool can never be
        // exhausted. One to spare.
        let slots = u32::try_from(threads.get()).unwrap_or(u32::MAX - 2) + 2;
        let engine = Engine::new(&limits, slots)?;
        let cache =
            cache_directory.map(|directory| Cache::open(&directory, &engine.wasm)).transpose()?;
        let threads = CpuThreads::start(threads.get())?;
        let shared = Arc::new(Inner {
            engine,
            limits,
            cache,
            clock,
            threads,
            registry: Registry::default(),
            loading: Mutex::new(()),
            log_keeper,
        });
        Ok(Self { shared, route: None, held: None })
    }

    /// The same host, working for a route: what plugins log is kept with it.
    #[must_use]
    pub fn on_route(&self, route: RouteId) -> Self {
        Self { route: Some(route), ..self.clone() }
    }

    /// The same host, for which this carrier stays the version that it is now, also when another is loaded or it is
    /// unloaded: what is answered to a request must be read by the version that made it. `None` when no carrier of this
    /// name is loaded.
    pub fn holding(&self, carrier: &str) -> Option<Self> {
        let held = self.find(carrier, PluginKind::Carrier).ok()?;
        Some(Self { held: Some(held), ..self.clone() })
    }

    /// Whether the version that it holds is in force still, or it holds none.
    pub fn holds_what_is_in_force(&self) -> bool {
        self.held.as_ref().is_none_or(|held| {
            let in_force = self.shared.registry.get(&held.info.name, held.info.kind);
            in_force.is_ok_and(|in_force| Arc::ptr_eq(held, &in_force))
        })
    }

    fn find(&self, name: &str, kind: PluginKind) -> Result<Arc<Plugin>, PluginError> {
        match &self.held {
            Some(held) if held.info.name == name && held.info.kind == kind => Ok(Arc::clone(held)),
            _ => self.shared.registry.get(name, kind),
        }
    }

    /// What plugins may use.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Loads every `NAME.wasm` of a directory, in the order of their names, under the name of its
    /// file with `_` as `-`. Blocks; compiling takes up to seconds. Stops at the first that fails,
    /// with those before it loaded.
    pub fn load_directory(&self, directory: &Path) -> Result<Vec<PluginInfo>, LoadError> {
        let read = |source| LoadError::Read { path: directory.to_owned(), source };
        let mut paths = std::fs::read_dir(directory)
            .map_err(read)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>, std::io::Error>>()
            .map_err(read)?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "wasm"));
        paths.sort();
        paths.iter().map(|path| self.load_file(path)).collect()
    }

    /// Loads one file under its name with `_` as `-`. Blocks.
    pub fn load_file(&self, path: &Path) -> Result<PluginInfo, LoadError> {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-");
        let read = |source| LoadError::Read { path: path.to_owned(), source };
        // Looked at before it is read: a plugin's file may be anything.
        let size = std::fs::metadata(path).map_err(read)?.len();
        let actual_bytes = usize::try_from(size).unwrap_or(usize::MAX);
        if actual_bytes > self.shared.limits.file_bytes {
            let limit_bytes = self.shared.limits.file_bytes;
            return Err(LoadError::TooLarge { plugin: name, limit_bytes, actual_bytes });
        }
        self.load(&name, &std::fs::read(path).map_err(read)?)
    }

    /// Checks a component and makes it available under `name`, in place of one that had the name.
    /// Calls under way finish on the old one. Blocks. Nothing changes when it fails.
    pub fn load(&self, name: &str, bytes: &[u8]) -> Result<PluginInfo, LoadError> {
        self.load_if(name, bytes, |_| Ok(()))
    }

    fn load_if(
        &self,
        name: &str,
        bytes: &[u8],
        check: impl FnOnce(&PluginInfo) -> Result<(), LoadError>,
    ) -> Result<PluginInfo, LoadError> {
        let inner = &self.shared;
        let _one_at_a_time = inner.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let loader = Loader {
            engine: &inner.engine,
            limits: &inner.limits,
            cache: inner.cache.as_ref(),
            now: inner.clock.now(),
        };
        let plugin = loader.load(name, bytes)?;
        let info = plugin.info.clone();
        check(&info)?;
        inner.registry.insert(plugin);
        tracing::info!(
            plugin = info.name,
            kind = %info.kind,
            digest = info.digest,
            contract = info.contract,
            "plugin loaded"
        );
        Ok(info)
    }

    /// Makes a plugin unavailable. Calls under way finish. Gives whether there was one of that name.
    pub fn unload(&self, name: &str) -> bool {
        let removed = self.shared.registry.remove(name);
        if removed {
            tracing::info!(plugin = name, "plugin unloaded");
        }
        removed
    }

    /// How often plugins have been loaded and unloaded. What was made of a manifest holds while this stays.
    pub fn changes(&self) -> u64 {
        self.shared.registry.changes()
    }

    /// Checks a component as [`PluginHost::load`] does, and that it is the one with this digest and asks for
    /// nothing that is not `approved` (as [`crate::Permission`] is printed), before it takes the place of another.
    /// Blocks. Nothing changes when it fails.
    pub fn load_approved(
        &self,
        name: &str,
        bytes: &[u8],
        digest: &str,
        approved: &[String],
    ) -> Result<PluginInfo, LoadError> {
        self.load_if(name, bytes, |info| {
            if info.digest != digest {
                let (plugin, expected) = (name.to_owned(), digest.to_owned());
                return Err(LoadError::OtherDigest { plugin, expected });
            }
            let asked = info.permissions().into_iter().map(|asked| asked.to_string());
            let more: Vec<String> = asked.filter(|asked| !approved.contains(asked)).collect();
            if more.is_empty() {
                Ok(())
            } else {
                Err(LoadError::NotApproved { plugin: name.to_owned(), permissions: more })
            }
        })
    }

    /// Every loaded plugin, by name.
    pub fn plugins(&self) -> Vec<PluginInfo> {
        self.shared.registry.list()
    }

    /// What a carrier says about itself; `None` when no carrier of this name is loaded.
    pub fn manifest(&self, carrier: &str) -> Option<Arc<Manifest>> {
        self.find(carrier, PluginKind::Carrier).ok()?.info.manifest.clone()
    }

    /// The fields that a template reads, sorted, or what is wrong with it.
    pub async fn check_template(
        &self,
        renderer: &str,
        template: &str,
    ) -> Result<Vec<String>, RenderCheckError> {
        let call = Call::new(self, renderer, PluginKind::Renderer)?;
        let template = template.to_owned();
        self.shared
            .threads
            .run(move || {
                let pre = call.plugin.ready.renderer();
                renderer::check(call.setting(&Secrets::default()), pre, &template)
            })
            .await?
    }

    /// One text per contact, in their order. Large audiences are spread over the threads.
    pub async fn render(
        &self,
        renderer: &str,
        template: Arc<str>,
        audience: Vec<Fields>,
    ) -> Result<Vec<Result<String, RenderError>>, PluginError> {
        self.render_each(renderer, template, audience.into(), |text| text).await
    }

    /// Like [`PluginHost::render`], with `each` applied to every text on the threads that rendered
    /// it.
    pub async fn render_each<T: Send + 'static>(
        &self,
        renderer: &str,
        template: Arc<str>,
        audience: Arc<[Fields]>,
        each: impl Fn(String) -> T + Clone + Send + 'static,
    ) -> Result<Vec<Result<T, RenderError>>, PluginError> {
        let chunk = self.shared.limits.render_chunk.max(1);
        let chunks = (0..audience.len()).step_by(chunk).map(|start| {
            let call = Call::new(self, renderer, PluginKind::Renderer);
            let (template, audience) = (Arc::clone(&template), Arc::clone(&audience));
            let each = each.clone();
            async move {
                let call = call?;
                let end = audience.len().min(start + chunk);
                let render = move || {
                    let secrets = Secrets::default();
                    let pre = call.plugin.ready.renderer();
                    let audience = &audience[start..end];
                    renderer::render(call.setting(&secrets), pre, &template, audience, each)
                };
                self.shared.threads.run(render).await?
            }
        });
        let chunks = try_join_all(chunks).await?;
        Ok(chunks.into_iter().flatten().collect())
    }

    /// The request that would send each message, in their order. One batch must be of one account
    /// and route. With `secrets` the plugin may sign, without seeing them. A failure of the plugin costs only
    /// the message on which it failed, until it fails several times in a row.
    pub async fn build_requests(
        &self,
        carrier: &str,
        settings: &Settings,
        secrets: &Secrets,
        messages: Vec<Outgoing>,
    ) -> Vec<Result<Request, CallError>> {
        let count = messages.len();
        let settings = settings.clone();
        self.call_carrier(carrier, count, secrets, move |setting, ready| {
            carrier::build_requests(setting, ready, &settings, &messages)
        })
        .await
    }

    /// What each answer means, in their order. One batch must be of one account and route.
    pub async fn read_responses(
        &self,
        carrier: &str,
        settings: &Settings,
        responses: Vec<Response>,
    ) -> Vec<Result<Accepted, CallError>> {
        let count = responses.len();
        let settings = settings.clone();
        self.call_carrier(carrier, count, &Secrets::default(), move |setting, ready| {
            carrier::read_responses(setting, &ready.carrier, &settings, &responses)
        })
        .await
    }

    /// What each request that a carrier made to us tells, in their order. One batch must be of one account
    /// and route, and its carrier one that reports ([`PluginInfo::webhook`]). With `secrets` the plugin
    /// checks signatures, without seeing them; what nothing has proved is rejected.
    pub async fn read_hooks(
        &self,
        carrier: &str,
        settings: &Settings,
        secrets: &Secrets,
        hooks: Vec<Hook>,
    ) -> Vec<Result<Heard, HookError>> {
        let count = hooks.len();
        let settings = settings.clone();
        let unsigned = self.manifest(carrier).is_some_and(|m| m.believes_unsigned(&settings));
        let read = self.call_carrier(carrier, count, secrets, move |setting, ready| {
            let webhook = ready.webhook.as_ref();
            webhook::read_hooks(setting, webhook, unsigned, &settings, &hooks)
        });
        read.await
    }

    /// The request that would ask about each message, in their order. One batch must be of one account
    /// and route, and its carrier one that can be asked ([`PluginInfo::lookup`]).
    pub async fn build_questions(
        &self,
        carrier: &str,
        settings: &Settings,
        secrets: &Secrets,
        questions: Vec<Question>,
    ) -> Vec<Result<Request, CallError>> {
        let count = questions.len();
        let settings = settings.clone();
        self.call_carrier(carrier, count, secrets, move |setting, ready| {
            lookup::build_questions(setting, ready, &settings, &questions)
        })
        .await
    }

    /// What each answer to a question means, in their order: the carrier took the message, or it did not.
    /// One batch must be of one account and route.
    pub async fn read_findings(
        &self,
        carrier: &str,
        settings: &Settings,
        answers: Vec<(Question, Response)>,
    ) -> Vec<Result<Option<Accepted>, CallError>> {
        let count = answers.len();
        let settings = settings.clone();
        self.call_carrier(carrier, count, &Secrets::default(), move |setting, ready| {
            lookup::read_findings(setting, ready.lookup.as_ref(), &settings, &answers)
        })
        .await
    }

    /// The request that would fetch a token for a route of a carrier that wants one ([`PluginInfo::token`]). With
    /// `secrets` the plugin may sign, without seeing them.
    pub async fn build_token_request(
        &self,
        carrier: &str,
        settings: &Settings,
        secrets: &Secrets,
    ) -> Result<Request, CallError> {
        let settings = settings.clone();
        let built = self.call_carrier(carrier, 1, secrets, move |setting, ready| {
            vec![token::build_request(setting, ready.token.as_ref(), &settings)]
        });
        let mut request = built.await.pop().unwrap_or(Err(PluginError::HostStopped.into()))?;
        if self.manifest(carrier).is_some_and(|manifest| manifest.encodes_client()) {
            request.credential = request.credential.map(Credential::form_encoded);
        }
        Ok(request)
    }

    /// Where an answer has the token, or why there is none. The plugin is shown nothing that could hold a token.
    pub async fn read_token_answer(
        &self,
        carrier: &str,
        settings: &Settings,
        response: &Response,
    ) -> Result<TokenPlace, CallError> {
        let (settings, shown) = (settings.clone(), token::shown(response));
        let secrets = Secrets::default();
        let read = self.call_carrier(carrier, 1, &secrets, move |setting, ready| {
            vec![token::read_answer(setting, ready.token.as_ref(), &settings, &shown)]
        });
        read.await.pop().unwrap_or(Err(PluginError::HostStopped.into()))
    }

    /// Whether this is a loaded carrier that fetches tokens.
    pub fn fetches_tokens(&self, carrier: &str) -> bool {
        self.find(carrier, PluginKind::Carrier).is_ok_and(|plugin| plugin.info.token)
    }

    async fn call_carrier<T, E>(
        &self,
        carrier: &str,
        count: usize,
        secrets: &Secrets,
        call_batch: impl FnOnce(Setting<'_>, &CarrierReady) -> Vec<Result<T, E>> + Send + 'static,
    ) -> Vec<Result<T, E>>
    where
        T: Send + 'static,
        E: From<PluginError> + Send + 'static,
    {
        if count == 0 {
            return Vec::new();
        }
        let secrets = secrets.clone();
        let run = async {
            let call = Call::new(self, carrier, PluginKind::Carrier)?;
            let batch = move || call_batch(call.setting(&secrets), call.plugin.ready.carrier());
            self.shared.threads.run(batch).await
        };
        match run.await {
            Ok(results) => results,
            Err(error) => (0..count).map(|_| Err(error.clone().into())).collect(),
        }
    }

    /// How many threads run plugins.
    pub fn threads(&self) -> usize {
        self.shared.threads.count()
    }
}

/// What a job on the plugin threads owns. It holds the plugin as it was when the call began.
struct Call {
    host: Arc<Inner>,
    plugin: Arc<Plugin>,
    route: Option<RouteId>,
    now: chrono::DateTime<chrono::Utc>,
}

impl Call {
    fn new(host: &PluginHost, name: &str, kind: PluginKind) -> Result<Self, PluginError> {
        let plugin = host.find(name, kind)?;
        let now = host.shared.clock.now();
        Ok(Self { host: Arc::clone(&host.shared), plugin, route: host.route, now })
    }

    fn setting<'a>(&'a self, secrets: &'a Secrets) -> Setting<'a> {
        Setting {
            engine: &self.host.engine,
            limits: &self.host.limits,
            plugin: &self.plugin.info.name,
            kind: self.plugin.info.kind,
            now: self.now,
            secrets,
            speaker: Speaker {
                plugin: &self.plugin.info.name,
                digest: &self.plugin.info.digest,
                route: self.route,
                keeper: self.host.log_keeper.as_ref(),
            },
        }
    }
}
