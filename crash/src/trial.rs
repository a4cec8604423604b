//! One scene, played until the program dies at the point, and what comes after.

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use chrono::TimeDelta;
use dripline_domain::clock::{Clock, SystemClock};
use dripline_domain::delivery::DeliveryState;
use dripline_domain::enrollment::ExitCause;
use dripline_domain::ids::DeliveryId;
use dripline_domain::workflow::StepDraft;
use dripline_store::contact::{self, ContactFilter};
use dripline_store::crash::Commit;
use dripline_store::listing::enrollments::{self, EnrollmentFilter};
use dripline_store::queue::{self, Ticket};
use dripline_store::testing::factory::{Workflow, step};
use rustix::process::Signal;
use serde_json::Value;

use crate::command::Errand;
use crate::process::{PATIENCE, Process};
use crate::scene::{Deed, Scene};
use crate::stage::{Programs, Stage};

/// Long after every trial.
const LATER: Duration = Duration::from_hours(30 * 24);
/// People in most scenes.
const CONTACTS: usize = 60;
/// People where a few are enough.
const FEW: usize = 20;
/// People in a crowd: more than a chunk of 5,000 takes.
const CROWD: usize = 5_050;
/// Tickets that name nothing: more than a worker claims before its first sweep.
const STRAYS: i64 = 4_000;

/// Few in flight, and a breaker that is quick to halt and to probe.
const QUICK_BREAKER: [(&str, &str); 4] = [
    ("DRIPLINE__WORKER__CONCURRENCY", "8"),
    ("DRIPLINE__WORKER__BREAKER__FAILURES", "3"),
    ("DRIPLINE__WORKER__BREAKER__COOL_DOWN_SECONDS", "1"),
    ("DRIPLINE__WORKER__BREAKER__CEILING_SECONDS", "2"),
];
/// However many answers are lost, the route is not halted.
const NO_BREAKER: [(&str, &str); 1] = [("DRIPLINE__WORKER__BREAKER__FAILURES", "100000")];

/// What is tried.
#[derive(Clone, Debug)]
pub struct Trial {
    /// The point at which the program dies.
    pub point: &'static str,
    /// What is played.
    pub scene: Scene,
    /// At which passage of the point it dies, counted from 0.
    pub passage: u32,
}

impl Trial {
    /// Plays it. An error is a violation, or a scene that does not pass its point.
    pub async fn play(&self, programs: &Programs) -> anyhow::Result<()> {
        let mut stage = self.set(programs).await?;
        let played = self.play_on(&mut stage).await;
        if played.is_err() {
            // For whoever wants to know why.
            stage.home.disable_cleanup(true);
        }
        let home = stage.home.path().display().to_string();
        // Dropping the database blocks, and others are waiting for this thread.
        tokio::task::spawn_blocking(move || drop(stage)).await?;
        played.with_context(|| format!("{self:?}; its files are in {home}"))
    }

