//! Calling `dripline` as a person, or a program, would.

use std::process::Output;

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;

use super::place::Place;
use crate::interrupt;
use crate::say;

/// The account of the demo.
pub(super) const ACCOUNT: &str = "demo";

/// Runs a command and gives its data.
pub(super) fn data<T: DeserializeOwned>(place: &Place, arguments: &[&str]) -> anyhow::Result<T> {
    let output = run(place, &[arguments, &["--output", "json"]].concat())?;
    demand(arguments, &output)?;
    serde_json::from_slice(&output.stdout)
        .with_context(|| format!("read what `dripline {}` said", arguments.join(" ")))
}

/// Shows a command and its answer, as in a terminal. Says whether it succeeded.
pub(super) fn show(place: &Place, arguments: &[&str]) -> anyhow::Result<bool> {
    say::result(&format!("\n$ dripline {}", arguments.join(" ")));
    let output = run(place, arguments)?;
    say::result(String::from_utf8_lossy(&output.stdout).trim_end());
    if !output.status.success() {
        say::line(String::from_utf8_lossy(&output.stderr).trim_end());
    }
    Ok(output.status.success())
}

/// Runs a command that has to succeed.
pub(super) fn call(place: &Place, arguments: &[&str]) -> anyhow::Result<()> {
    demand(arguments, &run(place, arguments)?)
}

fn run(place: &Place, arguments: &[&str]) -> anyhow::Result<Output> {
    interrupt::check()?;
    // It is short, so an interrupt lets it finish: a start of the database that is cut off in its
    // middle could leave a server that nobody knows of yet.
    place
        .command("dripline")
        .env("DRIPLINE__CLI__ACCOUNT", ACCOUNT)
        .args(arguments)
        .output()
        .context("run `dripline`")
}

fn demand(arguments: &[&str], output: &Output) -> anyhow::Result<()> {
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`dripline {}` failed ({}): {}", arguments.join(" "), output.status, said.trim());
    }
    Ok(())
}
