//! `cargo xtask races`: the races of the store's tests, for hours of chances instead of seconds.

use crate::test;
use crate::workspace::Workspace;

/// What to race.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only races whose name contains one of these
    #[arg(value_name = "FILTER", default_value = "races::")]
    filters: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    test::run_long_races(workspace, &args.filters)
}
