//! When a route is left alone for a while: its breaker.
//!
//! Each worker keeps one [`Breaker`] for each route. While the route runs, the breaker counts how
//! many hand-overs in a row showed that the carrier, or its plugin, is down; at the policy's number
//! it *halts* the route: nothing is handed over any more, and what is due waits. After a cool-down
//! one delivery is let through, the *probe*: if the carrier takes or refuses it as a working carrier
//! would, the route runs again, else it stays halted for longer.
//!
//! (Elsewhere a halted breaker is called open, a running one closed and a probing one half-open.)

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

/// What one hand-over showed of what is behind a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Symptom {
    /// The carrier gave a whole answer with this HTTP status.
    Answered(u16),
    /// There was no connection, so that no byte of the request was written.
    Unreachable,
    /// Bytes were written, and no whole answer came back.
    NoAnswer,
    /// The carrier's plugin trapped, broke a limit, or asked for what it may not have.
    PluginFailed,
    /// The carrier or its plugin says that every message over this route would be refused alike: a wrong key,
    /// an unknown sender.
    RouteRefused,
    /// The carrier takes back again and again what it gives us to be let in.
    AccessRevoked,
    /// Nothing: the message ended before the carrier or its plugin had a say, or we dropped it.
    Nothing,
}

/// What a symptom says about the route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It works.
    Up,
    /// It does not, for any message.
    Down,
    /// The same, and for certain: its plugin, its settings or a secret cannot be used, it is refused, there is no
    /// token for it, or none that lasts. It is halted at once.
    Out,
    /// It says nothing either way.
    Silent,
}

impl Symptom {
    /// What counts against a route and what counts for it. This is the one place that says so:
    ///
    /// | symptom | sign |
    /// |---|---|
    /// | answered 408, 429 or 5xx | down: it is overloaded or broken |
    /// | answered 401 or 407 | down: it does not know us, and so takes no message at all |
    /// | any other answer, also a refusal | up: it judged this very message |
    /// | unreachable, no answer | down |
    /// | the route is refused, whatever the status | down |
    /// | the plugin failed | down |
    /// | what let us in is taken back again and again | out: more of the same would only go on so |
    /// | nothing | silent |
    pub const fn sign(self) -> Sign {
        match self {
            Self::Answered(401 | 407 | 408 | 429 | 500..)
            | Self::Unreachable
            | Self::NoAnswer
            | Self::PluginFailed
            | Self::RouteRefused => Sign::Down,
            Self::AccessRevoked => Sign::Out,
            Self::Answered(_) => Sign::Up,
            Self::Nothing => Sign::Silent,
        }
    }
}

/// When a route is halted, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakerPolicy {
    /// Signs in a row that the route is down, after which it is halted. At least 1.
    pub failures: u32,
    /// How long the first halt lasts at most; it doubles with each probe that fails.
    pub cool_down: Duration,
    /// What the doubling stops at.
    pub ceiling: Duration,
    /// How many deliveries a second come back after a halt. At least 1.
    pub resume_per_second: u32,
}

impl Default for BreakerPolicy {
    /// Ten failures in a row; five seconds, then longer, up to five minutes.
    fn default() -> Self {
        Self {
            failures: 10,
            cool_down: Duration::from_secs(5),
            ceiling: Duration::from_mins(5),
            resume_per_second: 1_000,
        }
    }
}

impl BreakerPolicy {
    /// The longest that halt number `halt` (from 1) lasts, as long as the carrier asks for no more.
    pub fn bound(&self, halt: u32) -> Duration {
        let factor = 2_u32.checked_pow(halt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.cool_down.saturating_mul(factor).min(self.ceiling)
    }

    /// How long halt number `halt` lasts: drawn from the upper half of its bound, so that workers
    /// which were halted together do not probe together; at least what the carrier asked for, up to
    /// the ceiling.
    fn draw(&self, halt: u32, wish: Option<Duration>, rng: &mut impl Rng) -> Duration {
        let bound_ms = u64::try_from(self.bound(halt).as_millis()).unwrap_or(u64::MAX);
        let drawn = Duration::from_millis(rng.random_range(bound_ms / 2..=bound_ms));
        drawn.max(wish.unwrap_or_default().min(self.ceiling))
    }
}

/// How long the probe is ahead of the others who come back after a halt, so that a quick carrier has
/// answered before they are looked at again. Also the least that anybody is told to wait.
const HEAD_START: Duration = Duration::from_secs(1);

/// The state of one route as one worker sees it.
#[derive(Clone, Debug)]
pub struct Breaker {
    policy: BreakerPolicy,
    state: State,
    /// Raised by every change of state, so that the passes of an earlier state count no more.
    generation: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Running {
        /// Signs in a row that it is down.
        failures: u32,
    },
    Halted(Halt),
    /// The probe is on its way.
    Probing(Halt),
}

#[derive(Clone, Copy, Debug)]
struct Halt {
    /// Which one in a row, from 1.
    number: u32,
    until: DateTime<Utc>,
    /// Deliveries told to wait since it began.
    waiting: u64,
}

/// Leave to hand over one delivery. Given back with what the hand-over showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a probe that is never given back keeps its route halted"]
pub struct Pass {
    generation: u64,
}

/// Whether a delivery may be handed over now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Go(Pass),
    /// It must wait, and should not be looked at before this time.
    Wait {
        /// When to ask again.
        until: DateTime<Utc>,
    },
}