    async fn set(&self, programs: &Programs) -> anyhow::Result<Stage> {
        let at_once = vec![step(Duration::ZERO); 3];
        let then_later = vec![step(Duration::ZERO), step(LATER)];
        let much_later = vec![step(LATER), step(LATER)];
        let quick = "latency_ms = [0, 20]";
        let lost = "latency_ms = [0, 20]\n[[rules]]\nattempts = 1\nfault = \"reset-after\"\n";
        let refused =
            "latency_ms = [0, 20]\n[[rules]]\nattempts = 1\nfault = \"refuse\"\ncode = 30006\n";
        let plugin = match self.scene {
            Scene::Keyed => "keyed-carrier",
            Scene::Queried => "queried-carrier",
            _ => "twilio",
        };
        let (steps, contacts, faults) = match self.scene {
            Scene::Traffic
            | Scene::SmallJournal
            | Scene::LostTickets
            | Scene::Leftover
            | Scene::Away
            | Scene::Back
            | Scene::Installed => (at_once, CONTACTS, quick),
            Scene::Goodbye | Scene::Unstarted | Scene::Suspects => {
                (vec![step(Duration::ZERO)], FEW, quick)
            }
            Scene::Keyed | Scene::Queried => (vec![step(Duration::ZERO)], FEW, lost),
            Scene::Operator(Deed::Resolve | Deed::Receive) => {
                (vec![step(Duration::ZERO); 2], FEW, lost)
            }
            Scene::Operator(Deed::Requeue) => (vec![step(Duration::ZERO); 2], FEW, refused),
            Scene::StrayTickets => (vec![step(Duration::ZERO)], 5, quick),
            Scene::GivingUp => {
                let template = "Hello {{ surname }}".to_owned();
                (vec![StepDraft { template, ..step(Duration::ZERO) }], CONTACTS, quick)
            }
            Scene::Stop => (
                vec![step(Duration::ZERO)],
                CONTACTS,
                "latency_ms = [0, 20]\n[[rules]]\nrecipients = \"1\"\nfault = \"refuse\"\ncode = 21610",
            ),
            Scene::Rescue => (at_once, CONTACTS, "latency_ms = [700, 900]"),
            Scene::Operator(_) => (then_later, CONTACTS, "latency_ms = [20, 200]"),
            Scene::Crowd(_) => (much_later, CROWD, quick),
        };
        let count = steps.len();
        let stage = Stage::set(programs, plugin, steps, contacts, faults).await?;
        let enrolled = match self.scene {
            Scene::Operator(deed) | Scene::Crowd(deed) => deed.finds_everybody_enrolled(),
            _ => true,
        };
        if enrolled {
            stage.enrol_in(stage.workflow_id, count).await;
        }
        Ok(stage)
    }

    async fn play_on(&self, stage: &mut Stage) -> anyhow::Result<()> {
        match self.scene {
            Scene::Traffic | Scene::GivingUp => self.die_at_work(stage, &[]).await?,
            Scene::SmallJournal => {
                self.die_at_work(stage, &[("DRIPLINE__WORKER__JOURNAL_KIB", "4")]).await?;
            }
            Scene::Stop => {
                let steps = vec![step(LATER)];
                let other = Workflow { steps: Some(steps), ..Workflow::default() };
                let other = other.create(&stage.pool, &SystemClock, stage.account_id).await;
                stage.enrol_in(other, 1).await;
                self.die_at_work(stage, &[]).await?;
            }
            Scene::Goodbye => self.die_at_goodbye(stage).await?,
            Scene::Unstarted => self.die_with_unstarted_tickets(stage).await?,
            Scene::Rescue => {
                let doomed = stage.worker("", &[]).await?;
                stage.wait_for("sending", 16).await?;
                doomed.kill().await?;
                self.die_at_work(stage, &[]).await?;
            }
            Scene::LostTickets => {
                // Due long enough for the sweep to look at them.
                let long_ago = "due_at = due_at - INTERVAL '5 minutes'";
                stage
                    .sql(&format!("DELETE FROM apalis.jobs; UPDATE deliveries SET {long_ago}"))
                    .await?;
                self.die_at_work(stage, &[]).await?;
            }
            Scene::StrayTickets => {
                issue_strays(stage).await?;
                let slowly = [("DRIPLINE__WORKER__CONCURRENCY", "1")];
                self.die_at_work(stage, &slowly).await?;
            }
            Scene::Away => {
                stage.carrier_leaves().await?;
                self.die_at_work(stage, &QUICK_BREAKER).await?;
                stage.carrier_returns().await?;
            }
            Scene::Back => {
                stage.carrier_leaves().await?;
                let worker = stage.worker(&self.failpoints(), &QUICK_BREAKER).await?;
                stage.wait_for_halt().await.with_context(|| worker.log())?;
                stage.carrier_returns().await?;
                self.dies(worker).await?;
            }
            Scene::Keyed => {
                self.die_at_work(stage, &NO_BREAKER).await?;
                let worker = stage.worker("", &NO_BREAKER).await?;
                stage.wait_until_quiet().await.with_context(|| worker.log())?;
                stage.wait_for_inquiries().await.with_context(|| worker.log())?;
                worker.stop().await?;
            }
            Scene::Queried => self.die_at_work(stage, &NO_BREAKER).await?,
            Scene::Suspects => {
                stage.sql("UPDATE apalis.jobs SET attempts = 2").await?;
                self.die_at_work(stage, &[]).await?;
            }
            Scene::Installed => {
                stage.install_plugin().await?;
                self.die_at_work(stage, &[]).await?;
            }
            Scene::Leftover => return self.die_over_a_journal(stage).await,
            Scene::Operator(deed) | Scene::Crowd(deed) => {
                return self.die_in_a_command(stage, deed).await;
            }
        }
        go_on(stage).await?;
        self.check_nothing_is_lost(stage).await
    }

