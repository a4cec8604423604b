//! `cargo xtask ci`: every check of the house style, then every test.

mod links;
mod snapshots;

use std::time::Instant;

use anyhow::{Context, bail};

use crate::workspace::Workspace;
use crate::{chaos, crash, interrupt, languages, plugins, say, sqlx, tools};

/// Which checks to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these stages, in their usual order
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    only: Vec<String>,
}

type Stage = (&'static str, fn(&Workspace) -> anyhow::Result<()>);

/// Cheap ones first; those that share compiled dependencies stand together.
const STAGES: [Stage; 11] = [
    ("format", format),
    ("links", links::check),
    ("clippy", clippy),
    ("rustdoc", rustdoc),
    ("dependencies", dependencies),
    ("unused", unused),
    ("sqlx", sqlx::check),
    ("languages", languages::check),
    ("test", snapshots::test),
    ("crash", crash::check),
    ("chaos", chaos::check),
];

pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let known = || STAGES.map(|(name, _)| name).join(", ");
    if let Some(name) = args.only.iter().find(|name| STAGES.iter().all(|(stage, _)| stage != name))
    {
        bail!("there is no stage `{name}`; the stages are {}", known());
    }
    let mut times = Vec::new();
    for (name, stage) in STAGES {
        let wanted = args.only.is_empty() || args.only.iter().any(|only| only == name);
        if !wanted {
            continue;
        }
        interrupt::check()?;
        say::line(&format!("\n######## {name}"));
        let begin = Instant::now();
        let outcome = stage(workspace);
        times.push((name, begin.elapsed(), outcome.is_ok()));
        if outcome.is_err() {
            report(&times);
            return outcome.with_context(|| format!("stage `{name}`"));
        }
    }
    report(&times);
    Ok(())
}

fn report(times: &[(&str, std::time::Duration, bool)]) {
    say::line("");
    for (name, time, passed) in times {
        let verdict = if *passed { "ok" } else { "FAILED" };
        say::line(&format!("{name:<14}{:>7.1} s  {verdict}", time.as_secs_f64()));
    }
}

fn format(workspace: &Workspace) -> anyhow::Result<()> {
    workspace.cargo().args(["fmt", "--all", "--check"]).run()?;
    workspace
        .cargo()
        .args(["fmt", "--all", "--check", "--manifest-path"])
        .arg(workspace.path("plugins/Cargo.toml"))
        .run()
}

fn clippy(workspace: &Workspace) -> anyhow::Result<()> {
    let strict = ["--", "-D", "warnings"];
    workspace
        .cargo()
        .args(["clippy", "--workspace", "--all-targets"])
        .args(strict)
        .env("SQLX_OFFLINE", "true")
        .run()?;
    plugins::cargo(workspace, "clippy").arg("--all-targets").args(strict).run()?;
    plugins::ensure_target(workspace)?;
    // Some of their code exists only in a component.
    plugins::cargo(workspace, "clippy").args(["--target", plugins::TARGET]).args(strict).run()
}

fn rustdoc(workspace: &Workspace) -> anyhow::Result<()> {
    workspace
        .cargo()
        .args(["doc", "--workspace", "--no-deps", "--document-private-items"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .env("SQLX_OFFLINE", "true")
        .run()
}

/// Licenses, sources, and who may depend on what.
fn dependencies(workspace: &Workspace) -> anyhow::Result<()> {
    let deny = tools::ensure(workspace, &tools::CARGO_DENY)?;
    let program = |arguments: &[&str]| deny.program(workspace).args(arguments);
    program(&["check", "--hide-inclusion-graph", "bans", "licenses", "sources"]).run()?;
    if program(&["fetch", "db"]).succeeds() {
        program(&["check", "advisories"]).run()
    } else {
        interrupt::check()?;
        say::line("the advisory database cannot be reached from here; advisories were not checked");
        Ok(())
    }
}

fn unused(workspace: &Workspace) -> anyhow::Result<()> {
    tools::ensure(workspace, &tools::CARGO_MACHETE)?
        .program(workspace)
        .arg("--skip-target-dir")
        .run()
}
