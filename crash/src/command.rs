//! What an operator types, and what must have come of it once it was typed again.

use anyhow::{Context, bail, ensure};
use dripline_domain::clock::SystemClock;
use dripline_domain::delivery::DeliveryState;
use dripline_domain::enrollment::ExitCause;
use dripline_domain::ids::ContactId;
use dripline_domain::money::Micros;
use dripline_store::audit::breaks;
use dripline_store::listing::enrollments::{self, EnrollmentFilter};
use dripline_store::testing::factory::Workflow;
use dripline_store::{account, contact, ledger, plugin, route, sender_pace, workflow};
use tokio::process::Command;
use uuid::Uuid;

use crate::scene::Deed;
use crate::stage::{ACCOUNT, Done, FUNDS, PLUGIN, Stage, WORKFLOW};

/// More than any stage has of anything.
const MANY: i64 = 100_000;

/// Something that is wrong, and its end.
const BREAK: &str = "UPDATE balances SET available_micros = available_micros + 1";
const MEND: &str = "UPDATE balances SET available_micros = available_micros - 1";

/// A route whose sender may not send what it likes.
const THROTTLED: &str = "throttled";

/// Exit codes of `dripline`: done, and refused by a rule.
const DONE_OR_REFUSED: [i32; 2] = [0, 1];

/// One deed of an operator at one stage.
#[derive(Debug)]
pub(crate) struct Errand<'a> {
    stage: &'a Stage,
    deed: Deed,
    /// Names the payment or correction.
    id: Uuid,
}

impl<'a> Errand<'a> {
    /// Prepares what the deed needs.
    pub(crate) async fn new(stage: &'a Stage, deed: Deed) -> anyhow::Result<Self> {
        match deed {
            Deed::MoveWorkflow => {
                for name in ["second", "third"] {
                    let more = Workflow { name: Some(name.to_owned()), ..Workflow::with_steps(1) };
                    more.create(&stage.pool, &SystemClock, stage.account_id).await;
                }
            }
            Deed::CreateWorkflow => stage.file("new.toml", &workflow_file("new"))?,
            Deed::EditWorkflow => stage.file("changed.toml", &workflow_file(WORKFLOW))?,
            Deed::ImportContacts => {
                let rows: Vec<_> = (0..200).map(|n| format!("+1201555{n:04},UTC,Ada\n")).collect();
                let rows = rows.concat();
                stage.file("people.csv", &format!("phone,time_zone,name\n{rows}"))?;
            }
            Deed::Audit => {
                stage.sql(BREAK).await?;
            }
            Deed::SettleBreak => {
                stage.sql(BREAK).await?;
                let done = stage.dripline("", &["audit".to_owned()]).await?;
                ensure!(done.status.code() == Some(1), "the audit found nothing: {}", done.said);
                stage.sql(MEND).await?;
            }
            Deed::RemovePlugin => stage.install_plugin().await?,
            Deed::ResumeRoute => {
                let words = ["route", "pause", "main"].map(str::to_owned);
                let done = stage.dripline("", &words).await?;
                ensure!(done.status.success(), "the route is not paused: {}", done.said);
            }
            Deed::TestRoute => {
                // Nobody is there, so that the carrier of the stage takes nothing that no workflow has sent.
                let words = [
                    "route",
                    "add",
                    THROTTLED,
                    "--carrier",
                    "twilio",
                    "--sender",
                    "+15005550006",
                    "--price-per-segment",
                    "0.01",
                    "--segments-per-day",
                    "100",
                    "--allow-loopback",
                    "--setting",
                    "account_sid=AC00000000000000000000000000000000",
                    "--setting",
                    "api_base=http://127.0.0.1:1",
                    "--secret",
                    "auth_token=env:CRASH_AUTH_TOKEN",
                ];
                let done = stage.dripline("", &words.map(str::to_owned)).await?;
                ensure!(done.status.success(), "there is no throttled route: {}", done.said);
            }
            _ => {}
        }
        Ok(Self { stage, deed, id: Uuid::new_v4() })
    }

    /// The same, when it was prepared before. Only to be checked.
    pub(crate) fn again(stage: &'a Stage, deed: Deed) -> Self {
        Self { stage, deed, id: Uuid::nil() }
    }

