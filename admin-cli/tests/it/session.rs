//! One operator at one installation: a database and a home directory of their own, and everything
//! they typed with what came of it.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use dripline_embedded_postgres::Binaries;
use dripline_store::Pool;
use dripline_store::testing::TestDatabase;

/// What one command line did.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// stdout, understood as JSON.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {}{}", self.stdout, self.stderr))
    }
}

/// An operator's session.
#[derive(Debug)]
pub(crate) struct Session {
    database: Option<TestDatabase>,
    home: tempfile::TempDir,
    environment: Vec<(String, OsString)>,
    transcript: String,
}

impl Session {
    /// With a migrated database.
    pub(crate) async fn new() -> Self {
        Self { database: Some(TestDatabase::new().await), ..Self::without_database() }
    }

    /// With no database configured.
    pub(crate) fn without_database() -> Self {
        let home = tempfile::tempdir().expect("a home directory can be made");
        install_plugins(&home.path().join("plugins"));
        Self { database: None, home, environment: vec![], transcript: String::new() }
    }

    /// With an account, money, a route, three contacts and a workflow of two steps.
    pub(crate) async fn furnished() -> Self {
        let mut session = Self::new().await;
        session.furnish();
        session
    }

    fn furnish(&mut self) {
        self.file("welcome.toml", WELCOME);
        self.file("people.csv", PEOPLE);
        for command in [
            "account create acme --currency EUR",
            "account topup acme 100",
            ROUTE,
            "contact import people.csv",
            "workflow create --file welcome.toml",
        ] {
            let done = self.quiet(command);
            assert_eq!(done.code, 0, "{command}: {}{}", done.stdout, done.stderr);
        }
    }

    pub(crate) fn pool(&self) -> &Pool {
        self.database.as_ref().expect("the session has a database").pool()
    }

    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file into the directory that commands run in.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.home.path().join(name), content).expect("the file can be written");
    }

    /// Runs `dripline` with these arguments, which a shell takes apart, and notes what came of it.
    pub(crate) fn run(&mut self, arguments: &str) -> Done {
        let done = self.quiet(arguments);
        self.note(arguments, &done);
        done
    }

    /// Runs without noting it.
    pub(crate) fn quiet(&self, arguments: &str) -> Done {
        let output = self.command(arguments).stdin(Stdio::null()).output();
        read(output.expect("the command can be run"))
    }

    /// Waits until no ticket is for later. A due time is a whole second, so what is sent at once is
    /// due up to a second after it was enrolled.
    pub(crate) fn until_all_is_due(&self) {
        let started = Instant::now();
        while self.quiet("queue stats --output json").json()["tickets"]["scheduled"] != 0 {
            assert!(started.elapsed() < Duration::from_secs(30), "something is never due");
        }
    }

    /// The command with this session's environment and nothing else.
    pub(crate) fn command(&self, arguments: &str) -> Command {
        self.shell(&format!("exec dripline {arguments}"))
    }

    /// Whatever a shell makes of a line, with this session's environment and nothing else.
    pub(crate) fn shell(&self, line: &str) -> Command {
        let path = format!("{}:/usr/bin:/bin", programs().display());
        let mut command = Command::new("sh");
        command
            .args(["-c", line])
            .current_dir(self.home())
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.home())
            .env("USER", "tester")
            .env("TERM", "dumb")
            .env("DRIPLINE_STATE_DIR", self.home().join("state"))
            .env("DRIPLINE__PLUGINS__DIRECTORY", self.home().join("plugins"))
            .env("DRIPLINE__PLUGINS__CACHE_DIRECTORY", plugin_cache());
        if let Some(database) = &self.database {
            command.env("DATABASE_URL", database.url());
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Sets a variable for all commands that follow.
    pub(crate) fn environment(&mut self, name: &str, value: impl Into<OsString>) {
        self.environment.push((name.to_owned(), value.into()));
    }

    /// Gives commands the Rust tools of whoever runs the tests.
    pub(crate) fn with_rust(&mut self) {
        for name in RUSTS_OWN {
            if let Some(value) = std::env::var_os(name) {
                self.environment(name, value);
            }
        }
        let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
        for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
            if std::env::var_os(name).is_none() {
                self.environment(name, home.join(folder));
            }
        }
        let path = std::env::var("PATH").expect("whoever runs the tests has a search path");
        self.environment("PATH", format!("{}:{path}", programs().display()));
    }

    /// Does to the database what no command could.
    pub(crate) fn sql(&self, statement: &str) {
        let database = self.database.as_ref().expect("the session has a database");
        let beside_the_server = Binaries::installed().into_iter().map(|b| b.program("psql"));
        let psql = beside_the_server.into_iter().find(|psql| psql.exists());
        let psql = psql.unwrap_or_else(|| PathBuf::from("psql"));
        let output = Command::new(psql)
            .args(["-v", "ON_ERROR_STOP=1", "-q", "-c", statement, &for_psql(database.url())])
            .output()
            .expect("psql can be run");
        assert!(
            output.status.success(),
            "{statement}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Adds a command and what came of it to the transcript.
    pub(crate) fn note(&mut self, arguments: &str, done: &Done) {
        let _ = writeln!(self.transcript, "$ dripline {arguments}\nexit {}", done.code);
        for (name, text) in [("stdout", &done.stdout), ("stderr", &done.stderr)] {
            if !text.is_empty() {
                let _ = writeln!(self.transcript, "--- {name}\n{}", text.trim_end());
            }
        }
        self.transcript.push('\n');
    }

    /// Everything that was noted, with what differs from run to run replaced.
    pub(crate) fn transcript(&self) -> String {
        self.transcript.replace(&self.home().display().to_string(), "[home]")
    }
}

/// Where `dripline` is, with the other programs that `cargo xtask test` has built.
fn programs() -> &'static Path {
    let program = Path::new(env!("CARGO_BIN_EXE_dripline"));
    program.parent().expect("a program is in a directory")
}

