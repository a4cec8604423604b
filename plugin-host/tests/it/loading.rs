//! What is checked before a plugin is used.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use dripline_plugin_host::{
    HostError, HostOptions, Limits, LoadError, PluginError, PluginHost, PluginKind,
};

use crate::fixtures::{audience, component, host, host_with};

#[test]
fn a_loaded_plugin_says_what_it_is() {
    let host = host(&["hostile-renderer", "hostile-carrier"]);
    let plugins = host.plugins();
    let kinds: Vec<_> = plugins.iter().map(|p| (p.name.as_str(), p.kind)).collect();
    assert_eq!(
        kinds,
        [("hostile-carrier", PluginKind::Carrier), ("hostile-renderer", PluginKind::Renderer)]
    );
    assert_eq!(plugins[0].digest.len(), 64);
    let manifest = host.manifest("hostile-carrier").unwrap();
    assert_eq!(manifest.secret_names().collect::<Vec<_>>(), ["token"]);
    assert_eq!(manifest.texts.segments.max_segments, 10);
    assert_eq!(host.manifest("hostile-renderer"), None);
}

#[test]
fn the_bundled_plugins_load() {
    let host = host(&["template", "twilio"]);
    assert_eq!(host.plugins().len(), 2);
}

/// Each of these is from the carrier's documentation: see its module.
#[test]
fn the_bundled_carriers_say_what_they_take() {
    let all = [
        ("aws-sms", "gsm7,ucs2", Some(1_600), Some(1)),
        ("bird", "gsm7,ucs2", None, Some(500)),
        ("http-template", "gsm7,ucs2", None, None),
        ("infobip", "gsm7,ucs2", None, None),
        ("plivo", "gsm7,ucs2,smart", Some(1_600), Some(5)),
        ("sinch", "gsm7,ucs2,smart", Some(2_000), None),
        ("telnyx", "gsm7,ucs2,smart", None, None),
        ("twilio", "gsm7,ucs2,smart", Some(1_600), Some(1)),
        ("vonage", "gsm7,ucs2", None, Some(30)),
    ];
    let host = host(&all.map(|(name, ..)| name));
    for said in all {
        let manifest = host.manifest(said.0).unwrap();
        let encodings = manifest.encodings().join(",");
        let most = manifest.texts.max_characters.map(u32::from);
        let a_second = manifest.documented_throttle().segments_per_second.map(u32::from);
        assert_eq!((said.0, &*encodings, most, a_second), said);
    }
}

#[test]
fn what_is_held_is_in_force_until_its_own_carrier_changes() {
    let host = host(&["twilio"]);
    let held = host.holding("twilio").unwrap();
    let before = host.changes();
    host.load("template", &component("template")).unwrap();
    assert_ne!(host.changes(), before);
    assert!(held.holds_what_is_in_force(), "another plugin is none of its business");
    host.load("twilio", &component("twilio")).unwrap();
    assert!(!held.holds_what_is_in_force());
    let held = host.holding("twilio").unwrap();
    assert!(held.holds_what_is_in_force());
    host.unload("twilio");
    assert!(!held.holds_what_is_in_force());
}

#[tokio::test]
async fn a_plugin_serves_as_what_it_is_only() {
    let host = host(&["hostile-carrier"]);
    let error =
        host.render("hostile-carrier", Arc::from("x"), audience(&["Ann"])).await.unwrap_err();
    assert_eq!(error.to_string(), "plugin `hostile-carrier` is a carrier, not a renderer");
}

#[test]
fn what_is_no_plugin_is_refused() {
    let host = host(&[]);
    let error = host.load("junk", b"not a component").unwrap_err();
    assert!(matches!(error, LoadError::Invalid { .. }), "{error:?}");
    // A core module, and not a component.
    let error = host.load("module", b"\0asm\x01\0\0\0").unwrap_err();
    assert!(matches!(error, LoadError::Invalid { .. }), "{error:?}");
    // A component that exports nothing.
    let error = host.load("empty", b"\0asm\x0d\0\x01\0").unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin `empty` must export either a renderer or a carrier; it exports nothing"
    );
    for name in ["", "Upper", "a b", "../up"] {
        let error = host.load(name, b"").unwrap_err();
        assert!(matches!(error, LoadError::Name { .. }), "{error:?}");
    }
    assert_eq!(host.plugins(), []);
}

#[test]
fn a_file_that_is_too_large_is_not_even_compiled() {
    let host = host_with(&[], Limits { file_bytes: 1000, ..Limits::default() });
    let error = host.load("large", &[0; 1001]).unwrap_err();
    assert_eq!(error.to_string(), "plugin `large` has 1001 bytes; the limit is 1000");
}

