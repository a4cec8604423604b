//! `cargo xtask test`: every test, on real Postgres, with components built from source.

use std::path::Path;

use anyhow::bail;
use dripline_embedded_postgres::Throwaway;

use crate::process::Program;
use crate::workspace::Workspace;
use crate::{build, plugins, say, server};

/// What to test.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these packages, such as `dripline-store`; the plugins' own tests are then left out
    #[arg(long, short, value_name = "NAME")]
    package: Vec<String>,
    /// Only tests whose name contains one of these; further flags of the test runner after `--`
    #[arg(value_name = "FILTER", trailing_var_arg = true, allow_hyphen_values = true)]
    filters: Vec<String>,
}

impl Args {
    fn everything(&self) -> bool {
        self.package.is_empty() && self.filters.is_empty()
    }
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let environment = Environment::prepare(workspace)?;
    environment.run_tests(workspace, args)?;
    if args.everything() {
        environment.run_doctests(workspace)?;
        run_plugins_tests(workspace)?;
    }
    Ok(())
}

/// Every test, for [`crate::ci`]: snapshots must be as committed, and those that no test refers to
/// are listed in `references`' complement.
pub(crate) fn run_checked(workspace: &Workspace, references: &Path) -> anyhow::Result<()> {
    let args = Args { package: Vec::new(), filters: Vec::new() };
    let mut environment = Environment::prepare(workspace)?;
    environment.variables.push(("INSTA_UPDATE", "no".into()));
    environment.variables.push(("INSTA_SNAPSHOT_REFERENCES_FILE", references.into()));
    environment.run_tests(workspace, &args)?;
    environment.run_doctests(workspace)?;
    run_plugins_tests(workspace)
}

/// The store's races whose names contain one of `filters`, in their long form.
pub(crate) fn run_long_races(workspace: &Workspace, filters: &[String]) -> anyhow::Result<()> {
    let args = Args { package: vec!["dripline-store".to_owned()], filters: filters.to_vec() };
    let mut environment = Environment::prepare(workspace)?;
    environment.variables.push(("DRIPLINE_RACES", "long".into()));
    environment.run_tests(workspace, &args)
}

/// The tests whose names contain `filter` and that are ignored everywhere else, with a variable that they need. That
/// there are none is an error, since nothing would have been shown.
pub(crate) fn run_ignored(
    workspace: &Workspace,
    filter: &str,
    variable: (&'static str, std::ffi::OsString),
) -> anyhow::Result<()> {
    let mut environment = Environment::prepare(workspace)?;
    environment.variables.push(variable);
    say::step(&format!("running the tests of {filter}"));
    // All packages are built, as for all tests, so that nothing is built twice.
    let tests = |last: &[&str]| {
        let cargo = environment.apply(workspace.cargo());
        cargo.args(["test", "--workspace", "--test", "it", "--", "--ignored", filter]).args(last)
    };
    let found = tests(&["--list"]).capture()?;
    if !found.lines().any(|line| line.ends_with(": test")) {
        bail!("there is no ignored test of {filter}");
    }
    tests(&[]).run()
}

/// What tests find in their environment.
struct Environment {
    variables: Vec<(&'static str, std::ffi::OsString)>,
    // Kept until the tests have ended.
    _server: Throwaway,
}

impl Environment {
    fn prepare(workspace: &Workspace) -> anyhow::Result<Self> {
        let plugins = plugins::build(workspace)?;
        let programs = build::programs_with_crash_points(workspace)?;
        let server = server::start()?;
        let variables = vec![
            ("DRIPLINE_TEST_SERVER_URL", server.running().url.clone().into()),
            ("DRIPLINE_TEST_PLUGINS", plugins.into()),
            ("DRIPLINE_TEST_PROGRAMS", programs.into()),
            ("SQLX_OFFLINE", "true".into()),
        ];
        Ok(Self { variables, _server: server })
    }

    fn run_tests(&self, workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
        let nextest = workspace.cargo().args(["nextest", "--version"]).succeeds();
        say::step(if nextest { "running the tests with nextest" } else { "running the tests" });
        let runner: &[&str] = if nextest {
            &["nextest", "run", "--no-fail-fast"]
        } else {
            &["test", "--no-fail-fast"]
        };
        let mut program = self.apply(workspace.cargo()).args(runner);
        if args.package.is_empty() {
            program = program.arg("--workspace");
        }
        program = program.args(args.package.iter().flat_map(|name| ["--package", name]));
        if !nextest {
            // `cargo test` has doctests of its own; they are run apart, as with nextest.
            program = program.args(["--lib", "--bins", "--tests"]);
        }
        program.args(&args.filters).run()
    }

    fn run_doctests(&self, workspace: &Workspace) -> anyhow::Result<()> {
        say::step("running the examples in the documentation");
        self.apply(workspace.cargo()).args(["test", "--workspace", "--doc"]).run()
    }

    fn apply(&self, program: Program) -> Program {
        self.variables.iter().fold(program.env_remove("DATABASE_URL"), |program, (name, value)| {
            program.env(name, value)
        })
    }
}

/// The plugins' own tests run natively, in their own workspace.
fn run_plugins_tests(workspace: &Workspace) -> anyhow::Result<()> {
    say::step("running the plugins' own tests");
    plugins::cargo(workspace, "test").run()
}
