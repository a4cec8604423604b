//! What a person says about a route, by a file or by flags, and whether its carrier agrees.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::path::PathBuf;

use dripline_domain::money::Micros;
use dripline_domain::throttle::Throttle;
use dripline_plugin_host::egress::{Grant, Origin, RouteRights};
use dripline_plugin_host::{Manifest, Settings};
use dripline_store::account::Account;
use dripline_store::route::{Route, RouteDraft};
use serde::{Deserialize, Deserializer};

use crate::context::Context;
use crate::failure::{Failure, refuse, usage};
use crate::source::Source;

/// A route, as a file or as flags; flags win over the file.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(super) struct Args {
    /// TOML file with name, carrier, sender, `price_per_segment`, `segments_per_second`,
    /// `segments_per_day`, `max_in_flight`, `timeout_seconds`, `failover`, `allowed_origins`, `allow_loopback` and the
    /// tables settings and secrets, which take the place of the route's; `-` is stdin.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The carrier plugin.
    #[arg(long, value_name = "NAME")]
    carrier: Option<String>,
    /// Whom messages come from: a number or a name that the carrier knows. Repeated, a pool: each
    /// contact always hears from the same one of it.
    #[arg(long = "sender", value_name = "SENDER", allow_hyphen_values = true)]
    senders: Vec<String>,
    /// How many segments each sender may send in a second; 0: as many as there are. What is more waits
    /// in the queue. All workers together keep to it.
    #[arg(long, value_name = "N")]
    segments_per_second: Option<u32>,
    /// How many segments each sender may send in a day of UTC; 0: as many as there are.
    #[arg(long, value_name = "N")]
    segments_per_day: Option<u32>,
    /// How many requests each worker may have on the wire at once; 0: as many as it likes.
    #[arg(long, value_name = "N")]
    max_in_flight: Option<u32>,
    /// How long the carrier may take to answer, if shorter than `worker.send_timeout_ms`; 0: that.
    #[arg(long, value_name = "SECONDS")]
    timeout_seconds: Option<u32>,
    /// The route that messages go over while this one's carrier is down, or when it has not sent one. Never when
    /// it may have, nor while it is paused. The price stays this route's.
    #[arg(long, value_name = "ROUTE", conflicts_with = "no_failover")]
    failover: Option<String>,
    /// Let no other route take over any more.
    #[arg(long)]
    no_failover: bool,
    /// What one segment costs, in the account's currency, for example 0.0075.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    price_per_segment: Option<Micros>,
    /// A setting of the carrier; `plugin show` lists them. Can be repeated.
    #[arg(long = "setting", value_name = "NAME=VALUE", value_parser = pair)]
    settings: Vec<(String, String)>,
    /// Where a secret of the carrier is kept: `env:NAME` or `file:/path`, never the secret itself. Can
    /// be repeated.
    #[arg(long = "secret", value_name = "NAME=REFERENCE", value_parser = pair)]
    secrets: Vec<(String, String)>,
    /// An origin the route may send to, such as <https://api.example.com>. Can be repeated. Without
    /// any, those that the carrier declares.
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    allowed_origins: Vec<String>,
    /// Let the route send to this machine itself; for tests and simulators.
    #[arg(long)]
    allow_loopback: bool,
}

/// What a route file may say. Everything can also come from flags.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    carrier: Option<String>,
    #[serde(default, deserialize_with = "one_or_many")]
    sender: Option<Vec<String>>,
    segments_per_second: Option<u32>,
    segments_per_day: Option<u32>,
    max_in_flight: Option<u32>,
    timeout_seconds: Option<u32>,
    failover: Option<String>,
    #[serde(default, deserialize_with = "amount")]
    price_per_segment: Option<Micros>,
    allowed_origins: Option<Vec<String>>,
    allow_loopback: Option<bool>,
    settings: Option<BTreeMap<String, String>>,
    secrets: Option<BTreeMap<String, String>>,
}

impl Args {
    /// Whether nothing at all is said.
    pub(super) fn is_empty(&self) -> bool {
        self.file.is_none()
            && self.carrier.is_none()
            && self.senders.is_empty()
            && self.segments_per_second.is_none()
            && self.segments_per_day.is_none()
            && self.max_in_flight.is_none()
            && self.timeout_seconds.is_none()
            && self.failover.is_none()
            && !self.no_failover
            && self.price_per_segment.is_none()
            && self.settings.is_empty()
            && self.secrets.is_empty()
            && self.allowed_origins.is_empty()
            && !self.allow_loopback
    }