    /// Does it. Aborted by its crash point, or done as far as it still has to be.
    pub(crate) async fn run(&self, failpoints: &str) -> anyhow::Result<Done> {
        let contact = self.stage.contacts.first().context("the stage has contacts")?;
        if let Some(command) = self.own_command(*contact).await? {
            return self.stage.run(command, failpoints).await;
        }
        let id = self.id.to_string();
        let contact = contact.to_string();
        let plugin = self.stage.plugin_file().display().to_string();
        let words: &[&str] = match self.deed {
            Deed::CreateAccount => &["account", "create", "other", "--currency", "EUR"],
            Deed::TopUp => &["account", "topup", ACCOUNT, "5", "--payment-id", &id],
            Deed::Adjust => &[
                "account",
                "adjust",
                ACCOUNT,
                "-5",
                "--reason",
                "test",
                "--yes",
                "--adjustment-id",
                &id,
            ],
            Deed::CreateRoute => &[
                "route",
                "add",
                "other",
                "--carrier",
                "twilio",
                "--sender",
                "+15005550006",
                "--price-per-segment",
                "0.01",
                "--setting",
                "account_sid=AC00000000000000000000000000000000",
                "--secret",
                "auth_token=env:NOWHERE",
            ],
            Deed::UpdateRoute => &["route", "edit", "main", "--price-per-segment", "0.02"],
            Deed::CreateWorkflow => &["workflow", "create", "--file", "new.toml"],
            Deed::EditWorkflow => &["workflow", "edit", WORKFLOW, "--file", "changed.toml"],
            Deed::MoveWorkflow => &["workflow", "move", "third", "--top"],
            Deed::ImportContacts => &["contact", "import", "people.csv"],
            Deed::Enroll => &["enrollment", "add", WORKFLOW, "--all", "--yes"],
            Deed::Pause => &["workflow", "pause", WORKFLOW, "--yes"],
            Deed::Delete => &["workflow", "delete", WORKFLOW, "--yes"],
            Deed::Remove => &["enrollment", "remove", "--contact", &contact, "--yes"],
            Deed::RemoveAll => &["enrollment", "remove", "--workflow", WORKFLOW, "--all", "--yes"],
            Deed::Resolve => &[
                "delivery", "resolve", "--state", "unknown", "--sent", "--reason", "seen", "--yes",
            ],
            Deed::Requeue => &["delivery", "requeue", "--workflow", WORKFLOW, "--yes"],
            Deed::Audit => &["audit"],
            Deed::SettleBreak => {
                &["audit", "settle", "1", "--amount", "5", "--reason", "owed", "--yes"]
            }
            Deed::InstallPlugin => &["plugin", "install", &plugin, "--yes"],
            Deed::RemovePlugin => &["plugin", "remove", PLUGIN],
            Deed::PauseRoute => &["route", "pause", "main", "--reason", "test"],
            Deed::ResumeRoute => &["route", "resume", "main"],
            Deed::TestRoute => {
                &["route", "test", THROTTLED, "--to", "+12025550123", "--live", "--yes"]
            }
            Deed::OptOut | Deed::Receive | Deed::ReceiveStop => &[],
        };
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        self.stage.dripline(failpoints, &words).await
    }

    /// What no command of the operator does: this package's own program does it.
    async fn own_command(&self, contact: ContactId) -> anyhow::Result<Option<Command>> {
        let pool = &self.stage.pool;
        let mut command: Command = self.stage.program(self.stage.own_program());
        let main = || async {
            let route = route::find(pool, self.stage.account_id, "main").await?;
            Ok::<_, anyhow::Error>(route.context("a route")?.route_id.to_string())
        };
        match self.deed {
            Deed::OptOut => drop(command.args(["opt-out", &contact.to_string()])),
            Deed::Receive => {
                let log = self.stage.carrier_log()?;
                let taken = log.into_iter().filter(|entry| entry.accepted);
                let references = taken.filter_map(|entry| entry.reference);
                command.args(["receive", &main().await?]).args(references);
            }
            Deed::ReceiveStop => {
                let sender = contact::load(pool, contact).await?.context("a contact")?.phone;
                command.args(["receive-stop", &main().await?, sender.as_str()]);
            }
            _ => return Ok(None),
        }
        Ok(Some(command))
    }

