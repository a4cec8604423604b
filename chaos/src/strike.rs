//! What each fault does.

use std::time::{Duration, Instant};

use crate::carrier::next_message;
use crate::deed;
use crate::fault::Fault;
use crate::feeding;
use crate::report::Recovery;
use crate::reporting;
use crate::stage::Stage;
use crate::tampering;

/// How long is waited for messages to leave again after Postgres was killed.
const RECOVERY_PATIENCE: Duration = Duration::from_mins(1);

/// What a fault came to.
#[derive(Debug)]
pub(crate) enum Struck {
    /// It happened.
    Something,
    /// It happened, and messages stood still for so long.
    Stillness(Recovery),
    /// It found nothing to break, or another fault had taken away what it needs.
    Nothing,
}

impl Struck {
    /// Of a fault that did something to so many things. Another one may have taken the database away.
    fn at(things: anyhow::Result<u64>) -> Self {
        if things.is_ok_and(|count| count > 0) { Self::Something } else { Self::Nothing }
    }
}

/// Lets a fault happen, and ends it if it lasts. `id` is nobody else's.
pub(crate) async fn strike(stage: &Stage, id: u64, fault: &Fault) -> anyhow::Result<Struck> {
    match *fault {
        Fault::KillWorker { worker, empty_for } => stage.slots[worker].kill(empty_for)?,
        Fault::TerminateWorker { worker, twice, empty_for } => {
            stage.slots[worker].terminate(twice, empty_for).await?;
        }
        Fault::FreezeWorker { worker, time } => stage.slots[worker].freeze(time).await?,
        Fault::StepClock { worker, milliseconds, time } => {
            stage.slots[worker].set_clock(milliseconds)?;
            tokio::time::sleep(time).await;
            stage.slots[worker].set_clock(0)?;
        }
        Fault::KillPostgres { in_the_calm } => {
            return kill_postgres(stage, in_the_calm).await.map(Struck::Stillness);
        }
        Fault::RestartPostgres { down } => stage.postgres.restart(down).await?,
        Fault::KillBackend { choice } => stage.postgres.kill_backend(choice).await?,
        Fault::CutDatabase { client } => stage.databases[client].cut(),
        Fault::HoldDatabase { client, way, time } => {
            stage.databases[client].hold(way);
            tokio::time::sleep(time).await;
            stage.databases[client].resume();
        }
        Fault::ForgetDatabase { client } => stage.databases[client].forget(),
        Fault::LoseCommits { client, count, lost } => {
            stage.databases[client].lose_commits(count, lost);
        }
        Fault::CutWire { route } => stage.wires[route].cut(),
        Fault::HoldWire { route, way, time } => {
            stage.wires[route].hold(way);
            tokio::time::sleep(time).await;
            stage.wires[route].resume();
        }
        Fault::ForgetWire { route } => stage.wires[route].forget(),
        Fault::Carrier { mood, part, time } => stage.carrier.brood(id, mood, part, time).await?,
        Fault::Plugin { misdeed, contacts } => {
            feeding::misbehave(stage, misdeed, contacts).await?;
        }
        Fault::TerminateBackends { count } => {
            return Ok(Struck::at(tampering::terminate_backends(&stage.observer, count).await));
        }
        Fault::DeleteTickets { count } => {
            return Ok(Struck::at(tampering::delete_tickets(&stage.observer, count).await));
        }
        Fault::DoubleTickets { count } => {
            return Ok(Struck::at(tampering::double_tickets(&stage.observer, count).await));
        }
        Fault::RequeueTickets { count } => {
            return Ok(Struck::at(tampering::requeue_tickets(&stage.observer, count).await));
        }
        Fault::Receipts { messages, choice } => reporting::report(stage, messages, choice).await?,
        Fault::KillCommand { choice, after } => return kill_command(stage, choice, after).await,
    }
    Ok(Struck::Something)
}

async fn kill_postgres(stage: &Stage, in_the_calm: bool) -> anyhow::Result<Recovery> {
    let begin = Instant::now();
    stage.postgres.kill().await?;
    let up = begin.elapsed();
    let sending = next_message(&stage.carrier, begin, RECOVERY_PATIENCE).await?;
    Ok(Recovery { in_the_calm, up, sending })
}

/// A pause whose command is gone before it could say anything.
async fn kill_command(stage: &Stage, choice: usize, after: Duration) -> anyhow::Result<Struck> {
    let account = stage.account(choice);
    let Some(workflow) = deed::choose(stage, account, choice).await? else {
        return Ok(Struck::Nothing);
    };
    let mut command = stage.cli(account, &["workflow", "pause", &workflow.name, "--yes"]);
    let mut child = command.stderr(std::process::Stdio::null()).spawn()?;
    tokio::time::sleep(after).await;
    if child.try_wait()?.is_some() {
        // It was quicker.
        return Ok(Struck::Nothing);
    }
    child.kill().await?;
    Ok(Struck::Something)
}
