//! Things for tests to work on. Every field is optional: `Workflow::default().create(..)` is a workflow.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use dripline_domain::clock::Clock;
use dripline_domain::ids::{AccountId, ContactId, RouteId, WorkflowId};
use dripline_domain::money::Micros;
use dripline_domain::throttle::Throttle;
use dripline_domain::timing::Timing;
use dripline_domain::workflow::{StepDraft, SurplusPolicy, WorkflowDraft};
use uuid::Uuid;

use crate::Pool;
use crate::ops::{
    EnrollChunk, Enrolled, NewAccount, PricedContact, TopUp, create_account, create_route,
    create_workflow, enroll, top_up,
};
use crate::route::RouteDraft;

/// Who did it all.
pub const ACTOR: &str = "test";
/// The name of the route that steps name when nothing else is said.
pub const ROUTE: &str = "main";
/// What a segment costs when nothing else is said.
pub const PRICE: Micros = Micros(7_500);

/// A number that no other call in this process gets, for names that must differ.
fn unique() -> u64 {
    static COUNTER: AtomicU64 = AtomicU64::new(1);
    COUNTER.fetch_add(1, Ordering::Relaxed)
}

/// An account.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Its name; else a fresh one.
    pub name: Option<String>,
    /// What it can spend; else a million units.
    pub available: Option<Micros>,
    /// Whether several live workflows per contact are allowed.
    pub many_live_workflows_per_contact: bool,
}

impl Account {
    /// Creates and fills it.
    pub async fn create(self, pool: &Pool, clock: &dyn Clock) -> AccountId {
        let new = NewAccount {
            name: self.name.unwrap_or_else(|| format!("account-{}", unique())),
            currency: "EUR".to_owned(),
            one_live_workflow_per_contact: !self.many_live_workflows_per_contact,
            actor: ACTOR.to_owned(),
        };
        let account = create_account(pool, clock, &new).await.expect("an account can be created");
        let amount = self.available.unwrap_or(Micros(1_000_000_000_000));
        if amount > Micros::ZERO {
            let payment = TopUp {
                account_id: account.account_id,
                amount,
                batch_id: Uuid::new_v4(),
                actor: ACTOR.to_owned(),
                reason: None,
            };
            top_up(pool, clock, &payment).await.expect("an account can be filled");
        }
        account.account_id
    }
}

/// A route.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// Its name; else [`ROUTE`].
    pub name: Option<String>,
    /// Its carrier; else `twilio`.
    pub carrier: Option<String>,
    /// What a segment costs; else [`PRICE`].
    pub price_per_segment: Option<Micros>,
    /// The carrier's settings.
    pub settings: BTreeMap<String, String>,
    /// Where the carrier's secrets are.
    pub secrets: BTreeMap<String, String>,
    /// Where it may send to.
    pub allowed_origins: Vec<String>,
    /// Its senders; else one.
    pub senders: Option<Vec<String>>,
    /// What each of them may send.
    pub throttle: Throttle,
    /// How many requests a worker may have on the wire at once.
    pub max_in_flight: Option<NonZeroU32>,
    /// How long a whole exchange may take.
    pub send_timeout_ms: Option<NonZeroU32>,
    /// The name of the route that takes over.
    pub failover: Option<String>,
}

impl Route {
    /// Creates it.
    pub async fn create(self, pool: &Pool, clock: &dyn Clock, account_id: AccountId) -> RouteId {
        let draft = RouteDraft {
            name: self.name.unwrap_or_else(|| ROUTE.to_owned()),
            carrier: self.carrier.unwrap_or_else(|| "twilio".to_owned()),
            settings: self.settings,
            secrets: self.secrets,
            senders: self.senders.unwrap_or_else(|| vec!["+4930123456".to_owned()]),
            price_per_segment: self.price_per_segment.unwrap_or(PRICE),
            allow_loopback: !self.allowed_origins.is_empty(),
            allowed_origins: self.allowed_origins,
            throttle: self.throttle,
            max_in_flight: self.max_in_flight,
            send_timeout_ms: self.send_timeout_ms,
            failover: self.failover,
        };
        create_route(pool, clock, account_id, &draft, ACTOR).await.expect("a route can be created")
    }
}

/// A workflow.
#[derive(Clone, Debug, Default)]
pub struct Workflow {
    /// Its name; else a fresh one.
    pub name: Option<String>,
    /// Its steps; else three that are due at once.
    pub steps: Option<Vec<StepDraft>>,
    /// What happens to texts that have grown.
    pub surplus_policy: SurplusPolicy,
}

impl Workflow {
    /// One whose steps all are due at once.
    pub fn with_steps(count: usize) -> Self {
        Self { steps: Some(vec![step(Duration::ZERO); count]), ..Self::default() }
    }

    /// Creates it. Its steps' routes must exist.
    pub async fn create(self, pool: &Pool, clock: &dyn Clock, account_id: AccountId) -> WorkflowId {
        let draft = WorkflowDraft {
            name: self.name.unwrap_or_else(|| format!("workflow-{}", unique())),
            surplus_policy: self.surplus_policy,
            steps: self.steps.unwrap_or_else(|| vec![step(Duration::ZERO); 3]),
        };
        let created = create_workflow(pool, clock, account_id, &draft, ACTOR).await;
        created.expect("a workflow can be created").workflow_id
    }
}