    /// Aborts at the passage of the point.
    fn failpoints(&self) -> String {
        format!("{}={}*off->return", self.point, self.passage)
    }

    async fn die_at_work(
        &self,
        stage: &mut Stage,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<()> {
        let worker = stage.worker(&self.failpoints(), settings).await?;
        self.dies(worker).await
    }

    async fn dies(&self, mut worker: Process) -> anyhow::Result<()> {
        let status = worker.ended().await.with_context(|| worker.log())?;
        self.demand_abort(status, &worker.log())
    }

    fn demand_abort(&self, status: ExitStatus, said: &str) -> anyhow::Result<()> {
        let aborted = status.signal() == Some(Signal::ABORT.as_raw());
        ensure!(aborted, "it did not die at `{}` but ended with {status}: {said}", self.point);
        Ok(())
    }

    async fn die_at_goodbye(&self, stage: &mut Stage) -> anyhow::Result<()> {
        let worker = stage.worker(&self.failpoints(), &[]).await?;
        stage.wait_for("sent", FEW as u64).await?;
        worker.terminate();
        self.dies(worker).await
    }

    async fn die_with_unstarted_tickets(&self, stage: &mut Stage) -> anyhow::Result<()> {
        // Nobody can read what a ticket names.
        let held = stage.hold("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE").await?;
        let worker = stage.worker(&self.failpoints(), &[]).await?;
        let begun = Instant::now();
        while queue::stats(&stage.pool, &SystemClock).await?.claimed < 16 {
            ensure!(begun.elapsed() < PATIENCE, "nothing is claimed: {}", worker.log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        worker.terminate();
        while !worker.log().contains("stopping: finishing what is on the wire") {
            ensure!(begun.elapsed() < PATIENCE, "it does not stop: {}", worker.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        held.kill().await?;
        self.dies(worker).await
    }

    /// What a worker that died wrote down is settled, though the next one dies over it as well.
    async fn die_over_a_journal(&self, stage: &mut Stage) -> anyhow::Result<()> {
        let point = Commit::FinishAttempts.before();
        let doomed = stage.worker(&format!("{point}=2*off->return"), &[]).await?;
        Self { point, ..self.clone() }.dies(doomed).await?;
        let known = journalled(stage)?;
        ensure!(!known.is_empty(), "nothing was on its way into the database");
        self.die_at_work(stage, &[]).await?;
        go_on(stage).await?;
        let unknown = stage.deliveries(DeliveryState::Unknown).await?;
        let forgotten: Vec<_> =
            unknown.iter().filter(|delivery| known.contains(&delivery.delivery_id)).collect();
        ensure!(forgotten.is_empty(), "the journal knew better: {forgotten:?}");
        self.check_nothing_is_lost(stage).await
    }

    async fn die_in_a_command(&self, stage: &mut Stage, deed: Deed) -> anyhow::Result<()> {
        let prepared = match deed {
            Deed::Resolve | Deed::Receive => Some("unknown"),
            Deed::Requeue => Some("failed"),
            _ => None,
        };
        if let Some(state) = prepared {
            let worker = stage.worker("", &NO_BREAKER).await?;
            stage.wait_for(state, FEW as u64).await.with_context(|| worker.log())?;
            worker.stop().await?;
        }
        let sends = deed == Deed::Enroll || deed.finds_everybody_enrolled();
        let beside = sends && prepared.is_none() && !matches!(self.scene, Scene::Crowd(_));
        let worker = if beside { Some(stage.worker("", &[]).await?) } else { None };
        let errand = Errand::new(stage, deed).await?;
        let done = errand.run(&self.failpoints()).await?;
        self.demand_abort(done.status, &done.said)?;
        errand.repeat().await?;
        let worker = match worker {
            None if sends => Some(stage.worker("", &[]).await?),
            worker => worker,
        };
        if let Some(worker) = worker {
            stage.wait_until_quiet().await.with_context(|| worker.log())?;
            worker.stop().await?;
        }
        let errand = Errand::again(stage, deed);
        errand.check().await?;
        stage.check().await
    }

    /// Everybody has all messages, or waits behind one whose fate nobody knows, or has an exit that
    /// the scene has for them.
    async fn check_nothing_is_lost(&self, stage: &Stage) -> anyhow::Result<()> {
        let Stage { pool, account_id, contacts, .. } = stage;
        let unknown = stage.deliveries(DeliveryState::Unknown).await?.len();
        let exits = enrollments::exits(pool, *account_id, Some(stage.workflow_id)).await?;
        let wanted: &[ExitCause] = match self.scene {
            Scene::GivingUp => &[ExitCause::Failed],
            Scene::Stop => &[ExitCause::Finished, ExitCause::OptedOut],
            _ => &[ExitCause::Finished],
        };
        if let Some(exit) = exits.iter().find(|exit| !wanted.contains(&exit.cause)) {
            bail!("somebody left otherwise: {exit:?}");
        }
        let left: u64 = exits.iter().map(|exit| exit.contacts).sum();
        let left = usize::try_from(left)?;
        ensure!(
            left + unknown == contacts.len(),
            "of {} contacts, {left} have left and {unknown} wait for evidence",
            contacts.len()
        );
        if self.scene == Scene::Stop {
            check_nobody_stays_who_said_stop(stage).await?;
        }
        Ok(())
    }
}

/// The next worker finishes what there is.
async fn go_on(stage: &mut Stage) -> anyhow::Result<()> {
    let worker = stage.worker("", &[]).await?;
    stage.wait_until_quiet().await.with_context(|| worker.log())?;
    worker.stop().await?;
    stage.check().await
}

async fn check_nobody_stays_who_said_stop(stage: &Stage) -> anyhow::Result<()> {
    let Stage { pool, account_id, .. } = stage;
    let stopped = ContactFilter { opted_out: Some(true), limit: 1_000, ..ContactFilter::default() };
    let stopped = contact::list(pool, *account_id, &stopped).await?;
    ensure!(!stopped.is_empty(), "nobody said stop");
    let stopped: BTreeSet<_> = stopped.iter().map(|contact| contact.contact_id).collect();
    let live = EnrollmentFilter { live: Some(true), limit: 1_000, ..EnrollmentFilter::default() };
    let live = enrollments::list(pool, *account_id, &live).await?;
    let stayed: Vec<_> =
        live.iter().filter(|enrollment| stopped.contains(&enrollment.contact_id)).collect();
    ensure!(stayed.is_empty(), "{} are still enrolled, such as {:?}", stayed.len(), stayed[0]);
    Ok(())
}

async fn issue_strays(stage: &Stage) -> anyhow::Result<()> {
    let long_ago = SystemClock.now() - TimeDelta::minutes(2);
    let strays: Vec<Ticket> = (1..=STRAYS)
        .map(|n| Ticket {
            ticket_id: queue::new_ticket_id(),
            delivery_id: DeliveryId(1_000_000 + n),
            run_at: long_ago,
        })
        .collect();
    let mut session = stage.pool.acquire().await?;
    queue::push(&mut session, &strays).await?;
    Ok(())
}

/// The deliveries whose outcome stands in a journal, other than `unknown`.
fn journalled(stage: &Stage) -> anyhow::Result<BTreeSet<DeliveryId>> {
    let mut known = BTreeSet::new();
    for entry in std::fs::read_dir(stage.home.path().join("journal"))? {
        let text = std::fs::read_to_string(entry?.path())?;
        for line in text.lines() {
            let Some((_, json)) = line.split_once(' ') else { continue };
            let Ok(record) = serde_json::from_str::<Value>(json) else { continue };
            if record["record"] == "end" && record["outcome"] != "unknown" {
                known.extend(record["delivery_id"].as_i64().map(DeliveryId));
            }
        }
    }
    Ok(known)
}
