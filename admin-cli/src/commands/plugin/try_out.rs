//! `dripline plugin try`.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use dripline_config::SecretReference;
use dripline_domain::phone::Phone;
use dripline_plugin_host::egress::{
    Egress, EgressOptions, Grant, RouteRights, Secrets, WireOutcome,
};
use dripline_plugin_host::outcome;
use dripline_plugin_host::{Manifest, Outgoing, PluginHost, PluginKind, Request, Settings, Token};
use dripline_store::ops;
use dripline_store::route::Route;
use serde::Serialize;
use uuid::Uuid;

use crate::commands::route::draft;
use crate::confirm;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{refuse, usage};
use crate::output::page::Page;
use crate::output::words::{count, time};
use crate::output::{Output, Report};

/// Show the exact request by which a carrier would send a message, with secrets masked.
///
/// With --live the message is really sent, after a question, and the answer is shown with what the carrier
/// makes of it. That message is in no ledger and belongs to no workflow.
#[derive(Debug, clap::Args)]
#[command(name = "try")]
pub(crate) struct Args {
    /// An installed carrier's name, or a component's file.
    plugin: String,
    /// To whom: a number in its international form.
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    to: String,
    /// What the message says.
    #[arg(long, value_name = "TEXT")]
    text: String,
    /// Take sender, settings, secrets and origins from a route.
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// Whom the message comes from; the route's without it.
    #[arg(long, value_name = "SENDER", allow_hyphen_values = true)]
    sender: Option<String>,
    /// A setting of the carrier, besides the route's or instead. Can be repeated.
    #[arg(long = "setting", value_name = "NAME=VALUE", value_parser = super::super::route::pair)]
    settings: Vec<(String, String)>,
    /// Where a secret is kept: `env:NAME` or `file:/path`. Can be repeated. Without --live a secret that is
    /// not given is only named.
    #[arg(long = "secret", value_name = "NAME=REFERENCE", value_parser = super::super::route::pair)]
    secrets: Vec<(String, String)>,
    /// Let it send to this machine itself; for simulators.
    #[arg(long)]
    allow_loopback: bool,
    /// Really send it.
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    confirm: confirm::Args,
}

impl Args {
    /// A message as a route would send it.
    pub(in crate::commands) fn over_route(
        carrier: String,
        route: String,
        to: String,
        text: String,
        live: bool,
        confirm: confirm::Args,
    ) -> Self {
        Self {
            plugin: carrier,
            to,
            text,
            route: Some(route),
            sender: None,
            settings: Vec::new(),
            secrets: Vec::new(),
            allow_loopback: false,
            live,
            confirm,
        }
    }
}

/// What would leave.
#[derive(Serialize)]
struct Plan {
    plugin: String,
    segments: u32,
    #[serde(flatten)]
    message: Shown,
    /// What would fetch the token before it, where the message asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<Shown>,
}

