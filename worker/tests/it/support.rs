//! What every test here needs: a database, a carrier, and workers as processes.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use dripline_carrier_simulator::log::{LogEntry, read_log};
use dripline_domain::clock::SystemClock;
use dripline_domain::delivery::DeliveryState;
use dripline_domain::ids::AccountId;
use dripline_domain::workflow::StepDraft;
use dripline_embedded_postgres::Binaries;
use dripline_store::Pool;
use dripline_store::audit;
use dripline_store::audit::carrier_log::CarrierLogAudit;
use dripline_store::listing::deliveries;
use dripline_store::testing::TestDatabase;
use dripline_store::testing::factory::{Account, Contacts, Enrolment, Route, Workflow};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const ACCOUNT_SID: &str = "AC00000000000000000000000000000001";
/// The route whose carrier plugin does what the text says.
pub(crate) const HOSTILE: &str = "hostile";
/// With characters that mean something in a header, a form, JSON or base64's input.
pub(crate) const AUTH_TOKEN: &str = "the auth+token/of:the%tests&more=\"1\"";
/// Long enough for a loaded machine; nothing waits for it when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_mins(2);

/// A database, a carrier and a place for files.
pub(crate) struct Stage {
    pub(crate) url: String,
    pub(crate) pool: Pool,
    pub(crate) carrier: Simulator,
    home: TempDir,
    plugins: PathBuf,
    // Dropped last, so that nobody is connected any more.
    _database: Option<TestDatabase>,
}

/// Who is written to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scene {
    pub(crate) account_id: AccountId,
    pub(crate) contacts: u64,
}

impl Stage {
    pub(crate) async fn new() -> Self {
        Self::with_faults("").await
    }

    /// With a carrier that misbehaves by this plan.
    pub(crate) async fn with_faults(plan: &str) -> Self {
        let database = TestDatabase::new().await;
        let (url, pool) = (database.url().to_owned(), database.pool().clone());
        Self::on(url, pool, plan, Some(database))
    }

    /// On a database that the test looks after.
    pub(crate) fn on(url: String, pool: Pool, plan: &str, database: Option<TestDatabase>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let carrier = Simulator::start(home.path(), plan);
        let plugins = collect_plugins(home.path());
        Self { url, pool, carrier, home, plugins, _database: database }
    }

    /// Enrols so many contacts in a workflow of so many steps, all due at once.
    pub(crate) async fn enrol(&self, steps: usize, contacts: usize) -> Scene {
        let workflow = Workflow::with_steps(steps);
        self.enrol_in(workflow.steps.unwrap(), contacts).await
    }

    pub(crate) async fn enrol_in(&self, steps: Vec<StepDraft>, contacts: usize) -> Scene {
        self.enrol_over("twilio", steps, contacts).await
    }

    /// Enrols over a route of that carrier. All carriers here take the same settings.
    pub(crate) async fn enrol_over(
        &self,
        carrier: &str,
        steps: Vec<StepDraft>,
        contacts: usize,
    ) -> Scene {
        let route = route_to(&self.carrier.origin());
        let route = Route { carrier: Some(carrier.to_owned()), ..route };
        self.enrol_on(route, steps, contacts).await
    }

    /// Enrols over that route.
    pub(crate) async fn enrol_on(
        &self,
        route: Route,
        steps: Vec<StepDraft>,
        contacts: usize,
    ) -> Scene {
        let (pool, clock) = (&self.pool, &SystemClock);
        let count = steps.len();
        let account_id = Account::default().create(pool, clock).await;
        route.create(pool, clock, account_id).await;
        route_of_hostile_carrier(&self.carrier.origin()).create(pool, clock, account_id).await;
        let workflow = Workflow { steps: Some(steps), ..Workflow::default() };
        let workflow_id = workflow.create(pool, clock, account_id).await;
        let contacts = Contacts::many(contacts).create(pool, clock, account_id).await;
        let enrolment = Enrolment { steps: Some(count), ..Enrolment::default() };
        enrolment.create(pool, clock, workflow_id, &contacts).await;
        Scene { account_id, contacts: contacts.len() as u64 }
    }

