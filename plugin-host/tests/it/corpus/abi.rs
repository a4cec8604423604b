//! Components that no compiler would make: written by hand, they break the rules by which a component and
//! its host exchange values, or bring more with them than they may.

use std::path::Path;
use std::sync::Arc;

use dripline_plugin_host::PluginHost;
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

use super::assert_none;
use crate::fixtures::{audience, host};

/// A renderer in the text format of WebAssembly, as far as it differs from the harmless one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    name: &'static str,
    /// Declarations beside the exported functions.
    declarations: &'static str,
    /// Bodies; an empty one stands for the harmless one.
    realloc: &'static str,
    check: &'static str,
    render: &'static str,
    /// Part of the error, or the text that is rendered.
    expected: &'static str,
}

const HARMLESS: Row =
    Row { name: "nothing", declarations: "", realloc: "", check: "", render: "", expected: "Hi" };

/// Bumps a pointer, eight octets aligned.
const REALLOC: &str = "(local $at i32)
    (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
    (global.set $next (i32.add (local.get $at) (local.get 3)))
    (local.get $at)";
/// `ok` and an empty list: the memory behind 16 is zero.
const CHECK: &str = "(i32.const 16)";
/// A list of one text, `Hi`: see the data below.
const RENDER: &str = "(i32.const 32)";

pub(super) const ROWS: &[Row] = &[
    HARMLESS,
    Row {
        name: "starts for ever",
        declarations: "(func $s (loop (br 0))) (start $s)",
        expected: "used more than its",
        ..HARMLESS
    },
    Row {
        name: "starts ever deeper",
        declarations: "(func $s (call $s)) (start $s)",
        expected: "used up its call stack",
        ..HARMLESS
    },
    Row {
        name: "takes memory when it starts",
        declarations: "(func $s (loop (br_if 0 (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable) (start $s)",
        expected: "memory limit 32 MiB",
        ..HARMLESS
    },
    Row {
        name: "takes all memory at once",
        declarations: "(func $s (drop (memory.grow (i32.const 65534))) unreachable) (start $s)",
        expected: "memory limit 32 MiB",
        ..HARMLESS
    },
    Row {
        name: "takes table elements",
        declarations: "(table $t 1 funcref)
            (func $s (loop (br_if 0 (i32.ne (table.grow $t (ref.null func) (i32.const 9999)) (i32.const -1)))) unreachable)
            (start $s)",
        expected: "table limit 100000 elements",
        ..HARMLESS
    },
    Row {
        name: "begins with too large a table",
        declarations: "(table $t 10000000 funcref)",
        expected: "table",
        ..HARMLESS
    },
    Row {
        name: "fills its memory for ever",
        declarations: "(func $s (loop (memory.fill (i32.const 4096) (i32.const 1) (i32.const 100000)) (br 0))) (start $s)",
        expected: "used more than its",
        ..HARMLESS
    },
    Row {
        name: "writes outside its memory",
        declarations: "(func $s (i32.store (i32.const -4) (i32.const 1))) (start $s)",
        expected: "out of bounds",
        ..HARMLESS
    },
    Row {
        name: "calls what is not there",
        declarations: "(table $t 4 funcref) (type $f (func)) (func $s (call_indirect $t (type $f) (i32.const 3))) (start $s)",
        expected: "uninitialized element",
        ..HARMLESS
    },
    Row {
        name: "allocates for ever",
        realloc: "(loop (br 0)) unreachable",
        expected: "used more than its",
        ..HARMLESS
    },
    Row {
        name: "allocates outside its memory",
        realloc: "(i32.const -16)",
        expected: "realloc",
        ..HARMLESS
    },
    Row {
        name: "allocates at odd addresses",
        realloc: "(i32.const 8193)",
        expected: "realloc",
        ..HARMLESS
    },
    Row {
        name: "allocates and recurses",
        realloc: "(call $realloc (local.get 0) (local.get 1) (local.get 2) (local.get 3))",
        expected: "used up its call stack",
        ..HARMLESS
    },
    Row { name: "checks for ever", check: "(loop (br 0)) unreachable", expected: "used more than its", ..HARMLESS },
    Row {
        name: "answers outside its memory",
        render: "(i32.const -8)",
        expected: "out of bounds",
        ..HARMLESS
    },
    Row { name: "answers at an odd address", render: "(i32.const 33)", expected: "aligned", ..HARMLESS },
    Row {
        name: "answers with two thousand million texts",
        render: "(i32.store (i32.const 36) (i32.const 0x7fffffff)) (i32.const 32)",
        expected: "trapped",
        ..HARMLESS
    },
    Row {
        name: "answers with a list that lies outside",
        render: "(i32.store (i32.const 32) (i32.const 131056)) (i32.store (i32.const 36) (i32.const 100)) (i32.const 32)",
        expected: "out of bounds",
        ..HARMLESS
    },
    Row {
        name: "answers with a text that lies outside",
        render: "(i32.store (i32.const 56) (i32.const 200000)) (i32.const 32)",
        expected: "out of bounds",
        ..HARMLESS
    },
    Row {
        name: "answers with a text of two gigabytes",
        render: "(i32.store (i32.const 56) (i32.const 0x7fffffff)) (i32.const 32)",
        expected: "trapped",
        ..HARMLESS
    },
    Row {
        name: "answers with a case that there is not",
        render: "(i32.store8 (i32.const 48) (i32.const 7)) (i32.const 32)",
        expected: "discriminant",
        ..HARMLESS
    },
    Row {
        name: "answers with half a surrogate pair",
        render: "(i32.store (i32.const 80) (i32.const 0x80a0ed)) (i32.store (i32.const 56) (i32.const 3)) (i32.const 32)",
        expected: "utf-8",
        ..HARMLESS
    },
    Row {
        name: "answers with an overlong slash",
        render: "(i32.store16 (i32.const 80) (i32.const 0xafc0)) (i32.const 32)",
        expected: "utf-8",
        ..HARMLESS
    },
    Row {
        // Five thousand results that all point at the same twenty-six kilobytes.
        name: "answers with the same text many times",
        render: "(local $i i32) (local $at i32)
            (loop
                (local.set $at (i32.add (i32.const 4096) (i32.mul (local.get $i) (i32.const 20))))
                (i32.store (i32.add (local.get $at) (i32.const 4)) (i32.const 105000))
                (i32.store (i32.add (local.get $at) (i32.const 8)) (i32.const 26000))
                (local.set $i (i32.add (local.get $i) (i32.const 1)))
                (br_if 0 (i32.lt_u (local.get $i) (i32.const 5000))))
            (i32.store (i32.const 32) (i32.const 4096))
            (i32.store (i32.const 36) (i32.const 5000))
            (i32.const 32)",
        expected: "returned more than",
        ..HARMLESS
    },
    Row {
        name: "logs from outside its memory",
        check: "(call $log (i32.const 0) (i32.const -8) (i32.const 100)) (i32.const 16)",
        expected: "out of bounds",
        ..HARMLESS
    },
    Row {
        name: "logs at a level that there is not",
        check: "(call $log (i32.const 99) (i32.const 80) (i32.const 2)) (i32.const 16)",
        expected: "discriminant",
        ..HARMLESS
    },
    Row {
        name: "logs two gigabytes",
        check: "(call $log (i32.const 0) (i32.const 80) (i32.const 0x7fffffff)) (i32.const 16)",
        expected: "trapped",
        ..HARMLESS
    },
    Row {
        name: "logs for ever",
        check: "(loop (call $log (i32.const 3) (i32.const 80) (i32.const 2)) (br 0)) unreachable",
        expected: "used more than its",
        ..HARMLESS
    },
    Row {
        // Not more work than it asks for: a call within a call is refused.
        name: "logs while it allocates",
        realloc: "(call $log (i32.const 3) (i32.const 80) (i32.const 2)) (i32.const 4096)",
        expected: "cannot leave component instance",
        ..HARMLESS
    },
];

/// The contract and its version, as the host has it.
fn contract() -> (Resolve, wit_parser::PackageId, String) {
    let mut resolve = Resolve::default();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/wit");
    let (package, _) = resolve.push_dir(folder).unwrap();
    let version = resolve.packages[package].name.version.clone().unwrap().to_string();
    (resolve, package, version)
}

fn component(row: &Row) -> Vec<u8> {
    let (resolve, package, version) = contract();
    let or = |body: &'static str, harmless: &'static str| {
        if body.is_empty() { harmless } else { body }
    };
    let (realloc, check) = (or(row.realloc, REALLOC), or(row.check, CHECK));
    let (render, declarations) = (or(row.render, RENDER), row.declarations);
    let text = format!(
        r#"(module
            (import "dripline:plugin/log@{version}" "write" (func $log (param i32 i32 i32)))
            (memory (export "memory") 2)
            (global $next (mut i32) (i32.const 70000))
            (data (i32.const 32) "\30\00\00\00\01\00\00\00")
            (data (i32.const 52) "\50\00\00\00\02\00\00\00")
            (data (i32.const 80) "Hi")
            {declarations}
            (func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) {realloc})
            (func (export "dripline:plugin/renderer@{version}#check")
                (param i32 i32) (result i32) {check})
            (func (export "dripline:plugin/renderer@{version}#render")
                (param i32 i32 i32 i32) (result i32) {render}))"#
    );
    let mut module = wat::parse_str(&text).unwrap_or_else(|e| panic!("{}: {e}", row.name));
    let world = resolve.select_world(&[package], Some("renderer-plugin")).unwrap();
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
    let encoder = ComponentEncoder::default().module(&module).unwrap();
    encoder.validate(true).encode().unwrap_or_else(|e| panic!("{}: {e:#}", row.name))
}

