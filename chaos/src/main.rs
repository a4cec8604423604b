//! Chaos: real workers, a real Postgres and a real carrier while everything around them breaks.
//!
//! `cargo xtask chaos` builds the programs and hands its arguments on. A run is a row of rounds. In each
//! round contacts are enrolled all the time, people pause, delete, edit, move, remove and pay, and faults
//! strike, several at once; all of it drawn from one seed. Then everything is healed and has to come to
//! rest, and the rows, the carrier's own log and this program's own books are compared.
//!
//! Layout: `plan` draws a round from `fault` and `deed`; `stage` sets up the server (`postgres`), the
//! simulator (`carrier`), the workers (`worker`) and the proxies between them (`proxy`, which knows a
//! COMMIT by `commit_watch`), in the folder that `place` looks after. `round` plays a plan: `strike` is
//! what faults do, `feeding` enrols, `reporting` is the carrier's reports, `tampering` is what only a foreign hand would do to the database.
//! `verdict` compares, `report` says what came of it.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context;
use clap::Parser;
use rand::RngExt;
use tokio::signal::unix::{SignalKind, signal};

mod carrier;
mod commit_watch;
mod deed;
mod fault;
mod feeding;
mod outlast;
mod place;
mod plan;
mod postgres;
mod proxy;
mod report;
mod reporting;
mod round;
mod seeds;
mod stage;
mod strike;
mod tampering;
mod verdict;
mod worker;

use carrier::Witness;
use fault::Fault;
use plan::Plan;
use report::Report;
use stage::Stage;

/// How a shell reports a program that was ended by Ctrl-C.
const INTERRUPTED: u8 = 130;
/// A round shorter than this shows nothing.
const SHORTEST: Duration = Duration::from_secs(5);

/// Breaks everything around running workers, and compares what is left.
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
#[derive(Debug, Parser)]
#[command(name = "cargo xtask chaos", version)]
struct Arguments {
    /// For how long rounds begin; the last one is finished
    #[arg(long, default_value_t = 5.0, value_parser = minutes)]
    minutes: f64,

    /// What everything is drawn from; without it, chance chooses, and it is printed
    #[arg(long, conflicts_with = "kept")]
    seed: Option<u64>,

    /// Run the seeds that have found something before, as long as each needs
    #[arg(long, conflicts_with = "minutes")]
    kept: bool,

    /// Fail when fewer faults than this have happened, each counted that found something to break
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    least_faults: u64,

    /// Only faults of these kinds, besides the kill of Postgres in the calm
    #[arg(long, value_name = "KIND", value_delimiter = ',', value_parser = kind)]
    only: Vec<String>,

    /// One JSON object a line on standard output instead of sentences
    #[arg(long)]
    json: bool,

    /// Only print the plan
    #[arg(long)]
    plan: bool,

    /// Keep the folder with the database and the logs in any case
    #[arg(long)]
    keep: bool,

    /// Where the built plugins are
    #[arg(
        long,
        value_name = "DIRECTORY",
        env = "DRIPLINE_TEST_PLUGINS",
        default_value = "target/plugins"
    )]
    plugins: PathBuf,
}

fn minutes(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(minutes) if (0.1..=10_000.0).contains(&minutes) => Ok(minutes),
        _ => Err("a number of minutes, at least 0.1".to_owned()),
    }
}

fn kind(text: &str) -> Result<String, String> {
    let kinds = Fault::kinds();
    if kinds.contains(text) {
        return Ok(text.to_owned());
    }
    Err(format!("the kinds are {}", kinds.into_iter().collect::<Vec<_>>().join(", ")))
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Arguments::parse()).await {
        Ok(code) => code,
        Err(error) => {
            say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<ExitCode> {
    let runs = if arguments.kept {
        seeds::kept()?
    } else {
        let seed = arguments.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
        vec![seeds::Seed { seed, minutes: arguments.minutes }]
    };
    let mut interrupted = Interruption::listen()?;
    for seeds::Seed { seed, minutes } in runs {
        say(&format!("seed {seed}"));
        let time = Duration::from_secs_f64(minutes * 60.0);
        if arguments.plan {
            print_plan(seed, time, &arguments.only)?;
            continue;
        }
        let Some(mut report) = play(arguments, seed, time, &mut interrupted).await? else {
            say("interrupted; nothing is left running");
            return Ok(ExitCode::from(INTERRUPTED));
        };
        report.expect_faults(arguments.least_faults);
        print(arguments, &report)?;
        if !report.violations.is_empty() {
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// One run, from setting up to clearing away. `None`: it was interrupted.
async fn play(
    arguments: &Arguments,
    seed: u64,
    time: Duration,
    interrupted: &mut Interruption,
) -> anyhow::Result<Option<Report>> {
    let set = tokio::select! {
        set = Stage::set(&arguments.plugins) => Some(set?),
        () = interrupted.wait() => None,
    };
    // What was set up when it was interrupted goes with its folder.
    let Some(mut stage) = set else { return Ok(None) };
    let folder = stage.place.root().to_owned();
    say(&format!("playing in {}", folder.display()));
    let begin = Instant::now();
    let mut report = Report { seed, ..Report::default() };
    let played = tokio::select! {
        played = rounds(&mut stage, seed, time, &arguments.only, &mut report) => Some(played),
        () = interrupted.wait() => None,
    };
    report.minutes = begin.elapsed().as_secs_f64() / 60.0;
    let failed = !matches!(&played, Some(Ok(())) | None) || !report.violations.is_empty();
    let keep = arguments.keep || failed;
    let complaints = stage.clear(keep).await.context("clear away")?;
    report.violations.extend(complaints.into_iter().map(|text| format!("at the end: {text}")));
    if keep {
        say(&format!("database, logs and plan are in {}", folder.display()));
    }
    let Some(played) = played else { return Ok(None) };
    if let Err(error) = played {
        report.violations.push(format!("the run broke off: {error:#}"));
    }
    Ok(Some(report))
}

async fn rounds(
    stage: &mut Stage,
    seed: u64,
    time: Duration,
    only: &[String],
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut witness = Witness::new(stage.carrier.follow()?);
    let begin = Instant::now();
    for round in 1.. {
        let left = time.saturating_sub(begin.elapsed());
        if left < SHORTEST {
            break;
        }
        let plan = Plan::draw(seed, round, only);
        append(&stage.place.path("plan"), &plan.to_string())?;
        round::play(stage, plan, left, &mut witness, report).await?;
        if !report.violations.is_empty() {
            // What is broken is left as it is, to be looked at.
            break;
        }
    }
    Ok(())
}

/// As many rounds as there can be in that time.
fn print_plan(seed: u64, time: Duration, only: &[String]) -> anyhow::Result<()> {
    let rounds = time.as_secs().div_ceil(plan::ROUND.as_secs());
    let mut stdout = std::io::stdout().lock();
    for round in 1..=rounds {
        write!(stdout, "{}", Plan::draw(seed, round, only)).context("print")?;
    }
    Ok(())
}

fn print(arguments: &Arguments, report: &Report) -> anyhow::Result<()> {
    let text = if arguments.json { serde_json::to_string(report)? } else { report.to_string() };
    writeln!(std::io::stdout(), "{text}").context("print")
}

fn append(path: &std::path::Path, text: &str) -> anyhow::Result<()> {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).context("write the plan down")
}

/// What the program tells whoever watches.
fn say(text: &str) {
    // Nobody listens any more if this fails.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Ctrl-C and SIGTERM.
struct Interruption {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Interruption {
    fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).context("listen for signals")?,
            terminate: signal(SignalKind::terminate()).context("listen for signals")?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