/// A step that is due `after` the one before.
pub fn step(after: Duration) -> StepDraft {
    StepDraft {
        template: "Hello {{ name }}".to_owned(),
        renderer: "template".to_owned(),
        route: ROUTE.to_owned(),
        timing: Timing::after(after),
    }
}

/// Many contacts, written in one statement.
#[derive(Clone, Copy, Debug, Default)]
pub struct Contacts {
    /// How many; else 10.
    pub count: Option<usize>,
    /// Their time zone; else UTC.
    pub time_zone: Option<&'static str>,
}

impl Contacts {
    /// That many.
    pub fn many(count: usize) -> Self {
        Self { count: Some(count), ..Self::default() }
    }

    /// Creates them, by ascending id.
    pub async fn create(
        self,
        pool: &Pool,
        clock: &dyn Clock,
        account_id: AccountId,
    ) -> Vec<ContactId> {
        let count = i64::try_from(self.count.unwrap_or(10)).expect("a test has few contacts");
        let mut ids = sqlx::query_scalar!(
            "INSERT INTO contacts (account_id, phone, fields, time_zone, created_at, updated_at)
             SELECT $1, '+1555' || lpad((offset_ + n)::TEXT, 9, '0'),
                    jsonb_build_object('name', 'Contact ' || n), $3, $4, $4
             FROM generate_series(1, $2::BIGINT) n,
                  (SELECT count(*) AS offset_ FROM contacts WHERE account_id = $1) existing
             RETURNING contact_id",
            account_id.0,
            count,
            self.time_zone.unwrap_or("UTC"),
            clock.now(),
        )
        .fetch_all(pool)
        .await
        .expect("contacts can be created");
        ids.sort_unstable();
        ids.into_iter().map(ContactId).collect()
    }
}

/// An enrolment of contacts, each step with the same price.
#[derive(Clone, Copy, Debug, Default)]
pub struct Enrolment {
    /// Steps of the workflow; else 3.
    pub steps: Option<usize>,
    /// Segments of each step; else 1.
    pub segments: Option<u32>,
    /// What a segment costs; else [`PRICE`].
    pub price_per_segment: Option<Micros>,
}

impl Enrolment {
    /// The contact's prices.
    pub fn price(&self, contact_id: ContactId) -> PricedContact {
        let segments = self.segments.unwrap_or(1);
        let price = self.price_per_segment.unwrap_or(PRICE);
        let micros = price.checked_times(segments).expect("a test's prices are small");
        let steps = self.steps.unwrap_or(3);
        PricedContact {
            contact_id,
            step_segments: vec![segments; steps],
            step_micros: vec![micros; steps],
        }
    }

    /// The chunk that enrols these contacts into revision 1 of the workflow.
    pub fn chunk(&self, workflow_id: WorkflowId, contacts: &[ContactId]) -> EnrollChunk {
        let contacts: Vec<_> = contacts.iter().map(|id| self.price(*id)).collect();
        EnrollChunk {
            workflow_id,
            revision: 1,
            batch_id: Uuid::new_v4(),
            actor: ACTOR.to_owned(),
            required: contacts.iter().flat_map(|contact| &contact.step_micros).copied().sum(),
            contacts,
        }
    }

    /// Enrols them.
    pub async fn create(
        self,
        pool: &Pool,
        clock: &dyn Clock,
        workflow_id: WorkflowId,
        contacts: &[ContactId],
    ) -> Enrolled {
        let chunk = self.chunk(workflow_id, contacts);
        enroll(pool, clock, &chunk).await.expect("contacts can be enrolled")
    }
}

/// An account with a route, a workflow and contacts.
#[derive(Clone, Debug)]
pub struct Scene {
    /// The account.
    pub account_id: AccountId,
    /// Its route, [`ROUTE`].
    pub route_id: RouteId,
    /// Its workflow.
    pub workflow_id: WorkflowId,
    /// Its contacts.
    pub contacts: Vec<ContactId>,
}

impl Scene {
    /// Sets the scene: a workflow of `steps` steps that are due at once, and contacts who are not yet
    /// enrolled.
    pub async fn create(pool: &Pool, clock: &dyn Clock, steps: usize, contacts: usize) -> Self {
        let account_id = Account::default().create(pool, clock).await;
        let route_id = Route::default().create(pool, clock, account_id).await;
        let workflow_id = Workflow::with_steps(steps).create(pool, clock, account_id).await;
        let contacts = Contacts::many(contacts).create(pool, clock, account_id).await;
        Self { account_id, route_id, workflow_id, contacts }
    }

    /// Sets the scene and enrols everybody, one segment to a step.
    pub async fn enrolled(pool: &Pool, clock: &dyn Clock, steps: usize, contacts: usize) -> Self {
        let scene = Self::create(pool, clock, steps, contacts).await;
        let enrolment = Enrolment { steps: Some(steps), ..Enrolment::default() };
        enrolment.create(pool, clock, scene.workflow_id, &scene.contacts).await;
        scene
    }
}