/// The URL without the parameters that only our driver knows.
fn for_psql(url: &str) -> String {
    let Some((base, parameters)) = url.split_once('?') else { return url.to_owned() };
    let known: Vec<_> = parameters.split('&').filter(|p| p.starts_with("host=")).collect();
    format!("{base}?{}", known.join("&"))
}

/// What a process left behind.
pub(crate) fn read(output: Output) -> Done {
    Done {
        code: output.status.code().expect("the command ended by itself"),
        stdout: String::from_utf8(output.stdout).expect("stdout is UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("stderr is UTF-8"),
    }
}

/// Installs the bundled plugins, without the hostile ones that are built beside them.
fn install_plugins(directory: &Path) {
    let built = std::env::var_os("DRIPLINE_TEST_PLUGINS")
        .expect("set DRIPLINE_TEST_PLUGINS to the built plugins, or run `cargo xtask test`");
    std::fs::create_dir(directory).expect("a plugin directory can be made");
    for name in ["template.wasm", "twilio.wasm"] {
        std::os::unix::fs::symlink(Path::new(&built).join(name), directory.join(name))
            .expect("a plugin can be linked");
    }
}

/// One cache for all tests, so that each plugin is compiled once.
fn plugin_cache() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("admin-cli-plugin-cache")
}

/// Compares the session's transcript with the snapshot named after the test.
macro_rules! assert_transcript {
    ($session:expr) => {{
        let mut settings = insta::Settings::clone_current();
        settings.add_filter(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC", "[time]");
        settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]");
        settings.add_filter(r"postgres://[^\s`]+", "[url]");
        settings.add_filter(r"process \d+", "process [pid]");
        settings.add_filter(r"in \d+\.\d s: \d+ deliveries/s", "in [time]: [rate] deliveries/s");
        settings.add_filter(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "[uuid]");
        settings.add_filter(r"\b[0-9A-HJKMNP-TV-Z]{26}\b", "[ulid]");
        settings.add_filter(r"\([0-9a-f]{12}\)", "([digest])");
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!($session.transcript()));
    }};
}
pub(crate) use assert_transcript;

/// What cargo needs to know to find its registry again.
const RUSTS_OWN: [&str; 12] = [
    "CARGO_HOME",
    "CARGO_HTTP_CAINFO",
    "CARGO_NET_OFFLINE",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "https_proxy",
    "no_proxy",
];

/// A route to nowhere, which is never used: nothing is sent in these tests.
pub(crate) const ROUTE: &str = "route add main --carrier twilio --sender +15005550006 \
     --price-per-segment 0.0075 --setting account_sid=AC00000000000000000000000000000000 \
     --secret auth_token=env:TWILIO_AUTH_TOKEN";

pub(crate) const WELCOME: &str = r#"name = "welcome"
surplus = "fail"

[[steps]]
route = "main"
template = "Hi {{ name | default('there') }}, welcome!"

[[steps]]
route = "main"
after = "1d"
at = "09:30"
days = ["mon", "tue", "wed", "thu", "fri"]
expires_after = "6h"
template = "How is it going?"
"#;

pub(crate) const PEOPLE: &str = "phone,time_zone,name\n\
     +393331234501,Europe/Rome,Ada\n\
     +393331234502,Europe/Rome,Grace\n\
     +12015550123,America/New_York,\n";