/// Loads it and renders one text: the text, or what went wrong.
async fn tried(host: &PluginHost, row: &Row) -> String {
    if let Err(error) = host.load("by-hand", &component(row)) {
        let source = std::error::Error::source(&error).map(ToString::to_string);
        return format!("{error}: {}", source.unwrap_or_default());
    }
    match host.render("by-hand", Arc::from("Hi"), audience(&["Ann"])).await {
        Err(error) => error.to_string(),
        Ok(texts) => match &texts[..] {
            [Ok(text)] => text.clone(),
            other => format!("{other:?}"),
        },
    }
}

#[tokio::test]
async fn whoever_breaks_the_rules_of_exchange_gets_an_error() {
    let host = host(&["hostile-renderer"]);
    let mut wrong = Vec::new();
    for row in ROWS {
        let seen = tried(&host, row).await;
        if !seen.contains(row.expected) {
            wrong.push(format!("{}: {seen}", row.name));
        }
    }
    assert_none(&wrong);
    let texts = host.render("hostile-renderer", Arc::from("echo"), audience(&["Ann"])).await;
    assert_eq!(texts, Ok(vec![Ok("Ann".to_owned())]));
}

/// What the engine must not even compile.
#[test]
fn features_that_are_off_are_off() {
    let host = host(&[]);
    // The engine's own limit is 50,000.
    let too_many_locals = format!("(func (local {}))", "i64 ".repeat(50_001));
    for (name, module) in [
        ("64-bit memory", "(memory i64 1)"),
        ("shared memory", "(memory 1 1 shared)"),
        ("exceptions", "(tag)"),
        ("garbage collection", "(type (struct (field i32)))"),
        (
            "relaxed SIMD",
            "(func (result v128) (i8x16.relaxed_swizzle (v128.const i32x4 0 0 0 0) (v128.const i32x4 0 0 0 0)))",
        ),
        ("too many locals", &too_many_locals),
    ] {
        let text = format!("(component (core module {module}))");
        let bytes = wat::parse_str(&text).unwrap();
        let error = host.load("by-hand", &bytes).unwrap_err();
        assert!(
            matches!(error, dripline_plugin_host::LoadError::Invalid { .. }),
            "{name}: {error:?}"
        );
    }
}
