//! Each invariant holds after a bit of everything, and bites when its rows are broken on purpose.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chrono::TimeDelta;
use dripline_domain::clock::{Clock, ManualClock, SystemClock};
use dripline_domain::evidence::Evidence;
use dripline_domain::ids::{DeliveryId, WorkflowId};
use dripline_domain::money::Micros;
use dripline_store::audit::carrier_log::{CarrierLogAudit, parse_reference};
use dripline_store::ops::{
    Adjustment, Closing, FinishRequest, Removal, RemoveContactError, Resolution, Start,
    StartRequest, adjust, finish_attempts, opt_out, pause_workflow, remove_contact,
    resolve_unknown, start_attempts,
};
use dripline_store::testing::TestDatabase;
use dripline_store::testing::factory::{ACTOR, Contacts, Enrolment, Scene, Workflow};
use dripline_store::{Pool, audit, installation, listing};
use uuid::Uuid;

use crate::journey::{POLICY, WORKER, finish, hand_over, queued, start};
use crate::support::{accepted, noon, not_sent, refused, unknown};

/// One of everything: sent, sent short, refused, tried again, on the wire, unknown, removed, paused.
async fn story(pool: &Pool, clock: &dyn Clock) -> Scene {
    let scene = Scene::create(pool, clock, 3, 8).await;
    let enrolment = Enrolment { segments: Some(2), ..Enrolment::default() };
    enrolment.create(pool, clock, scene.workflow_id, &scene.contacts).await;
    let waiting = queued(pool, scene.workflow_id).await;
    hand_over(pool, clock, waiting[0], accepted()).await;
    start(pool, clock, waiting[1], 1).await;
    finish(pool, clock, waiting[1], accepted()).await;
    hand_over(pool, clock, waiting[2], refused()).await;
    hand_over(pool, clock, waiting[3], not_sent()).await;
    start(pool, clock, waiting[4], 2).await;
    hand_over(pool, clock, waiting[5], unknown()).await;
    let filter = listing::enrollments::EnrollmentFilter {
        contact_id: Some(scene.contacts[6]),
        ..Default::default()
    };
    let live = listing::enrollments::list(pool, scene.account_id, &filter).await.unwrap();
    let removal =
        Removal { enrollment_id: live[0].enrollment_id, actor: ACTOR.to_owned(), reason: None };
    remove_contact(pool, clock, &removal).await.unwrap();

    let others = Contacts::many(3).create(pool, clock, scene.account_id).await;
    let paused = Workflow::with_steps(3).create(pool, clock, scene.account_id).await;
    Enrolment::default().create(pool, clock, paused, &others[..2]).await;
    let closing = Closing { workflow_id: paused, actor: ACTOR.to_owned(), reason: None };
    pause_workflow(pool, clock, &closing).await.unwrap();
    let short = Workflow::with_steps(1).create(pool, clock, scene.account_id).await;
    let one = Enrolment { steps: Some(1), ..Enrolment::default() };
    one.create(pool, clock, short, &others[2..]).await;

    let adjustment = Adjustment {
        account_id: scene.account_id,
        amount: Micros(-5),
        batch_id: Uuid::new_v4(),
        actor: ACTOR.to_owned(),
        reason: "a test".to_owned(),
    };
    adjust(pool, clock, &adjustment).await.unwrap();
    // What a worker does with the tickets of what it has settled.
    sqlx::query(
        "DELETE FROM apalis.jobs j
         WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.ticket_id = j.id)",
    )
    .execute(pool)
    .await
    .unwrap();
    scene
}

/// The numbers of the invariants that do not hold.
async fn broken(pool: &Pool, clock: &dyn Clock) -> Vec<u8> {
    let results = audit::run(pool, clock).await.unwrap();
    let broken = results.into_iter().filter(|result| {
        assert_eq!(result.violations == 0, result.rows.is_empty(), "{result:?}");
        !result.holds()
    });
    broken.map(|result| result.invariant.number).collect()
}

/// Takes the database's own guards away, so that only the audit is left.
async fn disarm(pool: &Pool) {
    let guards = "
        DO $$
        DECLARE guard RECORD;
        BEGIN
            FOR guard IN
                SELECT conrelid::regclass AS relation, conname FROM pg_constraint
                WHERE contype IN ('c', 'f')
                  AND conrelid IN ('deliveries'::regclass, 'enrollments'::regclass,
                                   'attempts'::regclass, 'balances'::regclass,
                                   'ledger_entries'::regclass)
            LOOP
                EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', guard.relation, guard.conname);
            END LOOP;
        END $$;
        ALTER TABLE deliveries DROP CONSTRAINT one_delivery_per_enrollment_and_step;
        DROP INDEX one_live_enrollment_per_contact_and_workflow;
        DROP INDEX one_live_workflow_per_contact;
        DROP INDEX one_live_delivery_per_enrollment;
        DROP TRIGGER ledger_entries_are_never_changed ON ledger_entries;
    ";
    sqlx::raw_sql(guards).execute(pool).await.unwrap();
}

