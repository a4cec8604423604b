//! Everything that a run plays with: the server, the carrier, the workers, the proxies between them,
//! and the people who are written to.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use chrono_tz::Tz;
use dripline_domain::clock::SystemClock;
use dripline_domain::contact::{ContactDraft, Fields};
use dripline_domain::ids::{AccountId, ContactId, WorkflowId};
use dripline_domain::money::Micros;
use dripline_domain::phone::Phone;
use dripline_domain::throttle::Throttle;
use dripline_domain::timing::Timing;
use dripline_domain::workflow::{StepDraft, SurplusPolicy, WorkflowDraft};
use dripline_plugin_host::{HostOptions, PluginHost};
use dripline_store::Pool;
use dripline_store::ops::{self, NewAccount, TopUp};
use dripline_store::route::RouteDraft;
use dripline_store::selection::{self, Selection};
use tokio::process::Command;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::carrier::{ACCOUNT_SID, Carrier, TOKEN_VARIABLE};
use crate::place::Place;
use crate::postgres::{Postgres, connect};
use crate::proxy::{Proxy, Upstream};
use crate::worker::Slot;

/// Who does everything.
pub(crate) const ACTOR: &str = "chaos";
/// Workers at work.
pub(crate) const WORKERS: usize = 3;
/// Accounts whose contacts are written to.
pub(crate) const PEOPLE: usize = 2;
/// The route that an account's steps name.
pub(crate) const ROUTE: &str = "main";
/// Each of those accounts has a route, with a wire of its own.
pub(crate) const ROUTES: usize = PEOPLE;
/// 0.0075 units a segment.
pub(crate) const PRICE: Micros = Micros(7_500);
/// Senders of each route.
const SENDERS: u32 = 3;
/// What each of them may send.
const SEGMENTS_PER_SECOND: u32 = 1_000;
/// Contacts of each account.
const CONTACTS: usize = 30_000;
/// What each account begins with. Little enough to be used up.
const BALANCE: Micros = Micros(300_000_000);
/// Contacts imported at once.
const CHUNK: usize = 5_000;

const PLUGINS: [&str; 5] = [
    "template.wasm",
    "twilio.wasm",
    "telnyx.wasm",
    "hostile_carrier.wasm",
    "hostile_renderer.wasm",
];

/// Ways in which a plugin misbehaves: its renderer, its template, its route.
pub(crate) const MISDEEDS: [(&str, &str, &str); 10] = [
    ("template", "loop", "hostile"),
    ("template", "panic", "hostile"),
    ("template", "memory", "hostile"),
    ("template", "huge-output", "hostile"),
    // The carrier takes these, and the plugin cannot say so.
    ("template", "sent then panic", "hostile"),
    ("template", "sent then loop", "hostile"),
    ("hostile-renderer", "loop", ROUTE),
    ("hostile-renderer", "panic", ROUTE),
    ("hostile-renderer", "memory", ROUTE),
    ("hostile-renderer", "wrong-count", ROUTE),
];

/// An account, and what this program knows about it by itself.
#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) account_id: AccountId,
    pub(crate) name: String,
    pub(crate) contacts: Vec<(ContactId, Fields)>,
    /// Where the enrolling has come to among the contacts.
    cursor: AtomicUsize,
    paid: AtomicI64,
}

impl Account {
    /// Money came in.
    pub(crate) fn paid(&self, amount: Micros) {
        self.paid.fetch_add(amount.0, Ordering::SeqCst);
    }

    /// All the money that came in.
    pub(crate) fn topped_up(&self) -> Micros {
        Micros(self.paid.load(Ordering::SeqCst))
    }

    /// The next so many contacts, round and round.
    pub(crate) fn next_contacts(&self, count: usize) -> Vec<(ContactId, Fields)> {
        let from = self.cursor.fetch_add(count, Ordering::Relaxed);
        (from..from + count).map(|n| self.contacts[n % self.contacts.len()].clone()).collect()
    }
}

/// Everything that a run plays with.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) place: Arc<Place>,
    pub(crate) postgres: Postgres,
    pub(crate) carrier: Carrier,
    /// Looks at the database without any proxy.
    pub(crate) observer: Pool,
    /// What people do goes through a proxy.
    pub(crate) deeds: Pool,
    deeds_url: String,
    /// In front of Postgres: one for each worker, and the last for what people do.
    pub(crate) databases: Vec<Proxy>,
    /// In front of the carrier: one for each route.
    pub(crate) wires: Vec<Proxy>,
    pub(crate) slots: Vec<Arc<Slot>>,
    supervisors: JoinSet<anyhow::Result<()>>,
    pub(crate) plugins: PluginHost,
    people: Vec<Account>,
    pub(crate) villain: Account,
    /// A workflow for each misdeed.
    pub(crate) misdeeds: Vec<WorkflowId>,
    complaints: Mutex<Vec<String>>,
}

