//! The account, the workflow and the people that a bench works on.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use chrono_tz::Tz;
use dripline_domain::clock::Clock;
use dripline_domain::contact::{ContactDraft, Fields};
use dripline_domain::ids::{AccountId, ContactId, WorkflowId};
use dripline_domain::money::Micros;
use dripline_domain::phone::Phone;
use dripline_domain::timing::Timing;
use dripline_domain::workflow::{StepDraft, SurplusPolicy, WorkflowDraft};
use dripline_plugin_host::PluginHost;
use dripline_plugin_host::quote::{QuoteStep, quote};
use dripline_store::Pool;
use dripline_store::ops::{self, EnrollChunk, NewAccount, PricedContact, TopUp};
use dripline_store::route::RouteDraft;
use uuid::Uuid;

/// 100 bytes, four fields: the template whose plugin figures are in the design.
pub(crate) const TEMPLATE: &str = "Hi {{ first_name | default('there') }}, {{ plan }} in {{ city }} ends {{ ends }}. Reply YES to keep your place.";
/// 0.0075 units a segment.
const PRICE: Micros = Micros(7_500);
/// Enough for every bench.
const BALANCE: Micros = Micros(1_000_000_000_000_000);
/// Contacts that are enrolled, and imported, in one transaction.
const CHUNK: usize = 10_000;
const ACTOR: &str = "bench";

/// Where messages of a bench go.
#[derive(Clone, Debug)]
pub(crate) struct CarrierAt {
    /// `http://127.0.0.1:port`.
    pub(crate) origin: String,
    /// The account that the simulator knows.
    pub(crate) account_sid: String,
    /// Where the simulator's token is kept.
    pub(crate) auth_token: String,
}

/// What the messages of a workflow say, and who takes them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Content {
    /// The name of the workflow and of its route.
    pub(crate) name: &'static str,
    /// The template of every step.
    pub(crate) template: &'static str,
    /// The carrier plugin, and its setting that holds the carrier's origin.
    pub(crate) carrier: (&'static str, &'static str),
    /// The carrier's other settings and its one secret.
    settings: fn(&CarrierAt) -> Vec<(&'static str, String)>,
    secret: &'static str,
    /// The number of its first contact. Others' begin elsewhere.
    first_contact: usize,
}

impl Content {
    /// The template whose plugin figures are in the design, by way of the carrier that is bundled.
    pub(crate) const USUAL: Self = Self {
        name: "bench",
        template: TEMPLATE,
        carrier: ("twilio", "api_base"),
        settings: |carrier| vec![("account_sid", carrier.account_sid.clone())],
        secret: "auth_token",
        first_contact: 0,
    };
    /// A carrier that never comes back from building a request.
    pub(crate) const HOSTILE: Self = Self {
        name: "hostile",
        template: "loop",
        carrier: ("hostile-corpus", "base_url"),
        settings: |_| Vec::new(),
        secret: "token",
        first_contact: 4_000_000,
    };
}

/// Everything that was seeded.
#[derive(Clone, Debug)]
pub(crate) struct Seed {
    /// The people, with their fields.
    pub(crate) contacts: Vec<(ContactId, Fields)>,
    /// The workflow, of `steps` steps with nothing to wait for.
    pub(crate) workflow_id: WorkflowId,
    account_id: AccountId,
    content: Content,
    revision: i64,
    steps: usize,
}

impl CarrierAt {
    /// For benches that send nothing.
    pub(crate) fn nowhere() -> Self {
        Self {
            origin: "http://127.0.0.1:9".to_owned(),
            account_sid: "AC00000000000000000000000000000001".to_owned(),
            auth_token: "env:DRIPLINE_SIMULATOR_AUTH_TOKEN".to_owned(),
        }
    }
}

impl Seed {
    /// Creates an account with `contacts` people and a workflow of `steps` steps.
    pub(crate) async fn plant(
        pool: &Pool,
        clock: &dyn Clock,
        carrier: &CarrierAt,
        contacts: usize,
        steps: usize,
    ) -> anyhow::Result<Self> {
        let account = NewAccount {
            name: "bench".to_owned(),
            currency: "USD".to_owned(),
            one_live_workflow_per_contact: true,
            actor: ACTOR.to_owned(),
        };
        let account_id = ops::create_account(pool, clock, &account).await?.account_id;
        let payment = TopUp {
            account_id,
            amount: BALANCE,
            batch_id: Uuid::new_v4(),
            actor: ACTOR.to_owned(),
            reason: None,
        };
        ops::top_up(pool, clock, &payment).await?;
        Self::add(pool, clock, account_id, Content::USUAL, carrier, contacts, steps).await
    }

    /// Adds a workflow with other content and people of its own to the same account.
    pub(crate) async fn beside(
        &self,
        pool: &Pool,
        clock: &dyn Clock,
        content: Content,
        carrier: &CarrierAt,
        contacts: usize,
    ) -> anyhow::Result<Self> {
        Self::add(pool, clock, self.account_id, content, carrier, contacts, 1).await
    }

