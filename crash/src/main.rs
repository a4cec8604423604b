//! `dripline-crash`: kills the programs at their crash points and looks at what becomes of it. Started
//! by `cargo xtask crash`, which builds them and brings a Postgres.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Parser;
use dripline_crash::run::{self, Options};
use dripline_crash::stage::Programs;
use dripline_domain::clock::SystemClock;
use dripline_domain::ids::{ContactId, RouteId};
use dripline_domain::receipt::ReceiptStatus;
use dripline_domain::retry::RetryPolicy;
use dripline_store::ops::{self, InboundMessage, Receipt, ReceiptOf};
use dripline_store::{ConnectOptions, Pool, route};
use uuid::Uuid;

/// Kill the programs at their crash points, start what comes after, and compare the books.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask crash", max_term_width = 100)]
enum Arguments {
    /// Play the scenes
    Run {
        /// How often each point strikes
        #[arg(long, value_name = "N", default_value_t = 5)]
        times: u32,
        /// Decides at which passage each point strikes; else chosen at random and printed
        #[arg(long)]
        seed: Option<u64>,
        /// Trials at the same time
        #[arg(long, value_name = "N", default_value_t = 10)]
        parallel: usize,
        /// Only these points
        #[arg(value_name = "POINT")]
        points: Vec<String>,
    },
    /// Opts a contact out, as no other program does yet
    #[command(hide = true)]
    OptOut { contact: ContactId },
    /// Records that messages have arrived, as the carrier reports over a route
    #[command(hide = true)]
    Receive { route: RouteId, references: Vec<String> },
    /// Takes a message that asks to hear nothing more, as the carrier brings it over a route
    #[command(hide = true)]
    ReceiveStop { route: RouteId, sender: String },
}

#[tokio::main]
async fn main() -> ExitCode {
    dripline_store::crash::arm();
    let done = match Arguments::parse() {
        Arguments::Run { times, seed, parallel, points } => {
            let seed = seed.unwrap_or_else(rand::random);
            play(&Options { times, seed, parallel, points }).await
        }
        Arguments::OptOut { contact } => opt_out(contact).await,
        Arguments::Receive { route, references } => receive(route, references).await,
        Arguments::ReceiveStop { route, sender } => receive_stop(route, sender).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn play(options: &Options) -> anyhow::Result<()> {
    let cache = tempfile::tempdir().context("create a directory for compiled plugins")?;
    let programs = Programs {
        directory: variable("DRIPLINE_TEST_PROGRAMS")?,
        own: std::env::current_exe().context("find this program")?,
        plugins: variable("DRIPLINE_TEST_PLUGINS")?,
        plugin_cache: cache.path().join("plugins"),
    };
    let programs = programs.with_plugins(cache.path())?;
    say(&format!("seed {}", options.seed));
    let summary = run::run(&programs, options, say).await?;
    say(&format!(
        "{} points, {} crashes, {} violations, {:.0} s, seed {}",
        summary.points,
        summary.trials,
        summary.violations.len(),
        summary.took.as_secs_f64(),
        options.seed
    ));
    if !summary.violations.is_empty() {
        bail!("{} trials were not survived", summary.violations.len());
    }
    Ok(())
}

fn variable(name: &str) -> anyhow::Result<PathBuf> {
    let value = std::env::var_os(name).map(PathBuf::from);
    value.with_context(|| format!("read `{name}`; run `cargo xtask crash`"))
}

fn say(line: &str) {
    // Nobody listens any more if this fails.
    let _ = writeln!(std::io::stdout(), "{line}");
}

async fn connect() -> anyhow::Result<Pool> {
    let url = std::env::var("DATABASE_URL").context("read `DATABASE_URL`")?;
    let application_name = "dripline-crash".to_owned();
    let options = ConnectOptions { url, max_connections: 2, application_name };
    Ok(dripline_store::connect(&options).await?)
}

async fn opt_out(contact: ContactId) -> anyhow::Result<()> {
    let ended = ops::opt_out(&connect().await?, &SystemClock, contact, "operator").await?;
    ended.with_context(|| format!("there is no contact {contact}"))?;
    Ok(())
}

async fn receive(route: RouteId, references: Vec<String>) -> anyhow::Result<()> {
    let receipts: Vec<Receipt> = references
        .into_iter()
        .map(|reference| Receipt {
            over: route,
            of: ReceiptOf::Ours(reference),
            status: ReceiptStatus::Delivered,
            carrier_reference: None,
            reason: None,
        })
        .collect();
    let (pool, policy) = (connect().await?, RetryPolicy::default());
    let batch_id = Uuid::now_v7();
    ops::record_receipts(&pool, &SystemClock, &policy, "carrier", batch_id, &receipts).await?;
    Ok(())
}

async fn receive_stop(route_id: RouteId, sender: String) -> anyhow::Result<()> {
    let pool = connect().await?;
    let route = route::load(&pool, route_id).await?.context("there is no such route")?;
    let message = InboundMessage {
        account_id: route.account_id,
        route_id,
        // The carrier's own, by which it knows it when it brings it again.
        carrier_reference: format!("stop of {sender}"),
        sender,
        recipient: route.senders.into_iter().next().unwrap_or_default(),
        text: "STOP".to_owned(),
    };
    ops::receive_inbound(&pool, &SystemClock, "contact", &[message]).await?;
    Ok(())
}
