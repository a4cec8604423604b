//! The carrier simulator as a process of its own, and its log.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use base64::Engine;
use chrono::{DateTime, Utc};
use dripline_carrier_simulator::log::LogEntry;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::sync::Mutex;

use crate::place::Place;

/// Where both ends look for the token. Its value guards nothing.
pub(crate) const TOKEN_VARIABLE: &str = "DRIPLINE_SIMULATOR_AUTH_TOKEN";
pub(crate) const AUTH_TOKEN: &str = "chaos-token-that-guards-nothing";
pub(crate) const ACCOUNT_SID: &str = "AC00000000000000000000000000000001";

/// How long the simulator may take to do what it is told.
const PATIENCE: Duration = Duration::from_secs(20);

/// What goes wrong at the carrier: a rule of its fault plan, without its probability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Mood {
    Throttle,
    ThrottleWithTime,
    Unavailable,
    Refuse,
    ErrorBefore,
    ErrorAfter,
    TimeoutBefore,
    TimeoutAfter,
    ResetBefore,
    ResetAfter,
    Garbage,
    Truncate,
    QuickDrip,
    SlowDrip,
}

impl Mood {
    pub(crate) const ALL: [Self; 14] = [
        Self::Throttle,
        Self::ThrottleWithTime,
        Self::Unavailable,
        Self::Refuse,
        Self::ErrorBefore,
        Self::ErrorAfter,
        Self::TimeoutBefore,
        Self::TimeoutAfter,
        Self::ResetBefore,
        Self::ResetAfter,
        Self::Garbage,
        Self::Truncate,
        Self::QuickDrip,
        Self::SlowDrip,
    ];

    /// The rule's lines.
    pub(crate) fn rule(self) -> &'static str {
        match self {
            Self::Throttle => "fault = \"throttle\"",
            Self::ThrottleWithTime => "fault = \"throttle\"\nretry_after_seconds = 1",
            Self::Unavailable => "fault = \"throttle\"\nstatus = 503\nretry_after_seconds = 2",
            Self::Refuse => "fault = \"refuse\"\ncode = 21211",
            Self::ErrorBefore => "fault = \"error-before\"",
            Self::ErrorAfter => "fault = \"error-after\"",
            Self::TimeoutBefore => "fault = \"timeout-before\"",
            Self::TimeoutAfter => "fault = \"timeout-after\"",
            Self::ResetBefore => "fault = \"reset-before\"",
            Self::ResetAfter => "fault = \"reset-after\"",
            Self::Garbage => "fault = \"garbage\"",
            Self::Truncate => "fault = \"truncate\"",
            Self::QuickDrip => "fault = \"slow-drip\"\ninterval_ms = 1",
            Self::SlowDrip => "fault = \"slow-drip\"\ninterval_ms = 50",
        }
    }

    /// Its name in reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Throttle => "throttle",
            Self::ThrottleWithTime => "throttle-with-time",
            Self::Unavailable => "unavailable",
            Self::Refuse => "refuse",
            Self::ErrorBefore => "error-before",
            Self::ErrorAfter => "error-after",
            Self::TimeoutBefore => "timeout-before",
            Self::TimeoutAfter => "timeout-after",
            Self::ResetBefore => "reset-before",
            Self::ResetAfter => "reset-after",
            Self::Garbage => "garbage",
            Self::Truncate => "truncate",
            Self::QuickDrip => "quick-drip",
            Self::SlowDrip => "slow-drip",
        }
    }
}

/// Decisions after which the sender cannot know, although the connection lived on.
const UNCERTAIN: [&str; 5] = ["error-before", "error-after", "garbage", "truncate", "slow-drip"];

/// The simulator. Killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Carrier {
    process: Child,
    address: SocketAddr,
    log: PathBuf,
    moods: Arc<Mutex<BTreeMap<u64, (Mood, f64)>>>,
}

#[derive(serde::Deserialize)]
struct Ready {
    listening: SocketAddr,
}