/// A request, with its secrets masked.
#[derive(Serialize)]
struct Shown {
    method: String,
    url: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Shown {
    fn new(grant: &Grant, request: Request) -> anyhow::Result<Self> {
        let preview = grant
            .preview(request, &EgressOptions::default())
            .map_err(|forbidden| refuse(format!("the request may not leave: {forbidden}")))?;
        Ok(Self {
            method: preview.method,
            url: preview.url,
            headers: preview.headers.into_iter().map(|h| (h.name, h.value)).collect(),
            body: String::from_utf8_lossy(&preview.body).into_owned(),
        })
    }

    fn lay_out(&self, page: &mut Page) {
        page.gap();
        page.line(format_args!("{} {}", self.method, self.url));
        for (name, value) in &self.headers {
            page.line(format_args!("{name}: {value}"));
        }
        page.gap();
        page.line(&self.body);
    }
}

impl Report for Plan {
    fn lay_out(&self, page: &mut Page) {
        page.line(format_args!(
            "carrier `{}` would send {} by this request:",
            self.plugin,
            count(u64::from(self.segments), "segment")
        ));
        self.message.lay_out(page);
        if let Some(token) = &self.token {
            page.gap();
            page.line("and before it, unless it has a token, fetch one by this request:");
            token.lay_out(page);
        }
    }
}

/// What came back.
#[derive(Serialize)]
struct Sent {
    /// Of the answer; none when there was no whole one.
    status: Option<u16>,
    headers: Vec<(String, String)>,
    body: String,
    /// `accepted`, `refused`, `not_sent` or `unknown`.
    outcome: &'static str,
    /// The carrier's id of the message, or why it was not accepted.
    detail: String,
}

impl Report for Sent {
    fn lay_out(&self, page: &mut Page) {
        if let Some(status) = self.status {
            page.line(format_args!("the answer: {status}"));
            for (name, value) in &self.headers {
                page.line(format_args!("{name}: {value}"));
            }
            page.gap();
            page.line(&self.body);
            page.gap();
        }
        page.line(format_args!("outcome: {}: {}", self.outcome, self.detail));
    }
}

pub(crate) async fn run(args: Args, ctx: &Context, out: &mut Output) -> anyhow::Result<Exit> {
    let to = Phone::parse(&args.to, None)
        .map_err(|error| usage(format!("`{}` is no number to send to: {error}", args.to)))?;
    let (host, name) = carrier(&args.plugin, ctx).await?;
    let manifest = host.manifest(&name).expect("a loaded carrier has a manifest");
    let route = match &args.route {
        Some(route) => Some(ctx.route(&ctx.account().await?, route).await?),
        None => None,
    };
    let sender = args.sender.clone().or(route.as_ref().map(|route| route.senders[0].clone()));
    let sender = sender.ok_or_else(|| {
        usage("a message comes from somebody").hint("pass --sender, or --route to take the route's")
    })?;
    let (settings, grant) = rights(&args, &manifest, route.as_ref())?;
    let segments = manifest
        .texts
        .measure(&args.text)
        .map_err(|error| refuse(format!("carrier `{name}` would not take the text: {error}")))?
        .segments;
    let message = Outgoing {
        reference: format!("try-{}", Uuid::new_v4().simple()),
        sender: sender.clone(),
        recipient: to.as_str().to_owned(),
        text: args.text.clone(),
        callback_url: None,
    };
    let built = host.build_requests(&name, &settings, grant.secrets(), vec![message]).await;
    let request = built
        .into_iter()
        .next()
        .expect("one request for one message")
        .map_err(|error| refuse(format!("carrier `{name}` gives no request: {error}")))?;
    let send_timeout = ctx.settings.worker.send_timeout();
    let trial = Trial { host, name, settings, grant, send_timeout };
    let plan = trial.plan(segments, &request).await?;
    if !args.live {
        out.data(&plan)?;
        return Ok(Exit::Done);
    }
    let question = format!("Really send it to {}?", to.as_str());
    if args.confirm.ask(out, &plan, &question)?.is_none() {
        return Ok(Exit::Done);
    }
    if let Some(route) = &route {
        take_turn(route, &sender, segments, ctx).await?;
    }
    let sent = trial.send(request).await?;
    let accepted = sent.outcome == "accepted";
    out.data(&sent)?;
    Ok(if accepted { Exit::Done } else { Exit::Refused })
}

/// Counts the message for its sender, whom all workers throttle together.
async fn take_turn(
    route: &Route,
    sender: &str,
    segments: u32,
    ctx: &Context,
) -> anyhow::Result<()> {
    let pool = ctx.pool().await?;
    match ops::take_turn(pool, route.route_id, route.throttle, sender, segments).await? {
        None => Ok(()),
        Some(turn) => Err(refuse(format!(
            "`{sender}` has sent what it may over route `{}` for now",
            route.name
        ))
        .hint(format!("a message may leave at {}; nothing was sent", time(turn)))
        .into()),
    }
}

/// The carrier by its file, or by its name among those installed.
async fn carrier(plugin: &str, ctx: &Context) -> anyhow::Result<(PluginHost, String)> {
    let path = Path::new(plugin);
    let is_file = path.extension().is_some_and(|extension| extension == "wasm");
    if !is_file {
        ctx.plugins.carrier(plugin).await?;
        return Ok((ctx.plugins.host().await?, plugin.to_owned()));
    }
    let (host, info) = ctx.plugins.open(path).await?;
    if info.kind != PluginKind::Carrier {
        return Err(refuse(format!("`{plugin}` is a {}, and sends nothing", info.kind)).into());
    }
    Ok((host, info.name))
}

/// The settings, complete, and the rights that go with them.
fn rights(
    args: &Args,
    manifest: &Manifest,
    route: Option<&Route>,
) -> anyhow::Result<(Settings, Grant)> {
    let mut given = route.map(|route| route.settings.clone()).unwrap_or_default();
    given.extend(args.settings.iter().cloned());
    let mut references: BTreeMap<String, String> =
        route.map(|route| route.secrets.clone()).unwrap_or_default();
    references.extend(args.secrets.iter().cloned());
    let mut secrets = Secrets::default();
    for (name, reference) in &references {
        let wrong = |error: &dyn std::fmt::Display| refuse(format!("secret `{name}`: {error}"));
        let reference: SecretReference = reference.parse().map_err(|error| wrong(&error))?;
        let secret = reference.resolve().map_err(|error| wrong(&error))?;
        secrets.insert(name, secret.expose()).map_err(|error| wrong(&error))?;
    }
    if !args.live {
        for name in manifest.secret_names().filter(|name| !references.contains_key(*name)) {
            // It is masked in all that is shown; only its place matters.
            secrets.insert(name, &format!("not-given-{}", Uuid::new_v4().simple()))?;
        }
    }
    let names: Vec<String> = secrets.names().map(str::to_owned).collect();
    let settings =
        manifest.complete_settings(&given, names.iter().map(String::as_str)).map_err(|error| {
            refuse(error.to_string()).hint("pass --setting and --secret, or --route")
        })?;
    let allowed = match route {
        Some(route) => route.allowed_origins.clone(),
        None => manifest.origins_with(&settings),
    };
    let allow_loopback = args.allow_loopback || route.is_some_and(|route| route.allow_loopback);
    let rights = RouteRights {
        allowed_origins: &allowed,
        allow_loopback,
        secrets,
        timeout: route
            .and_then(|route| route.send_timeout_ms)
            .map(|ms| Duration::from_millis(ms.get().into())),
    };
    let grant = draft::grant(manifest, &settings, &rights)?;
    Ok((settings, grant))
}

/// A carrier with what a message over it needs.
struct Trial {
    host: PluginHost,
    name: String,
    settings: Settings,
    grant: Grant,
    /// How long a worker would give the carrier; the route may give it less.
    send_timeout: Duration,
}

impl Trial {
    /// What would leave, by the same checks as if it did.
    async fn plan(&self, segments: u32, request: &Request) -> anyhow::Result<Plan> {
        let wants_token = self.host.fetches_tokens(&self.name) && request.wants_token();
        let (grant, token) = if wants_token {
            // It is masked in all that is shown; only its place matters.
            let stand_in = Token::new(&format!("not-fetched-{}", Uuid::new_v4().simple()), None)?;
            (self.grant.with_token(&stand_in), Some(self.token_request().await?))
        } else {
            (self.grant.clone(), None)
        };
        let token = token.map(|token| Shown::new(&self.grant, token)).transpose()?;
        let message = Shown::new(&grant, request.clone())?;
        Ok(Plan { plugin: self.name.clone(), segments, message, token })
    }

