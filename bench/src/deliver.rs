//! How fast messages are delivered by the whole daemon: claimed, rendered, marked, sent, settled and
//! acknowledged, and their enrollments taken to the next step.

use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use dripline_plugin_host::egress::{Egress, EgressOptions, Wire};
use dripline_plugin_host::testing::Canned;
use dripline_store::Pool;
use dripline_worker::daemon::{Daemon, Parts};
use dripline_worker::journal::JournalOptions;
use dripline_worker::lifecycle::Stop;
use dripline_worker::plugin_log::PluginLog;

use crate::carrier::Carrier;
use crate::database::analyze;
use crate::lab::Lab;
use crate::limit;
use crate::report::{Figure, per_second};
use crate::seed::{CarrierAt, Seed};
use crate::usage::Counters;

/// Between two looks at how far a run has come.
const LOOK: Duration = Duration::from_millis(20);
/// A run that stands still for so long is broken.
const STANDSTILL: Duration = Duration::from_secs(30);

/// Where the messages go.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Form {
    /// Answered inside the worker: no socket.
    Engine,
    /// HTTP over loopback to the simulator's process.
    Wire,
}

impl Form {
    fn as_str(self) -> &'static str {
        match self {
            Self::Engine => "engine",
            Self::Wire => "wire",
        }
    }
}

/// Sends `messages` while `backlog` tickets were waiting at the start, `runs` times.
pub(crate) async fn run(
    lab: &Lab,
    form: Form,
    messages: usize,
    backlog: usize,
    runs: usize,
) -> anyhow::Result<Figure> {
    let mut rates = Vec::new();
    let mut limits = Vec::new();
    let mut usage = None;
    for run in 0..runs {
        let carrier = Carrier::start()?;
        let name = format!("deliver_{}_{backlog}_{run}", form.as_str());
        let (pool, _) = waiting(lab, &name, carrier.at(), backlog).await?;
        let before = Counters::read(&pool, Some(carrier.pid())).await?;
        rates.push(deliver(lab, form, &pool, messages.min(backlog)).await?);
        usage = Some(before.until_now(&pool, Some(carrier.pid())).await?);
        pool.close().await;

        let limited = messages.min(backlog).min(LIMIT_MESSAGES);
        let (pool, _) = waiting(lab, &format!("{name}_limit"), carrier.at(), limited).await?;
        limits.push(limit::drain(&pool, lab.clock.clone(), limited).await?);
        pool.close().await;
    }
    let figure = Figure::of("deliver", form.as_str(), "messages/s", messages.min(backlog), &rates);
    Ok(figure.with_backlog(backlog).with_limit(&limits).with_usage(usage))
}

/// Enough for a steady rate of the limit.
const LIMIT_MESSAGES: usize = 50_000;

/// A database of that name with `backlog` messages that are due.
pub(crate) async fn waiting(
    lab: &Lab,
    name: &str,
    carrier: &CarrierAt,
    backlog: usize,
) -> anyhow::Result<(Pool, Seed)> {
    let pool = lab.server.database(name).await?;
    let seed = Seed::plant(&pool, &*lab.clock, carrier, backlog, 1).await?;
    seed.enroll(&pool, &*lab.clock, &lab.plugins, backlog).await?;
    analyze(&pool).await?;
    until_due(lab, &pool).await?;
    Ok((pool, seed))
}

/// Tickets are due at whole seconds, the last ones up to a second after their enrolment.
pub(crate) async fn until_due(lab: &Lab, pool: &Pool) -> anyhow::Result<()> {
    let last: Option<chrono::DateTime<chrono::Utc>> =
        sqlx::query_scalar("SELECT max(run_at) FROM apalis.jobs")
            .fetch_one(pool)
            .await
            .context("read when the last ticket is due")?;
    let wait = last.and_then(|last| (last - lab.clock.now()).to_std().ok());
    tokio::time::sleep(wait.unwrap_or_default()).await;
    Ok(())
}

/// Messages per second until `messages` of them are sent.
pub(crate) async fn deliver(
    lab: &Lab,
    form: Form,
    pool: &Pool,
    messages: usize,
) -> anyhow::Result<f64> {
    let wire: Arc<dyn Wire> = match form {
        Form::Wire => Arc::new(Egress::new(EgressOptions::default())),
        Form::Engine => Arc::new(Canned::json(201, r#"{"sid":"SM{n}","status":"queued"}"#)),
    };
    let stop = Stop::new();
    let journals = tempfile::tempdir().context("create a directory for the journal")?;
    let settings = settings()?;
    let journal = JournalOptions {
        directory: journals.path().join("journal"),
        max_bytes: settings.journal_bytes(),
    };
    let parts = Parts {
        pool: pool.clone(),
        clock: lab.clock.clone(),
        plugins: lab.plugins.clone(),
        installed: Arc::default(),
        plugin_log: Arc::new(PluginLog::new(lab.clock.clone())),
        wire,
        public_url: None,
        listener: None,
        journal,
        stop: stop.clone(),
    };
    let daemon = Daemon::register(parts, dripline_worker::options::daemon(&settings)).await?;
    let begun = Instant::now();
    let working = tokio::spawn(daemon.run());
    let seconds = until_sent(pool, messages, begun).await?;
    stop.finish();
    working.await.context("run the daemon")??;
    Ok(seconds)
}

/// The worker's defaults, with what the environment says of `DRIPLINE__WORKER__...`. No other
/// setting and no file of this machine counts.
pub(crate) fn settings() -> anyhow::Result<dripline_config::Worker> {
    let directory = tempfile::tempdir().context("create a directory")?;
    let state: (OsString, OsString) = ("DRIPLINE_STATE_DIR".into(), directory.path().into());
    let worker = std::env::vars_os()
        .filter(|(name, _)| name.as_encoded_bytes().starts_with(b"DRIPLINE__WORKER__"));
    let settings = dripline_config::load_from(directory.path(), None, worker.chain([state]))
        .context("read the worker's settings")?;
    Ok(settings.worker)
}

async fn until_sent(pool: &Pool, messages: usize, begun: Instant) -> anyhow::Result<f64> {
    let (mut last, mut moved) = (0, Instant::now());
    loop {
        let sent: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum(items), 0)::bigint FROM ledger_entries WHERE kind = 'capture'",
        )
        .fetch_one(pool)
        .await
        .context("count the messages sent")?;
        let sent = usize::try_from(sent).unwrap_or(0);
        if sent >= messages {
            return Ok(per_second(sent, begun.elapsed().as_secs_f64()));
        }
        if sent > last {
            (last, moved) = (sent, Instant::now());
        }
        anyhow::ensure!(
            moved.elapsed() < STANDSTILL,
            "only {sent} of {messages} messages were sent"
        );
        tokio::time::sleep(LOOK).await;
    }
}
