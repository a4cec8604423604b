//! What can go wrong, and how it is drawn.
//!
//! To add a fault: add a variant, its name and its chance here, and what it does in `strike`.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;

use crate::carrier::Mood;
use crate::proxy::{Lost, Way};
use crate::stage::{ROUTES, WORKERS};
use crate::worker::DEAD_AFTER;

/// One fault. Workers and routes are named by their numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// SIGKILL.
    KillWorker { worker: usize, empty_for: Duration },
    /// SIGTERM, and perhaps another one.
    TerminateWorker { worker: usize, twice: bool, empty_for: Duration },
    /// SIGSTOP, and SIGCONT later.
    FreezeWorker { worker: usize, time: Duration },
    /// The clock of one worker steps away, and back.
    StepClock { worker: usize, milliseconds: i64, time: Duration },
    /// SIGKILL of the postmaster. In the calm nothing else goes wrong until messages leave again.
    KillPostgres { in_the_calm: bool },
    /// A fast restart.
    RestartPostgres { down: Duration },
    /// SIGKILL of one session's server process.
    KillBackend { choice: usize },
    /// `pg_terminate_backend` of sessions.
    TerminateBackends { count: i64 },
    /// The connections between one client and Postgres are reset.
    CutDatabase { client: usize },
    /// They are silent in one way or both.
    HoldDatabase { client: usize, way: Way, time: Duration },
    /// They are half-open: the server's end is gone, and nobody tells the client.
    ForgetDatabase { client: usize },
    /// They are reset between a COMMIT and its reply, or right before the COMMIT.
    LoseCommits { client: usize, count: u32, lost: Lost },
    /// The connections between workers and the carrier, of one route, are reset.
    CutWire { route: usize },
    /// They are silent.
    HoldWire { route: usize, way: Way, time: Duration },
    /// They are half-open.
    ForgetWire { route: usize },
    /// The carrier misbehaves towards a part of all messages.
    Carrier { mood: Mood, part: f64, time: Duration },
    /// Messages whose plugin traps, hangs or hoards.
    Plugin { misdeed: usize, contacts: usize },
    /// Tickets vanish from the queue.
    DeleteTickets { count: i64 },
    /// Tickets are there twice.
    DoubleTickets { count: i64 },
    /// Tickets that somebody is working on are free again.
    RequeueTickets { count: i64 },
    /// The carrier reports on its last messages: late, each several times, and out of order.
    Receipts { messages: usize, choice: u64 },
    /// A pause whose command is killed in its middle.
    KillCommand { choice: usize, after: Duration },
}

/// Clients of Postgres that have a proxy of their own: the workers, and the commands.
const CLIENTS: usize = WORKERS + 1;

