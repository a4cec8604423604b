//! The transactions without anything around them: no rendering, no wire, no worker.
//!
//! `cargo bench -p dripline-store [-- contacts]`, with `DRIPLINE_TEST_SERVER_URL` set. Beside wall time
//! it prints the processor time of Postgres' sessions and of this process (Linux only), which tells
//! more than wall time does on a machine that is busy with other things.

use std::fs;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dripline_domain::clock::ManualClock;
use dripline_domain::delivery::AttemptOutcome;
use dripline_domain::retry::RetryPolicy;
use dripline_store::ops::{
    Closing, FinishRequest, StartRequest, enroll, fence_workflow, finish_attempts, purge_chunk,
    start_attempts,
};
use dripline_store::testing::TestDatabase;
use dripline_store::testing::factory::{Enrolment, Scene};
use dripline_store::worker_registry::{self, Registration};
use dripline_store::{Pool, audit, delivery, queue};
use uuid::Uuid;

const STEPS: usize = 3;
const CHUNK: usize = 5_000;
const BATCH: usize = 500;
const CONNECTIONS: usize = 2;

fn main() {
    let contacts = std::env::args().find_map(|arg| arg.parse().ok()).unwrap_or(100_000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime starts");
    runtime.block_on(run(contacts));
}

async fn run(contacts: usize) {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let clock = Arc::new(ManualClock::new(
        chrono::DateTime::from_timestamp(1_772_452_800, 0).expect("an instant"),
    ));
    let worker = worker_registry::register(pool, &*clock, "bench").await.expect("registers");
    let worker = Arc::new(worker);
    let scene = Scene::create(pool, &*clock, STEPS, contacts).await;
    let second = Scene::create(pool, &*clock, STEPS, contacts).await;

    let meter = Meter::start(&database);
    enrol(pool, &clock, &scene).await;
    meter.report("enrol, contacts of 3 steps", contacts);
    enrol(pool, &clock, &second).await;
    sqlx::raw_sql("ANALYZE").execute(pool).await.expect("analyzes");

    let messages = contacts / 2;
    let meter = Meter::start(&database);
    let sent = send(pool, &clock, &worker, messages).await;
    meter.report("claim, load, mark, settle, next step, acknowledge, messages", sent);

    report_updates(pool).await;

    // A fence while others mark at full speed.
    let sending = tokio::spawn({
        let (pool, clock, worker) = (pool.clone(), Arc::clone(&clock), Arc::clone(&worker));
        async move { send(&pool, &clock, &worker, messages).await }
    });
    for _ in 0..10 {
        let began = Instant::now();
        let closing =
            Closing { workflow_id: scene.workflow_id, actor: "bench".to_owned(), reason: None };
        let _ = fence_workflow(pool, &*clock, &closing).await.expect("fences");
        say(&format!("fence under load: {:.1} ms", began.elapsed().as_secs_f64() * 1e3));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let sent = sending.await.expect("sends");
    say(&format!("({sent} messages sent meanwhile)"));

    let closing =
        Closing { workflow_id: second.workflow_id, actor: "bench".to_owned(), reason: None };
    let fenced = fence_workflow(pool, &*clock, &closing).await.expect("fences");
    let meter = Meter::start(&database);
    let mut removed = 0;
    loop {
        let chunk = purge_chunk(pool, &*clock, fenced.operation_id, 5_000).await.expect("purges");
        removed += chunk.removed;
        if chunk.done {
            break;
        }
    }
    meter.report("purge, enrollments", usize::try_from(removed).unwrap_or(0));

    let meter = Meter::start(&database);
    let results = audit::run(pool, &*clock).await.expect("audits");
    meter.report("audit, deliveries", contacts * 2 + messages);
    for result in results.iter().filter(|result| !result.holds()) {
        say(&format!("BROKEN: {result:?}"));
    }
}

/// Updates that touched no index, of all updates.
async fn report_updates(pool: &Pool) {
    let updates: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT relname::TEXT, n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables
         WHERE n_tup_upd > 0 ORDER BY relname",
    )
    .fetch_all(pool)
    .await
    .expect("the statistics can be read");
    for (table, all, heap_only) in updates {
        say(&format!("  {table}: {heap_only} of {all} updates touched no index"));
    }
}

async fn enrol(pool: &Pool, clock: &ManualClock, scene: &Scene) {
    let enrolment = Enrolment { steps: Some(STEPS), ..Enrolment::default() };
    for contacts in scene.contacts.chunks(CHUNK) {
        let chunk = enrolment.chunk(scene.workflow_id, contacts);
        enroll(pool, clock, &chunk).await.expect("enrols");
    }
}

/// Sends about that many messages, and gives how many. Stops when nothing is due.
async fn send(
    pool: &Pool,
    clock: &Arc<ManualClock>,
    worker: &Arc<Registration>,
    messages: usize,
) -> usize {
    let senders = (0..CONNECTIONS).map(|_| {
        let (pool, clock, worker) = (pool.clone(), Arc::clone(clock), Arc::clone(worker));
        tokio::spawn(async move {
            let mut sent = 0;
            while sent < messages / CONNECTIONS {
                let batch = send_batch(&pool, &clock, &worker).await;
                if batch == 0 {
                    break;
                }
                sent += batch;
            }
            sent
        })
    });
    let mut sent = 0;
    for sender in futures::future::join_all(senders).await {
        sent += sender.expect("sends");
    }
    sent
}

async fn send_batch(pool: &Pool, clock: &ManualClock, worker: &Registration) -> usize {
    let claimed = queue::claim(pool, clock, &worker.name, BATCH).await.expect("claims");
    if claimed.is_empty() {
        return 0;
    }
    let ids: Vec<_> = claimed
        .iter()
        .map(|ticket| queue::read_payload(&ticket.payload).expect("our own payload"))
        .collect();
    let due = delivery::load_due(pool, &ids).await.expect("loads");
    let starts: Vec<_> = due
        .iter()
        .map(|due| StartRequest {
            delivery_id: due.delivery_id,
            attempt: due.attempt + 1,
            segments: 1,
            route_id: Some(due.route.route_id),
        })
        .collect();
    start_attempts(pool, clock, worker.worker_id, Uuid::new_v4(), &starts).await.expect("marks");
    let finishes: Vec<_> = starts
        .iter()
        .map(|start| FinishRequest {
            delivery_id: start.delivery_id,
            attempt: start.attempt,
            outcome: AttemptOutcome::Accepted { carrier_reference: Some("SM0".to_owned()) },
        })
        .collect();
    let policy = RetryPolicy::default();
    finish_attempts(pool, clock, &policy, worker.worker_id, Uuid::new_v4(), &finishes)
        .await
        .expect("settles");
    let tickets: Vec<_> = claimed.into_iter().map(|ticket| ticket.ticket_id).collect();
    queue::acknowledge(pool, &worker.name, &tickets).await.expect("acknowledges");
    starts.len()
}

struct Meter {
    database: String,
    began: Instant,
    postgres: f64,
    client: f64,
}

impl Meter {
    fn start(database: &TestDatabase) -> Self {
        let name = database.url().rsplit('/').next().unwrap_or("").to_owned();
        let name = name.split('?').next().unwrap_or("").to_owned();
        let (postgres, client) = processor_seconds(&name);
        Self { database: name, began: Instant::now(), postgres, client }
    }

    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    fn report(self, what: &str, count: usize) {
        let wall = self.began.elapsed().as_secs_f64();
        let (postgres, client) = processor_seconds(&self.database);
        let (postgres, client) = (postgres - self.postgres, client - self.client);
        let each = |seconds: f64| seconds * 1e6 / count as f64;
        say(&format!(
            "{what}: {count} in {wall:.2} s = {:.0}/s; processor: Postgres {postgres:.2} s ({:.1} us \
             each), client {client:.2} s ({:.1} us each); two idle cores would do {:.0}/s",
            count as f64 / wall,
            each(postgres),
            each(client),
            2.0 * count as f64 / (postgres + client),
        ));
    }
}

/// Processor time used so far by Postgres' sessions on the database and by this process.
fn processor_seconds(database: &str) -> (f64, f64) {
    let own = std::process::id();
    let (mut postgres, mut client) = (0.0, 0.0);
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let path = entry.path();
        let command = fs::read_to_string(path.join("cmdline")).unwrap_or_default();
        let session = command.starts_with("postgres:") && command.contains(database);
        if !session && pid != own {
            continue;
        }
        let stat = fs::read_to_string(path.join("stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or("").split_whitespace().collect();
        let ticks: f64 = [11, 12]
            .iter()
            .filter_map(|field| fields.get(*field).and_then(|text| text.parse::<f64>().ok()))
            .sum();
        // The kernel counts hundredths of a second for everybody.
        if session { postgres += ticks / 100.0 } else { client += ticks / 100.0 }
    }
    (postgres, client)
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