    async fn token_request(&self) -> anyhow::Result<Request> {
        let (name, secrets) = (&self.name, self.grant.secrets());
        let built = self.host.build_token_request(name, &self.settings, secrets).await;
        let request = built.map_err(|error| {
            refuse(format!("carrier `{name}` gives no request for a token: {error}"))
        })?;
        Ok(request)
    }

    /// Really sends it, with a token fetched for it alone where it asks for one.
    async fn send(&self, request: Request) -> anyhow::Result<Sent> {
        let Self { host, name, settings, grant, send_timeout } = self;
        let defaults = EgressOptions::default();
        let egress = Egress::new(EgressOptions {
            connect_timeout: defaults.connect_timeout.min(*send_timeout),
            total_timeout: *send_timeout,
            ..defaults
        });
        let has_token = host.fetches_tokens(name) && request.wants_token();
        let grant = if has_token {
            let fetched = host.fetch_token(&egress, name, settings, grant).await;
            let token =
                fetched.map_err(|error| refuse(format!("the message was not sent: {error}")))?;
            grant.with_token(&token)
        } else {
            grant.clone()
        };
        let wire = egress.send(&grant, request).await;
        let mut reading = None;
        let (status, headers, body) = match &wire {
            WireOutcome::Response(response) => {
                reading = host
                    .read_responses(name, settings, vec![response.clone()])
                    .await
                    .into_iter()
                    .next();
                let headers = response.headers.iter().map(|h| (h.name.clone(), h.value.clone()));
                let body = String::from_utf8_lossy(&response.body).into_owned();
                (Some(response.status), headers.collect(), body)
            }
            WireOutcome::NotSent { .. } | WireOutcome::Uncertain { .. } => {
                (None, Vec::new(), String::new())
            }
        };
        let mut meant = outcome::decide(name, &wire, reading.as_ref());
        if has_token {
            meant = outcome::with_token(meant, &wire);
        }
        let detail = match meant.reason() {
            Some(reason) => reason.to_string(),
            None => reading
                .and_then(Result::ok)
                .map(|accepted| accepted.carrier_references.join(", "))
                .unwrap_or_default(),
        };
        Ok(Sent { status, headers, body, outcome: meant.as_str(), detail })
    }
}
