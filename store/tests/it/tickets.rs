//! The queue: tickets, workers, sweeps, and what apalis itself still makes of its tables.

use std::time::Duration;

use apalis_core::backend::{Filter, ListAllTasks, ListQueues, ListTasks, ListWorkers, Metrics};
use apalis_core::task::status::Status;
use apalis_postgres::{Config, PostgresStorage};
use chrono::TimeDelta;
use dripline_domain::delivery::DeliveryState;
use dripline_domain::ids::DeliveryId;
use dripline_store::queue::{self, Ticket};
use dripline_store::sweep::{Ahead, Strays};
use dripline_store::testing::TestDatabase;
use dripline_store::testing::factory::Scene;
use dripline_store::worker_registry::{self, Heartbeat};
use dripline_store::{ConnectOptions, SchemaStatus, connect, migrate, schema_status, sweep};

use crate::support::{GRACE, Stage, accepted, noon, outcomes, requests};

async fn push(stage: &Stage, count: i64, offset: TimeDelta) {
    let mut conn = stage.pool().acquire().await.unwrap();
    let tickets: Vec<Ticket> = (1..=count)
        .map(|number| Ticket {
            ticket_id: queue::new_ticket_id(),
            delivery_id: DeliveryId(number),
            run_at: noon() + offset,
        })
        .collect();
    queue::push(&mut conn, &tickets).await.unwrap();
}

#[tokio::test]
async fn tickets_are_claimed_when_due_by_one_worker_each() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    push(&stage, 20, TimeDelta::zero()).await;
    push(&stage, 5, TimeDelta::seconds(-60)).await;
    push(&stage, 50, TimeDelta::seconds(60)).await;
    assert_eq!(queue::next_due(pool).await.unwrap(), Some(noon() - TimeDelta::seconds(60)));
    let other = worker_registry::register(pool, &stage.clock, "worker-2").await.unwrap();
    let first = queue::claim(pool, &stage.clock, &stage.worker.name, 10).await.unwrap();
    assert_eq!(first.len(), 10);
    // The oldest come first.
    assert!(first[..5].iter().all(|ticket| ticket.run_at < noon()));
    assert_eq!(first[0].attempts, 1);
    assert!((1..=5).contains(&queue::read_payload(&first[0].payload).unwrap().0));
    let (a, b) = tokio::join!(
        queue::claim(pool, &stage.clock, &stage.worker.name, 100),
        queue::claim(pool, &stage.clock, &other.name, 100)
    );
    assert_eq!(a.unwrap().len() + b.unwrap().len(), 15);
    let stats = queue::stats(pool, &stage.clock).await.unwrap();
    assert_eq!((stats.due, stats.claimed, stats.scheduled), (0, 25, 50));

    // Only the owner can acknowledge or give back.
    let ids: Vec<String> = first.iter().map(|ticket| ticket.ticket_id.clone()).collect();
    assert_eq!(queue::acknowledge(pool, &other.name, &ids).await.unwrap(), 0);
    assert_eq!(queue::release(pool, &other.name, &ids).await.unwrap(), 0);
    assert_eq!(queue::acknowledge(pool, &stage.worker.name, &ids[..4]).await.unwrap(), 4);
    assert_eq!(queue::release(pool, &stage.worker.name, &ids[4..]).await.unwrap(), 6);
    let again = queue::claim(pool, &stage.clock, &stage.worker.name, 100).await.unwrap();
    assert_eq!(again.len(), 6);
    assert_eq!(again[0].attempts, 1);
    let held = queue::claimed_by(pool, &stage.worker.name).await.unwrap();
    assert!(again.iter().all(|ticket| held.contains(ticket)));
    stage.advance(60);
    let later = queue::claim(pool, &stage.clock, &stage.worker.name, 100).await.unwrap();
    assert_eq!(later.len(), 50);
    assert_eq!(queue::list(pool, None, 10).await.unwrap().len(), 10);
}