/// No invariant is broken.
const NOTHING: [u8; 0] = [];

/// What is broken, how it is mended, and which invariants must say so.
struct Case {
    expected: &'static [u8],
    damage: &'static str,
    repair: &'static str,
}

const CASES: &[Case] = &[
    Case {
        expected: &[1],
        damage: "UPDATE balances SET available_micros = available_micros + 1",
        repair: "UPDATE balances SET available_micros = available_micros - 1",
    },
    Case {
        expected: &[1],
        damage: "UPDATE balances SET available_micros = available_micros - 1,
                                     spent_micros = spent_micros + 1",
        repair: "UPDATE balances SET available_micros = available_micros + 1,
                                     spent_micros = spent_micros - 1",
    },
    Case {
        expected: &[2],
        damage: "UPDATE balances SET available_micros = available_micros - 1,
                                     held_micros = held_micros + 1",
        repair: "UPDATE balances SET available_micros = available_micros + 1,
                                     held_micros = held_micros - 1",
    },
    Case {
        expected: &[3],
        damage: "UPDATE ledger_entries SET amount_micros = amount_micros + 1 WHERE kind = 'release'",
        repair: "UPDATE ledger_entries SET amount_micros = amount_micros - 1 WHERE kind = 'release'",
    },
    Case {
        expected: &[3],
        damage: "UPDATE ledger_entries SET items = items + 1 WHERE kind = 'hold'",
        repair: "UPDATE ledger_entries SET items = items - 1 WHERE kind = 'hold'",
    },
    Case {
        expected: &[3],
        damage: "UPDATE ledger_entries SET segments = segments - 1 WHERE kind = 'capture'",
        repair: "UPDATE ledger_entries SET segments = segments + 1 WHERE kind = 'capture'",
    },
    Case {
        // The rows that pointed at it are now of an entry that is none.
        expected: &[3, 4],
        damage: "UPDATE enrollments SET hold_entry_id = hold_entry_id + 1000000",
        repair: "UPDATE enrollments SET hold_entry_id = hold_entry_id - 1000000",
    },
    Case {
        expected: &[4],
        damage: "UPDATE deliveries SET held_micros = held_micros + 1 WHERE state = 'sent'",
        repair: "UPDATE deliveries SET held_micros = held_micros - 1 WHERE state = 'sent'",
    },
    Case {
        expected: &[4],
        damage: "UPDATE enrollments SET step_micros[1] = step_micros[1] - 1,
                                        step_micros[2] = step_micros[2] + 1
                 WHERE cardinality(step_micros) > 1",
        repair: "UPDATE enrollments SET step_micros[1] = step_micros[1] + 1,
                                        step_micros[2] = step_micros[2] - 1
                 WHERE cardinality(step_micros) > 1",
    },
    Case {
        // It is no longer counted among what was taken, either.
        expected: &[1, 4],
        damage: "UPDATE ledger_entries SET kind = 'hold', reason = 'was capture'
                 WHERE kind = 'capture'",
        repair: "UPDATE ledger_entries SET kind = 'capture', reason = NULL
                 WHERE reason = 'was capture'",
    },
    Case {
        expected: &[5],
        damage: "UPDATE enrollments SET contact_id = contact_id + 1
                 WHERE enrollment_id = (SELECT min(enrollment_id) FROM enrollments)",
        repair: "UPDATE enrollments SET contact_id = contact_id - 1
                 WHERE enrollment_id = (SELECT min(enrollment_id) FROM enrollments)",
    },
    Case {
        // One enrollment gets the other's message: two live ones here, none there.
        expected: &[5],
        damage: "UPDATE deliveries SET enrollment_id = enrollment_id + 1, reason_code = 'moved'
                 WHERE delivery_id = (SELECT delivery_id FROM deliveries WHERE state = 'sending')",
        repair: "UPDATE deliveries SET enrollment_id = enrollment_id - 1, reason_code = NULL
                 WHERE reason_code = 'moved'",
    },
    Case {
        expected: &[5],
        damage: "UPDATE enrollments SET exit_cause = 'finished', exited_by = 'damage', exited_at = now()
                 WHERE cardinality(step_micros) = 1",
        repair: "UPDATE enrollments SET exit_cause = NULL, exited_by = NULL, exited_at = NULL
                 WHERE exited_by = 'damage'",
    },
    Case {
        expected: &[6],
        damage: "INSERT INTO operations (account_id, workflow_id, kind, closed_epoch, actor, started_at,
                                         finished_at, fenced_at)
                 SELECT account_id, workflow_id, 'pause', epoch, 'damage', now(), now(), 'infinity'
                 FROM workflows WHERE workflow_id = (SELECT min(workflow_id) FROM workflows)",
        repair: "DELETE FROM operations WHERE actor = 'damage'",
    },
    Case {
        expected: &[7],
        damage: "INSERT INTO operations (account_id, workflow_id, kind, closed_epoch, actor, started_at,
                                         fenced_at)
                 SELECT account_id, workflow_id, 'pause', epoch, 'damage', now(), '-infinity'
                 FROM workflows WHERE workflow_id = (SELECT min(workflow_id) FROM workflows)",
        repair: "DELETE FROM operations WHERE actor = 'damage'",
    },
    Case {
        expected: &[7],
        damage: "UPDATE contacts SET opted_out_at = '-infinity'",
        repair: "UPDATE contacts SET opted_out_at = NULL",
    },
    Case {
        expected: &[8],
        damage: "INSERT INTO attempts (delivery_id, attempt, worker_id, batch_id, epoch, workflow_id,
                                       segments, started_at, marked_at, outcome, finished_at)
                 SELECT delivery_id, 99, worker_id, batch_id, epoch, workflow_id, segments, started_at,
                        marked_at, 'unknown', now()
                 FROM attempts WHERE outcome = 'accepted' LIMIT 1",
        repair: "DELETE FROM attempts WHERE attempt = 99",
    },
    Case {
        expected: &[8],
        damage: "UPDATE attempts SET outcome = 'accepted' WHERE outcome = 'refused'",
        repair: "UPDATE attempts SET outcome = 'refused'
                 WHERE delivery_id IN (SELECT delivery_id FROM deliveries WHERE state = 'failed')",
    },
    Case {
        // Every message lost its ticket, and every ticket its message.
        expected: &[9],
        damage: "UPDATE apalis.jobs SET id = 'lost' || id",
        repair: "UPDATE apalis.jobs SET id = substr(id, 5)",
    },
    Case {
        expected: &[9],
        damage: "UPDATE apalis.jobs SET status = 'Done'",
        repair: "UPDATE apalis.jobs SET status = 'Pending'",
    },
    Case {
        expected: &[9],
        damage: "INSERT INTO apalis.jobs (id, job, job_type, status, run_at)
                 SELECT 'stray', convert_to(jsonb_build_object('delivery_id', delivery_id)::TEXT, 'UTF8'),
                        'dripline.deliver', 'Pending', due_at
                 FROM deliveries WHERE state = 'sent' LIMIT 1",
        repair: "DELETE FROM apalis.jobs WHERE id = 'stray'",
    },
];

