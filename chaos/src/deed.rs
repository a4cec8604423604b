//! What people do meanwhile.
//!
//! To add a deed: add a variant, its chance and what it does here. The enrolling is not among them: it
//! goes on all the time, see `feeding`.

use std::time::{Duration, Instant};

use anyhow::Context;
use dripline_domain::clock::SystemClock;
use dripline_domain::money::Micros;
use dripline_store::StoreError;
use dripline_store::listing::enrollments::{self, EnrollmentFilter};
use dripline_store::ops::{
    self, CreateWorkflowError, Edit, EditWorkflowError, Removal, RemoveContactError, TopUp,
    TopUpError,
};
use dripline_store::workflow::{self, WorkflowChoice};
use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;
use uuid::Uuid;

use crate::outlast::{Answer, outlast};
use crate::stage::{ACTOR, Account, PEOPLE, ROUTE, Stage, draft};

/// One deed. `account` and `choice` are numbers, by which it finds its object among what is there when
/// its time comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// `dripline workflow pause`.
    Pause { account: usize, choice: usize },
    /// `dripline workflow delete`, and another one is created.
    Delete { account: usize, choice: usize },
    /// A pause, and an edit right after it; or only the edit, which an active workflow refuses.
    Edit { account: usize, choice: usize, paused: bool, kind: usize },
    /// `dripline workflow move`.
    Move { account: usize, choice: usize, to: &'static str },
    /// Some contacts are removed one by one.
    Remove { account: usize, choice: usize, contacts: i64 },
    /// Some contacts want to hear nothing more.
    OptOut { account: usize, choice: usize },
    /// Money comes in.
    TopUp { account: usize, units: i64 },
    /// `dripline delivery requeue`, of all that has failed in a workflow.
    Requeue { account: usize, choice: usize },
    /// `dripline route pause`, and `resume` a moment later.
    PauseRoute { account: usize, time: Duration },
}

/// What came of a deed, for the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// It is done.
    Done,
    /// It was refused, or found nothing to do.
    Refused,
    /// Nobody knows, or it did not come to it.
    Failed,
}

impl Deed {
    /// Draws one.
    pub(crate) fn draw(rng: &mut Xoshiro256PlusPlus) -> Self {
        let account = rng.random_range(0..PEOPLE);
        let choice = rng.random_range(0..1_000);
        match rng.random_range(0..100) {
            0..12 => Self::Pause { account, choice },
            12..17 => Self::Delete { account, choice },
            17..29 => Self::Edit {
                account,
                choice,
                paused: rng.random_bool(0.5),
                kind: rng.random_range(0..1_000),
            },
            29..44 => {
                let to = ["--top", "--bottom", "--up", "--down"][rng.random_range(0..4)];
                Self::Move { account, choice, to }
            }
            44..74 => Self::Remove { account, choice, contacts: rng.random_range(1..20) },
            74..80 => Self::OptOut { account, choice },
            80..92 => Self::TopUp { account, units: rng.random_range(1..200) },
            92..96 => Self::Requeue { account, choice },
            _ => {
                let time = Duration::from_millis(rng.random_range(100..2_000));
                Self::PauseRoute { account, time }
            }
        }
    }

