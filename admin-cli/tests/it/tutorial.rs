//! The tutorial of `docs/plugins.md`, done line by line, as it stands there, with the real programs: from
//! `plugin new` to a message in the simulator's own log.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::session::{Session, read};

/// The page, and where its tutorial ends.
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/plugins.md");
const END: &str = "\n## In other languages";

/// A carrier is promised to have fewer lines.
const FEW_LINES: usize = 80;

/// Where the tutorial's simulator listens and writes. In a test it is elsewhere, since tests run side by side.
const ADDRESS: &str = "127.0.0.1:4010";
const LOG: &str = "/tmp/carrier.jsonl";

/// How a reader starts the simulator; in a test it has been built.
const SIMULATOR: &str = "cargo run -p dripline-carrier-simulator -- ";

/// What asks before it does anything.
const ASKING: [&str; 2] = ["dripline plugin install ", "dripline enrollment add "];

/// Long enough for a loaded machine; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_is_written_and_sends_as_the_tutorial_says() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (tutorial, _) =
        page.split_once(END).expect("the tutorial ends where other languages begin");
    let mut reader = Reader::new().await;
    for (language, text) in blocks(tutorial) {
        match language {
            "sh" => reader.types(text),
            "diff" => reader.edits("src/lib.rs", |carrier| changed(&carrier, text)),
            "toml" => reader.edits("cases/messages.toml", |cases| format!("{cases}\n{text}")),
            other => panic!("nothing is said of what is done with {other}"),
        }
    }

    let carrier = std::fs::read_to_string(reader.folder.join("src/lib.rs")).unwrap();
    let lines = carrier.lines().count();
    assert!(lines < FEW_LINES, "the carrier has {lines} lines");
    assert!(carrier.contains("21614"), "the carrier is as it was: {carrier}");
    let log = std::fs::read_to_string(reader.log()).unwrap();
    let taken: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [taken] = &taken[..] else { panic!("the simulator's log has {taken:?}") };
    assert_eq!((&taken["accepted"], &taken["to"]), (&Value::Bool(true), &"+12025550123".into()));
    let deliveries = reader.deliveries();
    let [delivery] = &deliveries[..] else { panic!("there are {deliveries:?}") };
    assert_eq!(delivery["state"], "sent");
    assert_eq!(delivery["carrier_reference"], taken["sid"]);
    let audit = reader.session.quiet("audit");
    assert_eq!(audit.code, 0, "{}{}", audit.stdout, audit.stderr);
}

/// The language and the text of each fenced block.
fn blocks(page: &str) -> impl Iterator<Item = (&str, &str)> {
    // Every other part of the page stands between fences.
    page.split("\n```").skip(1).step_by(2).map(|block| {
        let (language, text) = block.split_once('\n').expect("a block has lines");
        (language, text)
    })
}

/// A file with every hunk of a change applied. Before each stands a line with `@@`.
fn changed(file: &str, hunks: &str) -> String {
    let hunks = hunks.split("@@").skip(1).map(|hunk| hunk.split_once('\n').expect("a hunk").1);
    hunks.fold(file.to_owned(), |file, hunk| {
        let side = |gone: char| {
            let lines = hunk.lines().filter(|line| !line.starts_with(gone));
            lines.map(|line| &line[1..]).collect::<Vec<_>>().join("\n")
        };
        let (before, after) = (side('+'), side('-'));
        assert_eq!(file.matches(&before).count(), 1, "once in the carrier: {before}");
        file.replace(&before, &after)
    })
}

/// Who follows the tutorial.
struct Reader {
    session: Session,
    /// Where commands are typed.
    folder: PathBuf,
    /// What stands on the page, and what it is in this test.
    elsewhere: Vec<(&'static str, String)>,
    simulator: Option<Background>,
}

impl Reader {
    async fn new() -> Self {
        let mut session = Session::new().await;
        session.with_rust();
        // Generous: the tests share their processors with compilers.
        session.environment("DRIPLINE__PLUGINS__CARRIER__DEADLINE_MS", "2000");
        session.environment("DRIPLINE__PLUGINS__RENDERER__DEADLINE_MS", "2000");
        let folder = session.home().to_owned();
        let log = folder.join("carrier.jsonl").display().to_string();
        let elsewhere = vec![(ADDRESS, "127.0.0.1:0".to_owned()), (LOG, log)];
        Self { session, folder, elsewhere, simulator: None }
    }