    /// The route that is wanted, over what `current` is when it exists already; and whether it is said which origins it
    /// may send to.
    pub(super) fn draft(
        self,
        name: Option<String>,
        current: Option<&Route>,
    ) -> anyhow::Result<(RouteDraft, bool)> {
        let file: File = match &self.file {
            Some(path) => Source::open(path)?.parse_toml()?,
            None => File::default(),
        };
        // A file's table is all there is of it; flags change single entries.
        let base =
            |from_file: Option<BTreeMap<_, _>>, now: Option<&BTreeMap<_, _>>, flags: Vec<_>| {
                let mut map = from_file.or_else(|| now.cloned()).unwrap_or_default();
                map.extend(flags);
                map
            };
        // 0 takes a limit away; who says nothing keeps what there is.
        let limit = |flag: Option<u32>, from_file: Option<u32>, now: Option<NonZeroU32>| {
            flag.or(from_file).map_or(now, NonZeroU32::new)
        };
        let now = current.map(|c| c.throttle).unwrap_or_default();
        let timeout = self.timeout_seconds.or(file.timeout_seconds);
        let origins = Some(self.allowed_origins).filter(|origins| !origins.is_empty());
        let origins = origins.or(file.allowed_origins);
        let says_origins = origins.is_some();
        let draft = RouteDraft {
            name: required(name.or(file.name).or(current.map(|c| c.name.clone())), "a name")?,
            carrier: required(
                self.carrier.or(file.carrier).or(current.map(|c| c.carrier.clone())),
                "--carrier",
            )?,
            senders: required(
                Some(self.senders)
                    .filter(|senders| !senders.is_empty())
                    .or(file.sender)
                    .or(current.map(|c| c.senders.clone())),
                "--sender",
            )?,
            throttle: Throttle {
                segments_per_second: limit(
                    self.segments_per_second,
                    file.segments_per_second,
                    now.segments_per_second,
                ),
                segments_per_day: limit(
                    self.segments_per_day,
                    file.segments_per_day,
                    now.segments_per_day,
                ),
            },
            max_in_flight: limit(
                self.max_in_flight,
                file.max_in_flight,
                current.and_then(|c| c.max_in_flight),
            ),
            send_timeout_ms: timeout.map_or(current.and_then(|c| c.send_timeout_ms), |seconds| {
                NonZeroU32::new(seconds.saturating_mul(1_000))
            }),
            failover: self
                .failover
                .or(file.failover)
                .or(current.and_then(|c| c.failover.clone()))
                .filter(|_| !self.no_failover),
            price_per_segment: self
                .price_per_segment
                .or(file.price_per_segment)
                .or(current.map(|c| c.price_micros_per_segment))
                .ok_or_else(|| {
                    usage("a route needs --price-per-segment, by the flag or in the file")
                })?,
            settings: base(file.settings, current.map(|c| &c.settings), self.settings),
            secrets: base(file.secrets, current.map(|c| &c.secrets), self.secrets),
            allowed_origins: origins
                .or(current.map(|c| c.allowed_origins.clone()))
                .unwrap_or_default(),
            allow_loopback: self.allow_loopback
                || file.allow_loopback.or(current.map(|c| c.allow_loopback)).unwrap_or(false),
        };
        Ok((draft, says_origins))
    }
}

/// Checks a draft against its carrier's manifest and the account's other routes, and fills in the carrier's
/// own origins where none are chosen. Gives what one sender may send by the carrier's documentation.
pub(super) async fn check(
    draft: &mut RouteDraft,
    ctx: &Context,
    account: &Account,
) -> anyhow::Result<Throttle> {
    if let Some(failover) = &draft.failover {
        ctx.route(account, failover).await?;
    }
    let manifest = ctx.plugins.carrier(&draft.carrier).await?;
    let settings = manifest
        .complete_settings(&draft.settings, draft.secrets.keys().map(String::as_str))
        .map_err(|error| {
            refuse(error.to_string())
                .hint(format!("`dripline plugin show {}` lists what it takes", draft.carrier))
        })?;
    if draft.allowed_origins.is_empty() {
        draft.allowed_origins = manifest.origins_with(&settings);
    }
    // Kept and shown as they are connected to, whatever they look like as written. What is none is refused below.
    for origin in &mut draft.allowed_origins {
        if let Ok(meant) = Origin::parse(origin) {
            *origin = meant.to_string();
        }
    }
    let rights = RouteRights {
        allowed_origins: &draft.allowed_origins,
        allow_loopback: draft.allow_loopback,
        ..RouteRights::default()
    };
    grant(&manifest, &settings, &rights)?;
    Ok(manifest.documented_throttle())
}

/// Whether the route allows just what its carrier asks for with its settings, as one does for which nobody chose origins.
/// Where the carrier cannot be asked any more, somebody may have.
pub(super) async fn has_carriers_origins(route: &Route, ctx: &Context) -> bool {
    let Ok(manifest) = ctx.plugins.carrier(&route.carrier).await else { return false };
    let secrets = route.secrets.keys().map(String::as_str);
    let settings = manifest.complete_settings(&route.settings, secrets);
    settings.is_ok_and(|settings| manifest.origins_with(&settings) == route.allowed_origins)
}

/// The route's rights, unless it could never send with them.
pub(in crate::commands) fn grant(
    manifest: &Manifest,
    settings: &Settings,
    rights: &RouteRights<'_>,
) -> Result<Grant, Failure> {
    let grant =
        Grant::new(manifest, settings, rights).map_err(|error| refuse(error.to_string()))?;
    match grant.forbidden_address() {
        None => Ok(grant),
        Some((origin, "loopback")) => Err(refuse(format!("`{origin}` is this machine itself"))
            .hint("pass --allow-loopback to let a test or a simulator have messages")),
        Some((origin, kind)) => {
            Err(refuse(format!("nothing is ever sent to an address like `{origin}` ({kind})")))
        }
    }
}

fn required<T>(value: Option<T>, flag: &str) -> Result<T, Failure> {
    value.ok_or_else(|| usage(format!("a route needs {flag}, by the flag or in the file")))
}

/// `NAME=VALUE`.
pub(in crate::commands) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

/// One sender, or the list of a pool.
fn one_or_many<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<String>>, D::Error> {
    let wrong = || serde::de::Error::custom("write a sender in quotes, or a list of such");
    let senders = match toml::Value::deserialize(deserializer)? {
        toml::Value::Array(senders) => senders,
        one => vec![one],
    };
    let text = |sender: toml::Value| sender.as_str().map(str::to_owned).ok_or_else(wrong);
    senders.into_iter().map(text).collect::<Result<_, _>>().map(Some)
}

/// An amount is written as a text, since a TOML float could not hold it exactly.
fn amount<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Micros>, D::Error> {
    match toml::Value::deserialize(deserializer)? {
        toml::Value::String(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
        _ => Err(serde::de::Error::custom("write an amount in quotes, such as \"0.0075\"")),
    }
}