/// At a million waiting tickets a claim must still touch only what it claims.
#[tokio::test]
async fn a_claim_reads_no_more_than_it_takes() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    sqlx::query(
        "INSERT INTO apalis.jobs (id, job_type, job, status, attempts, max_attempts, run_at, priority)
         SELECT 'T' || n, 'dripline.deliver', '{}', 'Pending', 0, 25,
                $1 + CASE WHEN n % 2 = 0 THEN interval '-1 hour' ELSE interval '1 hour' END, 0
         FROM generate_series(1, 30000) n",
    )
    .bind(noon())
    .execute(pool)
    .await
    .unwrap();
    let plan: Vec<String> = sqlx::query_scalar(
        "EXPLAIN UPDATE apalis.jobs SET status = 'Running', lock_by = 'worker-1', lock_at = now()
         WHERE ctid = ANY (ARRAY(
             SELECT ctid FROM apalis.jobs
             WHERE job_type = 'dripline.deliver' AND priority = 0 AND status = 'Pending'
               AND run_at <= '2026-03-02 12:00:00+00'
             ORDER BY run_at LIMIT 500 FOR UPDATE SKIP LOCKED))",
    )
    .fetch_all(pool)
    .await
    .unwrap();
    let plan = plan.join("\n");
    assert!(plan.contains("Index Scan using idx_apalis_jobs_fetch_partial"), "{plan}");
    assert!(plan.contains("Tid Scan"), "{plan}");
    assert!(!plan.contains("Seq Scan") && !plan.contains("Sort"), "{plan}");
}

