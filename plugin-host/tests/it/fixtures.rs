//! The components that the tests load, and hosts for them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use dripline_plugin_host::{Fields, HostOptions, Limits, PluginHost};

/// The bytes of `NAME.wasm`.
pub(crate) fn component(name: &str) -> Vec<u8> {
    let path = directory().join(format!("{}.wasm", name.replace('-', "_")));
    std::fs::read(&path).unwrap_or_else(|error| panic!("read {}: {error}", path.display()))
}

/// A host with these plugins. Compiled code is kept between tests, which would otherwise spend their
/// time compiling.
pub(crate) fn host(plugins: &[&str]) -> PluginHost {
    host_with(plugins, Limits::default())
}

pub(crate) fn host_with(plugins: &[&str], limits: Limits) -> PluginHost {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-cache");
    let options = HostOptions { limits, cache_directory: Some(cache), ..HostOptions::default() };
    let host = PluginHost::new(options).unwrap();
    for plugin in plugins {
        host.load(plugin, &component(plugin)).unwrap();
    }
    host
}

/// Contacts with one field, `name`.
pub(crate) fn audience(names: &[&str]) -> Vec<Fields> {
    names.iter().map(|name| Fields::from([("name".to_owned(), (*name).to_owned())])).collect()
}

/// Where the components are: `DRIPLINE_TEST_PLUGINS`, or built here.
fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY
        .get_or_init(|| std::env::var_os("DRIPLINE_TEST_PLUGINS").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
    let target = workspace.join("target");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--release", "--target", "wasm32-wasip2", "--manifest-path"])
        .arg(workspace.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        // Flags for this machine's own target would not do for the guests.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .status()
        .unwrap();
    assert!(built.success(), "the plugins did not build");
    target.join("wasm32-wasip2/release")
}
