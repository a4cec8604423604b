//! One installation: a database, a carrier, a state directory, and programs that use them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use dripline_carrier_simulator::log::{LogEntry, read_log};
use dripline_domain::clock::{Clock, ManualClock, SystemClock};
use dripline_domain::delivery::DeliveryState;
use dripline_domain::ids::{AccountId, ContactId, WorkflowId};
use dripline_domain::money::Micros;
use dripline_domain::throttle::Throttle;
use dripline_domain::workflow::StepDraft;
use dripline_embedded_postgres::Binaries;
use dripline_store::audit::carrier_log::CarrierLogAudit;
use dripline_store::listing::deliveries::{self, DeliveryFilter, DeliveryListing};
use dripline_store::listing::operations;
use dripline_store::listing::queue::{self as waiting, QueueSummary};
use dripline_store::testing::TestDatabase;
use dripline_store::testing::factory::{Account, Contacts, Enrolment, ROUTE, Route, Workflow};
use dripline_store::{Pool, audit, queue, route_halt};
use tempfile::TempDir;
use tokio::process::Command;

use crate::process::{PATIENCE, Process};

/// The account of every stage.
pub const ACCOUNT: &str = "acme";
/// The plugin that is installed and removed: one of those that every stage has, which no route uses.
pub const PLUGIN: &str = "keyed-carrier";
/// The workflow of every stage.
pub const WORKFLOW: &str = "drip";
/// What the account has before anything is enrolled.
pub const FUNDS: Micros = Micros(1_000_000_000);

/// The renderer, and carriers of each class: nothing known, a key, a question.
const PLUGINS: [&str; 4] =
    ["template.wasm", "twilio.wasm", "keyed_carrier.wasm", "queried_carrier.wasm"];
const ACCOUNT_SID: &str = "AC00000000000000000000000000000001";
const AUTH_TOKEN: &str = "only-the-simulator-takes-this";
/// What the sender of every stage may send.
const SEGMENTS_PER_SECOND: u32 = 100;
/// Between two looks at a condition; every loop around it has a limit.
const LOOK: Duration = Duration::from_millis(100);
/// What is due by then is waited for.
const SOON: Duration = Duration::from_secs(10);
/// More than any stage has of anything.
const MANY: i64 = 100_000;

/// What all stages share: where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `dripline`, `dripline-worker` and `dripline-carrier-simulator`, the first two with crash points.
    pub directory: PathBuf,
    /// This package's own program.
    pub own: PathBuf,
    /// The bundled plugins.
    pub plugins: PathBuf,
    /// Their compiled forms; made by the first who needs them.
    pub plugin_cache: PathBuf,
}

impl Programs {
    /// With a folder of only the plugins that a stage has: beside them stand some that no host loads.
    pub fn with_plugins(self, directory: &Path) -> anyhow::Result<Self> {
        let plugins = directory.join("plugins-of-stages");
        std::fs::create_dir(&plugins).context("create a directory for the plugins")?;
        for name in PLUGINS {
            std::os::unix::fs::symlink(self.plugins.join(name), plugins.join(name))
                .with_context(|| format!("take the plugin `{name}`"))?;
        }
        Ok(Self { plugins, ..self })
    }

    /// Compiles the plugins once. All the programs of all trials at once would be busy with nothing
    /// else.
    pub async fn compile_plugins(&self) -> anyhow::Result<()> {
        let database = TestDatabase::new().await;
        let mut command = Command::new(self.directory.join("dripline"));
        command
            .args(["plugin", "list"])
            .env("DATABASE_URL", database.url())
            .env("DRIPLINE_STATE_DIR", &self.plugins)
            .env("DRIPLINE__PLUGINS__DIRECTORY", &self.plugins)
            .env("DRIPLINE__PLUGINS__CACHE_DIRECTORY", &self.plugin_cache)
            .current_dir(&self.plugins)
            .kill_on_drop(true);
        let done = run(command, "").await?;
        ensure!(done.status.success(), "the plugins cannot be loaded: {}", done.said);
        Ok(())
    }
}