#[tokio::test]
async fn every_invariant_bites() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let clock = ManualClock::new(noon());
    story(pool, &clock).await;
    clock.advance(TimeDelta::minutes(10));
    assert_eq!(broken(pool, &clock).await, NOTHING, "before any damage");
    disarm(pool).await;
    for case in CASES {
        let touched = sqlx::query(case.damage).execute(pool).await.unwrap();
        assert!(touched.rows_affected() > 0, "nothing was damaged by {}", case.damage);
        assert_eq!(broken(pool, &clock).await, case.expected, "after {}", case.damage);
        sqlx::query(case.repair).execute(pool).await.unwrap();
        assert_eq!(broken(pool, &clock).await, NOTHING, "after {}", case.repair);
    }
}

#[tokio::test]
async fn a_result_names_the_rows_and_counts_what_it_does_not_keep() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let clock = ManualClock::new(noon());
    Scene::enrolled(pool, &clock, 1, 1_050).await;
    sqlx::query("DELETE FROM apalis.jobs").execute(pool).await.unwrap();
    clock.advance(TimeDelta::minutes(1));
    assert_eq!(broken(pool, &clock).await, NOTHING, "two minutes are allowed");
    clock.advance(TimeDelta::minutes(2));
    let result = audit::check(pool, &clock, audit::INVARIANTS[8]).await.unwrap();
    assert_eq!(result.violations, 1_050);
    assert_eq!(i64::try_from(result.rows.len()).unwrap(), audit::KEPT);
    assert!(!result.is_complete());
    assert!(result.rows[0].subject.starts_with("delivery "), "{:?}", result.rows[0]);
    assert!(result.rows[0].problem.contains("missing"), "{:?}", result.rows[0]);
}

