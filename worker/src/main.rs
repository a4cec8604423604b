//! `dripline-worker`: the daemon that delivers.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Parser;
use dripline_config::Settings;
use dripline_plugin_host::egress::Egress;
use dripline_plugin_host::{HostOptions, PluginHost};
use dripline_store::{ConnectOptions, Pool, SchemaStatus, embedded};
use dripline_worker::daemon::{Daemon, Ended, Parts};
use dripline_worker::installed::Installed;
use dripline_worker::lifecycle::{Stop, StopSignals};
use dripline_worker::plugin_log::PluginLog;
use dripline_worker::webhooks::{Listener, MOST_CONNECTIONS};
use dripline_worker::{clock, open_files, options, telemetry};

/// After everything was abandoned, how long the rest of the process may take to notice.
const LAST_GRACE: Duration = Duration::from_secs(5);

/// Takes due deliveries from the queue, renders and sends them, and settles their price.
///
/// The first SIGTERM or SIGINT finishes what is on the wire; a second one drops it, and its outcome
/// is recorded as unknown.
#[derive(Debug, Parser)]
#[command(name = "dripline-worker", version)]
struct Arguments {
    /// The settings file. Without it, `dripline.toml` in this directory or the user's is read.
    #[arg(long, env = "DRIPLINE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Bring the database's schema up to date first, instead of refusing an old one.
    #[arg(long)]
    migrate: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    dripline_store::crash::arm();
    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("start the runtime")
        .and_then(|runtime| {
            let result = runtime.block_on(run(&arguments));
            // What was abandoned must not keep the process alive.
            runtime.shutdown_background();
            result
        });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Logging may not have started, or may be filtered: this always shows.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let settings = dripline_config::load(arguments.config.as_deref(), std::env::vars_os())?;
    telemetry::start(settings.telemetry.format, &settings.telemetry.filter)?;
    let callers = if settings.worker.webhooks.listen.is_some() { MOST_CONNECTIONS } else { 0 };
    open_files::make_room(
        (settings.worker.concurrency + callers) as u64
            + u64::from(settings.database.max_connections),
    )?;
    let signals = StopSignals::listen().context("listen to stop signals")?;
    let stop = Stop::new();
    tokio::spawn(signals.drive(stop.clone(), settings.worker.drain()));
    let working = work(arguments, &settings, stop.clone());
    let abandoned = async {
        stop.abandoning().await;
        tokio::time::sleep(LAST_GRACE).await;
    };
    tokio::select! {
        result = working => result,
        () = abandoned => bail!("gave up waiting for the parts of the daemon to end"),
    }
}

async fn work(arguments: &Arguments, settings: &Settings, stop: Stop) -> anyhow::Result<()> {
    let clock = clock::start();
    // First: whoever cannot listen should not have begun anything.
    let webhooks = &settings.worker.webhooks;
    let listener = match webhooks.listen {
        Some(address) => Some(Arc::new(Listener::bind(address).await?)),
        None => None,
    };
    let pool = connect(settings).await?;
    check_schema(&pool, arguments.migrate).await?;
    let plugin_log = Arc::new(PluginLog::new(clock.clone()));
    let options = options::plugins(&settings.plugins, clock.clone(), plugin_log.clone());
    let (plugins, installed) = load_plugins(settings, &pool, options).await?;
    let parts = Parts {
        pool,
        plugins,
        installed,
        plugin_log,
        wire: Arc::new(Egress::new(options::egress(&settings.worker))),
        journal: options::journal(settings),
        public_url: webhooks.public_url.clone(),
        listener: listener.clone(),
        clock,
        stop: stop.clone(),
    };
    while !stop.is_finishing() {
        let options = options::daemon(&settings.worker);
        let daemon = Daemon::register(parts.clone(), options).await?;
        announce(daemon.name(), listener.as_deref());
        match daemon.run().await? {
            Ended::Stopped => break,
            Ended::Buried => tracing::warn!("going on under a new name"),
        }
    }
    tracing::info!("worker stopped");
    Ok(())
}

/// Connects to the configured database, or starts the embedded one.
async fn connect(settings: &Settings) -> anyhow::Result<Pool> {
    let url = match &settings.database.url {
        Some(url) => url.expose().to_owned(),
        None => {
            embedded::ensure_started(options::embedded(settings))
                .await
                .context("start the embedded PostgreSQL")?
                .url
        }
    };
    let options = ConnectOptions {
        url,
        max_connections: settings.database.max_connections,
        application_name: "dripline-worker".to_owned(),
    };
    dripline_store::connect(&options).await.context("connect to the database")
}

async fn check_schema(pool: &Pool, migrate: bool) -> anyhow::Result<()> {
    if migrate {
        return dripline_store::migrate(pool).await.context("migrate the database");
    }
    match dripline_store::schema_status(pool).await.context("look at the database's schema")? {
        SchemaStatus::Current => Ok(()),
        SchemaStatus::Missing => bail!("the database has no schema; start with --migrate"),
        SchemaStatus::Behind(behind) => {
            bail!("the database's schema lacks {behind} migrations; start with --migrate")
        }
        SchemaStatus::Newer => {
            bail!("the database's schema is of a newer version of Dripline; use that version")
        }
    }
}

/// The files of the plugin directory, and what is installed in the database, which takes the place of a file of the
/// same name.
async fn load_plugins(
    settings: &Settings,
    pool: &Pool,
    options: HostOptions,
) -> anyhow::Result<(PluginHost, Arc<Installed>)> {
    let clock = options.clock.clone();
    let host = PluginHost::new(options).context("start the plugin host")?;
    let directory = settings.plugins.directory.clone();
    let shown = directory.display().to_string();
    if directory.exists() {
        let loading = host.clone();
        tokio::task::spawn_blocking(move || loading.load_directory(&directory))
            .await
            .context("load the plugins")?
            .with_context(|| format!("load plugins from {shown}"))?;
    }
    let installed = Arc::new(Installed::default());
    installed.sync(pool, &host, &*clock).await.context("load the installed plugins")?;
    // What is installed and cannot be loaded may be loaded later, and is told until then.
    if host.plugins().is_empty() && installed.tried().is_empty() {
        bail!(
            "there are no plugins: `dripline plugin install FILE` installs one, and *.wasm in {shown} \
             would do as well"
        );
    }
    Ok((host, installed))
}

/// One line of JSON on standard output, for whoever started us and waits. Nobody may be left to
/// read it, which is no reason not to work.
fn announce(name: &str, listener: Option<&Listener>) {
    tracing::info!(worker = name, "worker ready");
    let mut line = serde_json::json!({ "ready": true, "worker": name });
    if let Some(listener) = listener {
        let address = listener.address().to_string();
        tracing::info!(address, "listening for what carriers report");
        line["webhooks"] = address.into();
    }
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = writeln!(stdout, "{line}").and_then(|()| stdout.flush()) {
        tracing::debug!(%error, "nobody reads standard output");
    }
}
