//! `dripline workflow export`.

use std::path::PathBuf;

use dripline_domain::workflow::WorkflowDraft;
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::page::Page;
use crate::output::{Output, Report};
use crate::workflow_file;

/// Write a workflow as a file that `create` reads.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The workflow, by name or id.
    workflow: String,
    /// Write to this file instead of stdout. An existing file is not overwritten.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Serialize)]
struct Exported {
    /// The same content, for programs.
    workflow: WorkflowDraft,
    /// The file's text.
    toml: String,
}

impl Report for Exported {
    fn lay_out(&self, page: &mut Page) {
        for line in self.toml.lines() {
            page.line(line);
        }
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let account = ctx.account().await?;
    let detail = ctx.workflow_detail(&account, &args.workflow).await?;
    let workflow = detail.to_draft();
    let toml = workflow_file::write(&workflow);
    match args.file {
        Some(path) => {
            let written = std::fs::File::create_new(&path)
                .and_then(|mut file| std::io::Write::write_all(&mut file, toml.as_bytes()));
            written
                .map_err(|error| refuse(format!("cannot write `{}`: {error}", path.display())))?;
            out.note(&format!("wrote `{}`", path.display()));
        }
        // The text goes out byte by byte, since a tab of a template must stay one.
        None if !out.is_json() => out.raw(toml.as_bytes())?,
        None => out.data(&Exported { workflow, toml })?,
    }
    Ok(Exit::Done)
}
