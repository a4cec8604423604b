//! The workers: real processes, and a supervisor for each that starts it again.

use std::fs::OpenOptions;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Child;
use tokio::sync::watch;

use crate::carrier::{AUTH_TOKEN, TOKEN_VARIABLE};
use crate::place::Place;
use crate::postgres::signal;

/// Messages in flight at most, in one worker.
pub(crate) const CONCURRENCY: u64 = 128;
/// When a silent worker counts as dead.
pub(crate) const DEAD_AFTER: Duration = Duration::from_secs(4);
/// How long a request to the carrier may take.
const SEND_TIMEOUT: Duration = Duration::from_millis(2_500);
/// How long the database may take to answer.
const ANSWER: Duration = Duration::from_secs(8);
/// How long what is on the wire may take after the first stop signal.
const DRAIN: Duration = Duration::from_secs(4);
/// How long a worker may take to end after it was asked to: its drain, its last words, and a grace,
/// each of which is a promise of the daemon, on a machine that is busy.
const ENDS_WITHIN: Duration = Duration::from_secs(45);
/// How long a worker may take to get ready, while the database is there.
const READY_WITHIN: Duration = Duration::from_mins(1);
/// Before a start that failed is tried again, as any supervisor does.
const START_AGAIN: Duration = Duration::from_millis(500);

/// One place for a worker: whoever works there now.
#[derive(Debug)]
pub(crate) struct Slot {
    number: usize,
    place: Arc<Place>,
    database_url: String,
    /// The process; 0: none now.
    pid: AtomicI32,
    /// Whether it was asked to end, or killed.
    doomed: AtomicBool,
    /// Whether it was asked to end while all is well.
    retiring: AtomicBool,
    /// How long the place stays empty after that.
    empty_for: Mutex<Duration>,
    closing: watch::Sender<bool>,
    ready: watch::Sender<bool>,
    starts: AtomicU64,
    /// What should not have happened.
    complaints: Mutex<Vec<String>>,
}

impl Slot {
    /// A place with nobody in it.
    pub(crate) fn new(number: usize, place: Arc<Place>, database_url: String) -> Arc<Self> {
        Arc::new(Self {
            number,
            place,
            database_url,
            pid: AtomicI32::new(0),
            doomed: AtomicBool::new(false),
            retiring: AtomicBool::new(false),
            empty_for: Mutex::new(Duration::ZERO),
            closing: watch::Sender::new(false),
            ready: watch::Sender::new(false),
            starts: AtomicU64::new(0),
            complaints: Mutex::default(),
        })
    }

    /// Keeps a worker in the place until it is closed.
    pub(crate) async fn supervise(self: Arc<Self>) -> anyhow::Result<()> {
        while !*self.closing.borrow() {
            self.doomed.store(false, Ordering::SeqCst);
            let mut child = self.start()?;
            self.starts.fetch_add(1, Ordering::Relaxed);
            let was_ready = self.until_ready(&mut child).await;
            let status = child.wait().await.context("wait for a worker")?;
            self.pid.store(0, Ordering::SeqCst);
            self.ready.send_replace(false);
            self.judge(was_ready, status);
            let empty_for = if was_ready { self.take_empty_for() } else { START_AGAIN };
            let mut closing = self.closing.subscribe();
            let _ = tokio::time::timeout(empty_for, closing.wait_for(|closing| *closing)).await;
        }
        Ok(())
    }

    /// An exit that nobody asked for is a complaint, unless it could not even begin: a worker that
    /// finds no database when it starts says so and leaves starting again to its supervisor.
    fn judge(&self, was_ready: bool, status: ExitStatus) {
        if was_ready && !self.doomed.load(Ordering::SeqCst) {
            self.complain(format!("worker {} ended by itself ({status})", self.number));
        }
        if was_ready && self.retiring.load(Ordering::SeqCst) && !status.success() {
            self.complain(format!("worker {} hung when it was to end ({status})", self.number));
        }
    }

