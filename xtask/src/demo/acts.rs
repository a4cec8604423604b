//! The story: set the stage, enrol, watch, pause in the middle, wait for the rest, compare.

use std::fs;
use std::io::{IsTerminal, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::actor::Actor;
use super::cli::{ACCOUNT, call, data, show};
use super::comparison::{self, Delivery, Request};
use super::place::Place;
use super::{draft, money};
use crate::workspace::Workspace;
use crate::{interrupt, say};

/// The whole story has to be over by then.
const ENDS_WITHIN: Duration = Duration::from_mins(2);

/// The variable that `examples/route.toml` names as the secret's place, and a secret for it.
const CARRIER_TOKEN: (&str, &str) = ("TWILIO_AUTH_TOKEN", "only-the-simulator-takes-this");

/// A carrier that takes its time, is now and then too busy, and refuses a few numbers.
const FAULTS: &str = "\
seed = 1
latency_ms = [40, 120]

[[rules]]
probability = 0.02
attempts = 1
fault = \"throttle\"
retry_after_seconds = 1

[[rules]]
probability = 0.01
fault = \"refuse\"
code = 21211
";

/// How many of the second workflow's messages leave before the pause.
const SENT_BEFORE_PAUSE: u64 = 150;

/// Everything that runs, in the order in which it is stopped.
pub(super) struct Stage<'p> {
    worker: Actor,
    simulator: Actor,
    place: &'p Place,
    begin: Instant,
}

#[derive(Deserialize)]
struct Plan {
    plan: Price,
    currency: String,
}

#[derive(Deserialize)]
struct Price {
    contacts: u64,
    messages: u64,
    segments: u64,
    needed_micros: i64,
}

#[derive(Deserialize)]
struct Stopped {
    receipt: Taken,
    currency: String,
}

#[derive(Deserialize)]
struct Taken {
    contacts: u64,
    messages: u64,
    segments: u64,
    refund_micros: i64,
    in_flight: Vec<IgnoredAny>,
}

#[derive(Deserialize)]
struct Deliveries {
    states: Vec<StateCount>,
    deliveries: Vec<Delivery>,
}

#[derive(Deserialize)]
struct StateCount {
    state: String,
    deliveries: u64,
}

impl Deliveries {
    fn count(&self, wanted: &str) -> u64 {
        self.states.iter().filter(|count| count.state == wanted).map(|count| count.deliveries).sum()
    }
}

impl<'p> Stage<'p> {
    /// Starts everything and fills the account.
    pub(super) fn set(workspace: &Workspace, place: &'p Place) -> anyhow::Result<Self> {
        let begin = Instant::now();
        say::step("starting the embedded PostgreSQL and bringing its schema up to date");
        call(place, &["db", "start"])?;
        let (simulator, origin) = start_simulator(place)?;
        fill_account(workspace, place, &origin)?;
        let (worker, _) = start_worker(place)?;
        Ok(Self { worker, simulator, place, begin })
    }

    /// Plays the rest. True if everything agrees.
    pub(super) fn play(mut self) -> anyhow::Result<bool> {
        self.enrol("welcome")?;
        self.enrol("flash-sale")?;
        self.pause_in_the_middle()?;
        self.wait_for_the_rest()?;
        let Self { worker, simulator, place, .. } = self;
        say::step("stopping the worker and the simulator");
        worker.exit()?;
        simulator.exit()?;
        summary(place)
    }

    /// Shows the exact price, then enrols everybody.
    fn enrol(&self, workflow: &str) -> anyhow::Result<()> {
        let add = ["enrollment", "add", workflow, "--all"];
        let Plan { plan, currency } = data(self.place, &[&add[..], &["--dry-run"]].concat())?;
        say::step(&format!(
            "`{workflow}` costs {} for {} contacts: {} messages, {} segments; enrolling everybody",
            money::show(plan.needed_micros, &currency),
            plan.contacts,
            plan.messages,
            plan.segments,
        ));
        call(self.place, &[&add[..], &["--yes"]].concat())
    }

    fn pause_in_the_middle(&mut self) -> anyhow::Result<()> {
        let flash = |limit| ["delivery", "list", "--workflow", "flash-sale", "--limit", limit];
        self.wait(|stage| {
            let now: Deliveries = data(stage.place, &flash("0"))?;
            stage.show_progress(&now, "`flash-sale`, about to be paused");
            Ok(now.count("sent") >= SENT_BEFORE_PAUSE)
        })?;
        let Stopped { receipt, currency } =
            data(self.place, &["workflow", "pause", "flash-sale", "--yes", "--reason", "demo"])?;
        end_progress();
        say::step(&format!(
            "paused `flash-sale` in the middle: {} contacts removed, {} messages ({} segments) cancelled, \
             {} refunded, {} in flight",
            receipt.contacts,
            receipt.messages,
            receipt.segments,
            money::show(receipt.refund_micros, &currency),
            receipt.in_flight.len(),
        ));
        Ok(())
    }

    fn wait_for_the_rest(&mut self) -> anyhow::Result<()> {
        // Whoever is on the way has exactly one delivery that waits or leaves.
        self.wait(|stage| {
            let now: Deliveries = data(stage.place, &["delivery", "list", "--limit", "0"])?;
            stage.show_progress(&now, "both workflows");
            Ok(now.count("queued") + now.count("sending") == 0)
        })?;
        end_progress();
        Ok(())
    }

