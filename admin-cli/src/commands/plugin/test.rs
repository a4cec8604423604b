//! `dripline plugin test`.

use std::path::PathBuf;

use anyhow::Context as _;
use dripline_conformance::{CasesError, Stage, Verdict};
use serde::Serialize;

use crate::context::Context;
use crate::exit::Exit;
use crate::failure::refuse;
use crate::output::page::Page;
use crate::output::words::count;
use crate::output::{Output, Report};

/// Run the conformance kit on a plugin's file: its cases, and what every plugin must stand.
///
/// Cases are `*.toml` files: messages and the requests they must become, answers and what they mean;
/// for renderers templates and texts. Besides, every carrier is given throttled, broken, cut off, changed and huge
/// answers, reports and answers to questions, and every renderer templates that nobody would write; the same must give
/// the same within a batch; and secrets that are new in each run must show in nothing that a plugin says or logs. Exit
/// code 1 when anything fails.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The component. Its name is the plugin's, with `_` as `-`.
    file: PathBuf,
    /// The folder of the cases. Without it, `cases` in the current folder, if it is there.
    #[arg(long, value_name = "FOLDER")]
    cases: Option<PathBuf>,
}

#[derive(Serialize)]
struct Tested {
    passed: bool,
    #[serde(flatten)]
    verdict: Verdict,
}

impl Report for Tested {
    fn lay_out(&self, page: &mut Page) {
        for check in &self.verdict.checks {
            let place = check.file.as_ref().map(|file| format!("{file}: ")).unwrap_or_default();
            for problem in &check.problems {
                page.line(format_args!("FAILED {place}{}: {problem}", check.case));
            }
        }
        let all = self.verdict.checks.len();
        let failed = self.verdict.checks.iter().filter(|check| !check.problems.is_empty()).count();
        let checks = count(all as u64, "check");
        page.line(if failed == 0 {
            format!("plugin `{}` passed {checks}", self.verdict.plugin)
        } else {
            format!("plugin `{}` failed {failed} of {checks}", self.verdict.plugin)
        });
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let stage = Stage::default();
    let keeper = Some(stage.log_keeper());
    let (host, info) = ctx.plugins.open_with(&args.file, stage.clock(), keeper).await?;
    let beside = PathBuf::from("cases");
    let folder = args.cases.or_else(|| beside.is_dir().then_some(beside));
    if folder.is_none() {
        out.note(
            "there is no folder `cases` here, so only what every plugin must stand is checked",
        );
    }
    let verdict = match dripline_conformance::run(&host, &info, folder.as_deref(), &stage).await {
        Ok(verdict) => verdict,
        Err(error @ (CasesError::Format { .. } | CasesError::None { .. })) => {
            return Err(refuse(error.to_string())
                .hint("docs/plugins.md has the format; `dripline plugin new` writes examples")
                .into());
        }
        Err(error) => return Err(error).context("read the cases"),
    };
    let passed = verdict.passed();
    out.data(&Tested { passed, verdict })?;
    Ok(if passed { Exit::Done } else { Exit::Refused })
}
