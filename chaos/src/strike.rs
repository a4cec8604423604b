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

/// Lets a fault happen, and ends it if it lasts. Gives how long messages stood still where that is
/// measured. `id` is nobody else's.
pub(crate) async fn strike(
    stage: &Stage,
    id: u64,
    fault: &Fault,
) -> anyhow::Result<Option<Recovery>> {
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
            return kill_postgres(stage, in_the_calm).await.map(Some);
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
        // Another fault may have taken the database away; then this one does not happen.
        Fault::TerminateBackends { count } => {
            drop(tampering::terminate_backends(&stage.observer, count).await);
        }
        Fault::DeleteTickets { count } => {
            drop(tampering::delete_tickets(&stage.observer, count).await);
        }
        Fault::DoubleTickets { count } => {
            drop(tampering::double_tickets(&stage.observer, count).await);
        }
        Fault::RequeueTickets { count } => {
            drop(tampering::requeue_tickets(&stage.observer, count).await);
        }
        Fault::Receipts { messages, choice } => reporting::report(stage, messages, choice).await?,
        Fault::KillCommand { choice, after } => kill_command(stage, choice, after).await?,
    }
    Ok(None)
}

async fn kill_postgres(stage: &Stage, in_the_calm: bool) -> anyhow::Result<Recovery> {
    let begin = Instant::now();
    stage.postgres.kill().await?;
    let up = begin.elapsed();
    let sending = next_message(&stage.carrier, begin, RECOVERY_PATIENCE).await?;
    Ok(Recovery { in_the_calm, up, sending })
}

/// A pause whose command is gone before it could say anything.
async fn kill_command(stage: &Stage, choice: usize, after: Duration) -> anyhow::Result<()> {
    let account = stage.account(choice);
    let Some(workflow) = deed::choose(stage, account, choice).await? else { return Ok(()) };
    let mut command = stage.cli(account, &["workflow", "pause", &workflow.name, "--yes"]);
    let mut child = command.stderr(std::process::Stdio::null()).spawn()?;
    tokio::time::sleep(after).await;
    // It may have been quicker.
    let _ = child.start_kill();
    child.wait().await?;
    Ok(())
}