#[test]
fn another_version_of_the_contract_is_named() {
    let built_for =
        patched("hostile-renderer", "dripline:plugin/renderer@0.1.2", "@0.1.2", "@0.2.0");
    let error = host(&[]).load("newer", &built_for).unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin `newer` was built for dripline:plugin 0.2.0, this host has 0.1.2"
    );
}

#[test]
fn a_function_that_this_host_lacks_is_named() {
    let asking = patched("hostile-renderer", "dripline:plugin/log@0.1.2", "/log@", "/lug@");
    let error = host(&[]).load("newer", &asking).unwrap_err();
    assert_eq!(
        error.to_string(),
        "plugin `newer` does not fit dripline:plugin 0.1.2: missing: lug.write"
    );
}

#[test]
fn forbidden_imports_are_refused_by_name() {
    // A real component whose import was renamed: names of the same length keep it valid.
    let asking = patched("hostile-renderer", "wasi:random/", "wasi:random/", "wasi:filesy/");
    let error = host(&[]).load("nosy", &asking).unwrap_err();
    let LoadError::ForbiddenImports { imports, .. } = &error else { panic!("{error:?}") };
    assert!(imports.iter().all(|import| import.starts_with("`wasi:filesy/")), "{imports:?}");
}

#[test]
fn a_plugin_that_never_finishes_starting_is_refused() {
    let error = host(&[]).load("hostile-start", &component("hostile-start")).unwrap_err();
    // Constructors run before the first call, within its time.
    assert!(
        matches!(error, LoadError::SelfCheck { source: PluginError::Deadline { .. }, .. }),
        "{error:?}"
    );
}

#[test]
fn a_carrier_goes_by_its_own_name() {
    let error = host(&[]).load("other", &component("hostile-carrier")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the manifest of plugin `other` is wrong: it calls itself `hostile-carrier`"
    );
}

#[tokio::test]
async fn compiled_code_is_kept_and_checked() {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("cache");
    let wasm = component("hostile-renderer");
    let load = || {
        let options =
            HostOptions { cache_directory: Some(cache.clone()), ..HostOptions::default() };
        let host = PluginHost::new(options).unwrap();
        host.load("hostile-renderer", &wasm).unwrap();
        host
    };
    load();
    let entries =
        || std::fs::read_dir(&cache).unwrap().map(|e| e.unwrap().path()).collect::<Vec<_>>();
    let [entry] = &entries()[..] else { panic!("one entry") };
    let written = std::fs::read(entry).unwrap();
    let mode = std::fs::metadata(entry).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);

    // A damaged entry is compiled anew rather than run.
    let mut damaged = written.clone();
    *damaged.last_mut().unwrap() ^= 1;
    std::fs::write(entry, &damaged).unwrap();
    let host = load();
    let texts = host.render("hostile-renderer", Arc::from("echo"), audience(&["Ann"])).await;
    assert_eq!(texts.unwrap(), [Ok("Ann".to_owned())]);
    assert_ne!(std::fs::read(entry).unwrap(), damaged);
}

#[test]
fn only_the_cache_itself_is_closed_to_others() {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("state/plugin-cache");
    let options = HostOptions { cache_directory: Some(cache.clone()), ..HostOptions::default() };
    PluginHost::new(options).unwrap();
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&cache), 0o700);
    // Whatever else is kept there, such as the embedded PostgreSQL, belongs to other users.
    assert_eq!(mode(cache.parent().unwrap()) & 0o055, 0o055);
}

#[test]
fn a_cache_that_others_can_reach_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let options = HostOptions {
        cache_directory: Some(directory.path().to_owned()),
        ..HostOptions::default()
    };
    let error = PluginHost::new(options).unwrap_err();
    assert!(matches!(error, HostError::Cache(_)), "{error:?}");
    assert!(error.to_string().contains("mode 700"), "{error}");
}

/// A component with every occurrence of `needle` renamed by replacing `from` with `to` in it.
fn patched(name: &str, needle: &str, from: &str, to: &str) -> Vec<u8> {
    let renamed = needle.replace(from, to);
    assert_eq!(renamed.len(), needle.len());
    let mut bytes = component(name);
    let mut found = 0;
    for start in 0..bytes.len() - needle.len() {
        if bytes[start..].starts_with(needle.as_bytes()) {
            bytes[start..start + needle.len()].copy_from_slice(renamed.as_bytes());
            found += 1;
        }
    }
    assert!(found > 0, "`{needle}` is not in {name}");
    bytes
}