/// What a command did.
#[derive(Debug)]
pub struct Done {
    /// How it ended.
    pub status: ExitStatus,
    /// What it said, on both streams.
    pub said: String,
}

/// An installation with one account, a route to its carrier, and a workflow.
#[derive(Debug)]
pub struct Stage {
    /// Connections of ours.
    pub pool: Pool,
    /// The account.
    pub account_id: AccountId,
    /// The workflow.
    pub workflow_id: WorkflowId,
    /// The contacts, by ascending id.
    pub contacts: Vec<ContactId>,
    /// Where everything is that is not in the database.
    pub home: TempDir,
    programs: Programs,
    url: String,
    workers: u32,
    /// `None`: nobody listens at its address.
    carrier: Option<Process>,
    address: String,
    // Dropped last, so that nobody is connected any more.
    _database: TestDatabase,
}

impl Stage {
    /// Sets the stage: so many contacts, not yet enrolled, a workflow of these steps, and a carrier
    /// of this plugin that misbehaves by this plan.
    pub async fn set(
        programs: &Programs,
        plugin: &str,
        steps: Vec<StepDraft>,
        contacts: usize,
        faults: &str,
    ) -> anyhow::Result<Self> {
        let database = TestDatabase::new().await;
        let (url, pool) = (database.url().to_owned(), database.pool().clone());
        let home = tempfile::Builder::new().prefix("dripline-crash-").tempdir()?;
        std::fs::write(home.path().join("faults.toml"), faults)?;
        std::fs::write(home.path().join("carrier.jsonl"), "")?;
        let (carrier, address) = start_carrier(programs, home.path(), "127.0.0.1:0").await?;
        let origin = format!("http://{address}");
        let clock = &SystemClock;
        let account = Account {
            name: Some(ACCOUNT.to_owned()),
            available: Some(FUNDS),
            many_live_workflows_per_contact: true,
        };
        let account_id = account.create(&pool, clock).await;
        let route = Route {
            name: Some(ROUTE.to_owned()),
            carrier: Some(plugin.to_owned()),
            settings: BTreeMap::from([
                ("account_sid".to_owned(), ACCOUNT_SID.to_owned()),
                ("api_base".to_owned(), origin.clone()),
            ]),
            secrets: BTreeMap::from([("auth_token".to_owned(), "env:CRASH_AUTH_TOKEN".to_owned())]),
            allowed_origins: vec![origin],
            // Seldom reached; with it every mark writes down how far its sender has come.
            throttle: Throttle {
                segments_per_second: NonZeroU32::new(SEGMENTS_PER_SECOND),
                segments_per_day: None,
            },
            ..Route::default()
        };
        route.create(&pool, clock, account_id).await;
        let workflow =
            Workflow { name: Some(WORKFLOW.to_owned()), steps: Some(steps), ..Workflow::default() };
        let workflow_id = workflow.create(&pool, clock, account_id).await;
        let contacts = Contacts::many(contacts).create(&pool, clock, account_id).await;
        Ok(Self {
            pool,
            account_id,
            workflow_id,
            contacts,
            home,
            programs: programs.clone(),
            url,
            workers: 0,
            carrier: Some(carrier),
            address,
            _database: database,
        })
    }

    /// The carrier cannot be reached any more.
    pub async fn carrier_leaves(&mut self) -> anyhow::Result<()> {
        match self.carrier.take() {
            Some(carrier) => carrier.kill().await,
            None => Ok(()),
        }
    }

    /// The carrier can be reached again, at the same address and with the same log.
    pub async fn carrier_returns(&mut self) -> anyhow::Result<()> {
        if self.carrier.is_none() {
            let (carrier, _) =
                start_carrier(&self.programs, self.home.path(), &self.address).await?;
            self.carrier = Some(carrier);
        }
        Ok(())
    }

