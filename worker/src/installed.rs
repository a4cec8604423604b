//! Plugins that were installed in the database: loaded before the first message, and again whenever another version
//! comes into force, without a restart. Where one does not load, the newest version before it that does is at work.
//!
//! A version goes back to the one that it took the place of, with what was approved of that one; a version that was
//! rolled back is not among these, and does not go on here either. An earlier version may want other settings than the
//! route has by now: then the route is halted, and nothing is lost.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use dripline_domain::clock::Clock;
use dripline_domain::retry::RetryPolicy;
use dripline_plugin_host::{LoadError, PluginHost};
use dripline_store::plugin::{self, PluginVersion};
use dripline_store::{Pool, StoreError};

/// When a version is tried again that only a busy machine kept from being loaded. Its compiler works for nothing each
/// time, and is not the only one.
const AGAIN: RetryPolicy = RetryPolicy {
    max_attempts: u32::MAX,
    first: Duration::from_mins(1),
    ceiling: Duration::from_hours(1),
};

/// What became here of the version of a plugin that is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// The plugin.
    pub name: String,
    /// The version, by its digest.
    pub digest: String,
    /// What was approved of it.
    pub approved: Vec<String>,
    /// Why it could not be loaded. `None`: it runs.
    pub problem: Option<String>,
    /// Which version runs, by its digest: with a problem, an earlier one. `None`: none.
    pub runs: Option<String>,
    again: Option<Again>,
}

/// That it is tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Again {
    /// How often it was in vain.
    failed: u32,
    at: DateTime<Utc>,
}

/// Why a version was not loaded.
struct Failure {
    text: String,
    /// Whether it is the machine's fault, and may be gone later.
    passes: bool,
}

/// The versions that were tried last, by name: one that failed is not tried again until another comes, or more is
/// approved of it, or the machine may be less busy.
#[derive(Debug, Default)]
pub struct Installed(Mutex<BTreeMap<String, Tried>>);

impl Installed {
    /// Loads what is in force and is to be tried, and unloads what has gone out of force. Gives what was tried this
    /// time.
    pub async fn sync(
        &self,
        pool: &Pool,
        host: &PluginHost,
        clock: &dyn Clock,
    ) -> Result<Vec<Tried>, StoreError> {
        let in_force = plugin::in_force(pool).await?;
        for gone in self.forget_others(&in_force) {
            host.unload(&gone);
        }
        let mut tried = Vec::new();
        for version in in_force {
            let last = self.last_try(&version);
            if last.as_ref().is_some_and(|last| last.stands(clock.now())) {
                continue;
            }
            let failure = bring_in(pool, host, &version).await?;
            let runs = running(host, &version.name);
            let failed = last.and_then(|last| last.again).map_or(0, |again| again.failed);
            let result = Tried::new(version, failure, runs, failed, clock.now());
            self.lock().insert(result.name.clone(), result.clone());
            tried.push(result);
        }
        Ok(tried)
    }

    /// What was tried last, of every plugin.
    pub fn tried(&self) -> Vec<Tried> {
        self.lock().values().cloned().collect()
    }

    fn last_try(&self, version: &PluginVersion) -> Option<Tried> {
        let last = self.lock().get(&version.name).cloned()?;
        (last.digest == version.digest && last.approved == version.permissions).then_some(last)
    }

    fn forget_others(&self, in_force: &[PluginVersion]) -> Vec<String> {
        let mut known = self.lock();
        let gone: Vec<String> = known
            .keys()
            .filter(|name| in_force.iter().all(|version| version.name != **name))
            .cloned()
            .collect();
        for name in &gone {
            known.remove(name);
        }
        gone
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Tried>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tried {
    /// Says so in the log, where it failed. `failed` is how often it had failed before.
    fn new(
        version: PluginVersion,
        failure: Option<Failure>,
        runs: Option<String>,
        failed: u32,
        now: DateTime<Utc>,
    ) -> Self {
        let PluginVersion { name, digest, permissions: approved, .. } = version;
        let mut again = None;
        let problem = failure.map(|Failure { text, passes }| {
            let text = if passes {
                let failed = failed.saturating_add(1);
                let pause = AGAIN.bound(failed);
                again = Some(Again { failed, at: now + pause });
                format!("{text}; it is tried again after {} min", pause.as_secs() / 60)
            } else {
                text
            };
            let instead = if runs.is_some() { "an earlier version" } else { "nothing" };
            tracing::warn!(
                plugin = name,
                digest,
                runs,
                "an installed plugin cannot be loaded, and {instead} runs in its place: {text}"
            );
            text
        });
        Self { name, digest, approved, problem, runs, again }
    }

    /// Whether it need not be tried again yet.
    fn stands(&self, now: DateTime<Utc>) -> bool {
        self.again.is_none_or(|again| now < again.at)
    }
}

/// Loads the version in force or, where that fails, the newest before it that loads, unless that one runs already.
/// Gives why the one in force could not be loaded.
async fn bring_in(
    pool: &Pool,
    host: &PluginHost,
    in_force: &PluginVersion,
) -> Result<Option<Failure>, StoreError> {
    let name = &in_force.name;
    let runs = running(host, name);
    let mut failure = None;
    let mut next = Some(in_force.clone());
    while let Some(version) = next {
        if failure.is_some() && runs.as_ref() == Some(&version.digest) {
            return Ok(failure);
        }
        let Err(failed) = load(pool, host, &version).await? else { return Ok(failure) };
        match &mut failure {
            None => failure = Some(failed),
            Some(first) => {
                let Failure { text, passes } = failed;
                tracing::warn!(plugin = name, digest = version.digest, "nor can this: {text}");
                first.passes |= passes;
            }
        }
        next = plugin::before(pool, name, &version.digest).await?;
    }
    // What runs is a file, which stays, or a version that was rolled back: somebody wants it to send nothing more.
    let versions = plugin::versions(pool, name).await?;
    if versions.iter().any(|version| runs.as_ref() == Some(&version.digest)) {
        host.unload(name);
    }
    Ok(failure)
}

/// Which version of a plugin is loaded, by its digest.
fn running(host: &PluginHost, name: &str) -> Option<String> {
    host.plugins().into_iter().find(|plugin| plugin.name == name).map(|plugin| plugin.digest)
}

/// Compiles and checks it on a thread that may block.
async fn load(
    pool: &Pool,
    host: &PluginHost,
    version: &PluginVersion,
) -> Result<Result<(), Failure>, StoreError> {
    let PluginVersion { name, digest, .. } = version;
    let Some(component) = plugin::component(pool, name, digest).await? else {
        return Ok(Err(Failure { text: "its bytes are gone".to_owned(), passes: false }));
    };
    let (loading, version) = (host.clone(), version.clone());
    let loaded = tokio::task::spawn_blocking(move || {
        let PluginVersion { name, digest, permissions, .. } = &version;
        loading.load_approved(name, &component, digest, permissions).map(drop)
    });
    Ok(loaded.await.map_or_else(
        |error| Err(Failure { text: format!("loading it was cut short: {error}"), passes: false }),
        |loaded| loaded.map_err(Failure::from),
    ))
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        let passes = matches!(error, LoadError::CompileTimeout { .. });
        // The compiler's own words are laid out over many lines.
        let why = format!("{:#}", anyhow::Error::new(error));
        Self { text: why.split_whitespace().collect::<Vec<_>>().join(" "), passes }
    }
}
