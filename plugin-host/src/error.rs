//! How plugins fail. Every limit is named with its number.

use std::path::PathBuf;
use std::time::Duration;

use crate::registry::PluginKind;

/// A plugin failed while it was called. The host is unharmed and the instance is gone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// No plugin of this name is loaded.
    #[error("no plugin `{name}` is loaded")]
    NotLoaded {
        /// The name asked for.
        name: String,
    },
    /// A renderer was used as a carrier, or the other way round.
    #[error("plugin `{name}` is a {actual}, not a {wanted}")]
    WrongKind {
        /// The plugin.
        name: String,
        /// What it is.
        actual: PluginKind,
        /// What was needed.
        wanted: PluginKind,
    },
    /// It ran too long.
    #[error("plugin `{plugin}` used more than its {} ms in `{function}`", .limit.as_millis())]
    Deadline {
        /// The plugin.
        plugin: String,
        /// The function called.
        function: &'static str,
        /// The time it had.
        limit: Duration,
    },
    /// It wanted more memory than it may have.
    #[error(
        "plugin `{plugin}` failed in `{function}`: memory limit {}, wanted {}",
        mebibytes(*.limit_bytes),
        tenths(*.wanted_bytes)
    )]
    Memory {
        /// The plugin.
        plugin: String,
        /// The function called.
        function: &'static str,
        /// What it may have.
        limit_bytes: usize,
        /// What it asked for.
        wanted_bytes: usize,
    },
    /// It wanted a larger table than it may have.
    #[error(
        "plugin `{plugin}` failed in `{function}`: table limit {limit} elements, wanted {wanted}"
    )]
    Table {
        /// The plugin.
        plugin: String,
        /// The function called.
        function: &'static str,
        /// What it may have.
        limit: usize,
        /// What it asked for.
        wanted: usize,
    },
    /// It recursed too deeply.
    #[error("plugin `{plugin}` used up its call stack of {} in `{function}`", kibibytes(*.limit_bytes))]
    Stack {
        /// The plugin.
        plugin: String,
        /// The function called.
        function: &'static str,
        /// What it may have.
        limit_bytes: usize,
    },
    /// It handed the host more than it may in one call.
    #[error(
        "plugin `{plugin}` returned more than {} from `{function}`",
        mebibytes(*.limit_bytes)
    )]
    Output {
        /// The plugin.
        plugin: String,
        /// The function called.
        function: &'static str,
        /// What one call may return.
        limit_bytes: usize,
    },
    /// One part of what it returned is too large.
    #[error("plugin `{plugin}` returned a {what} of {actual} bytes; the limit is {limit}")]
    TooLarge {
        /// The plugin.
        plugin: String,
        /// Which part.
        what: &'static str,
        /// Its limit in bytes.
        limit: usize,
        /// Its size in bytes.
        actual: usize,
    },
    /// It answered for another number of contacts than it was asked about.
    #[error("plugin `{plugin}` returned {actual} texts for {wanted} contacts")]
    WrongCount {
        /// The plugin.
        plugin: String,
        /// Contacts given.
        wanted: usize,
        /// Texts returned.
        actual: usize,
    },
    /// It trapped: a panic, an invalid access, a forbidden call.
    #[error("plugin `{plugin}` trapped in `{function}`: {message}")]
    Trap {
        /// The plugin.
        plugin: String,
        /// The function called.
        function: &'static str,
        /// What happened, with the last line of its standard error when there is one. Digits that
        /// may be phone numbers are masked.
        message: String,
    },
    /// It failed so often in a row that the rest of the batch was not tried.
    #[error(
        "plugin `{plugin}` failed {in_a_row} times in a row; the rest of the batch was not tried"
    )]
    Failing {
        /// The plugin.
        plugin: String,
        /// How often.
        in_a_row: u32,
    },
    /// It was asked about a message, and has no such ability.
    #[error("plugin `{plugin}` cannot be asked, since it exports no `lookup`")]
    NoLookup {
        /// The plugin.
        plugin: String,
    },
    /// It was to fetch a token, and has no such ability.
    #[error("plugin `{plugin}` fetches no token, since it exports no `token`")]
    NoToken {
        /// The plugin.
        plugin: String,
    },
    /// The host's threads have stopped.
    #[error("the plugin host has stopped")]
    HostStopped,
}