    /// Asks again and again until the answer is yes.
    fn wait(
        &mut self,
        mut is_over: impl FnMut(&Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        loop {
            interrupt::check()?;
            self.worker.check()?;
            self.simulator.check()?;
            if is_over(self)? {
                return Ok(());
            }
            if self.begin.elapsed() > ENDS_WITHIN {
                bail!("the messages did not all leave within {} s", ENDS_WITHIN.as_secs());
            }
            thread::sleep(Duration::from_millis(250));
        }
    }

    /// One line that is overwritten, or one line after the other where that is not possible.
    fn show_progress(&self, now: &Deliveries, what: &str) {
        let states = ["queued", "sending", "sent", "failed", "cancelled", "unknown"];
        let counts: Vec<String> = states
            .iter()
            .map(|state| (state, now.count(state)))
            .filter(|(_, count)| *count > 0)
            .map(|(state, count)| format!("{count} {state}"))
            .collect();
        let line = format!(
            "{:>5.1} s  {}  ({what})",
            self.begin.elapsed().as_secs_f64(),
            counts.join(", ")
        );
        let mut stderr = std::io::stderr();
        // Nobody watches any more if this fails.
        let _ = if stderr.is_terminal() {
            write!(stderr, "\r\x1b[2K{line}")
        } else {
            writeln!(stderr, "{line}")
        };
    }
}

fn end_progress() {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = writeln!(stderr);
    }
}

fn start_simulator(place: &Place) -> anyhow::Result<(Actor, String)> {
    #[derive(Deserialize)]
    struct Ready {
        listening: String,
    }

    say::step("starting the carrier simulator, a process of its own with a log of its own");
    let faults = place.path("faults.toml");
    fs::write(&faults, FAULTS).with_context(|| format!("write `{}`", faults.display()))?;
    let mut command = place.command("dripline-carrier-simulator");
    command
        .arg("--log")
        .arg(place.path("carrier.log"))
        .arg("--faults")
        .arg(faults)
        .args(["--auth-token-env", CARRIER_TOKEN.0, "--exit-with-parent"])
        .env(CARRIER_TOKEN.0, CARRIER_TOKEN.1);
    let (actor, said) =
        Actor::enter(place, "carrier simulator", command, &place.path("simulator.stderr"))?;
    let Ready { listening } =
        serde_json::from_value(said).context("read the simulator's address")?;
    Ok((actor, format!("http://{listening}")))
}

fn start_worker(place: &Place) -> anyhow::Result<(Actor, serde_json::Value)> {
    say::step("starting a worker");
    let mut command = place.command("dripline-worker");
    command.arg("--config").arg(place.path("demo.toml")).env(CARRIER_TOKEN.0, CARRIER_TOKEN.1);
    Actor::enter(place, "worker", command, &place.path("worker.log"))
}

fn fill_account(workspace: &Workspace, place: &Place, origin: &str) -> anyhow::Result<()> {
    say::step("creating an account, a route to the simulator, contacts and two workflows");
    call(
        place,
        &["account", "create", ACCOUNT, "--currency", "EUR", "--many-workflows-per-contact"],
    )?;
    call(place, &["account", "topup", ACCOUNT, "100"])?;
    let example = |name: &str| workspace.path("examples").join(name).to_string_lossy().into_owned();
    let api_base = format!("api_base={origin}");
    call(
        place,
        &[
            &["route", "add", "--file", &example("route.toml")][..],
            &["--setting", &api_base, "--allow-origin", origin, "--allow-loopback"],
        ]
        .concat(),
    )?;
    call(place, &["contact", "import", &example("contacts.csv")])?;
    for file in ["welcome.toml", "flash-sale.toml"] {
        let example = example(file);
        let text = fs::read_to_string(&example).with_context(|| format!("read `{example}`"))?;
        let hastened = place.path(file);
        fs::write(&hastened, draft::hasten(&text)?)
            .with_context(|| format!("write `{}`", hastened.display()))?;
        call(place, &["workflow", "create", "--file", &hastened.to_string_lossy()])?;
    }
    Ok(())
}

/// Shows where everything has come to, and compares it with what the carrier wrote down.
fn summary(place: &Place) -> anyhow::Result<bool> {
    let log = place.path("carrier.log");
    show(place, &["delivery", "list", "--limit", "0"])?;
    show(place, &["account", "balance", ACCOUNT])?;
    show(place, &["ledger", "--limit", "0"])?;
    let proven = show(place, &["audit", "--carrier-log", &log.to_string_lossy()])?;
    let Deliveries { deliveries, .. } = data(place, &["delivery", "list", "--limit", "1000000"])?;
    let text = fs::read_to_string(&log).with_context(|| format!("read `{}`", log.display()))?;
    let requests: Vec<Request> = text
        .lines()
        .map(serde_json::from_str)
        .collect::<Result<_, _>>()
        .with_context(|| format!("read `{}`", log.display()))?;
    let compared = comparison::compare(&deliveries, &requests);
    say::result(&format!(
        "\n{} deliveries of ours against {} requests in the carrier's own log, {} of them accepted: {}",
        compared.deliveries,
        compared.requests,
        compared.accepted,
        if compared.disagreements.is_empty() { "they agree, one by one" } else { "THEY DISAGREE" },
    ));
    for disagreement in compared.disagreements.iter().take(20) {
        say::result(&format!("  {disagreement}"));
    }
    Ok(proven && compared.disagreements.is_empty() && compared.accepted > 0)
}