impl Carrier {
    /// Starts the simulator that was built beside this program.
    pub(crate) async fn start(place: &Place) -> anyhow::Result<Self> {
        let log = place.path("carrier.jsonl");
        let mut process = place
            .command("dripline-carrier-simulator")
            .arg("--log")
            .arg(&log)
            .args(["--account-sid", ACCOUNT_SID])
            .env(TOKEN_VARIABLE, AUTH_TOKEN)
            .stdout(Stdio::piped())
            .spawn()
            .context("start the carrier simulator")?;
        place.watch(process.id().context("the simulator has ended")?)?;
        let output = process.stdout.take().context("read the simulator's output")?;
        let mut lines = tokio::io::BufReader::new(output).lines();
        let line = tokio::time::timeout(PATIENCE, lines.next_line())
            .await
            .context("wait for the simulator")?
            .context("read the simulator's output")?
            .context("the simulator ended at once")?;
        let ready: Ready = serde_json::from_str(&line).context("read the simulator's address")?;
        let carrier = Self { process, address: ready.listening, log, moods: Arc::default() };
        carrier.tell(&BTreeMap::new()).await?;
        Ok(carrier)
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Is in that mood for a while, towards that part of all messages, besides any other.
    pub(crate) async fn brood(
        &self,
        id: u64,
        mood: Mood,
        part: f64,
        time: Duration,
    ) -> anyhow::Result<()> {
        {
            let mut moods = self.moods.lock().await;
            moods.insert(id, (mood, part));
            self.tell(&moods).await?;
        }
        tokio::time::sleep(time).await;
        let mut moods = self.moods.lock().await;
        moods.remove(&id);
        self.tell(&moods).await
    }

    /// Is in no mood any more.
    pub(crate) async fn heal(&self) -> anyhow::Result<()> {
        let mut moods = self.moods.lock().await;
        moods.clear();
        self.tell(&moods).await
    }

    /// Replaces the fault plan.
    async fn tell(&self, moods: &BTreeMap<u64, (Mood, f64)>) -> anyhow::Result<()> {
        let mut plan = String::from("latency_ms = [0, 4]\n");
        for (mood, part) in moods.values() {
            writeln!(plan, "[[rules]]\nprobability = {part}\n{}", mood.rule())
                .expect("a String takes any text");
        }
        // The seed has to differ, or a message refused once by chance would be refused each time.
        if let Some(last) = moods.keys().last() {
            plan.insert_str(0, &format!("seed = {last}\n"));
        }
        let told = tokio::time::timeout(PATIENCE, self.put("/_simulator/faults", &plan)).await;
        told.context("the simulator did not answer")?
    }

    async fn put(&self, path: &str, body: &str) -> anyhow::Result<()> {
        let credentials = format!("{ACCOUNT_SID}:{AUTH_TOKEN}");
        let credentials = base64::engine::general_purpose::STANDARD.encode(credentials);
        let request = format!(
            "PUT {path} HTTP/1.1\r\nhost: simulator\r\nauthorization: Basic {credentials}\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.address).await.context("reach the simulator")?;
        stream.write_all(request.as_bytes()).await.context("tell the simulator")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.context("hear the simulator")?;
        if !answer.starts_with("HTTP/1.1 200") {
            bail!("the simulator does not take the fault plan: {answer}");
        }
        Ok(())
    }

    /// Whether it has ended, which it never should.
    pub(crate) fn has_ended(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// A reader of the log from its beginning.
    pub(crate) fn follow(&self) -> anyhow::Result<LogReader> {
        let file = File::open(&self.log).context("open the carrier's log")?;
        Ok(LogReader { reader: BufReader::new(file), torn: String::new() })
    }
}

impl Carrier {
    /// The references of the last messages that it took, at most so many, oldest first.
    pub(crate) fn last_taken(&self, most: usize) -> anyhow::Result<Vec<String>> {
        use std::io::{Seek, SeekFrom};
        /// Enough for any `most` that is asked for; a line is far shorter than that part of it.
        const TAIL: u64 = 512 * 1024;
        let mut log = self.follow()?;
        let length = log.reader.get_ref().metadata().context("look at the carrier's log")?.len();
        let from = length.saturating_sub(TAIL);
        log.reader.seek(SeekFrom::Start(from)).context("go to the carrier's last messages")?;
        if from > 0 {
            // The first line is a piece of one.
            let mut piece = Vec::new();
            log.reader.read_until(b'\n', &mut piece).context("read the carrier's log")?;
        }
        let mut taken = Vec::new();
        log.read(|entry| taken.extend(entry.reference.filter(|_| entry.accepted)))?;
        let surplus = taken.len().saturating_sub(most);
        Ok(taken.split_off(surplus))
    }
}

/// Reads what has come to the log since the last time.
#[derive(Debug)]
pub(crate) struct LogReader {
    reader: BufReader<File>,
    /// A line that is not complete yet.
    torn: String,
}

impl LogReader {
    /// The next entries, as far as they are complete, each handed to `take`.
    pub(crate) fn read(&mut self, mut take: impl FnMut(LogEntry)) -> anyhow::Result<()> {
        loop {
            let count = self.reader.read_line(&mut self.torn).context("read the carrier's log")?;
            if count == 0 || !self.torn.ends_with('\n') {
                return Ok(());
            }
            let entry = serde_json::from_str(&self.torn).context("read the carrier's log")?;
            self.torn.clear();
            take(entry);
        }
    }
}

/// What the carrier's log has told so far.
#[derive(Debug)]
pub(crate) struct Witness {
    log: LogReader,
    /// Messages taken.
    pub(crate) accepted: u64,
    /// Requests after which nobody but the carrier can know.
    pub(crate) uncertain: u64,
    /// Deliveries and how often each was taken.
    taken: BTreeMap<i64, u32>,
    /// Deliveries that were taken more than once.
    pub(crate) twice: Vec<i64>,
    /// References of the messages taken since the last time somebody asked.
    pub(crate) references: Vec<String>,
}

impl Witness {
    /// Begins with the log's first line.
    pub(crate) fn new(log: LogReader) -> Self {
        Self {
            log,
            accepted: 0,
            uncertain: 0,
            taken: BTreeMap::new(),
            twice: Vec::new(),
            references: Vec::new(),
        }
    }

    /// Reads on. Gives when the last message was taken, if one was.
    pub(crate) fn read(&mut self) -> anyhow::Result<Option<DateTime<Utc>>> {
        let mut last = None;
        let Self { log, accepted, uncertain, taken, twice, references } = self;
        log.read(|entry| {
            *uncertain += u64::from(UNCERTAIN.contains(&entry.decision.as_str()));
            if !entry.accepted {
                return;
            }
            *accepted += 1;
            last = Some(entry.at);
            if let Some(parts) = entry.reference_parts() {
                let delivery_id = parts.delivery_id;
                let times = taken.entry(delivery_id).or_default();
                *times += 1;
                if *times == 2 {
                    twice.push(delivery_id);
                }
            }
            references.extend(entry.reference);
        })?;
        Ok(last)
    }
}

/// Waits until the carrier takes another message. Gives how long that took from `since`.
pub(crate) async fn next_message(
    carrier: &Carrier,
    since: Instant,
    limit: Duration,
) -> anyhow::Result<Option<Duration>> {
    use std::io::{Seek, SeekFrom};
    let mut log = carrier.follow()?;
    log.reader.seek(SeekFrom::End(0)).context("go to the end of the carrier's log")?;
    // The end may be in the middle of a line.
    let mut is_whole = false;
    let begin = Instant::now();
    while begin.elapsed() < limit {
        loop {
            log.torn.clear();
            let mut line = String::new();
            if log.reader.read_line(&mut line).context("read the carrier's log")? == 0 {
                break;
            }
            if is_whole && line.contains("\"accepted\":true") {
                return Ok(Some(since.elapsed()));
            }
            is_whole = line.ends_with('\n');
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(None)
}