    fn complain(&self, complaint: String) {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).push(complaint);
    }

    fn start(&self) -> anyhow::Result<Child> {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log())
            .context("open a worker's log")?;
        let milliseconds = |duration: Duration| duration.as_millis().to_string();
        let seconds = |duration: Duration| duration.as_secs().to_string();
        let child = self
            .place
            .command("dripline-worker")
            .env("DATABASE_URL", &self.database_url)
            .env(TOKEN_VARIABLE, AUTH_TOKEN)
            .env("DRIPLINE_CLOCK_OFFSET_FILE", self.clock_file())
            .env("DRIPLINE__DATABASE__MAX_CONNECTIONS", "10")
            // Generous: an innocent plugin must not pay for a machine that does ten things at once.
            .env("DRIPLINE__PLUGINS__RENDERER__DEADLINE_MS", "600")
            .env("DRIPLINE__PLUGINS__CARRIER__DEADLINE_MS", "400")
            .env("DRIPLINE__WORKER__CONCURRENCY", CONCURRENCY.to_string())
            .env("DRIPLINE__WORKER__CLAIM_SIZE", (CONCURRENCY / 2).to_string())
            .env("DRIPLINE__WORKER__POLL_MS", "100")
            // Less than a lock may be waited for, so that tries overlap.
            .env("DRIPLINE__WORKER__DATABASE_TIMEOUT_SECONDS", seconds(ANSWER))
            .env("DRIPLINE__WORKER__HEARTBEAT_SECONDS", "1")
            .env("DRIPLINE__WORKER__DEAD_AFTER_SECONDS", seconds(DEAD_AFTER))
            .env("DRIPLINE__WORKER__SWEEP_SECONDS", "1")
            .env("DRIPLINE__WORKER__DRAIN_SECONDS", seconds(DRAIN))
            .env("DRIPLINE__WORKER__SEND_TIMEOUT_MS", milliseconds(SEND_TIMEOUT))
            .env("DRIPLINE__WORKER__RETRY__FIRST_SECONDS", "1")
            .env("DRIPLINE__WORKER__RETRY__CEILING_SECONDS", "2")
            .env("DRIPLINE__WORKER__RETRY__MAX_ATTEMPTS", "6")
            // Halts as short as the faults that cause them, so that the next round finds its routes open.
            .env("DRIPLINE__WORKER__BREAKER__COOL_DOWN_SECONDS", "1")
            .env("DRIPLINE__WORKER__BREAKER__CEILING_SECONDS", "2")
            // Workers are killed here for no fault of the tickets that they hold.
            .env("DRIPLINE__WORKER__MAX_CLAIMS", "1000")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .context("start a worker")?;
        if let Some(pid) = child.id() {
            self.pid.store(pid.cast_signed(), Ordering::SeqCst);
            self.place.watch(pid)?;
        }
        Ok(child)
    }

    /// Waits until the worker says that it is ready. Gives whether it did before it ended.
    async fn until_ready(&self, child: &mut Child) -> bool {
        let Some(stdout) = child.stdout.take() else { return false };
        let mut lines = BufReader::new(stdout).lines();
        let first = tokio::time::timeout(READY_WITHIN, lines.next_line()).await;
        let Ok(first) = first else {
            if !self.doomed.load(Ordering::SeqCst) {
                self.complain(format!("worker {} was not ready in time", self.number));
                // It ends soon, since its child is waited for.
                let _ = child.start_kill();
            }
            return false;
        };
        let is_ready = first.is_ok_and(|line| line.is_some());
        self.ready.send_replace(is_ready);
        // It says so again each time it goes on under a new name, and the pipe must stay empty.
        tokio::spawn(async move { while lines.next_line().await.is_ok_and(|l| l.is_some()) {} });
        is_ready
    }

    /// SIGKILL. The place stays empty for a while.
    pub(crate) fn kill(&self, empty_for: Duration) -> anyhow::Result<()> {
        self.doom(empty_for);
        self.send(Signal::KILL)
    }

    /// SIGTERM, and a second one where it is to drop what is on the wire. A worker that does not end
    /// is a complaint, and killed.
    pub(crate) async fn terminate(&self, twice: bool, empty_for: Duration) -> anyhow::Result<()> {
        let pid = self.pid.load(Ordering::SeqCst);
        self.doom(empty_for);
        self.send(Signal::TERM)?;
        if twice {
            // Two signals that meet before they are taken are one.
            tokio::time::sleep(Duration::from_millis(300)).await;
            self.send(Signal::TERM)?;
        }
        let mut ready = self.ready.subscribe();
        let gone = ready.wait_for(|_| self.pid.load(Ordering::SeqCst) != pid);
        if tokio::time::timeout(ENDS_WITHIN, gone).await.is_err() {
            self.complain(format!("worker {} did not end within {ENDS_WITHIN:?}", self.number));
            self.send(Signal::KILL)?;
        }
        Ok(())
    }

    /// SIGTERM while all is well: whoever works here ends well and soon, or something in it hangs.
    pub(crate) async fn retire(&self) -> anyhow::Result<()> {
        self.retiring.store(true, Ordering::SeqCst);
        let retired = self.terminate(false, Duration::ZERO).await;
        self.retiring.store(false, Ordering::SeqCst);
        retired
    }

    /// SIGSTOP, for so long.
    pub(crate) async fn freeze(&self, time: Duration) -> anyhow::Result<()> {
        let pid = self.pid.load(Ordering::SeqCst);
        self.send(Signal::STOP)?;
        tokio::time::sleep(time).await;
        if self.pid.load(Ordering::SeqCst) == pid { self.send(Signal::CONT) } else { Ok(()) }
    }

    /// Puts the clock of whoever works here so many milliseconds off.
    pub(crate) fn set_clock(&self, milliseconds: i64) -> anyhow::Result<()> {
        let (file, new) = (self.clock_file(), self.clock_file().with_extension("new"));
        std::fs::write(&new, milliseconds.to_string()).context("write a worker's clock")?;
        std::fs::rename(new, file).context("write a worker's clock")
    }

    /// Undoes what lasts.
    pub(crate) fn heal(&self) -> anyhow::Result<()> {
        self.set_clock(0)?;
        self.send(Signal::CONT)
    }

    /// Waits until somebody works here.
    pub(crate) async fn until_at_work(&self) -> bool {
        let mut ready = self.ready.subscribe();
        tokio::time::timeout(READY_WITHIN, ready.wait_for(|ready| *ready)).await.is_ok()
    }

    /// Ends whoever works here, well if possible, and the supervision.
    pub(crate) async fn close(&self) -> anyhow::Result<()> {
        self.closing.send_replace(true);
        self.retire().await
    }

    /// How often a worker was started here.
    pub(crate) fn starts(&self) -> u64 {
        self.starts.load(Ordering::Relaxed)
    }

    /// What should not have happened here since the last time this was asked.
    pub(crate) fn take_complaints(&self) -> Vec<String> {
        std::mem::take(&mut *self.complaints.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Where the workers of this place log.
    pub(crate) fn log(&self) -> PathBuf {
        self.place.path(&format!("worker-{}.log", self.number))
    }

    fn clock_file(&self) -> PathBuf {
        self.place.path(&format!("worker-{}.clock", self.number))
    }

    fn doom(&self, empty_for: Duration) {
        *self.empty_for.lock().unwrap_or_else(PoisonError::into_inner) = empty_for;
        self.doomed.store(true, Ordering::SeqCst);
    }

    fn take_empty_for(&self) -> Duration {
        std::mem::take(&mut *self.empty_for.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn send(&self, what: Signal) -> anyhow::Result<()> {
        match self.pid.load(Ordering::SeqCst) {
            0 => Ok(()),
            pid => signal(pid, what),
        }
    }
}
