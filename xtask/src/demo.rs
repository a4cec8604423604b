//! `cargo xtask demo`: the whole of Dripline in under a minute, with its books compared at the end.
//!
//! It drives the real programs as a person would: `dripline` for every command, `dripline-worker`
//! and the carrier simulator as processes of their own. Everything it makes is in one folder, which
//! the next run replaces. Layout: `place` owns that folder and sees to it that nothing is left
//! running, `actor` is one process on stage, `cli` calls `dripline`, `draft` scales a workflow's
//! delays, `acts` is the story, `comparison` holds the books against the carrier's own log.

mod actor;
mod acts;
mod cli;
mod comparison;
mod draft;
mod money;
mod place;

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail};

use crate::workspace::Workspace;
use crate::{build, plugins, say};

use self::acts::Stage;
use self::place::Place;

/// What the demo takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Take `dripline`, `dripline-worker` and `dripline-carrier-simulator` from this folder instead of
    /// building them
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let plugins = plugins::build(workspace)?;
    let programs = match &args.programs {
        Some(folder) => folder.canonicalize().context("find the programs")?,
        None => build::programs(workspace)?,
    };
    let begin = Instant::now();
    let place = Place::prepare(workspace, programs, &plugins)?;
    let stage = Stage::set(workspace, &place)?;
    let agreed = stage.play()?;
    let folder = place.shown();
    drop(place);
    say::line(&format!(
        "\n{:.1} s. Nothing is left running. This run's logs and data are in {folder}; the next run \
         replaces them.",
        begin.elapsed().as_secs_f64(),
    ));
    if !agreed {
        bail!("the books and the carrier's log do not agree");
    }
    Ok(())
}