impl Fault {
    /// Draws one. `early`: whether the round has only begun.
    pub(crate) fn draw(rng: &mut Xoshiro256PlusPlus, early: bool) -> Self {
        let worker = rng.random_range(0..WORKERS);
        let client = rng.random_range(0..CLIENTS);
        let route = rng.random_range(0..ROUTES);
        let way = [Way::There, Way::Back, Way::Both][rng.random_range(0..3)];
        let seconds = |rng: &mut Xoshiro256PlusPlus, from: f64, to: f64| {
            Duration::from_millis(millis(rng.random_range(from..to)))
        };
        match rng.random_range(0..100) {
            0..10 => Self::KillWorker { worker, empty_for: seconds(rng, 0.0, 2.0) },
            10..15 => Self::TerminateWorker {
                worker,
                twice: rng.random_bool(0.4),
                empty_for: seconds(rng, 0.0, 1.0),
            },
            15..20 => Self::FreezeWorker { worker, time: seconds(rng, 0.5, 3.0) },
            20..24 => {
                // Longer than others wait before they look whether it is dead.
                let least = DEAD_AFTER.as_secs_f64();
                Self::FreezeWorker { worker, time: seconds(rng, least + 1.0, least * 3.0) }
            }
            24..28 => Self::StepClock {
                worker,
                milliseconds: [-90_000, -7_000, -1_500, 1_500, 6_000, 12_000]
                    [rng.random_range(0..6)],
                time: seconds(rng, 2.0, 10.0),
            },
            28..31 => Self::KillPostgres { in_the_calm: false },
            31..34 => Self::RestartPostgres { down: seconds(rng, 0.0, 2.0) },
            34..38 => Self::KillBackend { choice: rng.random_range(0..1_000) },
            38..43 => Self::TerminateBackends { count: rng.random_range(1..8) },
            43..48 => Self::CutDatabase { client },
            48..52 => Self::HoldDatabase { client, way, time: seconds(rng, 0.5, 9.0) },
            52..55 => Self::ForgetDatabase { client },
            55..63 => Self::LoseCommits {
                client,
                count: rng.random_range(1..12),
                lost: if rng.random_bool(0.7) { Lost::Reply } else { Lost::Commit },
            },
            63..66 => Self::CutWire { route },
            66..70 => Self::HoldWire { route, way, time: seconds(rng, 0.5, 4.0) },
            70..72 => Self::ForgetWire { route },
            72..86 => Self::Carrier {
                mood: Mood::ALL[rng.random_range(0..Mood::ALL.len())],
                part: f64::from(rng.random_range(1..20_u8)) / 100.0,
                time: seconds(rng, 1.0, 6.0),
            },
            86..89 => Self::Plugin {
                misdeed: rng.random_range(0..crate::stage::MISDEEDS.len()),
                contacts: rng.random_range(1..4),
            },
            // A ticket that is gone comes back half a minute after it was due.
            89..92 if early => Self::DeleteTickets { count: rng.random_range(1..200) },
            89..93 => Self::DoubleTickets { count: rng.random_range(1..200) },
            93..95 => Self::RequeueTickets { count: rng.random_range(1..200) },
            95..98 => Self::Receipts {
                messages: rng.random_range(50..500),
                choice: rng.random_range(0..1_000_000),
            },
            _ => Self::KillCommand {
                choice: rng.random_range(0..1_000),
                after: seconds(rng, 0.02, 0.4),
            },
        }
    }

    /// Every kind there is.
    pub(crate) fn kinds() -> BTreeSet<String> {
        let plain = [
            "kill-worker",
            "terminate-worker",
            "freeze-worker",
            "step-clock",
            "kill-postgres",
            "restart-postgres",
            "kill-backend",
            "terminate-backends",
            "cut-database",
            "hold-database",
            "forget-database",
            "lose-commits",
            "lose-commit-replies",
            "cut-wire",
            "hold-wire",
            "forget-wire",
            "plugin",
            "delete-tickets",
            "double-tickets",
            "requeue-tickets",
            "receipts",
            "kill-command",
        ];
        let moods = Mood::ALL.map(|mood| format!("carrier-{}", mood.name()));
        plain.into_iter().map(str::to_owned).chain(moods).collect()
    }

    /// Its kind, for reports.
    pub(crate) fn kind(&self) -> String {
        let name = match self {
            Self::KillWorker { .. } => "kill-worker",
            Self::TerminateWorker { .. } => "terminate-worker",
            Self::FreezeWorker { .. } => "freeze-worker",
            Self::StepClock { .. } => "step-clock",
            Self::KillPostgres { .. } => "kill-postgres",
            Self::RestartPostgres { .. } => "restart-postgres",
            Self::KillBackend { .. } => "kill-backend",
            Self::TerminateBackends { .. } => "terminate-backends",
            Self::CutDatabase { .. } => "cut-database",
            Self::HoldDatabase { .. } => "hold-database",
            Self::ForgetDatabase { .. } => "forget-database",
            Self::LoseCommits { lost: Lost::Commit, .. } => "lose-commits",
            Self::LoseCommits { lost: Lost::Reply, .. } => "lose-commit-replies",
            Self::CutWire { .. } => "cut-wire",
            Self::HoldWire { .. } => "hold-wire",
            Self::ForgetWire { .. } => "forget-wire",
            Self::Carrier { mood, .. } => return format!("carrier-{}", mood.name()),
            Self::Plugin { .. } => "plugin",
            Self::DeleteTickets { .. } => "delete-tickets",
            Self::DoubleTickets { .. } => "double-tickets",
            Self::RequeueTickets { .. } => "requeue-tickets",
            Self::Receipts { .. } => "receipts",
            Self::KillCommand { .. } => "kill-command",
        };
        name.to_owned()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few seconds, drawn from a range that is positive"
)]
fn millis(seconds: f64) -> u64 {
    (seconds * 1_000.0) as u64
}