    /// Waits until a worker has halted a route.
    pub async fn wait_for_halt(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        while route_halt::current(&self.pool, self.account_id, None).await?.is_empty() {
            ensure!(begun.elapsed() < PATIENCE, "no route is halted");
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Waits until nobody of whom nothing is known is due for an inquiry soon. What a worker that died
    /// has taken on stays with it for longer than anybody here waits.
    pub async fn wait_for_inquiries(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let due = self
                .sql(
                    "SELECT count(*) FROM deliveries d LEFT JOIN inquiries i USING (delivery_id)
                 WHERE d.state IN ('unknown', 'sending')
                   AND (i.due_at IS NULL OR i.due_at < now() + INTERVAL '1 minute')",
                )
                .await?;
            if due.trim() == "0" {
                return Ok(());
            }
            ensure!(begun.elapsed() < PATIENCE, "{due} are still due for an inquiry");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Enrols all contacts in a workflow of so many steps.
    pub async fn enrol_in(&self, workflow_id: WorkflowId, steps: usize) {
        let enrolment = Enrolment { steps: Some(steps), ..Enrolment::default() };
        enrolment.create(&self.pool, &SystemClock, workflow_id, &self.contacts).await;
    }

    /// Where this program is.
    pub fn own_program(&self) -> &Path {
        &self.programs.own
    }

    /// The database, for a program.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A program of ours with this installation's settings and nobody else's.
    pub fn program(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"))
            .current_dir(self.home.path())
            .env("USER", "operator")
            .env("DATABASE_URL", &self.url)
            .env("DRIPLINE_STATE_DIR", self.home.path())
            .env("CRASH_AUTH_TOKEN", AUTH_TOKEN)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let mut set = |key: &str, value: &dyn Display| {
            command.env(format!("DRIPLINE__{key}"), value.to_string());
        };
        set("CLI__ACCOUNT", &ACCOUNT);
        set("DATABASE__MAX_CONNECTIONS", &6);
        set("PLUGINS__DIRECTORY", &self.programs.plugins.display());
        set("PLUGINS__CACHE_DIRECTORY", &self.programs.plugin_cache.display());
        // Generous: many of them share the processors.
        set("PLUGINS__RENDERER__DEADLINE_MS", &5_000);
        set("PLUGINS__CARRIER__DEADLINE_MS", &5_000);
        set("PLUGINS__THREADS", &1);
        set("WORKER__CONCURRENCY", &32);
        set("WORKER__CLAIM_SIZE", &16);
        set("WORKER__CONNECTIONS", &2);
        set("WORKER__POLL_MS", &100);
        set("WORKER__HEARTBEAT_SECONDS", &1);
        set("WORKER__DEAD_AFTER_SECONDS", &2);
        set("WORKER__SWEEP_SECONDS", &1);
        set("WORKER__RETRY__FIRST_SECONDS", &1);
        set("WORKER__RETRY__CEILING_SECONDS", &1);
        set("WORKER__SEND_TIMEOUT_MS", &20_000);
        command
    }

    /// Starts a worker; `failpoints` in the form of the `fail` crate. One that dies before it is
    /// ready has started all the same.
    pub async fn worker(
        &mut self,
        failpoints: &str,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Process> {
        self.workers += 1;
        let log = self.home.path().join(format!("worker-{}.log", self.workers));
        let mut command = self.program(&self.programs.directory.join("dripline-worker"));
        command.env("FAILPOINTS", failpoints).envs(settings.iter().copied());
        let (worker, said) = Process::start("worker", command, &log, "").await?;
        let ready = said.is_some() || !failpoints.is_empty();
        ensure!(ready, "the worker did not start: {}", worker.log());
        Ok(worker)
    }

    /// Runs `dripline` with these arguments.
    pub async fn dripline(&self, failpoints: &str, arguments: &[String]) -> anyhow::Result<Done> {
        let mut command = self.program(&self.programs.directory.join("dripline"));
        command.args(arguments);
        run(command, failpoints).await
    }

    /// The component of [`PLUGIN`].
    pub fn plugin_file(&self) -> PathBuf {
        self.programs.plugins.join(format!("{}.wasm", PLUGIN.replace('-', "_")))
    }

    /// Installs [`PLUGIN`].
    pub async fn install_plugin(&self) -> anyhow::Result<()> {
        let file = self.plugin_file().display().to_string();
        let words = ["plugin", "install", &file, "--yes"].map(str::to_owned);
        let done = self.dripline("", &words).await?;
        ensure!(done.status.success(), "the plugin is not installed: {}", done.said);
        Ok(())
    }

    /// Runs a program to its end.
    pub async fn run(&self, command: Command, failpoints: &str) -> anyhow::Result<Done> {
        run(command, failpoints).await
    }

    /// Writes a file into the directory that commands run in.
    pub fn file(&self, name: &str, content: &str) -> anyhow::Result<()> {
        std::fs::write(self.home.path().join(name), content)
            .with_context(|| format!("write {name}"))
    }

    /// Does to the database what no function of ours would, or asks it. Gives what it says.
    pub async fn sql(&self, statement: &str) -> anyhow::Result<String> {
        let mut command = psql()?;
        command.args(["-qAt", "-c", statement, &self.psql_url()]).kill_on_drop(true);
        let done = run(command, "").await?;
        ensure!(done.status.success(), "{statement}: {}", done.said);
        Ok(done.said)
    }

    /// Takes the locks of a statement, and keeps them until the value is dropped.
    pub async fn hold(&self, statement: &str) -> anyhow::Result<Process> {
        let mut command = psql()?;
        command.args(["-qAt", &self.psql_url()]);
        let script = format!("BEGIN;\n{statement};\n\\echo '{{\"held\":true}}'\n");
        let log = self.home.path().join("psql.log");
        let (session, said) = Process::start("psql", command, &log, &script).await?;
        ensure!(said.is_some(), "nothing was locked: {}", session.log());
        Ok(session)
    }

    /// The URL without what only our driver understands.
    fn psql_url(&self) -> String {
        let Some((server, parameters)) = self.url.split_once('?') else { return self.url.clone() };
        let known: Vec<_> = parameters.split('&').filter(|p| p.starts_with("host=")).collect();
        format!("{server}?{}", known.join("&"))
    }

    /// Deliveries by state.
    pub async fn counts(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let counts = deliveries::counts(&self.pool, self.account_id, None).await?;
        Ok(counts.iter().map(|c| (c.state.to_string(), c.deliveries)).collect())
    }

    /// Waits until so many deliveries, or more, are in the state.
    pub async fn wait_for(&self, state: &str, count: u64) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let counts = self.counts().await?;
            if counts.get(state).copied().unwrap_or(0) >= count {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                bail!("waited for {count} {state}; there are {counts:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until nothing that is due is queued or on the wire, no purge is unfinished, and no ticket
    /// that is due stands in the queue.
    pub async fn wait_until_quiet(&self) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            let busy = self.busy().await?;
            let Some(busy) = busy else { return Ok(()) };
            if begun.elapsed() > PATIENCE {
                bail!("it does not become quiet: {busy}; {:?}", self.counts().await?);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn busy(&self) -> anyhow::Result<Option<String>> {
        // What comes back after a moment is about to leave. All in one look: between two of them a delivery
        // goes from the one state into the other, and is in neither.
        let soon = ManualClock::new(SystemClock.now() + SOON);
        let QueueSummary { due, sending, .. } =
            waiting::summary(&self.pool, &soon, self.account_id).await?;
        if sending + due > 0 {
            return Ok(Some(format!("{sending} sending, {due} due")));
        }
        let tickets = queue::stats(&self.pool, &SystemClock).await?;
        if tickets.due + tickets.claimed > 0 {
            return Ok(Some(format!("{tickets:?}")));
        }
        let operations = operations::list(&self.pool, self.account_id, None, None, 100).await?;
        let purging = operations.iter().filter(|operation| operation.finished_at.is_none()).count();
        Ok((purging > 0).then(|| format!("{purging} purges are not finished")))
    }

    /// The deliveries in a state.
    pub async fn deliveries(&self, state: DeliveryState) -> anyhow::Result<Vec<DeliveryListing>> {
        let filter =
            DeliveryFilter { state: Some(state), limit: MANY, ..DeliveryFilter::default() };
        Ok(deliveries::list(&self.pool, self.account_id, &filter).await?)
    }

    /// The carrier's log.
    pub fn carrier_log(&self) -> anyhow::Result<Vec<LogEntry>> {
        Ok(read_log(&self.home.path().join("carrier.jsonl"))?)
    }

    /// Compares the ten invariants and the carrier's log.
    pub async fn check(&self) -> anyhow::Result<()> {
        let mut broken = Vec::new();
        for result in audit::run(&self.pool, &SystemClock).await? {
            if !result.holds() {
                broken.push(format!("{result:?}"));
            }
        }
        let mut agreement = CarrierLogAudit::begin(&self.pool).await?;
        let mut taken = BTreeSet::new();
        for entry in self.carrier_log()?.iter().filter(|entry| entry.accepted) {
            let reference =
                entry.reference.as_deref().context("the carrier took a nameless one")?;
            agreement.accepted(reference);
            let parts = entry.reference_parts().context("the carrier took a stranger's")?;
            if !taken.insert(parts.delivery_id) {
                broken.push(format!("delivery {} was sent twice", parts.delivery_id));
            }
        }
        let result = agreement.finish().await?;
        if !result.holds() {
            broken.push(format!("{result:?}"));
        }
        ensure!(broken.is_empty(), "{}", broken.join("\n"));
        Ok(())
    }
}

/// Gives the carrier and where it listens.
async fn start_carrier(
    programs: &Programs,
    home: &Path,
    listen: &str,
) -> anyhow::Result<(Process, String)> {
    let mut command = Command::new(programs.directory.join("dripline-carrier-simulator"));
    command
        .args(["--listen", listen, "--exit-with-parent", "--account-sid", ACCOUNT_SID])
        .arg("--log")
        .arg(home.join("carrier.jsonl"))
        .arg("--faults")
        .arg(home.join("faults.toml"))
        .env("DRIPLINE_SIMULATOR_AUTH_TOKEN", AUTH_TOKEN);
    let errors = home.join("carrier.stderr");
    let (carrier, said) = Process::start("carrier", command, &errors, "").await?;
    let said = said.context("the carrier did not start")?;
    let address = said["listening"].as_str().context("the carrier says where it listens")?;
    Ok((carrier, address.to_owned()))
}

async fn run(mut command: Command, failpoints: &str) -> anyhow::Result<Done> {
    command.env("FAILPOINTS", failpoints);
    let output = tokio::time::timeout(PATIENCE, command.output()).await;
    let output = output.context("wait for a command to end")?.context("run a command")?;
    let said = [output.stdout, output.stderr].concat();
    Ok(Done { status: output.status, said: String::from_utf8_lossy(&said).into_owned() })
}

/// The client, as far as it is told what to do.
fn psql() -> anyhow::Result<Command> {
    let installed = Binaries::installed();
    let beside = installed.first().context("find PostgreSQL")?.program("psql");
    // Some distributions keep the client apart from the server.
    let psql = if beside.exists() { beside } else { PathBuf::from("psql") };
    let mut command = Command::new(psql);
    command.args(["-X", "-v", "ON_ERROR_STOP=1"]);
    Ok(command)
}