    /// Does it again, as somebody does who saw it die: it is done, or refused because it was done.
    pub(crate) async fn repeat(&self) -> anyhow::Result<()> {
        let done = self.run("").await?;
        let code = done.status.code();
        ensure!(
            code.is_some_and(|code| DONE_OR_REFUSED.contains(&code)),
            "repeated, it ended with {}: {}",
            done.status,
            done.said
        );
        Ok(())
    }

    /// What was asked for has happened, and exactly once.
    pub(crate) async fn check(&self) -> anyhow::Result<()> {
        let Stage { pool, account_id, workflow_id, contacts, .. } = self.stage;
        match self.deed {
            Deed::CreateAccount => {
                let accounts = account::list(pool).await?;
                expect("accounts", accounts.len(), 2)
            }
            Deed::TopUp => self.check_funds(FUNDS + Micros(5_000_000)).await,
            Deed::Adjust => self.check_funds(FUNDS - Micros(5_000_000)).await,
            Deed::CreateRoute => expect("routes", route::list(pool, *account_id).await?.len(), 2),
            Deed::UpdateRoute => {
                let route = route::find(pool, *account_id, "main").await?.context("a route")?;
                expect("price", route.price_micros_per_segment, Micros(20_000))
            }
            Deed::CreateWorkflow => {
                let names = self.workflows().await?;
                expect("workflows", names, vec![WORKFLOW.to_owned(), "new".to_owned()])
            }
            Deed::EditWorkflow => {
                let detail = workflow::show(pool, *workflow_id).await?.context("a workflow")?;
                expect("steps", detail.steps.len(), 1)?;
                expect("revision", detail.workflow.revision, 2)
            }
            Deed::MoveWorkflow => {
                let wanted = ["third", WORKFLOW, "second"].map(str::to_owned);
                expect("order", self.workflows().await?, wanted.to_vec())
            }
            Deed::ImportContacts => {
                let filter = contact::ContactFilter { limit: MANY, ..Default::default() };
                let found = contact::list(pool, *account_id, &filter).await?;
                expect("contacts", found.len(), contacts.len() + 200)
            }
            Deed::Enroll => {
                let all = self.enrollments(EnrollmentFilter::default()).await?;
                expect("enrollments", all, contacts.len())
            }
            Deed::Pause => self.check_closed(ExitCause::WorkflowPaused).await,
            Deed::Delete => {
                let gone = workflow::find(pool, *account_id, WORKFLOW).await?.is_none();
                expect("workflow is gone", gone, true)?;
                self.check_closed(ExitCause::WorkflowDeleted).await
            }
            Deed::RemoveAll => self.check_closed(ExitCause::Removed).await,
            Deed::Resolve | Deed::Receive => {
                let unknown = self.stage.deliveries(DeliveryState::Unknown).await?;
                expect("unknown deliveries", unknown.len(), 0)?;
                let sent = self.stage.deliveries(DeliveryState::Sent).await?;
                expect("sent deliveries", sent.len(), 2 * contacts.len())
            }
            Deed::Requeue => {
                let failed = self.stage.deliveries(DeliveryState::Failed).await?;
                expect("failed deliveries", failed.len(), contacts.len())?;
                let sent = self.stage.deliveries(DeliveryState::Sent).await?;
                expect("sent deliveries", sent.len(), 2 * contacts.len())?;
                let all = self.enrollments(EnrollmentFilter::default()).await?;
                expect("enrollments", all, 2 * contacts.len())
            }
            Deed::Audit => {
                expect("breaks", breaks::list(pool, true, None, MANY).await?.len(), 1)?;
                self.stage.sql(MEND).await.map(drop)
            }
            Deed::SettleBreak => {
                expect("unsettled breaks", breaks::list(pool, false, None, MANY).await?.len(), 0)?;
                self.check_funds(FUNDS + Micros(5_000_000)).await
            }
            Deed::InstallPlugin => {
                let in_force = plugin::in_force(pool).await?;
                let names: Vec<_> = in_force.iter().map(|version| version.name.as_str()).collect();
                expect("plugins in force", names, vec![PLUGIN])?;
                expect("versions", plugin::versions(pool, PLUGIN).await?.len(), 1)
            }
            Deed::PauseRoute | Deed::ResumeRoute => {
                let route = route::find(pool, *account_id, "main").await?.context("a route")?;
                let paused = self.deed == Deed::PauseRoute;
                expect("route is paused", route.paused_at.is_some(), paused)
            }
            Deed::TestRoute => self.check_counted().await,
            Deed::RemovePlugin => {
                expect("plugins in force", plugin::in_force(pool).await?.len(), 0)?;
                expect("versions", plugin::versions(pool, PLUGIN).await?.len(), 1)
            }
            Deed::Remove | Deed::OptOut | Deed::ReceiveStop => {
                if self.deed == Deed::ReceiveStop {
                    let kept = self.stage.sql("SELECT count(*) FROM inbound_messages").await?;
                    expect("messages from contacts", kept.trim(), "1")?;
                }
                let contact_id = contacts.first().copied();
                let live = EnrollmentFilter {
                    contact_id,
                    live: Some(true),
                    ..EnrollmentFilter::default()
                };
                expect("live enrollments", self.enrollments(live).await?, 0)?;
                let all = EnrollmentFilter { contact_id, ..EnrollmentFilter::default() };
                expect("enrollments", self.enrollments(all).await?, 1)
            }
        }
    }

