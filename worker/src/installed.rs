//! Plugins that were installed in the database: loaded before the first message, and again whenever another version
//! comes into force, without a restart. One that does not load leaves the version before it at work.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use dripline_plugin_host::PluginHost;
use dripline_store::plugin::{self, PluginVersion};
use dripline_store::{Pool, StoreError};

/// What became of a plugin's version here.
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
}

/// The versions that were tried last, by name: one that failed is not tried again until another
/// comes, or more is approved of it.
#[derive(Debug, Default)]
pub struct Installed(Mutex<BTreeMap<String, Tried>>);

impl Installed {
    /// Loads what is in force and was not tried yet, and unloads what has gone out of force. Gives what was tried
    /// this time.
    pub async fn sync(&self, pool: &Pool, host: &PluginHost) -> Result<Vec<Tried>, StoreError> {
        let in_force = plugin::in_force(pool).await?;
        for gone in self.forget_others(&in_force) {
            host.unload(&gone);
        }
        let mut tried = Vec::new();
        for version in in_force {
            if self.knows(&version) {
                continue;
            }
            // A version that was replaced just now is gone, and the next run finds the other.
            let Some(component) = plugin::component(pool, &version.name, &version.digest).await?
            else {
                continue;
            };
            let problem = load(host, &version, component).await;
            let PluginVersion { name, digest, permissions: approved, .. } = version;
            let result = Tried { name, digest, approved, problem };
            self.remember(result.clone());
            tried.push(result);
        }
        Ok(tried)
    }

    /// What was tried last, of every plugin.
    pub fn tried(&self) -> Vec<Tried> {
        self.lock().values().cloned().collect()
    }

    fn knows(&self, version: &PluginVersion) -> bool {
        self.lock().get(&version.name).is_some_and(|tried| {
            tried.digest == version.digest && tried.approved == version.permissions
        })
    }

    fn remember(&self, tried: Tried) {
        self.lock().insert(tried.name.clone(), tried);
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

/// Compiles and checks it on a thread that may block. Gives why it could not be loaded.
async fn load(host: &PluginHost, version: &PluginVersion, component: Vec<u8>) -> Option<String> {
    let (loading, version) = (host.clone(), version.clone());
    let name = version.name.clone();
    let loaded = tokio::task::spawn_blocking(move || {
        let PluginVersion { name, digest, permissions, .. } = &version;
        loading.load_approved(name, &component, digest, permissions).map(drop)
    });
    let problem = match loaded.await {
        Ok(Ok(())) => return None,
        Ok(Err(error)) => {
            // The compiler's own words are laid out over many lines.
            let why = format!("{:#}", anyhow::Error::new(error));
            why.split_whitespace().collect::<Vec<_>>().join(" ")
        }
        Err(error) => format!("loading it was cut short: {error}"),
    };
    tracing::warn!(plugin = name, "an installed plugin cannot be loaded: {problem}");
    Some(problem)
}