    async fn add(
        pool: &Pool,
        clock: &dyn Clock,
        account_id: AccountId,
        content: Content,
        carrier: &CarrierAt,
        contacts: usize,
        steps: usize,
    ) -> anyhow::Result<Self> {
        ops::create_route(pool, clock, account_id, &route(content, carrier), ACTOR).await?;
        let draft = workflow(content, steps);
        let workflow_id =
            ops::create_workflow(pool, clock, account_id, &draft, ACTOR).await?.workflow_id;
        let workflow = dripline_store::workflow::load(pool, workflow_id)
            .await?
            .context("the workflow is gone")?;
        let numbers = content.first_contact..content.first_contact + contacts;
        let drafts = numbers.map(contact).collect::<anyhow::Result<Vec<_>>>()?;
        for chunk in drafts.chunks(CHUNK) {
            ops::import_contacts(pool, clock, account_id, chunk, ACTOR).await?;
        }
        let ids: Vec<(i64, String)> =
            sqlx::query_as("SELECT contact_id, phone FROM contacts WHERE account_id = $1")
                .bind(account_id.0)
                .fetch_all(pool)
                .await
                .context("read the contacts")?;
        let fields: BTreeMap<_, _> =
            drafts.into_iter().map(|draft| (draft.phone.to_string(), draft.fields)).collect();
        let contacts = ids
            .into_iter()
            .filter_map(|(id, phone)| Some((ContactId(id), fields.get(&phone)?.clone())))
            .collect();
        let revision = workflow.revision;
        Ok(Self { contacts, workflow_id, account_id, content, revision, steps })
    }

    /// Enrols the first `count` people, priced by rendering every step for each of them.
    pub(crate) async fn enroll(
        &self,
        pool: &Pool,
        clock: &dyn Clock,
        plugins: &PluginHost,
        count: usize,
    ) -> anyhow::Result<()> {
        let (carrier, _) = self.content.carrier;
        let manifest = plugins
            .manifest(carrier)
            .with_context(|| format!("the carrier `{carrier}` is not loaded"))?;
        let step = QuoteStep {
            template: self.content.template.into(),
            renderer: "template".to_owned(),
            rules: manifest.texts,
            price_per_segment: PRICE,
        };
        let steps = vec![step; self.steps];
        // While one chunk is written, the next one is rendered.
        let mut writing: Option<tokio::task::JoinHandle<anyhow::Result<()>>> = None;
        for chunk in self.contacts[..count].chunks(CHUNK) {
            let priced = price(plugins, &steps, chunk).await?;
            if let Some(written) = writing.take() {
                written.await??;
            }
            let chunk = EnrollChunk {
                workflow_id: self.workflow_id,
                revision: self.revision,
                batch_id: Uuid::new_v4(),
                actor: ACTOR.to_owned(),
                contacts: priced,
                required: Micros::ZERO,
            };
            let (pool, now) = (pool.clone(), clock.now());
            writing = Some(tokio::spawn(async move {
                let clock = dripline_domain::clock::ManualClock::new(now);
                let wanted = chunk.contacts.len();
                let enrolled = ops::enroll(&pool, &clock, &chunk).await?.enrolled.len();
                anyhow::ensure!(enrolled == wanted, "{enrolled} of {wanted} were enrolled");
                Ok(())
            }));
        }
        if let Some(written) = writing {
            written.await??;
        }
        Ok(())
    }
}

async fn price(
    plugins: &PluginHost,
    steps: &[QuoteStep],
    contacts: &[(ContactId, Fields)],
) -> anyhow::Result<Vec<PricedContact>> {
    let quoted = quote(plugins, steps, contacts).await?;
    quoted
        .into_iter()
        .map(|quoted| {
            let quote = quoted?;
            Ok(PricedContact {
                contact_id: quote.contact_id,
                step_segments: quote.step_segments,
                step_micros: quote.step_micros,
            })
        })
        .collect()
}

fn route(content: Content, carrier: &CarrierAt) -> RouteDraft {
    let (plugin, origin) = content.carrier;
    let mut settings: BTreeMap<String, String> = (content.settings)(carrier)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    settings.insert(origin.to_owned(), carrier.origin.clone());
    RouteDraft {
        name: content.name.to_owned(),
        carrier: plugin.to_owned(),
        settings,
        secrets: BTreeMap::from([(content.secret.to_owned(), carrier.auth_token.clone())]),
        senders: vec!["+12025550100".to_owned()],
        price_per_segment: PRICE,
        allowed_origins: vec![carrier.origin.clone()],
        allow_loopback: true,
        ..RouteDraft::default()
    }
}

fn workflow(content: Content, steps: usize) -> WorkflowDraft {
    let timing = Timing::after(Duration::ZERO);
    let step = StepDraft {
        template: content.template.to_owned(),
        renderer: "template".to_owned(),
        route: content.name.to_owned(),
        timing,
    };
    WorkflowDraft {
        name: content.name.to_owned(),
        surplus_policy: SurplusPolicy::Fail,
        steps: vec![step; steps],
    }
}

/// The nth person: a valid number of a US area code, and four fields.
fn contact(n: usize) -> anyhow::Result<ContactDraft> {
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