    /// What was sent by hand counts for its sender once, and once more if the first had counted before it died.
    async fn check_counted(&self) -> anyhow::Result<()> {
        let Stage { pool, account_id, .. } = self.stage;
        let route = route::find(pool, *account_id, THROTTLED).await?.context("a route")?;
        let paces = sender_pace::list(pool, route.route_id).await?;
        let counted: u64 = paces.iter().map(|pace| pace.segments_today).sum();
        expect("one segment or two", (1..=2).contains(&counted), true)
    }

    async fn workflows(&self) -> anyhow::Result<Vec<String>> {
        let workflows = workflow::list(&self.stage.pool, self.stage.account_id).await?;
        Ok(workflows.into_iter().map(|workflow| workflow.name).collect())
    }

    async fn check_funds(&self, wanted: Micros) -> anyhow::Result<()> {
        let Stage { pool, account_id, .. } = self.stage;
        let balance = account::balance(pool, *account_id).await?.context("a balance")?;
        expect("available", balance.available, wanted)?;
        let totals = ledger::totals(pool, *account_id).await?;
        expect("top-ups and adjustments", totals.topup_micros + totals.adjust_micros, wanted)
    }

    async fn enrollments(&self, filter: EnrollmentFilter) -> anyhow::Result<usize> {
        let filter = EnrollmentFilter { limit: MANY, ..filter };
        let Stage { pool, account_id, .. } = self.stage;
        Ok(enrollments::list(pool, *account_id, &filter).await?.len())
    }

    /// Nobody is in the workflow any more, and whoever was has left it by this deed or by its end.
    async fn check_closed(&self, cause: ExitCause) -> anyhow::Result<()> {
        let live = EnrollmentFilter { live: Some(true), ..EnrollmentFilter::default() };
        expect("live enrollments", self.enrollments(live).await?, 0)?;
        let exits = enrollments::exits(&self.stage.pool, self.stage.account_id, None).await?;
        let contacts: u64 = exits.iter().map(|exit| exit.contacts).sum();
        expect("exits", contacts, self.stage.contacts.len() as u64)?;
        match exits.iter().find(|exit| exit.cause != cause && exit.cause != ExitCause::Finished) {
            Some(exit) => bail!("somebody left otherwise: {exit:?}"),
            None => Ok(()),
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "what is compared is made for it")]
fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, wanted: T) -> anyhow::Result<()> {
    ensure!(found == wanted, "{what}: found {found:?}, wanted {wanted:?}");
    Ok(())
}

fn workflow_file(name: &str) -> String {
    format!("name = \"{name}\"\n\n[[steps]]\nroute = \"main\"\ntemplate = \"Bye {{{{ name }}}}\"\n")
}