#[tokio::test]
async fn the_carriers_log_is_compared_message_by_message() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let clock = ManualClock::new(noon());
    story(pool, &clock).await;
    let installation = installation::id(pool).await.unwrap();
    let of = async |state: &'static str| {
        let ids: Vec<i64> =
            sqlx::query_scalar("SELECT delivery_id FROM deliveries WHERE state = $1 ORDER BY 1")
                .bind(state)
                .fetch_all(pool)
                .await
                .unwrap();
        ids
    };
    let reference = |id: i64| format!("{}-{id}-1", installation.simple());
    let compare = async |accepted: &[String]| {
        let mut audit = CarrierLogAudit::begin(pool).await.unwrap();
        for reference in accepted {
            audit.accepted(reference);
        }
        let foreign = audit.foreign();
        (audit.finish().await.unwrap(), foreign)
    };
    let sent: Vec<String> = of("sent").await.into_iter().map(reference).collect();
    let on_the_wire = reference(of("sending").await[0]);
    let unknown = reference(of("unknown").await[0]);

    let mut log = sent.clone();
    log.extend([on_the_wire.clone(), unknown, format!("{}-1-1", Uuid::new_v4().simple())]);
    let (result, foreign) = compare(&log).await;
    assert!(result.holds(), "{result:?}");
    assert_eq!(foreign, 1);
    assert!(result.checked > 0);

    let (missing, _) = compare(&sent[1..]).await;
    assert_eq!(missing.violations, 1, "{missing:?}");
    let twice = [&sent[..], &[on_the_wire.clone(), on_the_wire]].concat();
    assert_eq!(compare(&twice).await.0.violations, 1);
    let refunded = reference(of("failed").await[0]);
    let (refunded, _) = compare(&[&sent[..], &[refunded]].concat()).await;
    assert!(refunded.rows[0].problem.contains("is failed"), "{refunded:?}");
    let (stranger, _) = compare(&[&sent[..], &[reference(123_456_789)]].concat()).await;
    assert_eq!(stranger.rows[0].subject, "delivery 123456789");

    // What was taken for sent because nobody knew may have been accepted, and may not.
    let presumed = DeliveryId(of("unknown").await[0]);
    let resolution = Resolution {
        delivery_id: presumed,
        attempt: None,
        evidence: Evidence::Deadline,
        carrier_reference: None,
        reason: None,
    };
    let heard = [resolution];
    resolve_unknown(pool, &clock, &POLICY, "test", Uuid::new_v4(), &heard).await.unwrap();
    let presumed = reference(presumed.0);
    assert!(compare(&sent).await.0.holds());
    assert!(compare(&[&sent[..], std::slice::from_ref(&presumed)].concat()).await.0.holds());
    let (twice, _) = compare(&[&sent[..], &[presumed.clone(), presumed]].concat()).await;
    assert_eq!(twice.violations, 1, "{twice:?}");
}

#[test]
fn references_are_read_back() {
    let installation = Uuid::from_u128(7);
    let own = format!("{}-42-3", installation.simple());
    assert_eq!(parse_reference(installation, &own), Some((DeliveryId(42), 3)));
    for foreign in ["", "x-1-1", "00000000000000000000000000000008-42-3"] {
        assert_eq!(parse_reference(installation, foreign), None, "{foreign}");
    }
    for broken in ["-42", "-42-", "-x-1", "42-1"] {
        let reference = format!("{}{broken}", installation.simple());
        assert_eq!(parse_reference(installation, &reference), None, "{reference}");
    }
}

