//! Where plugins are, and what they may use.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// Where plugins are, and what they may use.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugins {
    /// Where plugin files are looked for.
    pub directory: PathBuf,
    /// Where their compiled forms are kept.
    pub cache_directory: PathBuf,
    /// The largest plugin file, in MiB.
    pub file_mib: u64,
    /// How long compiling one may take.
    pub compile_seconds: u64,
    /// Threads that run plugins; `None` means one for each core.
    #[serde(deserialize_with = "crate::layer::zero_is_none")]
    pub threads: Option<usize>,
    /// What one call may return at most.
    pub max_output_bytes: usize,
    /// Limits of one renderer instance; its deadline is for a batch.
    pub renderer: PluginKindLimits,
    /// Limits of one carrier instance; its deadline is for one call.
    pub carrier: PluginKindLimits,
}

impl Plugins {
    /// The largest plugin file in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.file_mib * MIB
    }

    /// [`Plugins::compile_seconds`] as a duration.
    pub fn compile_timeout(&self) -> Duration {
        Duration::from_secs(self.compile_seconds)
    }
}

/// What one instance of a kind of plugin may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginKindLimits {
    /// Its linear memory, in MiB.
    pub memory_mib: u64,
    /// How long one call may take.
    pub deadline_ms: u64,
}

impl PluginKindLimits {
    /// Its linear memory in bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_mib * MIB
    }

    /// [`PluginKindLimits::deadline_ms`] as a duration.
    pub fn deadline(&self) -> Duration {
        Duration::from_millis(self.deadline_ms)
    }
}

const MIB: u64 = 1024 * 1024;