impl Stage {
    /// Sets everything up; the workers are at work when this returns.
    pub(crate) async fn set(plugins: &std::path::Path) -> anyhow::Result<Self> {
        let place = Arc::new(Place::prepare(plugins, &PLUGINS)?);
        let host = load_plugins(&place).await?;
        let postgres = Postgres::start(&place).await?;
        let observer = postgres.connect("chaos-observer", 6).await?;
        dripline_store::migrate(&observer).await.context("migrate")?;
        let carrier = Carrier::start(&place).await?;
        let mut wires = Vec::new();
        for _ in 0..ROUTES {
            wires.push(Proxy::start(Upstream::Tcp(carrier.address())).await?);
        }
        let mut databases = Vec::new();
        for _ in 0..=WORKERS {
            databases.push(Proxy::start(Upstream::Postgres(postgres.socket())).await?);
        }
        let deeds_url = postgres.url_by(databases[WORKERS].address())?;
        let deeds = connect(&deeds_url, "chaos-deeds", 8).await?;
        let mut people = Vec::new();
        for (number, wire) in wires.iter().enumerate() {
            people.push(populate(&observer, number, wire).await?);
        }
        let (villain, misdeeds) = hire_villain(&observer, &wires[0]).await?;
        let mut slots = Vec::new();
        let mut supervisors = JoinSet::new();
        for (number, proxy) in databases[..WORKERS].iter().enumerate() {
            let slot = Slot::new(number, place.clone(), postgres.url_by(proxy.address())?);
            slot.set_clock(0)?;
            supervisors.spawn(slot.clone().supervise());
            slots.push(slot);
        }
        for slot in &slots {
            anyhow::ensure!(
                slot.until_at_work().await,
                // Its log goes with the folder.
                "a worker did not get ready; it wrote:\n{}",
                std::fs::read_to_string(slot.log()).unwrap_or_default()
            );
        }
        Ok(Self {
            place,
            postgres,
            carrier,
            observer,
            deeds,
            deeds_url,
            databases,
            wires,
            slots,
            supervisors,
            plugins: host,
            people,
            villain,
            misdeeds,
            complaints: Mutex::default(),
        })
    }

    /// One of the accounts whose contacts are written to.
    pub(crate) fn account(&self, number: usize) -> &Account {
        &self.people[number % self.people.len()]
    }

    /// The account whose plugins misbehave.
    pub(crate) fn villain(&self) -> AccountId {
        self.villain.account_id
    }

    /// All accounts.
    pub(crate) fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.people.iter().chain([&self.villain])
    }

    /// `dripline`, for that account, through the same proxy as everything that people do.
    pub(crate) fn cli(&self, account: &Account, arguments: &[&str]) -> Command {
        let mut command = self.place.command("dripline");
        command
            .env("DATABASE_URL", &self.deeds_url)
            .args(["--account", &account.name])
            .args(arguments)
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped());
        command
    }

    /// Something that should not have happened.
    pub(crate) fn complain(&self, complaint: String) {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).push(complaint);
    }

    /// What should not have happened since the last time this was asked.
    pub(crate) fn take_complaints(&self) -> Vec<String> {
        let mut all =
            std::mem::take(&mut *self.complaints.lock().unwrap_or_else(PoisonError::into_inner));
        all.extend(self.slots.iter().flat_map(|slot| slot.take_complaints()));
        all
    }

    /// Ends every fault that lasts, and waits until all workers are at work.
    pub(crate) async fn heal(&self) -> anyhow::Result<()> {
        self.postgres.heal().await?;
        self.databases.iter().chain(&self.wires).for_each(Proxy::heal);
        self.carrier.heal().await?;
        for slot in &self.slots {
            slot.heal()?;
        }
        for slot in &self.slots {
            if !slot.until_at_work().await {
                self.complain(format!("nobody works in place {}", slot.log().display()));
            }
        }
        Ok(())
    }

    /// Ends everything. Gives what should not have happened meanwhile.
    pub(crate) async fn clear(mut self, keep: bool) -> anyhow::Result<Vec<String>> {
        let mut closing = JoinSet::new();
        for slot in self.slots.clone() {
            closing.spawn(async move { slot.close().await });
        }
        while let Some(closed) = closing.join_next().await {
            closed.context("close a worker's place")??;
        }
        self.supervisors.shutdown().await;
        let complaints = self.take_complaints();
        let Self { observer, deeds, postgres, carrier, slots, place, .. } = self;
        // They may wait for connections that nobody answers on.
        let closing = async { tokio::join!(observer.close(), deeds.close()) };
        let _ = tokio::time::timeout(Duration::from_secs(5), closing).await;
        postgres.stop().await?;
        drop((carrier, slots));
        let place = Arc::into_inner(place).context("the folder is still in use")?;
        place.leave(keep)?;
        Ok(complaints)
    }
}