/// One worker that marks and settles in batches, whatever is queued, until it is told to stop.
async fn work(
    pool: Pool,
    workflow_id: WorkflowId,
    stop: Arc<AtomicBool>,
    handed_over: Arc<AtomicUsize>,
    seed: usize,
) {
    while !stop.load(Ordering::Relaxed) {
        let waiting: Vec<_> = queued(&pool, workflow_id).await.into_iter().take(40).collect();
        let starts: Vec<_> = waiting
            .iter()
            .map(|w| StartRequest {
                delivery_id: w.delivery_id,
                attempt: w.attempt + 1,
                segments: 1,
                route_id: None,
            })
            .collect();
        let started = start_attempts(&pool, &SystemClock, WORKER, Uuid::new_v4(), &starts).await;
        let outcomes = [accepted(), accepted(), accepted(), not_sent(), unknown(), refused()];
        let finishes: Vec<_> = started
            .unwrap()
            .into_iter()
            .zip(&starts)
            .filter(|(start, _)| matches!(start, Start::Started { .. }))
            .enumerate()
            .map(|(number, (_, start))| FinishRequest {
                delivery_id: start.delivery_id,
                attempt: start.attempt,
                outcome: outcomes[(number + seed) % outcomes.len()].clone(),
            })
            .collect();
        handed_over.fetch_add(finishes.len(), Ordering::Relaxed);
        finish_attempts(&pool, &SystemClock, &POLICY, WORKER, Uuid::new_v4(), &finishes)
            .await
            .unwrap();
        // Somebody else's turn, also when there was nothing to do.
        tokio::task::yield_now().await;
    }
}

/// Evidence for everything that nobody knew: the carrier took half of it.
async fn settle_unknown(pool: &Pool, workflow_id: WorkflowId) {
    let unknown: Vec<(i64, i32)> = sqlx::query_as(
        "SELECT delivery_id, attempt FROM deliveries WHERE workflow_id = $1 AND state = 'unknown'",
    )
    .bind(workflow_id.0)
    .fetch_all(pool)
    .await
    .unwrap();
    let finishes: Vec<_> = unknown
        .into_iter()
        .map(|(delivery_id, attempt)| FinishRequest {
            delivery_id: DeliveryId(delivery_id),
            attempt: attempt.try_into().unwrap(),
            outcome: if delivery_id % 2 == 0 { accepted() } else { not_sent() },
        })
        .collect();
    finish_attempts(pool, &SystemClock, &POLICY, WORKER, Uuid::new_v4(), &finishes).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_broken_at_any_instant() {
    const ROUNDS: usize = 12;
    // Where the machine has other things to do, more of them, until enough has happened.
    const MOST_ROUNDS: usize = 250;
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let scene = Scene::create(pool, &SystemClock, 3, 300).await;
    let workflow_id = scene.workflow_id;
    let stop = Arc::new(AtomicBool::new(false));
    let (handed_over, audits) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let workers: Vec<_> = (0..3)
        .map(|seed| {
            let (stop, handed_over) = (Arc::clone(&stop), Arc::clone(&handed_over));
            tokio::spawn(work(pool.clone(), workflow_id, stop, handed_over, seed))
        })
        .collect();
    let auditor = {
        let (pool, stop, audits) = (pool.clone(), Arc::clone(&stop), Arc::clone(&audits));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                for result in audit::run(&pool, &SystemClock).await.unwrap() {
                    assert!(result.holds(), "{result:?}");
                }
                audits.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    let closing = Closing { workflow_id, actor: ACTOR.to_owned(), reason: None };
    for round in 0.. {
        let enough = handed_over.load(Ordering::Relaxed) > 0 && audits.load(Ordering::Relaxed) > 3;
        if round >= ROUNDS && enough {
            break;
        }
        assert!(round < MOST_ROUNDS, "{handed_over:?} handed over, {audits:?} audits");
        // Due at once: a message is due at a whole second, and the pause comes before the next one.
        let before = ManualClock::new(SystemClock.now() - TimeDelta::seconds(2));
        for chunk in scene.contacts.chunks(100) {
            Enrolment::default().create(pool, &before, workflow_id, chunk).await;
        }
        for contact in scene.contacts.iter().skip(round).step_by(60) {
            let of_contact = listing::enrollments::EnrollmentFilter {
                contact_id: Some(*contact),
                live: Some(true),
                ..Default::default()
            };
            let live = listing::enrollments::list(pool, scene.account_id, &of_contact).await;
            for enrollment in live.unwrap() {
                let enrollment_id = enrollment.enrollment_id;
                let removal = Removal { enrollment_id, actor: ACTOR.to_owned(), reason: None };
                match remove_contact(pool, &SystemClock, &removal).await {
                    Ok(_) | Err(RemoveContactError::Ended { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        }
        opt_out(pool, &SystemClock, scene.contacts[round], ACTOR).await.unwrap();
        pause_workflow(pool, &SystemClock, &closing).await.unwrap();
        settle_unknown(pool, workflow_id).await;
    }
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.await.unwrap();
    }
    auditor.await.unwrap();
}