    /// Its kind, for reports.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Pause { .. } => "pause",
            Self::Delete { .. } => "delete",
            Self::Edit { .. } => "edit",
            Self::Move { .. } => "move",
            Self::Remove { .. } => "remove",
            Self::OptOut { .. } => "opt-out",
            Self::TopUp { .. } => "top-up",
            Self::Requeue { .. } => "requeue",
            Self::PauseRoute { .. } => "pause-route",
        }
    }

    /// Does it.
    pub(crate) async fn run(self, stage: &Stage) -> anyhow::Result<Came> {
        match self {
            Self::Pause { account, choice } => {
                let account = stage.account(account);
                let Some(workflow) = choose(stage, account, choice).await? else {
                    return Ok(Came::Failed);
                };
                command(stage, account, &["workflow", "pause", &workflow.name, "--yes"]).await
            }
            Self::Delete { account, choice } => {
                let account = stage.account(account);
                let Some(workflow) = choose(stage, account, choice).await? else {
                    return Ok(Came::Failed);
                };
                let delete = ["workflow", "delete", &workflow.name, "--yes"];
                let came = command(stage, account, &delete).await?;
                create(stage, account, choice).await?;
                Ok(came)
            }
            Self::Edit { account, choice, paused, kind } => {
                let account = stage.account(account);
                let Some(workflow) = choose(stage, account, choice).await? else {
                    return Ok(Came::Failed);
                };
                if paused {
                    command(stage, account, &["workflow", "pause", &workflow.name, "--yes"])
                        .await?;
                }
                edit(stage, &workflow, kind).await
            }
            Self::Move { account, choice, to } => {
                let account = stage.account(account);
                let Some(workflow) = choose(stage, account, choice).await? else {
                    return Ok(Came::Failed);
                };
                command(stage, account, &["workflow", "move", &workflow.name, to]).await
            }
            Self::Remove { account, choice, contacts } => {
                remove(stage, stage.account(account), choice, contacts).await
            }
            Self::OptOut { account, choice } => {
                opt_out(stage, stage.account(account), choice).await
            }
            Self::TopUp { account, units } => top_up(stage, stage.account(account), units).await,
            Self::Requeue { account, choice } => {
                let account = stage.account(account);
                let Some(workflow) = choose(stage, account, choice).await? else {
                    return Ok(Came::Failed);
                };
                let requeue = ["delivery", "requeue", "--workflow", &workflow.name, "--yes"];
                command(stage, account, &requeue).await
            }
            Self::PauseRoute { account, time } => {
                pause_route(stage, stage.account(account), time).await
            }
        }
    }
}

/// One of the account's workflows, if the database answers.
pub(crate) async fn choose(
    stage: &Stage,
    account: &Account,
    choice: usize,
) -> anyhow::Result<Option<WorkflowChoice>> {
    let found = outlast(|| workflow::choices(&stage.deeds, account.account_id)).await;
    let Some(mut found) = found.known()? else { return Ok(None) };
    if found.is_empty() {
        create(stage, account, choice).await?;
        return Ok(None);
    }
    Ok(Some(found.swap_remove(choice % found.len())))
}

/// Pauses the account's first route for a while. It runs again whatever happens, or the account's messages would wait
/// for ever.
async fn pause_route(stage: &Stage, account: &Account, time: Duration) -> anyhow::Result<Came> {
    let came = command(stage, account, &["route", "pause", ROUTE]).await?;
    tokio::time::sleep(time).await;
    let begin = Instant::now();
    while !matches!(command(stage, account, &["route", "resume", ROUTE]).await?, Came::Done) {
        if begin.elapsed() > RESUME_PATIENCE {
            stage.complain(format!("the route of {} does not run again", account.name));
            return Ok(Came::Failed);
        }
        tokio::time::sleep(RESUME_PAUSE).await;
    }
    Ok(came)
}

/// Between two tries, since a database that is away refuses at once.
const RESUME_PAUSE: Duration = Duration::from_millis(200);

/// How long it is tried to let a route run again. Longer than any fault.
const RESUME_PATIENCE: Duration = Duration::from_mins(1);

/// Runs a command as a person would. It may fail while the database is away, but never panic.
pub(crate) async fn command(
    stage: &Stage,
    account: &Account,
    arguments: &[&str],
) -> anyhow::Result<Came> {
    let output = stage.cli(account, arguments).output();
    let Ok(output) = tokio::time::timeout(COMMAND_PATIENCE, output).await else {
        // The person has given up, and the command with them.
        return Ok(Came::Failed);
    };
    let output = output.context("run `dripline`")?;
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains("panicked at") || !matches!(output.status.code(), Some(0 | 1 | 3)) {
        let arguments = arguments.join(" ");
        stage.complain(format!("`dripline {arguments}` ended with {}: {said}", output.status));
    }
    Ok(match output.status.code() {
        Some(0) => Came::Done,
        Some(1) => Came::Refused,
        _ => Came::Failed,
    })
}

/// How long a person waits for a command.
const COMMAND_PATIENCE: Duration = Duration::from_secs(30);

async fn create(stage: &Stage, account: &Account, kind: usize) -> anyhow::Result<()> {
    let draft = draft(&format!("sequence {}", Uuid::new_v4().simple()), kind);
    let id = account.account_id;
    let created = outlast(|| async {
        match ops::create_workflow(&stage.deeds, &SystemClock, id, &draft, ACTOR).await {
            // The name is nobody else's, so that this is the answer to a COMMIT that got none.
            Ok(_) | Err(CreateWorkflowError::NameTaken(_)) => Ok(()),
            Err(CreateWorkflowError::Store(error)) => Err(error),
            Err(error) => {
                stage.complain(format!("a workflow could not be created: {error}"));
                Ok(())
            }
        }
    });
    created.await.known()?;
    Ok(())
}

