//! The simulator as a process of its own.
//!
//! Prints one JSON line, `{"listening":"127.0.0.1:40123","telnyx_public_key":"..."}`, when it is ready, and stops at
//! SIGTERM or SIGINT, or when its standard input ends if it was told to exit with its parent.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use dripline_carrier_simulator::faults::FaultPlan;
use dripline_carrier_simulator::messages::Account;
use dripline_carrier_simulator::reports::telnyx_public_key;
use dripline_carrier_simulator::server::{Options, Simulator};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// A carrier to test against: Twilio's Messages API, with faults on demand and a log of its own.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Where to append one JSON line a request
    #[arg(long, value_name = "FILE")]
    log: PathBuf,

    /// The one account: AC and 32 hexadecimal digits
    #[arg(long, value_name = "SID", default_value = "AC00000000000000000000000000000001")]
    account_sid: String,

    /// An API key of the account, with the same secret: SK and 32 hexadecimal digits
    #[arg(long, value_name = "SID")]
    api_key_sid: Option<String>,

    /// The environment variable that holds the account's auth token, which is never an argument
    #[arg(long, value_name = "NAME", default_value = "DRIPLINE_SIMULATOR_AUTH_TOKEN")]
    auth_token_env: String,

    /// What goes wrong: a fault plan in TOML
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,

    /// Threads that serve
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    threads: usize,

    /// Stop when the standard input ends, as it does when the parent is gone
    #[arg(long)]
    exit_with_parent: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let mut builder = if arguments.threads <= 1 {
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    if arguments.threads > 1 {
        builder.worker_threads(arguments.threads);
    }
    let runtime = builder.enable_all().build().context("failed to start the runtime")?;
    runtime.block_on(run(arguments))
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let name = &arguments.auth_token_env;
    let auth_token = std::env::var(name)
        .with_context(|| format!("failed to read the auth token from the variable `{name}`"))?;
    let api_key_sid = arguments.api_key_sid.as_deref();
    let account = Account::new(&arguments.account_sid, api_key_sid, &auth_token)
        .context("failed to set up the account")?;
    let faults = match &arguments.faults {
        Some(path) => FaultPlan::read(path)?,
        None => FaultPlan::default(),
    };
    let mut terminate = signal(SignalKind::terminate()).context("failed to await SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to await SIGINT")?;

    let log = arguments.log;
    let telnyx_public_key = telnyx_public_key(&account);
    let simulator = Simulator::bind(Options { listen: arguments.listen, log, account, faults })
        .await
        .with_context(|| format!("failed to listen on {}", arguments.listen))?;
    let ready = serde_json::json!({
        "listening": simulator.local_addr()?.to_string(),
        "telnyx_public_key": telnyx_public_key,
    });
    writeln!(std::io::stdout(), "{ready}").context("failed to say that the simulator is ready")?;

    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = parent_gone(), if arguments.exit_with_parent => {}
        }
    };
    simulator.serve(stop, Duration::from_secs(1)).await;
    Ok(())
}

/// Completes when the standard input ends. A thread reads it, since such a read cannot be cancelled;
/// the process does not wait for it.
async fn parent_gone() {
    let (gone, ended) = oneshot::channel::<()>();
    std::thread::spawn(move || {
        // An error tells as much as an end: nobody is there any more.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        drop(gone);
    });
    let _ = ended.await;
}