impl PluginError {
    /// A stable code for programs, such as `plugin_memory`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotLoaded { .. } => "plugin_not_loaded",
            Self::WrongKind { .. } => "plugin_wrong_kind",
            Self::Deadline { .. } => "plugin_deadline",
            Self::Memory { .. } => "plugin_memory",
            Self::Table { .. } => "plugin_table",
            Self::Stack { .. } => "plugin_stack",
            Self::Output { .. } | Self::TooLarge { .. } => "plugin_output",
            Self::WrongCount { .. } => "plugin_wrong_count",
            Self::Trap { .. } => "plugin_trap",
            Self::Failing { .. } => "plugin_failing",
            Self::NoLookup { .. } => "plugin_no_lookup",
            Self::NoToken { .. } => "plugin_no_token",
            Self::HostStopped => "plugin_host_stopped",
        }
    }
}

/// Why a plugin was not loaded. Nothing that was loaded before is changed.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The directory or the file could not be read.
    #[error("read `{}`", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The name would not do in a route or a step.
    #[error("`{name}` is no plugin name; use letters, digits and dashes")]
    Name {
        /// The name given.
        name: String,
    },
    /// The file is too large.
    #[error("plugin `{plugin}` has {actual_bytes} bytes; the limit is {limit_bytes}")]
    TooLarge {
        /// The plugin.
        plugin: String,
        /// The limit.
        limit_bytes: usize,
        /// The size.
        actual_bytes: usize,
    },
    /// The bytes are no component, or use WebAssembly features that are turned off.
    #[error("plugin `{plugin}` is not a valid component: {text}")]
    Invalid {
        /// The plugin.
        plugin: String,
        /// What the compiler said.
        text: String,
    },
    /// It took too long to compile.
    #[error("plugin `{plugin}` did not compile within {} s", .limit.as_secs())]
    CompileTimeout {
        /// The plugin.
        plugin: String,
        /// The time it had.
        limit: Duration,
    },
    /// It exports neither a renderer nor a carrier, or both.
    #[error("plugin `{plugin}` must export either a renderer or a carrier; it exports {exports}")]
    Exports {
        /// The plugin.
        plugin: String,
        /// What it exports.
        exports: String,
    },
    /// It was built for another version of the contract.
    #[error("plugin `{plugin}` was built for dripline:plugin {built_for}, this host has {host}")]
    ContractVersion {
        /// The plugin.
        plugin: String,
        /// The version in its interface names.
        built_for: String,
        /// Ours.
        host: &'static str,
    },
    /// Its functions are not those of the contract.
    #[error("plugin `{plugin}` does not fit dripline:plugin {host}: {text}")]
    Contract {
        /// The plugin.
        plugin: String,
        /// Our version.
        host: &'static str,
        /// Which function or type differs.
        text: String,
    },
    /// It asks for something that plugins never get.
    #[error("plugin `{plugin}` asks for {}, which plugins never get", .imports.join(", "))]
    ForbiddenImports {
        /// The plugin.
        plugin: String,
        /// The interfaces, by name.
        imports: Vec<String>,
    },
    /// It failed the call that every plugin must stand when it is loaded.
    #[error("plugin `{plugin}` failed its check")]
    SelfCheck {
        /// The plugin.
        plugin: String,
        /// How.
        source: PluginError,
    },
    /// Its bytes are not those that were installed.
    #[error("plugin `{plugin}` is not the one that was installed, with the digest {expected}")]
    OtherDigest {
        /// The plugin.
        plugin: String,
        /// What was installed.
        expected: String,
    },
    /// It asks for more than was approved.
    #[error("plugin `{plugin}` asks for what nobody has approved: {}", .permissions.join(", "))]
    NotApproved {
        /// The plugin.
        plugin: String,
        /// What it asks for besides.
        permissions: Vec<String>,
    },
    /// Its description of itself contradicts itself.
    #[error("the manifest of plugin `{plugin}` is wrong: {text}")]
    Manifest {
        /// The plugin.
        plugin: String,
        /// What is wrong.
        text: String,
    },
}

/// Why the host itself could not start.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The WebAssembly engine refused its configuration.
    #[error("start the WebAssembly engine: {text}")]
    Engine {
        /// What it said.
        text: String,
    },
    /// A thread could not be started.
    #[error("start the plugin threads")]
    Threads {
        /// Why.
        source: std::io::Error,
    },
    /// The cache of compiled plugins cannot be trusted or written.
    #[error(transparent)]
    Cache(#[from] crate::cache::CacheError),
}

/// A limit: `64 MiB`, or with a decimal when it is not a whole number.
fn mebibytes(bytes: usize) -> String {
    if bytes.is_multiple_of(MIB) { format!("{} MiB", bytes / MIB) } else { tenths(bytes) }
}

/// What was wanted, rounded up so that it never reads as the limit: `65.0 MiB`.
fn tenths(bytes: usize) -> String {
    let tenths = bytes.saturating_mul(10).div_ceil(MIB);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

fn kibibytes(bytes: usize) -> String {
    format!("{} KiB", bytes / 1024)
}

const MIB: usize = 1024 * 1024;
