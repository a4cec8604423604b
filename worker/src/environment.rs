//! What a handler may touch.

use std::path::PathBuf;
use std::sync::Arc;

use dripline_config::PublicUrl;
use dripline_domain::breaker::BreakerPolicy;
use dripline_domain::clock::Clock;
use dripline_domain::ids::WorkerId;
use dripline_domain::retry::RetryPolicy;
use dripline_plugin_host::PluginHost;
use dripline_plugin_host::egress::Wire;
use dripline_store::Pool;
use uuid::Uuid;

use crate::batch::BatchLimits;
use crate::installed::Installed;
use crate::journal::Journal;
use crate::lifecycle::Stop;
use crate::outage::Outage;
use crate::plugin_log::PluginLog;

/// Everything that a handler is given, and nothing else: no globals, no environment variables.
#[derive(Debug)]
pub struct Environment {
    /// Handed to store functions, never queried here.
    pub pool: Pool,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Repeats database operations through outages.
    pub outage: Arc<Outage>,
    /// How far stopping has come.
    pub stop: Stop,
    /// This incarnation.
    pub worker_id: WorkerId,
    /// Makes our references unique between installations.
    pub installation_id: Uuid,
    /// What this incarnation knows, on disk.
    pub journal: Journal,
    /// Where the journals of all incarnations are.
    pub journals: PathBuf,
    /// When a failed attempt is tried again.
    pub retry: RetryPolicy,
    /// When a route is halted, and for how long.
    pub breaker: BreakerPolicy,
    /// How often a ticket may be claimed by workers that die.
    pub max_claims: u32,
    /// Renderers and carriers.
    pub plugins: PluginHost,
    /// Which of them were installed in the database.
    pub installed: Arc<Installed>,
    /// What they log, until it is written down.
    pub plugin_log: Arc<PluginLog>,
    /// How carriers reach whoever listens for them; `None`: they are told of no address.
    pub public_url: Option<PublicUrl>,
    /// The one HTTP door, or what stands in for it in a bench.
    pub wire: Arc<dyn Wire>,
    /// How large batches may grow and how many may run at once.
    pub batches: Batches,
}

/// Batches of the two kinds of stages.
#[derive(Clone, Copy, Debug)]
pub struct Batches {
    /// Of each stage that is a transaction or a query.
    pub database: BatchLimits,
    /// Of each stage that calls plugins.
    pub plugins: BatchLimits,
}
