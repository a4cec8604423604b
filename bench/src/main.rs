//! Figures: how fast contacts are enrolled, messages delivered, workflows paused and the books audited.
//!
//! `cargo xtask bench` builds this program with optimisations, together with the carrier simulator
//! and the plugins, and hands its arguments on. Each figure is the median of several runs, each in a
//! new database on one durable Postgres, beside the rate that the database alone reaches in the same
//! process. To add a bench: add a module with a `run` that gives figures, and a variant of [`Bench`].

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

mod audit;
mod carrier;
mod database;
mod deliver;
mod enrol;
mod hostile;
mod lab;
mod limit;
mod pause;
mod plugins;
mod report;
mod seed;
mod server;
mod usage;

use deliver::Form;
use lab::Lab;
use report::Report;

/// Measures Dripline on this machine.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// What to measure; everything when none is named
    benches: Vec<Bench>,

    /// Where the built plugins are
    #[arg(
        long,
        value_name = "DIRECTORY",
        env = "DRIPLINE_TEST_PLUGINS",
        default_value = "target/plugins"
    )]
    plugins: PathBuf,

    /// Fewer messages, so that each bench ends within 50 seconds
    #[arg(long)]
    quick: bool,

    /// One JSON object a line instead of sentences
    #[arg(long)]
    json: bool,

    /// Runs of each figure
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=25))]
    runs: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Bench {
    /// Contacts enrolled in three steps, priced by rendering
    Enrol,
    /// Messages delivered, in the engine alone and over HTTP
    Deliver,
    /// Messages delivered over HTTP with a large backlog against a small one
    Backlog,
    /// A workflow paused: its fence and its purge
    Pause,
    /// The invariants proved over many deliveries
    Audit,
    /// Calls of plugins: rendering, pricing, building requests, reading answers
    Plugins,
    /// What a hostile plugin costs: beyond its deadline, and its neighbours. Fails when that is too much
    Hostile,
}

/// Sizes of the benches.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    enrol: usize,
    deliver: usize,
    backlog: usize,
    pause: usize,
    audit: usize,
}

impl Sizes {
    const FULL: Self = Self {
        enrol: 100_000,
        deliver: 100_000,
        backlog: 1_000_000,
        pause: 100_000,
        audit: 10_000_000,
    };
    const QUICK: Self =
        Self { enrol: 20_000, deliver: 20_000, backlog: 100_000, pause: 20_000, audit: 200_000 };
    /// The backlog that a large one is compared with.
    const SMALL_BACKLOG: usize = 20_000;
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let lab = Lab::open(&arguments.plugins).await?;
    let report = Report::new(arguments.json);
    // The server is stopped whatever a bench says, and also when it is interrupted.
    let measured = tokio::select! {
        measured = measure(&arguments, &lab, &report) => measured,
        _ = tokio::signal::ctrl_c() => Err(anyhow::anyhow!("interrupted")),
    };
    lab.server.stop().await?;
    measured
}

async fn measure(arguments: &Arguments, lab: &Lab, report: &Report) -> anyhow::Result<()> {
    report.machine(&lab.server.describe().await?, &deliver::settings()?)?;
    let sizes = if arguments.quick { Sizes::QUICK } else { Sizes::FULL };
    let runs = usize::from(arguments.runs);
    let chosen = |bench| arguments.benches.is_empty() || arguments.benches.contains(&bench);
    if chosen(Bench::Enrol) {
        report.figure(&enrol::run(lab, sizes.enrol, runs).await?)?;
    }
    if chosen(Bench::Deliver) {
        for form in [Form::Engine, Form::Wire] {
            report.figure(&deliver::run(lab, form, sizes.deliver, sizes.deliver, runs).await?)?;
        }
    }
    if chosen(Bench::Backlog) {
        for backlog in [Sizes::SMALL_BACKLOG, sizes.backlog] {
            let messages = Sizes::SMALL_BACKLOG;
            report.figure(&deliver::run(lab, Form::Wire, messages, backlog, runs).await?)?;
        }
    }
    if chosen(Bench::Pause) {
        for figure in pause::run(lab, sizes.pause, runs).await? {
            report.figure(&figure)?;
        }
    }
    if chosen(Bench::Audit) {
        report.figure(&audit::run(lab, sizes.audit, runs).await?)?;
    }
    if chosen(Bench::Plugins) {
        for figure in plugins::run(&arguments.plugins, runs).await? {
            report.figure(&figure)?;
        }
    }
    if chosen(Bench::Hostile) {
        let overruns = hostile::overruns(&arguments.plugins, runs).await?;
        for figure in &overruns {
            report.figure(figure)?;
        }
        let neighbours = hostile::neighbours(lab, sizes.deliver, runs).await?;
        for figure in &neighbours {
            report.figure(figure)?;
        }
        hostile::judge(&overruns, (!arguments.quick).then_some(&neighbours))?;
    }
    Ok(())
}
