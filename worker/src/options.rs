//! From settings to what the parts of the daemon take.

use std::num::NonZeroUsize;
use std::sync::Arc;

use dripline_config::{PluginKindLimits, Plugins, Settings, Worker};
use dripline_domain::clock::Clock;
use dripline_plugin_host::egress::EgressOptions;
use dripline_plugin_host::{HostOptions, Limits, LogKeeper};
use dripline_store::embedded::EmbeddedOptions;

use crate::batch::BatchLimits;
use crate::daemon::DaemonOptions;
use crate::environment::Batches;
use crate::journal::JournalOptions;
use crate::queue::QueueOptions;
use crate::sweeps::SweepOptions;
use crate::sweeps::unknown_deliveries::UnknownOptions;
use crate::webhooks::WebhookOptions;

/// Where batching pays most: larger transactions hold their locks longer and gain nothing.
const DATABASE_BATCH: usize = 500;
/// Calls of one plugin batch share an instance, whose start they also share.
const PLUGIN_BATCH: usize = 200;

/// How the daemon works under these settings.
pub fn daemon(worker: &Worker) -> DaemonOptions {
    // Marking and settling share `connections`; each of them overlaps its own transactions, so that
    // one gathers while another commits.
    let concurrent = usize::try_from(worker.connections / 2).unwrap_or(usize::MAX).max(1);
    DaemonOptions {
        queue: QueueOptions {
            max_in_flight: worker.concurrency,
            claim_size: worker.claim_size,
            idle_poll: worker.poll(),
            heartbeat: worker.heartbeat(),
        },
        batches: Batches {
            database: BatchLimits { size: DATABASE_BATCH, concurrent },
            plugins: BatchLimits { size: PLUGIN_BATCH, concurrent: 2 },
        },
        retry: worker.retry.policy(),
        breaker: worker.breaker.policy(),
        max_claims: worker.max_claims,
        database_timeout: worker.database_timeout(),
        sweeps: SweepOptions {
            interval: worker.sweep(),
            dead_after: worker.dead_after(),
            missing_ticket_after: worker.missing_ticket_after(),
            unknown: UnknownOptions {
                deadline: worker.unknown_deadline(),
                send_timeout: worker.send_timeout(),
            },
        },
        webhooks: WebhookOptions {
            max_requests: worker.webhooks.max_requests,
            max_body_bytes: saturate(worker.webhooks.max_body_bytes()),
            timeout: worker.webhooks.timeout(),
        },
    }
}

/// Where journals are under these settings.
pub fn journal(settings: &Settings) -> JournalOptions {
    JournalOptions { directory: settings.journal_dir(), max_bytes: settings.worker.journal_bytes() }
}

/// How plugins run under these settings, and who keeps what they log.
pub fn plugins(
    plugins: &Plugins,
    clock: Arc<dyn Clock>,
    log_keeper: Arc<dyn LogKeeper>,
) -> HostOptions {
    let defaults = HostOptions::default();
    let bytes = |limits: &PluginKindLimits| saturate(limits.memory_bytes());
    HostOptions {
        limits: Limits {
            renderer_memory_bytes: bytes(&plugins.renderer),
            carrier_memory_bytes: bytes(&plugins.carrier),
            carrier_deadline: plugins.carrier.deadline(),
            render_deadline: plugins.renderer.deadline(),
            output_bytes: plugins.max_output_bytes,
            file_bytes: saturate(plugins.file_bytes()),
            compile_timeout: plugins.compile_timeout(),
            ..Limits::default()
        },
        cache_directory: Some(plugins.cache_directory.clone()),
        threads: plugins.threads.and_then(NonZeroUsize::new).unwrap_or(defaults.threads),
        clock,
        log_keeper: Some(log_keeper),
    }
}

/// How requests leave under these settings.
pub fn egress(worker: &Worker) -> EgressOptions {
    let total_timeout = worker.send_timeout();
    let defaults = EgressOptions::default();
    EgressOptions {
        connect_timeout: defaults.connect_timeout.min(total_timeout),
        total_timeout,
        idle_connections: worker.concurrency,
        ..defaults
    }
}

/// The embedded server under these settings.
pub fn embedded(settings: &Settings) -> EmbeddedOptions {
    EmbeddedOptions {
        binaries_dir: settings.database.embedded.binaries_dir.clone(),
        port: settings.database.embedded.port,
        ..EmbeddedOptions::new(settings.postgres_dir())
    }
}

fn saturate(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
