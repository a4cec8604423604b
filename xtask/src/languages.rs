//! `cargo xtask languages`: the example plugins in other languages than Rust, built with those languages'
//! own tools, what `dripline plugin check` and `dripline plugin test` say about them, and a worker that sends with them.
//!
//! Each example builds itself, by the command that its README tells a reader to run. Here is only what
//! that needs, and what is done with the component.
//!
//! To add a language, add a function that builds its example, and the example to [`EXAMPLES`] and to the worker's
//! test; programs that a distribution has are installed by `.ci/run`.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::process::Program;
use crate::workspace::Workspace;
use crate::{build, say, test, tools};

/// An example, and how its component is made.
struct Example {
    /// In `plugins/examples`.
    folder: &'static str,
    /// Builds it into a folder.
    build: fn(&Workspace, &Source) -> anyhow::Result<()>,
    /// The component's file in that folder.
    component: &'static str,
}

/// Where an example is, and where what is built of it goes.
struct Source {
    folder: PathBuf,
    built: PathBuf,
}

const EXAMPLES: [Example; 2] = [
    Example { folder: "c-carrier", build: build_c, component: "c_carrier.wasm" },
    Example { folder: "js-renderer", build: build_javascript, component: "merge_tags.wasm" },
];

/// Uses everything that a plugin in C needs from its compiler: headers and a library for its memory, and
/// the linker.
const C_PROBE: &str = "#include <stdlib.h>\n\
    void *probe(size_t size);\n\
    void *probe(size_t size) { return malloc(size); }\n";

/// Builds every example, runs the conformance kit on it, and lets a worker send with them.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    // As for the tests, which come next: nothing is built twice.
    let dripline = build::programs_with_crash_points(workspace)?.join("dripline");
    for example in &EXAMPLES {
        let name = example.folder;
        let source = Source {
            folder: workspace.path("plugins/examples").join(name),
            built: workspace.target("languages").join(name),
        };
        say::step(&format!("building plugins/examples/{name}"));
        fs::create_dir_all(&source.built)
            .with_context(|| format!("create `{}`", source.built.display()))?;
        (example.build)(workspace, &source)
            .with_context(|| format!("build plugins/examples/{name}"))?;
        let component = source.built.join(example.component);
        prove(&dripline, &component, &source.folder.join("cases"))
            .with_context(|| format!("check what plugins/examples/{name} became"))?;
    }
    // In `worker/tests/it/languages.rs`, which fails without the variable.
    let built = workspace.target("languages").into_os_string();
    test::run_ignored(workspace, "languages::", ("DRIPLINE_TEST_LANGUAGES", built))
}

/// What an author would do with the component before anybody gets it.
fn prove(dripline: &Path, component: &Path, cases: &Path) -> anyhow::Result<()> {
    // The compiled form is kept in here, rather than in an installation of this machine.
    let state = tempfile::tempdir().context("make a temporary folder")?;
    let plugin = |command: &str| {
        Program::new(dripline)
            .args(["plugin", command])
            .arg(component)
            .env("DRIPLINE_STATE_DIR", state.path())
    };
    plugin("check").run()?;
    plugin("test").arg("--cases").arg(cases).run()
}

fn build_c(workspace: &Workspace, source: &Source) -> anyhow::Result<()> {
    let compiler = std::env::var_os("WASM_CC").unwrap_or_else(|| "clang".into());
    let probe = source.built.join("probe.c");
    fs::write(&probe, C_PROBE).with_context(|| format!("write `{}`", probe.display()))?;
    let compiles = Program::new(&compiler)
        .args(["--target=wasm32-wasi", "-mexec-model=reactor", "-o"])
        .arg(source.built.join("probe.wasm"))
        .arg(&probe)
        .succeeds();
    if !compiles {
        bail!(
            "`{}` cannot compile for wasm32-wasi: install clang, lld and wasi-libc, on Debian the \
             packages clang, lld, wasi-libc and libclang-rt-dev-wasm32, or set WASM_CC to the clang of a \
             WASI SDK",
            compiler.display()
        );
    }
    let bindgen = tools::ensure(workspace, &tools::WIT_BINDGEN)?;
    let wasm_tools = tools::ensure(workspace, &tools::WASM_TOOLS)?;
    Program::new(source.folder.join("build.sh"))
        .arg(&source.built)
        .env("PATH", search_path(&[bindgen.folder(), wasm_tools.folder()])?)
        .run()
}

fn build_javascript(_: &Workspace, source: &Source) -> anyhow::Result<()> {
    let npm = || Program::new("npm").in_directory(&source.folder);
    if !npm().arg("--version").succeeds() {
        bail!(
            "there is no npm: install Node.js 18 or later, on Debian the packages nodejs and npm"
        );
    }
    npm()
        .arg("ci")
        .run()
        .context("install what package-lock.json lists; npm's registry must be reachable")?;
    npm().args(["run", "build"]).env("BUILD", &source.built).run()
}

/// The search path with folders before everything else.
fn search_path(first: &[&Path]) -> anyhow::Result<OsString> {
    let rest = std::env::var_os("PATH").unwrap_or_default();
    let folders = first.iter().map(|folder| folder.to_path_buf());
    std::env::join_paths(folders.chain(std::env::split_paths(&rest)))
        .context("put the tools onto the search path")
}