    fn log(&self) -> PathBuf {
        self.session.home().join("carrier.jsonl")
    }

    fn deliveries(&self) -> Vec<Value> {
        let list = self.session.quiet("delivery list --output json");
        assert_eq!(list.code, 0, "{}", list.stderr);
        list.json()["deliveries"].as_array().expect("a list of deliveries").clone()
    }

    /// Types the lines of a block, one after the other.
    fn types(&mut self, block: &str) {
        for line in block.replace("\\\n", " ").lines() {
            let command = line.split(" #").next().unwrap_or_default().trim().to_owned();
            let command = self
                .elsewhere
                .iter()
                .fold(command, |command, (there, here)| command.replace(there, here));
            self.does(&command);
        }
    }

    fn does(&mut self, command: &str) {
        if let Some(folder) = command.strip_prefix("cd ") {
            self.folder.push(folder);
            // What cargo builds is found again by the next run, and by no other test: cargo takes the SDKs of two plugins
            // for the same one.
            let target = Path::new(concat!(env!("CARGO_TARGET_TMPDIR"), "/tutorial"));
            std::fs::create_dir_all(target).expect("a build folder can be made");
            std::os::unix::fs::symlink(target, self.folder.join("target"))
                .expect("a new plugin has no build folder");
        } else if let Some(variable) = command.strip_prefix("export ") {
            let (name, value) = variable.split_once('=').expect("a variable has a value");
            self.session.environment(name, value);
        } else if let Some(arguments) = command.strip_prefix(SIMULATOR) {
            self.starts_simulator(arguments);
        } else if command == "dripline-worker" {
            self.lets_a_worker_send();
        } else {
            let is_asked = ASKING.iter().any(|asking| command.starts_with(asking));
            let answer = if is_asked { " --yes" } else { "" };
            let output = self.shell(&format!("{command}{answer}")).output();
            let done = read(output.expect("a shell can be run"));
            assert_eq!(done.code, 0, "{command}: {}{}", done.stdout, done.stderr);
        }
    }

    fn edits(&self, file: &str, edit: impl FnOnce(String) -> String) {
        let path = self.folder.join(file);
        let before = std::fs::read_to_string(&path).expect("a file of the new plugin");
        std::fs::write(&path, edit(before)).expect("a file of the new plugin");
    }

    fn shell(&self, line: &str) -> Command {
        let mut command = self.session.shell(line);
        command.current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    fn starts_simulator(&mut self, arguments: &str) {
        let line = format!("exec dripline-carrier-simulator {arguments} --exit-with-parent");
        let mut simulator = Background::start(self.shell(&line));
        let mut ready = String::new();
        let stdout = simulator.process.stdout.take().expect("it is a pipe");
        BufReader::new(stdout).read_line(&mut ready).expect("it says that it is ready");
        let ready: Value = serde_json::from_str(&ready).expect("it says where it listens");
        let address = ready["listening"].as_str().expect("an address").to_owned();
        self.elsewhere[0] = (ADDRESS, address);
        self.simulator = Some(simulator);
    }

    /// A worker, until the message is sent and it is interrupted.
    fn lets_a_worker_send(&self) {
        let mut worker = Background::start(self.shell("exec dripline-worker"));
        let begun = Instant::now();
        while self.deliveries().iter().any(|delivery| delivery["state"] != "sent") {
            assert!(begun.elapsed() < PATIENCE, "the message is not sent: {:?}", self.deliveries());
        }
        let id = worker.process.id().to_string();
        let interrupted = Command::new("kill").args(["-INT", &id]).status();
        assert!(interrupted.expect("`kill` can be run").success());
        let status = worker.process.wait().expect("the worker ends");
        assert!(status.success(), "the worker ended with {status}");
    }
}

/// A program that goes on beside the others. It ends with the test.
struct Background {
    process: Child,
    _stdin: Option<ChildStdin>,
}

impl Background {
    fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("a shell can be run");
        let stdin = process.stdin.take();
        Self { process, _stdin: stdin }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
