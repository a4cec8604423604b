//! What commands work with: settings, the clock, who asks, and on demand the database, the account
//! and the plugins.

use std::sync::Arc;

use dripline_config::{ConfigError, Settings};
use dripline_domain::clock::SystemClock;
use dripline_domain::ids::{ContactId, OperationId, WorkflowId};
use dripline_domain::phone::Phone;
use dripline_store::Pool;
use dripline_store::account::{self, Account};
use dripline_store::contact::{self, Contact};
use dripline_store::listing::operations::{self, Operation};
use dripline_store::route::{self, Route};
use dripline_store::workflow::{self, Workflow, WorkflowDetail};
use tracing_subscriber::EnvFilter;

use crate::cli::Global;
use crate::database::Database;
use crate::failure::{refuse, usage};
use crate::plugins::Plugins;
use crate::suggestion;

/// What commands work with.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) clock: SystemClock,
    /// Who asks, as the ledger and the audit trail record it.
    pub(crate) actor: String,
    account: Option<String>,
    database: Arc<Database>,
    pub(crate) plugins: Plugins,
}

impl Context {
    /// Reads the settings and opens nothing yet.
    pub(crate) fn new(global: &Global) -> anyhow::Result<Self> {
        log_to_stderr(global.verbose);
        let settings = dripline_config::load(global.config.as_deref(), std::env::vars_os())
            .map_err(explain_settings)?;
        let database = Arc::new(Database::new(settings.clone()));
        Ok(Self {
            account: global.account.clone().or_else(|| settings.cli.account.clone()),
            plugins: Plugins::new(&settings, database.clone()),
            settings,
            clock: SystemClock,
            actor: actor(),
            database,
        })
    }

    /// The database, opened and checked when it is first asked for.
    pub(crate) async fn pool(&self) -> anyhow::Result<&Pool> {
        self.database.pool().await
    }

    /// The account to act for: the one named on the command line, the configured one, or the only
    /// one there is.
    pub(crate) async fn account(&self) -> anyhow::Result<Account> {
        if let Some(name) = &self.account {
            return self.account_named(name).await;
        }
        let mut accounts = account::list(self.pool().await?).await?;
        match accounts.len() {
            1 => Ok(accounts.remove(0).account),
            0 => Err(refuse("there is no account yet")
                .hint("`dripline account create NAME --currency EUR` creates one")
                .into()),
            n => {
                let names: Vec<_> =
                    accounts.iter().map(|a| format!("`{}`", a.account.name)).take(10).collect();
                Err(refuse(format!("there are {n} accounts, and none was chosen"))
                    .hint(format!("pass --account NAME; there are {}", names.join(", ")))
                    .into())
            }
        }
    }

    /// The account of that name.
    pub(crate) async fn account_named(&self, name: &str) -> anyhow::Result<Account> {
        let pool = self.pool().await?;
        if let Some(account) = account::find(pool, name).await? {
            return Ok(account);
        }
        let all = account::list(pool).await?;
        let names = all.iter().map(|listing| listing.account.name.as_str());
        let hint = suggestion::hint(name, names, "dripline account list");
        Err(refuse(format!("there is no account `{name}`")).hint(hint).into())
    }

    /// The account's route of that name.
    pub(crate) async fn route(&self, account: &Account, name: &str) -> anyhow::Result<Route> {
        let pool = self.pool().await?;
        if let Some(route) = route::find(pool, account.account_id, name).await? {
            return Ok(route);
        }
        let all = route::list(pool, account.account_id).await?;
        let names = all.iter().map(|route| route.name.as_str());
        let hint = suggestion::hint(name, names, "dripline route list");
        Err(refuse(format!("there is no route `{name}`")).hint(hint).into())
    }

    /// The account's workflow of that name, or with that id when no name is like it.
    pub(crate) async fn workflow(&self, account: &Account, name: &str) -> anyhow::Result<Workflow> {
        let pool = self.pool().await?;
        if let Some(workflow) = workflow::find(pool, account.account_id, name).await? {
            return Ok(workflow);
        }
        if let Ok(id) = name.parse::<WorkflowId>()
            && let Some(workflow) = workflow::load(pool, id).await?
            && workflow.account_id == account.account_id
        {
            return Ok(workflow);
        }
        let all = workflow::choices(pool, account.account_id).await?;
        let names = all.iter().map(|choice| choice.name.as_str());
        let hint = suggestion::hint(name, names, "dripline workflow list");
        Err(refuse(format!("there is no workflow `{name}`")).hint(hint).into())
    }

    /// The same, with its steps.
    pub(crate) async fn workflow_detail(
        &self,
        account: &Account,
        name: &str,
    ) -> anyhow::Result<WorkflowDetail> {
        let workflow = self.workflow(account, name).await?;
        let detail = workflow::show(self.pool().await?, workflow.workflow_id).await?;
        detail.ok_or_else(|| refuse(format!("workflow `{name}` was deleted just now")).into())
    }

    /// The account's contact with that number or id.
    pub(crate) async fn contact(&self, account: &Account, text: &str) -> anyhow::Result<Contact> {
        let pool = self.pool().await?;
        let found = match (Phone::parse(text, None), text.parse::<ContactId>()) {
            (Ok(phone), _) => contact::find(pool, account.account_id, &phone).await?,
            (Err(_), Ok(id)) => contact::load(pool, id).await?,
            (Err(error), Err(_)) => {
                return Err(refuse(error.to_string())
                    .hint("name a contact by its phone number or its id")
                    .into());
            }
        };
        let found = found.filter(|contact| contact.account_id == account.account_id);
        found.ok_or_else(|| {
            refuse(format!("there is no contact `{text}` in account `{}`", account.name))
                .hint("`dripline contact list --phone DIGITS` finds a number by some of its digits")
                .into()
        })
    }

    /// The account's operation with that id.
    pub(crate) async fn operation(
        &self,
        account: &Account,
        id: OperationId,
    ) -> anyhow::Result<Operation> {
        let pool = self.pool().await?;
        // Lists go backwards and begin behind a number, so the one wanted comes first.
        let behind = Some(OperationId(id.0.saturating_add(1)));
        let found = operations::list(pool, account.account_id, None, behind, 1).await?.pop();
        found.filter(|operation| operation.operation_id == id).ok_or_else(|| {
            refuse(format!("there is no operation {id} in account `{}`", account.name))
                .hint("`dripline operation list` lists them")
                .into()
        })
    }
}

/// Who asks: the name of the operating system's user.
fn actor() -> String {
    let name = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|variable| std::env::var(variable).ok().filter(|name| !name.is_empty()));
    name.unwrap_or_else(|| "cli".to_owned())
}

/// Logs go to stderr, and only warnings unless somebody asks for more: the command itself says what
/// happened.
fn log_to_stderr(verbose: u8) {
    let filter = match verbose {
        0 => "warn",
        1 => "info",
        _ => "debug",
    };
    tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(filter))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}

/// Every wrong setting on a line of its own.
fn explain_settings(error: ConfigError) -> anyhow::Error {
    match error {
        ConfigError::Invalid(problems) => {
            let lines: Vec<_> = problems.iter().map(|problem| format!("  {problem}")).collect();
            usage("the settings are wrong")
                .detail(lines.join("\n"))
                .hint("every setting is explained in config/default.toml")
                .into()
        }
        ConfigError::Unreadable { path, source } => {
            usage(format!("cannot read the settings in `{}`: {source}", path.display())).into()
        }
        ConfigError::NoStateDirectory => usage(error.to_string()).into(),
        error @ ConfigError::Merge(_) => anyhow::Error::new(error),
    }
}