async fn load_plugins(place: &Place) -> anyhow::Result<PluginHost> {
    // In the folder where the workers look too, so that each plugin is compiled once.
    let options =
        HostOptions { cache_directory: Some(place.path("plugin-cache")), ..HostOptions::default() };
    let host = PluginHost::new(options).context("start the plugin host")?;
    let (loading, folder) = (host.clone(), place.path("plugins"));
    tokio::task::spawn_blocking(move || loading.load_directory(&folder))
        .await
        .context("load the plugins")?
        .context("load the plugins")?;
    Ok(host)
}

/// An account with its route, its workflows and its contacts.
async fn populate(pool: &Pool, number: usize, wire: &Proxy) -> anyhow::Result<Account> {
    // The first account allows one live workflow per contact, the others several.
    let mut account = open_account(pool, &format!("people-{number}"), number == 0).await?;
    let standby = telnyx(wire);
    ops::create_route(pool, &SystemClock, account.account_id, &standby, ACTOR).await?;
    let main = RouteDraft { failover: Some(standby.name), ..twilio(wire) };
    ops::create_route(pool, &SystemClock, account.account_id, &main, ACTOR).await?;
    for kind in 0..4 {
        let draft = draft(&format!("sequence {kind}"), kind);
        ops::create_workflow(pool, &SystemClock, account.account_id, &draft, ACTOR).await?;
    }
    account.contacts = import(pool, account.account_id, number * CONTACTS, CONTACTS).await?;
    Ok(account)
}

/// The account whose plugins misbehave.
async fn hire_villain(pool: &Pool, wire: &Proxy) -> anyhow::Result<(Account, Vec<WorkflowId>)> {
    let mut account = open_account(pool, "villain", false).await?;
    let id = account.account_id;
    ops::create_route(pool, &SystemClock, id, &twilio(wire), ACTOR).await?;
    let origin = format!("http://{}", wire.address());
    let hostile = RouteDraft {
        name: "hostile".to_owned(),
        carrier: "hostile-carrier".to_owned(),
        settings: BTreeMap::from([
            ("base_url".to_owned(), origin),
            ("account_sid".to_owned(), ACCOUNT_SID.to_owned()),
        ]),
        secrets: BTreeMap::from([("token".to_owned(), format!("env:{TOKEN_VARIABLE}"))]),
        ..twilio(wire)
    };
    ops::create_route(pool, &SystemClock, id, &hostile, ACTOR).await?;
    let mut misdeeds = Vec::new();
    for (renderer, template, route) in MISDEEDS {
        let step = StepDraft {
            template: template.to_owned(),
            renderer: renderer.to_owned(),
            route: route.to_owned(),
            timing: Timing::after(Duration::ZERO),
        };
        let draft = WorkflowDraft {
            name: format!("{renderer} {template}"),
            surplus_policy: SurplusPolicy::Fail,
            steps: vec![step],
        };
        let created = ops::create_workflow(pool, &SystemClock, id, &draft, ACTOR).await?;
        misdeeds.push(created.workflow_id);
    }
    account.contacts = import(pool, id, PEOPLE * CONTACTS, 500).await?;
    Ok((account, misdeeds))
}

async fn open_account(pool: &Pool, name: &str, exclusive: bool) -> anyhow::Result<Account> {
    let new = NewAccount {
        name: name.to_owned(),
        currency: "USD".to_owned(),
        one_live_workflow_per_contact: exclusive,
        actor: ACTOR.to_owned(),
    };
    let account_id = ops::create_account(pool, &SystemClock, &new).await?.account_id;
    let payment = TopUp {
        account_id,
        amount: BALANCE,
        batch_id: Uuid::new_v4(),
        actor: ACTOR.to_owned(),
        reason: None,
    };
    ops::top_up(pool, &SystemClock, &payment).await?;
    Ok(Account {
        account_id,
        name: name.to_owned(),
        contacts: Vec::new(),
        cursor: AtomicUsize::new(0),
        paid: AtomicI64::new(BALANCE.0),
    })
}