async fn edit(stage: &Stage, workflow: &WorkflowChoice, kind: usize) -> anyhow::Result<Came> {
    let edit = Edit {
        workflow_id: workflow.workflow_id,
        draft: draft(&workflow.name, kind),
        expected_revision: None,
        actor: ACTOR.to_owned(),
    };
    let edited = outlast(|| async {
        match ops::edit_workflow(&stage.deeds, &SystemClock, &edit).await {
            Ok(_) => Ok(Came::Done),
            Err(EditWorkflowError::Store(error)) => Err(error),
            Err(
                EditWorkflowError::Active(_)
                | EditWorkflowError::PurgeUnfinished { .. }
                | EditWorkflowError::NotFound(_),
            ) => Ok(Came::Refused),
            Err(error) => {
                stage.complain(format!("a workflow could not be edited: {error}"));
                Ok(Came::Failed)
            }
        }
    });
    Ok(edited.await.known()?.unwrap_or(Came::Failed))
}

async fn remove(
    stage: &Stage,
    account: &Account,
    choice: usize,
    contacts: i64,
) -> anyhow::Result<Came> {
    let Some(workflow) = choose(stage, account, choice).await? else { return Ok(Came::Failed) };
    let filter = EnrollmentFilter {
        workflow_id: Some(workflow.workflow_id),
        live: Some(true),
        limit: contacts,
        ..EnrollmentFilter::default()
    };
    let live = outlast(|| enrollments::list(&stage.deeds, account.account_id, &filter)).await;
    let mut came = Came::Refused;
    for enrollment in live.known()?.unwrap_or_default() {
        let removal = Removal {
            enrollment_id: enrollment.enrollment_id,
            actor: ACTOR.to_owned(),
            reason: None,
        };
        let removed = outlast(|| async {
            match ops::remove_contact(&stage.deeds, &SystemClock, &removal).await {
                Ok(_) => Ok(Came::Done),
                Err(RemoveContactError::Store(error)) => Err(error),
                Err(_) => Ok(Came::Refused),
            }
        });
        match removed.await.known()? {
            Some(Came::Done) => came = Came::Done,
            Some(_) => {}
            None => return Ok(Came::Failed),
        }
    }
    Ok(came)
}

async fn opt_out(stage: &Stage, account: &Account, choice: usize) -> anyhow::Result<Came> {
    let filter = EnrollmentFilter { live: Some(true), limit: 1, ..EnrollmentFilter::default() };
    let live = outlast(|| enrollments::list(&stage.deeds, account.account_id, &filter)).await;
    let live = live.known()?.unwrap_or_default();
    let Some(contact) = live.get(choice % live.len().max(1)) else { return Ok(Came::Refused) };
    let contact_id = contact.contact_id;
    let left = outlast(|| ops::opt_out(&stage.deeds, &SystemClock, contact_id, ACTOR)).await;
    Ok(left.known()?.map_or(Came::Failed, |_| Came::Done))
}

/// A payment is made until it is known to be made, so that the books of this program are right.
pub(crate) async fn top_up(stage: &Stage, account: &Account, units: i64) -> anyhow::Result<Came> {
    let payment = TopUp {
        account_id: account.account_id,
        amount: Micros(units * 1_000_000),
        batch_id: Uuid::new_v4(),
        actor: ACTOR.to_owned(),
        reason: None,
    };
    loop {
        let paid = outlast(|| async {
            match ops::top_up(&stage.deeds, &SystemClock, &payment).await {
                Ok(_) => Ok(true),
                Err(TopUpError::Store(error)) => Err::<_, StoreError>(error),
                Err(error) => {
                    stage.complain(format!("a top-up was refused: {error}"));
                    Ok(false)
                }
            }
        });
        match paid.await {
            Answer::Known(true) => {
                account.paid(payment.amount);
                return Ok(Came::Done);
            }
            Answer::Known(false) => return Ok(Came::Refused),
            Answer::Unknown => {}
            Answer::Refused(error) => return Err(error.into()),
        }
    }
}