    /// Puts a component among the plugins of workers that are started from now on.
    pub(crate) fn add_plugin(&self, component: &Path) {
        let name = component.file_name().expect("a component has a name");
        std::os::unix::fs::symlink(component, self.plugins.join(name)).unwrap();
    }

    /// A worker that is about to be started.
    pub(crate) fn worker(&self) -> WorkerCommand {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dripline-worker"));
        command
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "HOME"))
            .current_dir(self.home.path())
            .env("DATABASE_URL", &self.url)
            .env("DRIPLINE_STATE_DIR", self.home.path())
            .env("TEST_AUTH_TOKEN", AUTH_TOKEN)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        WorkerCommand(command)
            .setting("PLUGINS__DIRECTORY", &self.plugins.display())
            .setting("PLUGINS__CACHE_DIRECTORY", &plugin_cache().display())
            // Generous: the tests share their processors with compilers.
            .setting("PLUGINS__RENDERER__DEADLINE_MS", &2_000)
            .setting("PLUGINS__CARRIER__DEADLINE_MS", &2_000)
            .setting("WORKER__CONCURRENCY", &32)
            .setting("WORKER__CLAIM_SIZE", &16)
            .setting("WORKER__POLL_MS", &50)
            .setting("WORKER__HEARTBEAT_SECONDS", &1)
            .setting("WORKER__DEAD_AFTER_SECONDS", &2)
            .setting("WORKER__SWEEP_SECONDS", &1)
            .setting("WORKER__RETRY__FIRST_SECONDS", &1)
            .setting("WORKER__RETRY__CEILING_SECONDS", &1)
            .setting("WORKER__SEND_TIMEOUT_MS", &20_000)
    }

    /// How many deliveries are in a state.
    pub(crate) async fn count(&self, scene: &Scene, state: DeliveryState) -> u64 {
        self.counts(scene).await.get(&state.to_string()).copied().unwrap_or(0)
    }

    /// Deliveries by state. Waits out a database that is away.
    async fn counts(&self, scene: &Scene) -> BTreeMap<String, u64> {
        let started = Instant::now();
        loop {
            match deliveries::counts(&self.pool, scene.account_id, None).await {
                Ok(counts) => {
                    return counts.iter().map(|c| (c.state.to_string(), c.deliveries)).collect();
                }
                Err(error) if started.elapsed() > PATIENCE => panic!("{error:?}"),
                Err(_) => pause().await,
            }
        }
    }

    /// Waits until so many deliveries, or more, are in the state.
    pub(crate) async fn wait_for(&self, scene: &Scene, state: DeliveryState, count: u64) {
        let started = Instant::now();
        while self.count(scene, state).await < count {
            assert!(
                started.elapsed() < PATIENCE,
                "waited for {count} {state}; there are {:?}",
                self.counts(scene).await
            );
            pause().await;
        }
    }

    /// Waits until nothing is queued or on the wire: all is sent, or its fate is known to be unknown.
    pub(crate) async fn wait_until_quiet(&self, scene: &Scene) {
        let started = Instant::now();
        loop {
            let counts = self.counts(scene).await;
            let busy = ["queued", "sending"].iter().any(|state| counts.contains_key(*state));
            if !busy {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "still busy: {counts:?}");
            pause().await;
        }
    }

    /// Where the workers' state is.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// The nine invariants that the rows alone can prove hold.
    pub(crate) async fn assert_books(&self) {
        for result in audit::run(&self.pool, &SystemClock).await.unwrap() {
            assert!(result.holds(), "{result:#?}");
        }
    }

    /// Every invariant holds, the tenth against the carrier's own log, and no message was taken
    /// twice.
    pub(crate) async fn assert_invariants(&self) {
        self.assert_invariants_with(None).await;
    }

    /// The same, where a second carrier has taken messages too.
    pub(crate) async fn assert_invariants_with(&self, second: Option<&Simulator>) {
        self.assert_books().await;
        let mut agreement = CarrierLogAudit::begin(&self.pool).await.unwrap();
        let mut taken = BTreeMap::<i64, u32>::new();
        for entry in second.into_iter().chain([&self.carrier]).flat_map(Simulator::log) {
            if entry.accepted {
                agreement.accepted(entry.reference.as_deref().unwrap());
                *taken.entry(entry.reference_parts().unwrap().delivery_id).or_default() += 1;
            }
        }
        let twice: Vec<_> = taken.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "sent more than once: {twice:?}");
        let result = agreement.finish().await.unwrap();
        assert!(result.holds(), "{result:#?}");
    }

    /// Does to the database what no function of ours would.
    pub(crate) fn sql(&self, statement: &str) {
        self.psql(statement);
    }

    /// What a query with one row and one column says.
    pub(crate) fn number(&self, query: &str) -> i64 {
        self.psql(query).trim().parse().unwrap()
    }

    /// The same, where it says a text.
    pub(crate) fn text(&self, query: &str) -> String {
        self.psql(query).trim().to_owned()
    }

    /// Waits until a query with one row and one column says that number.
    pub(crate) async fn wait_for_number(&self, query: &str, number: i64) {
        let started = Instant::now();
        loop {
            let found = self.number(query);
            if found == number {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{query}: waited for {number}, found {found}");
            pause().await;
        }
    }

    fn psql(&self, statement: &str) -> String {
        let output = psql().args(["-qAt", "-c", statement, &self.psql_url()]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Takes the locks of a statement, and keeps them until the value is dropped.
    pub(crate) fn hold(&self, statement: &str) -> Held {
        let mut process = psql()
            .args(["-qAt", &self.psql_url()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = process.stdin.take().unwrap();
        write!(stdin, "BEGIN;\n{statement};\n\\echo held\n").unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        let held = Held { process, _stdin: stdin };
        assert!(stdout.lines().any(|line| line.unwrap() == "held"), "nothing was locked");
        held
    }

    /// The URL without what only our driver understands.
    fn psql_url(&self) -> String {
        let Some((server, parameters)) = self.url.split_once('?') else { return self.url.clone() };
        let known: Vec<_> = parameters.split('&').filter(|p| p.starts_with("host=")).collect();
        format!("{server}?{}", known.join("&"))
    }
}

/// The route [`dripline_store::testing::factory::ROUTE`], to a carrier at this origin.
pub(crate) fn route_to(origin: &str) -> Route {
    Route {
        settings: BTreeMap::from([
            ("account_sid".to_owned(), ACCOUNT_SID.to_owned()),
            ("api_base".to_owned(), origin.to_owned()),
        ]),
        secrets: BTreeMap::from([("auth_token".to_owned(), "env:TEST_AUTH_TOKEN".to_owned())]),
        allowed_origins: vec![origin.to_owned()],
        ..Route::default()
    }
}

/// The route [`HOSTILE`], whose plugin does what the text says.
fn route_of_hostile_carrier(origin: &str) -> Route {
    Route {
        name: Some(HOSTILE.to_owned()),
        carrier: Some("hostile-carrier".to_owned()),
        settings: BTreeMap::from([("base_url".to_owned(), origin.to_owned())]),
        secrets: BTreeMap::from([("token".to_owned(), "env:TEST_AUTH_TOKEN".to_owned())]),
        allowed_origins: vec![origin.to_owned()],
        ..Route::default()
    }
}

/// The client, as far as it is told what to do.
fn psql() -> Command {
    let installed = Binaries::installed();
    let beside = installed.first().expect("PostgreSQL is installed").program("psql");
    // Some distributions keep the client apart from the server.
    let psql = if beside.exists() { beside } else { PathBuf::from("psql") };
    let mut command = Command::new(psql);
    command.args(["-X", "-v", "ON_ERROR_STOP=1"]);
    command
}

/// A session in a transaction, which ends when this is dropped.
pub(crate) struct Held {
    process: Child,
    _stdin: ChildStdin,
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The carrier, in a process of its own.
pub(crate) struct Simulator {
    process: Child,
    address: String,
    log: PathBuf,
    faults: PathBuf,
    /// The key by which what it tells as Telnyx is checked.
    pub(crate) telnyx_public_key: String,
    // The simulator ends when this does.
    _stdin: ChildStdin,
}

impl Simulator {
    /// With its files in `home`.
    pub(crate) fn start(home: &Path, plan: &str) -> Self {
        let (log, faults) = (home.join("carrier.jsonl"), home.join("faults.toml"));
        std::fs::write(&faults, plan).unwrap();
        std::fs::write(&log, "").unwrap();
        Self::listen("127.0.0.1:0", log, faults)
    }

    fn listen(address: &str, log: PathBuf, faults: PathBuf) -> Self {
        let mut process = Command::new(program("dripline-carrier-simulator"))
            .args(["--listen", address, "--exit-with-parent"])
            .args(["--account-sid", ACCOUNT_SID])
            .arg("--log")
            .arg(&log)
            .arg("--faults")
            .arg(&faults)
            .env("DRIPLINE_SIMULATOR_AUTH_TOKEN", AUTH_TOKEN)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the simulator has been built");
        let ready = first_line(process.stdout.take().unwrap());
        let address = ready["listening"].as_str().unwrap().to_owned();
        let telnyx_public_key = ready["telnyx_public_key"].as_str().unwrap().to_owned();
        let stdin = process.stdin.take().unwrap();
        Self { process, address, log, faults, telnyx_public_key, _stdin: stdin }
    }

    /// It is gone: connections to it are refused.
    pub(crate) fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// It is back, at the same address and with the same log.
    pub(crate) fn start_again(&mut self) {
        *self = Self::listen(&self.address, self.log.clone(), self.faults.clone());
    }

    /// It is gone and back, forgets what it knew, and misbehaves by this plan.
    pub(crate) fn restart_with(&mut self, plan: &str) {
        self.stop();
        std::fs::write(&self.faults, plan).unwrap();
        self.start_again();
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn log(&self) -> Vec<LogEntry> {
        read_log(&self.log).unwrap()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A worker's command line and environment.
pub(crate) struct WorkerCommand(Command);

impl WorkerCommand {
    pub(crate) fn setting(mut self, key: &str, value: &dyn Display) -> Self {
        self.0.env(format!("DRIPLINE__{key}"), value.to_string());
        self
    }

    /// Crash points, in the form of the `fail` crate.
    pub(crate) fn failpoints(mut self, points: &str) -> Self {
        self.0.env("FAILPOINTS", points);
        self
    }

    /// A variable that is no setting.
    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.0.env(name, value);
        self
    }

    /// Another way to the database.
    pub(crate) fn database(mut self, url: &str) -> Self {
        self.0.env("DATABASE_URL", url);
        self
    }

    /// Another state directory than the stage's own.
    pub(crate) fn state_dir(mut self, directory: &Path) -> Self {
        self.0.env("DRIPLINE_STATE_DIR", directory);
        self
    }

    /// Starts it where it must not become ready. Gives what it said.
    pub(crate) fn fails(mut self) -> String {
        let output = self.0.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    /// Starts it and waits until it says that it is ready.
    pub(crate) fn start(mut self) -> Worker {
        let mut process = self.0.spawn().unwrap();
        let log = Log::collect(process.stderr.take().unwrap());
        let ready = first_line(process.stdout.take().unwrap());
        let webhooks = ready["webhooks"].as_str().map(str::to_owned);
        let mut worker = Worker { process, log, webhooks };
        assert_eq!(ready["ready"], Value::Bool(true), "{}", worker.describe());
        worker
    }
}

/// A worker's process. Killed when it is dropped.
pub(crate) struct Worker {
    process: Child,
    log: Log,
    webhooks: Option<String>,
}

impl Worker {
    /// Where it listens for carriers.
    pub(crate) fn webhooks(&self) -> String {
        self.webhooks.clone().unwrap()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGTERM.
    pub(crate) fn terminate(&self) {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.process.try_wait().unwrap().is_none()
    }

    /// Waits until it has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "the worker does not end");
            pause().await;
        }
    }

    /// SIGTERM, and it ends well. Returns its log.
    pub(crate) async fn stop(mut self) -> String {
        self.terminate();
        let status = self.ended().await;
        let log = self.describe();
        assert!(status.success(), "{status}: {log}");
        assert!(!log.contains("panicked at worker"), "{log}");
        log
    }

    /// What it wrote. Ends it first.
    pub(crate) fn describe(&mut self) -> String {
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.log.whole()
    }

    /// Waits until its log says this.
    pub(crate) async fn says(&self, text: &str) {
        let started = Instant::now();
        while !self.log.text.lock().unwrap().contains(text) {
            assert!(started.elapsed() < PATIENCE, "the worker does not say `{text}`");
            pause().await;
        }
    }
}

impl Drop for Worker {
    #[expect(clippy::print_stderr, reason = "the log explains why the test failed")]
    fn drop(&mut self) {
        let log = self.describe();
        if std::thread::panicking() {
            eprintln!("the worker's log:\n{log}");
        }
    }
}

/// Lets time pass between two looks at a condition; every loop around it has a limit.
pub(crate) async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

fn first_line(stdout: impl Read) -> Value {
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or(Value::Null)
}

/// What a process writes to its standard error, as far as it has come.
struct Log {
    text: Arc<Mutex<String>>,
    reader: Option<std::thread::JoinHandle<()>>,
}

impl Log {
    fn collect(stderr: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let written = text.clone();
        let reader = std::thread::spawn(move || {
            let mut stderr = BufReader::new(stderr);
            let mut line = Vec::new();
            while stderr.read_until(b'\n', &mut line).is_ok_and(|bytes| bytes > 0) {
                written.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        Self { text, reader: Some(reader) }
    }

    /// All of it, once the process has ended.
    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.text.lock().unwrap().clone()
    }
}

/// A program of this workspace that `cargo xtask test` has built.
fn program(name: &str) -> PathBuf {
    let beside = Path::new(env!("CARGO_BIN_EXE_dripline-worker")).parent().unwrap();
    let directory = std::env::var_os("DRIPLINE_TEST_PROGRAMS");
    directory.map_or_else(|| beside.to_owned(), PathBuf::from).join(name)
}

/// A folder with the plugins that these tests use. Among the built ones are some that no host loads.
fn collect_plugins(home: &Path) -> PathBuf {
    let built: PathBuf = std::env::var_os("DRIPLINE_TEST_PLUGINS")
        .expect("set DRIPLINE_TEST_PLUGINS to the built plugins, or run `cargo xtask test`")
        .into();
    let directory = home.join("plugins");
    std::fs::create_dir(&directory).unwrap();
    for name in [
        "aws_sms.wasm",
        "bird.wasm",
        "http_template.wasm",
        "infobip.wasm",
        "plivo.wasm",
        "sinch.wasm",
        "telnyx.wasm",
        "template.wasm",
        "twilio.wasm",
        "vonage.wasm",
        "brief_carrier.wasm",
        "hostile_carrier.wasm",
        "hostile_renderer.wasm",
        "keyed_carrier.wasm",
        "queried_carrier.wasm",
        "token_carrier.wasm",
    ] {
        std::os::unix::fs::symlink(built.join(name), directory.join(name)).unwrap();
    }
    directory
}

/// One cache for all tests, so that each plugin is compiled once.
fn plugin_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("worker-plugin-cache")
}
