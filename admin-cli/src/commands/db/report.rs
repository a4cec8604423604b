//! What is known about the database, as `start`, `status` and `migrate` report it.

use std::path::PathBuf;

use dripline_store::embedded::{self, Status};
use dripline_store::{Pool, SchemaStatus};
use serde::Serialize;

use crate::context::Context;
use crate::database;
use crate::output::Report;
use crate::output::page::Page;

#[derive(Serialize)]
pub(super) struct DatabaseReport {
    /// `embedded`, or `configured` for a server of the operator's own.
    kind: &'static str,
    /// Where it is, without any password.
    server: String,
    /// `running`, `changing`, `stopped` or `absent`.
    state: &'static str,
    pid: Option<i32>,
    data_dir: Option<PathBuf>,
    /// `current`, `missing`, `behind` or `newer`; none when the server does not run.
    schema: Option<&'static str>,
    /// How many migrations are missing.
    migrations_behind: Option<usize>,
}

impl Report for DatabaseReport {
    fn lay_out(&self, page: &mut Page) {
        let mut pairs = vec![
            ("database", self.kind.to_owned()),
            ("server", self.server.clone()),
            ("state", self.state.to_owned()),
        ];
        pairs.extend(self.pid.map(|pid| ("process", pid.to_string())));
        pairs.extend(self.data_dir.as_ref().map(|dir| ("data", dir.display().to_string())));
        pairs.extend(self.schema.map(|schema| match self.migrations_behind {
            Some(behind) => ("schema", format!("{schema} by {behind} migrations")),
            None => ("schema", schema.to_owned()),
        }));
        page.pairs(pairs);
    }
}

impl DatabaseReport {
    /// The operator's own server.
    pub(super) async fn configured(ctx: &Context) -> anyhow::Result<Self> {
        let pool = database::connect(&ctx.settings).await?;
        let server = ctx.settings.database.url.as_ref().map(ToString::to_string);
        let report = Self::new("configured", server.unwrap_or_default(), "running");
        report.with_schema(&pool).await
    }

    /// The embedded server, which is looked at and not started.
    pub(super) async fn embedded(ctx: &Context) -> anyhow::Result<Self> {
        let options = database::embedded_options(&ctx.settings);
        let new = |state| Self::new("embedded", "unix socket".to_owned(), state);
        Ok(match embedded::status(options).await? {
            Status::Absent => new("absent"),
            Status::Stopped { data_dir } => Self { data_dir: Some(data_dir), ..new("stopped") },
            Status::Changing { pid } => Self { pid: Some(pid), ..new("changing") },
            Status::Running(running) => {
                let mut report = new("running");
                report.pid = Some(running.pid);
                report.server = match running.port {
                    Some(port) => format!("unix socket and 127.0.0.1:{port}"),
                    None => "unix socket".to_owned(),
                };
                report.data_dir = Some(running.data_dir);
                let pool = database::connect_to(&ctx.settings, running.url).await?;
                report.with_schema(&pool).await?
            }
        })
    }

    fn new(kind: &'static str, server: String, state: &'static str) -> Self {
        Self {
            kind,
            server,
            state,
            pid: None,
            data_dir: None,
            schema: None,
            migrations_behind: None,
        }
    }

    async fn with_schema(mut self, pool: &Pool) -> anyhow::Result<Self> {
        let (schema, behind) = match dripline_store::schema_status(pool).await? {
            SchemaStatus::Missing => ("missing", None),
            SchemaStatus::Behind(count) => ("behind", Some(count)),
            SchemaStatus::Current => ("current", None),
            SchemaStatus::Newer => ("newer", None),
        };
        self.schema = Some(schema);
        self.migrations_behind = behind;
        Ok(self)
    }
}
