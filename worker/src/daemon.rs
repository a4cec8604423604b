//! The daemon as a whole: registration, queue, handlers and sweeps, from start to stop.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use apalis::prelude::{Data, Monitor, ParallelizeExt, WorkerBuilder};
use dripline_config::PublicUrl;
use dripline_domain::breaker::BreakerPolicy;
use dripline_domain::clock::Clock;
use dripline_domain::retry::RetryPolicy;
use dripline_plugin_host::PluginHost;
use dripline_plugin_host::egress::Wire;
use dripline_store::worker_registry::{self, Registration};
use dripline_store::{Pool, installation};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::environment::{Batches, Environment};
use crate::installed::Installed;
use crate::jobs::deliver::Deliver;
use crate::journal::{Journal, JournalOptions};
use crate::lifecycle::Stop;
use crate::outage::Outage;
use crate::plugin_log::{self, PluginLog};
use crate::queue::{Claims, Queue, QueueFailure, QueueOptions, TicketBackend};
use crate::sweeps::{self, SweepOptions};
use crate::webhooks::{self, Listener, WebhookOptions};

/// What the daemon is made from.
#[derive(Clone, Debug)]
pub struct Parts {
    /// Connections to a database of this version's schema.
    pub pool: Pool,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The plugins, loaded.
    pub plugins: PluginHost,
    /// Which of them were installed in the database.
    pub installed: Arc<Installed>,
    /// What they log.
    pub plugin_log: Arc<PluginLog>,
    /// The way out.
    pub wire: Arc<dyn Wire>,
    /// How carriers reach whoever listens for them.
    pub public_url: Option<PublicUrl>,
    /// Where this process listens for them, if it does.
    pub listener: Option<Arc<Listener>>,
    /// Where journals are.
    pub journal: JournalOptions,
    /// Stops the daemon.
    pub stop: Stop,
}

/// How the daemon works.
#[derive(Clone, Copy, Debug)]
pub struct DaemonOptions {
    /// How tickets are claimed.
    pub queue: QueueOptions,
    /// Batches of each stage.
    pub batches: Batches,
    /// When failed attempts are tried again.
    pub retry: RetryPolicy,
    /// When a route is halted, and for how long.
    pub breaker: BreakerPolicy,
    /// How often a ticket may be claimed by workers that die.
    pub max_claims: u32,
    /// How long the database may take to answer one request.
    pub database_timeout: Duration,
    /// How the sweeps run.
    pub sweeps: SweepOptions,
    /// What carriers that call may take.
    pub webhooks: WebhookOptions,
}

/// A registered worker that has not begun to claim.
#[derive(Debug)]
pub struct Daemon {
    registration: Registration,
    listener: Option<Arc<Listener>>,
    environment: Arc<Environment>,
    options: DaemonOptions,
}

/// Why a daemon has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It was asked to.
    Stopped,
    /// Other workers took it for dead. What it had begun is settled; it may go on under a new name.
    Buried,
}

impl Daemon {
    /// Registers this process under a fresh name. Waits for the database if it has to.
    pub async fn register(parts: Parts, options: DaemonOptions) -> anyhow::Result<Self> {
        let Parts {
            pool,
            clock,
            plugins,
            installed,
            plugin_log,
            wire,
            public_url,
            listener,
            journal: journals,
            stop,
        } = parts;
        let stop = stop.child();
        let outage = Arc::new(Outage::new(stop.clone(), options.database_timeout));
        let installation_id = outage
            .outlast("installation.id", || installation::id(&pool))
            .await
            .context("read the installation's id")?;
        let registration = outage
            .outlast("worker_registry.register", || async {
                // A fresh name for each try: an unanswered one may have been registered.
                worker_registry::register(&pool, &*clock, &fresh_name()).await
            })
            .await
            .context("register the worker")?;
        let journal = Journal::open(&journals, installation_id, &registration.name)
            .context("begin the worker's journal")?;
        let environment = Environment {
            pool,
            clock,
            outage,
            stop,
            worker_id: registration.worker_id,
            installation_id,
            journal,
            journals: journals.directory,
            retry: options.retry,
            breaker: options.breaker,
            max_claims: options.max_claims,
            plugins,
            installed,
            plugin_log,
            public_url,
            wire,
            batches: options.batches,
        };
        Ok(Self { registration, listener, environment: Arc::new(environment), options })
    }

    /// The worker's name: host, process id and a fresh id.
    pub fn name(&self) -> &str {
        &self.registration.name
    }

    /// Works until it is stopped, and then until everything begun is settled.
    pub async fn run(self) -> anyhow::Result<Ended> {
        let Self { registration, listener, environment, options } = self;
        let name = registration.name.clone();
        let queue = Arc::new(Queue::new(registration, &environment, options.queue));
        let deliver = Arc::new(Deliver::start(environment.clone()));
        let sweeps = sweeps::start(&environment, &deliver, options.sweeps);
        let listening = listener.map(|listener| {
            tokio::spawn(webhooks::serve(listener, &environment, &deliver, options.webhooks))
        });
        // Longer than the queue: what is finished after the stop is logged too.
        let (running, end) = oneshot::channel();
        let writing = tokio::spawn(plugin_log::write_down(environment.clone(), end));
        let backend = queue.clone();
        let monitor = Monitor::new().register(move |_| {
            let deliver = deliver.clone();
            WorkerBuilder::new(name.as_str())
                .backend(TicketBackend::new(backend.clone()))
                .parallelize(tokio::spawn)
                .build(move |payload: Vec<u8>, claims: Data<Claims>| {
                    let deliver = deliver.clone();
                    async move { Ok::<_, Infallible>(deliver.handle(&payload, *claims).await) }
                })
        });
        let stopping = async {
            environment.stop.finishing().await;
            Ok(())
        };
        monitor.run_with_signal(stopping).await.context("run the queue")?;
        drop(sweeps);
        if let Some(listening) = listening {
            listening.await.context("answer carriers")?;
        }
        drop(running);
        writing.await.context("write down what plugins log")?;
        environment.journal.clone().close().await;
        match queue.failure() {
            None => Ok(Ended::Stopped),
            Some(QueueFailure::Buried) => Ok(Ended::Buried),
            Some(failure) => Err(failure.into()),
        }
    }
}

/// Host, process id, and a part that no two incarnations share: whoever comes back is somebody new.
fn fresh_name() -> String {
    let host = std::env::var("HOSTNAME")
        .ok()
        .or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok())
        .map(|host| host.trim().to_owned())
        .filter(|host| !host.is_empty())
        .unwrap_or_else(|| "host".to_owned());
    format!("{host}-{}-{}", std::process::id(), Uuid::new_v4().simple())
}