/// What a hand-over changed about its route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// The route is halted, or stays so after a probe.
    Halted {
        /// When the next probe is let through.
        probe_at: DateTime<Utc>,
        /// Probes that have failed since the route last ran. 0: it has just been halted.
        failed_probes: u32,
    },
    /// The route runs again.
    Resumed,
}

impl Breaker {
    /// Of a route that runs.
    pub fn new(policy: BreakerPolicy) -> Self {
        Self { policy, state: State::Running { failures: 0 }, generation: 0 }
    }

    /// Whether everything that is due may be handed over.
    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// From when on a delivery may be handed over, be it as the probe; `now` if it may at once. Asking this
    /// changes nothing.
    pub fn free_at(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self.state {
            State::Running { .. } => now,
            State::Halted(halt) => halt.until.max(now),
            // The probe that is on its way has to come back, or to take too long.
            State::Probing(halt) => halt.until.max(later(now, HEAD_START)),
        }
    }

    /// Asks for one delivery. When the cool-down is over, the first to ask is the probe.
    ///
    /// Those who must wait are told a time at which not too many come back: after the probe, in the
    /// order in which they asked, and at the policy's pace. So a backlog of any size keeps its order
    /// and neither floods the carrier nor keeps the worker from its other routes.
    pub fn admit(&mut self, now: DateTime<Utc>) -> Admission {
        match &mut self.state {
            State::Running { .. } => Admission::Go(Pass { generation: self.generation }),
            State::Halted(halt) if halt.until <= now => {
                // Whoever asks while the probe is on its way waits a first cool-down.
                let until = later(now, self.policy.cool_down);
                self.state = State::Probing(Halt { until, waiting: 0, ..*halt });
                self.generation += 1;
                Admission::Go(Pass { generation: self.generation })
            }
            State::Probing(halt) if halt.until <= now => {
                // The probe takes its time; another cool-down.
                halt.until = later(now, self.policy.cool_down);
                halt.waiting = 0;
                Admission::Wait { until: halt.line_up(now, self.policy.resume_per_second) }
            }
            State::Halted(halt) | State::Probing(halt) => {
                Admission::Wait { until: halt.line_up(now, self.policy.resume_per_second) }
            }
        }
    }

    /// Whether the pass still holds: nothing has changed about the route since it was given.
    pub fn is_valid(&self, pass: &Pass) -> bool {
        pass.generation == self.generation
    }

    /// Takes back a pass with what the hand-over showed. `wish` is how long the carrier asked to be
    /// left alone. What was handed over before the last change of state changes nothing.
    pub fn record(
        &mut self,
        pass: Pass,
        sign: Sign,
        wish: Option<Duration>,
        now: DateTime<Utc>,
        rng: &mut impl Rng,
    ) -> Option<Change> {
        if !self.is_valid(&pass) {
            return None;
        }
        match (&mut self.state, sign) {
            (State::Running { failures }, Sign::Up) => {
                *failures = 0;
                None
            }
            (State::Running { failures }, Sign::Down) => {
                *failures += 1;
                (*failures >= self.policy.failures).then(|| self.halt(1, wish, now, rng))
            }
            (State::Running { .. }, Sign::Out) => Some(self.halt(1, wish, now, rng)),
            (State::Probing(_), Sign::Up) => {
                self.state = State::Running { failures: 0 };
                self.generation += 1;
                Some(Change::Resumed)
            }
            (State::Probing(halt), Sign::Down | Sign::Out) => {
                let number = halt.number.saturating_add(1);
                Some(self.halt(number, wish, now, rng))
            }
            (State::Probing(halt), Sign::Silent) => {
                // The probe found out nothing: the next to ask is another one.
                self.state = State::Halted(Halt { until: now, waiting: 0, ..*halt });
                self.generation += 1;
                None
            }
            (State::Running { .. }, Sign::Silent) | (State::Halted(_), _) => None,
        }
    }

    fn halt(
        &mut self,
        number: u32,
        wish: Option<Duration>,
        now: DateTime<Utc>,
        rng: &mut impl Rng,
    ) -> Change {
        let until = later(now, self.policy.draw(number, wish, rng));
        self.state = State::Halted(Halt { number, until, waiting: 0 });
        self.generation += 1;
        Change::Halted { probe_at: until, failed_probes: number - 1 }
    }
}

impl Halt {
    /// A place behind everybody who has asked before. The first is there for the probe.
    fn line_up(&mut self, now: DateTime<Utc>, per_second: u32) -> DateTime<Utc> {
        let place = self.waiting;
        self.waiting += 1;
        let until = match place.checked_sub(1) {
            None => self.until,
            Some(behind_probe) => {
                let seconds = behind_probe / u64::from(per_second.max(1));
                later(self.until, HEAD_START.saturating_add(Duration::from_secs(seconds)))
            }
        };
        until.max(later(now, HEAD_START))
    }
}

fn later(instant: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(by)
        .ok()
        .and_then(|by| instant.checked_add_signed(by))
        .unwrap_or(DateTime::<Utc>::MAX_UTC)
}