fn twilio(wire: &Proxy) -> RouteDraft {
    let origin = format!("http://{}", wire.address());
    RouteDraft {
        name: ROUTE.to_owned(),
        carrier: "twilio".to_owned(),
        settings: BTreeMap::from([
            ("account_sid".to_owned(), ACCOUNT_SID.to_owned()),
            ("api_base".to_owned(), origin.clone()),
        ]),
        secrets: BTreeMap::from([("auth_token".to_owned(), format!("env:{TOKEN_VARIABLE}"))]),
        senders: (0..SENDERS).map(|n| format!("+1202555010{n}")).collect(),
        // Less than a burst of enrolments has, so that a part of it waits for its turn, and more than all
        // together.
        throttle: Throttle {
            segments_per_second: NonZeroU32::new(SEGMENTS_PER_SECOND),
            segments_per_day: None,
        },
        price_per_segment: PRICE,
        allowed_origins: vec![origin],
        allow_loopback: true,
        ..RouteDraft::default()
    }
}

/// What takes over while the breaker of the other one is open. It counts segments alike, for texts without
/// emoji.
fn telnyx(wire: &Proxy) -> RouteDraft {
    let origin = format!("http://{}", wire.address());
    RouteDraft {
        name: "standby".to_owned(),
        carrier: "telnyx".to_owned(),
        settings: BTreeMap::from([("api_base".to_owned(), origin)]),
        secrets: BTreeMap::from([("api_key".to_owned(), format!("env:{TOKEN_VARIABLE}"))]),
        ..twilio(wire)
    }
}

/// A workflow of that kind: one to three steps, which wait up to two seconds.
pub(crate) fn draft(name: &str, kind: usize) -> WorkflowDraft {
    const TEMPLATES: [&str; 3] = [
        "Hi {{ first_name | default('there') }}, {{ plan }} in {{ city }} ends {{ ends }}. Reply YES.",
        "{{ first_name }}, your place in {{ city }} is waiting.",
        "Dear {{ first_name }}, this is a longer text about {{ plan }}, which we keep for you in {{ city }} \
         until {{ ends }}. Whoever answers in time keeps the price of this year for all of the next one.",
    ];
    let step = |place: usize| StepDraft {
        template: TEMPLATES[(kind + place) % TEMPLATES.len()].to_owned(),
        renderer: "template".to_owned(),
        route: ROUTE.to_owned(),
        timing: Timing::after(match place {
            0 => Duration::ZERO,
            _ => Duration::from_secs(((kind + place) % 3) as u64),
        }),
    };
    WorkflowDraft {
        name: name.to_owned(),
        surplus_policy: if kind.is_multiple_of(2) {
            SurplusPolicy::Fail
        } else {
            SurplusPolicy::Charge
        },
        steps: (0..=kind % 3).map(step).collect(),
    }
}

/// Imports `count` people from number `from` on, and gives their ids.
async fn import(
    pool: &Pool,
    account_id: AccountId,
    from: usize,
    count: usize,
) -> anyhow::Result<Vec<(ContactId, Fields)>> {
    let drafts = (from..from + count).map(person).collect::<anyhow::Result<Vec<_>>>()?;
    for chunk in drafts.chunks(CHUNK) {
        ops::import_contacts(pool, &SystemClock, account_id, chunk, ACTOR).await?;
    }
    let mut contacts = Vec::with_capacity(count);
    let everybody = Selection::All.into();
    let mut after = None;
    loop {
        let page = selection::page(pool, account_id, WorkflowId(0), &everybody, after, 10_000);
        let page = page.await.context("read the contacts")?;
        let Some(last) = page.last() else { return Ok(contacts) };
        after = Some(last.contact_id);
        contacts.extend(page.into_iter().map(|person| (person.contact_id, person.fields)));
    }
}

/// The nth person: a valid number of a US area code, and four fields.
fn person(n: usize) -> anyhow::Result<ContactDraft> {
    const CITIES: [&str; 4] = ["Oslo", "Lima", "Accra", "Osaka"];
    // Ten million numbers under +1 212, starting where exchanges are valid.
    let phone = format!("+1212{:07}", 2_000_000 + n);
    let fields = Fields::from([
        ("first_name".to_owned(), format!("Person {n}")),
        ("plan".to_owned(), "Plus".to_owned()),
        ("city".to_owned(), CITIES[n % CITIES.len()].to_owned()),
        ("ends".to_owned(), "Friday".to_owned()),
    ]);
    Ok(ContactDraft {
        phone: Phone::parse(&phone, None)?,
        fields,
        time_zone: Tz::America__New_York,
    })
}