#[tokio::test]
async fn a_lost_ticket_is_issued_anew_and_a_stray_one_deleted() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let scene = Scene::enrolled(pool, &stage.clock, 2, 5).await;
    assert_eq!(sweep::missing_tickets(pool, &stage.clock, GRACE).await.unwrap(), 0);
    // Two are lost, one is killed by somebody's tool, one is doubled.
    sqlx::query(
        "DELETE FROM apalis.jobs WHERE id IN (SELECT id FROM apalis.jobs ORDER BY id LIMIT 2)",
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::query(
        "UPDATE apalis.jobs SET status = 'Killed' WHERE id = (SELECT max(id) FROM apalis.jobs)",
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO apalis.jobs (id, job_type, job, status, run_at)
         SELECT 'DOUBLE', job_type, job, 'Pending', run_at FROM apalis.jobs ORDER BY id LIMIT 1",
    )
    .execute(pool)
    .await
    .unwrap();
    sqlx::query(
        "INSERT INTO apalis.jobs (id, job_type, job, status, run_at)
         SELECT 'POISON', job_type, 'nonsense', 'Pending', run_at FROM apalis.jobs ORDER BY id LIMIT 1",
    )
    .execute(pool)
    .await
    .unwrap();
    stage.advance(120);
    assert_eq!(sweep::missing_tickets(pool, &stage.clock, GRACE).await.unwrap(), 3);
    assert_eq!(sweep::missing_tickets(pool, &stage.clock, GRACE).await.unwrap(), 0);
    let strays = async || sweep::stray_tickets(pool, &stage.clock, Ahead::default()).await.unwrap();
    assert_eq!(strays().await.deleted, 2);
    assert_eq!(strays().await.deleted, 0);
    stage.assert_sound().await;
    assert_eq!(stage.send_due(&accepted()).await.len(), 5);
    assert_eq!(stage.states(scene.workflow_id).await.len(), 10);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_stray_ticket_is_deleted_before_it_is_due() {
    /// Of what is not due yet, a run looks at so many tickets.
    const PART: i64 = 5_000;
    let stage = Stage::new().await;
    let pool = stage.pool();
    let scene = Scene::enrolled(pool, &stage.clock, 2, 5).await;
    sqlx::query("UPDATE deliveries SET due_at = due_at + INTERVAL '1 day'")
        .execute(pool)
        .await
        .unwrap();
    // All wait until tomorrow; of one the ticket is doubled, and more than a run looks at stand before it.
    sqlx::query("UPDATE apalis.jobs SET run_at = run_at + INTERVAL '1 day'")
        .execute(pool)
        .await
        .unwrap();
    sqlx::query(
        "INSERT INTO apalis.jobs (id, job_type, job, status, run_at)
         SELECT 'DOUBLE' || n, job_type, job, 'Pending', run_at - (n > 0)::INT * INTERVAL '1 hour'
         FROM (SELECT * FROM apalis.jobs ORDER BY id LIMIT 1) one, generate_series(0, $1) AS n",
    )
    .bind(PART)
    .execute(pool)
    .await
    .unwrap();
    let first = sweep::stray_tickets(pool, &stage.clock, Ahead::default()).await.unwrap();
    assert_eq!(first.deleted, u64::try_from(PART).unwrap());
    assert_ne!(first.ahead, Ahead::default());
    let second = sweep::stray_tickets(pool, &stage.clock, first.ahead).await.unwrap();
    assert_eq!(second, Strays { deleted: 1, ahead: Ahead::default() });
    assert_eq!(stage.count("SELECT count(*) FROM apalis.jobs").await, 5);
    stage.assert_sound().await;
    stage.advance(24 * 60 * 60);
    assert_eq!(stage.send_due(&accepted()).await.len(), 5);
    assert_eq!(stage.states(scene.workflow_id).await.len(), 10);
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_dead_workers_tickets_go_back_and_its_messages_become_unknown() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    let scene = Scene::enrolled(pool, &stage.clock, 1, 4).await;
    let after = Duration::from_millis(1);
    let (_, due) = stage.claim_due().await;
    let starts = requests(&due[..2], 1);
    stage.start(&starts).await;
    let other = worker_registry::register(pool, &stage.clock, "worker-2").await.unwrap();

    // Silent, but its session still holds its lock: a stopped process is not a dead one.
    stage.advance(3_600);
    let buried = sweep::dead_workers(pool, &stage.clock, after).await.unwrap();
    assert_eq!((buried.workers, buried.tickets, buried.unknown), (0, 0, 0));

    let Stage { database, clock, worker } = stage;
    let name = worker.name.clone();
    drop(worker);
    let mut stage = Stage { database, clock, worker: other };
    let pool = stage.database.pool().clone();
    assert_eq!(stage.worker.heartbeat(&pool, &stage.clock).await.unwrap(), Heartbeat::Alive);
    // Postgres needs a moment to notice that the session is gone.
    let buried = loop {
        let buried = sweep::dead_workers(&pool, &stage.clock, after).await.unwrap();
        if buried.workers > 0 {
            break buried;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((buried.workers, buried.unknown), (1, 2));
    assert_eq!(buried.tickets, 4);
    assert!(queue::claimed_by(&pool, &name).await.unwrap().is_empty());
    let states = stage.states(scene.workflow_id).await;
    let unknown = states.iter().filter(|state| **state == DeliveryState::Unknown).count();
    assert_eq!(unknown, 2);
    let again = sweep::dead_workers(&pool, &stage.clock, after).await.unwrap();
    assert_eq!(again.workers + again.tickets + again.unknown, 0);

    // The other worker sends what was not marked, and finds nothing to do for the rest.
    let (tickets, due) = stage.claim_due().await;
    assert_eq!((tickets.len(), due.len()), (4, 2));
    let rest = requests(&due, 1);
    stage.start(&rest).await;
    stage.finish(&outcomes(&rest, &accepted())).await;
    stage.acknowledge(&tickets).await;
    stage.assert_sound().await;
    // Evidence about the unknown ones can still come.
    stage.finish(&outcomes(&starts, &accepted())).await;
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_buried_worker_learns_it_and_a_stopped_one_is_not_buried() {
    let mut stage = Stage::new().await;
    let pool = stage.database.pool().clone();
    let leaver = worker_registry::register(&pool, &stage.clock, "worker-2").await.unwrap();
    leaver.stop(&pool, &stage.clock).await.unwrap();
    stage.advance(60);
    assert_eq!(stage.worker.heartbeat(&pool, &stage.clock).await.unwrap(), Heartbeat::Alive);
    let after = Duration::from_secs(30);
    let buried = sweep::dead_workers(&pool, &stage.clock, after).await.unwrap();
    assert_eq!(buried.workers, 0);
    // Its session is cut off and it takes its lock again with the next heartbeat.
    sqlx::query(
        "SELECT pg_terminate_backend(pid) FROM pg_locks
         WHERE locktype = 'advisory' AND pid <> pg_backend_pid()
           AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
    )
    .execute(&pool)
    .await
    .unwrap();
    assert!(stage.worker.heartbeat(&pool, &stage.clock).await.is_err());
    assert_eq!(stage.worker.heartbeat(&pool, &stage.clock).await.unwrap(), Heartbeat::Alive);
    sqlx::query("UPDATE workers SET stopped_at = now()").execute(&pool).await.unwrap();
    assert_eq!(stage.worker.heartbeat(&pool, &stage.clock).await.unwrap(), Heartbeat::Buried);
    assert_eq!(worker_registry::list(&pool, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn apalis_still_migrates_and_reads_its_tables() {
    let stage = Stage::new().await;
    let pool = stage.pool();
    push(&stage, 3, TimeDelta::zero()).await;
    assert_eq!(schema_status(pool).await.unwrap(), SchemaStatus::Current);
    PostgresStorage::<()>::setup(pool).await.unwrap();
    migrate(pool).await.unwrap();
    let config = Config::default().queue(queue::JOB_TYPE);
    let storage: PostgresStorage<serde_json::Value> =
        PostgresStorage::new(pool).with_config(config);
    let filter = Filter { status: Some(Status::Pending), page: 1, page_size: Some(10) };
    assert_eq!(storage.list_tasks(&filter).await.unwrap().len(), 3);
    assert_eq!(storage.list_all_tasks(&filter).await.unwrap().len(), 3);
    assert_eq!(storage.list_queues().await.unwrap().len(), 1);
    assert_eq!(storage.list_workers().await.unwrap().len(), 1);
    assert!(!storage.global().await.unwrap().is_empty());
    assert!(!storage.fetch_by_queue().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_notification_wakes_listeners_once_per_statement() {
    let stage = Stage::new().await;
    let mut listener = sqlx::postgres::PgListener::connect_with(stage.pool()).await.unwrap();
    listener.listen(queue::CHANNEL).await.unwrap();
    push(&stage, 100, TimeDelta::zero()).await;
    push(&stage, 1, TimeDelta::days(3_650)).await;
    push(&stage, 1, TimeDelta::zero()).await;
    for _ in 0..2 {
        let wake = tokio::time::timeout(Duration::from_secs(10), listener.recv());
        let payload = wake.await.unwrap().unwrap().payload().to_owned();
        assert!(payload.contains("dripline.deliver"), "{payload}");
    }
    let nothing = tokio::time::timeout(Duration::from_millis(50), listener.recv()).await;
    assert!(nothing.is_err(), "{nothing:?}");
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (999999, 'from the future', true, '', 0)",
    )
    .execute(pool)
    .await
    .unwrap();
    assert_eq!(schema_status(pool).await.unwrap(), SchemaStatus::Newer);
    let error = migrate(pool).await.unwrap_err();
    assert!(error.to_string().contains("migration 999999"), "{error}");
}

#[tokio::test]
async fn the_columns_we_rely_on_are_there() {
    let stage = Stage::new().await;
    let columns: Vec<String> = sqlx::query_scalar(
        "SELECT column_name || ' ' || udt_name FROM information_schema.columns
         WHERE table_schema = 'apalis' AND table_name = 'jobs' ORDER BY column_name",
    )
    .fetch_all(stage.pool())
    .await
    .unwrap();
    for column in [
        "attempts int4",
        "id text",
        "job bytea",
        "job_type text",
        "lock_at timestamptz",
        "lock_by text",
        "priority int4",
        "run_at timestamptz",
        "status text",
    ] {
        assert!(columns.iter().any(|found| found == column), "{column} is not among {columns:?}");
    }
}

#[tokio::test]
async fn a_refused_connection_says_why_and_never_shows_the_password() {
    let options = |url: &str| ConnectOptions {
        url: url.to_owned(),
        max_connections: 1,
        application_name: "test".to_owned(),
    };
    let closed = options("postgres://someone:s3cret@127.0.0.1:1/nowhere");
    let error = connect(&closed).await.unwrap_err();
    let said = format!("{error} {error:?} {closed:?}");
    assert!(said.contains("database `nowhere` at 127.0.0.1:1 as `someone`"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
    let garbled = options("postgres://someone:s3cret@[");
    let error = connect(&garbled).await.unwrap_err();
    let said = format!("{error} {error:?} {garbled:?}");
    assert!(said.contains("postgres://user:password@host:port/database"), "{said}");
    assert!(!said.contains("s3cret"), "{said}");
}
