//! Evidence against whoever else changes the same rows at that moment. Whatever comes first, the money
//! moves once, and what came second is recorded.

use std::sync::Arc;

use dripline_domain::clock::ManualClock;
use dripline_domain::delivery::{AttemptOutcome, DeliveryState};
use dripline_domain::evidence::{Evidence, Finding};
use dripline_domain::ids::{DeliveryId, EnrollmentId, WorkerId};
use dripline_domain::money::Micros;
use dripline_store::Pool;
use dripline_store::listing::enrollments::{self, EnrollmentFilter};
use dripline_store::ops::{
    Closing, Finished, GiveUp, GiveUpRequest, Removal, RemoveContactError, Resolution, Resolved,
    Start, StartRequest, finish_attempts, give_up, pause_workflow, remove_contact, resolve_unknown,
};
use dripline_store::testing::factory::{PRICE, Scene};
use tokio::sync::Barrier;
use uuid::Uuid;

use crate::evidence::{ACTOR, says};
use crate::support::{Stage, accepted, noon, not_sent, outcomes, policy, refused, requests};

const ROUNDS: usize = 12;
const DELIVERIES: usize = 6;

fn clock() -> ManualClock {
    ManualClock::new(noon())
}

fn pieces(lost: &[StartRequest], evidence: Evidence) -> Vec<Resolution> {
    lost.iter().map(|start| says(start.delivery_id, evidence)).collect()
}

async fn resolve(pool: Pool, barrier: Arc<Barrier>, pieces: Vec<Resolution>) -> Vec<Resolved> {
    barrier.wait().await;
    resolve_unknown(&pool, &clock(), &policy(), ACTOR, Uuid::new_v4(), &pieces).await.unwrap()
}

async fn finish(
    pool: Pool,
    worker: WorkerId,
    barrier: Arc<Barrier>,
    lost: Vec<StartRequest>,
    outcome: AttemptOutcome,
) -> Vec<Finished> {
    let late = outcomes(&lost, &outcome);
    barrier.wait().await;
    finish_attempts(&pool, &clock(), &policy(), worker, Uuid::new_v4(), &late).await.unwrap()
}

fn decided(resolved: &[Resolved]) -> usize {
    resolved.iter().filter(|one| matches!(one, Resolved::Decided(_))).count()
}

async fn contradictions(stage: &Stage) -> i64 {
    stage.count("SELECT count(*) FROM evidence WHERE effect = 'contradicted'").await
}

async fn overruled(stage: &Stage) -> i64 {
    stage.count("SELECT count(*) FROM evidence WHERE effect = 'overruled'").await
}

/// Everything in the scene has come to its end once, by the books and by the rows.
async fn spent(stage: &Stage, scene: &Scene) -> Micros {
    stage.assert_sound().await;
    stage.balance(scene.account_id).await.spent
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_resolvers_at_once() {
    let (mut sent, mut not_sent) = (0, 0);
    for _ in 0..ROUNDS {
        let stage = Stage::new().await;
        let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, DELIVERIES).await;
        let lost = stage.lose_due().await;
        let barrier = Arc::new(Barrier::new(2));
        let yes = pieces(&lost, Evidence::Operator(Finding::Sent));
        let no = pieces(&lost, Evidence::Carrier(Finding::NotSent));
        let yes = tokio::spawn(resolve(stage.pool().clone(), barrier.clone(), yes));
        let no = tokio::spawn(resolve(stage.pool().clone(), barrier, no));
        let (yes, no) = (yes.await.unwrap(), no.await.unwrap());
        // Whoever says that it was sent has the last word: first, or before it is sent again.
        assert_eq!(decided(&yes), DELIVERIES, "{yes:?} {no:?}");
        let all = i64::try_from(DELIVERIES).unwrap();
        // Batches exclude each other as a whole, and whoever lost is on record.
        let (contradicted, overruled) = (contradictions(&stage).await, overruled(&stage).await);
        if decided(&no) == 0 {
            assert_eq!((contradicted, overruled), (all, 0), "{yes:?} {no:?}");
            sent += 1;
        } else {
            assert_eq!(decided(&no), DELIVERIES, "{yes:?} {no:?}");
            assert_eq!((contradicted, overruled), (0, all), "{yes:?} {no:?}");
            not_sent += 1;
        }
        let expected = PRICE.checked_times(u32::try_from(DELIVERIES).unwrap()).unwrap();
        assert_eq!(spent(&stage, &scene).await, expected);
    }
    assert_eq!(sent + not_sent, ROUNDS);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn evidence_against_a_worker_that_comes_back() {
    for round in 0..ROUNDS {
        let stage = Stage::new().await;
        let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, DELIVERIES).await;
        let lost = stage.lose_due().await;
        let barrier = Arc::new(Barrier::new(2));
        let (finding, outcome) = match round % 2 {
            0 => (Finding::NotSent, accepted()),
            _ => (Finding::Sent, refused()),
        };
        let pieces = pieces(&lost, Evidence::Operator(finding));
        let resolving = tokio::spawn(resolve(stage.pool().clone(), barrier.clone(), pieces));
        let pool = stage.pool().clone();
        let finishing = tokio::spawn(finish(pool, stage.id(), barrier, lost.clone(), outcome));
        let (resolved, finished) = (resolving.await.unwrap(), finishing.await.unwrap());
        let late = finished.iter().filter(|one| **one == Finished::AlreadyDone).count();
        assert_eq!(decided(&resolved), late, "{resolved:?} {finished:?}");
        // An acceptance that comes before the message is sent again keeps it from that.
        let overruling = if finding == Finding::NotSent { late } else { 0 };
        let expected = [overruling, DELIVERIES - overruling].map(|n| i64::try_from(n).unwrap());
        let found = [overruled(&stage).await, contradictions(&stage).await];
        assert_eq!(found, expected, "round {round}");
        let sent = match finding {
            Finding::Sent => decided(&resolved),
            Finding::NotSent => DELIVERIES,
        };
        let expected = PRICE.checked_times(u32::try_from(sent).unwrap()).unwrap();
        assert_eq!(spent(&stage, &scene).await, expected, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_word_about_the_first_attempt_against_the_settlement_of_the_second() {
    for round in 0..ROUNDS {
        let stage = Stage::new().await;
        let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, DELIVERIES).await;
        let (tickets, due) = stage.claim_due().await;
        let first = requests(&due, 1);
        stage.start(&first).await;
        stage.finish(&outcomes(&first, &not_sent())).await;
        stage.acknowledge(&tickets).await;
        stage.advance(3_600);
        let (tickets, due) = stage.claim_due().await;
        let second = requests(&due, 1);
        stage.start(&second).await;
        let said = pieces(&first, Evidence::Carrier(Finding::Sent));
        let said = said.into_iter().map(|one| Resolution { attempt: Some(1), ..one }).collect();
        let barrier = Arc::new(Barrier::new(2));
        let pool = stage.pool().clone();
        let resolving = tokio::spawn(resolve(pool.clone(), barrier.clone(), said));
        let outcome = not_sent();
        let finishing = tokio::spawn(finish(pool, stage.id(), barrier, second.clone(), outcome));
        resolving.await.unwrap();
        finishing.await.unwrap();
        stage.acknowledge(&tickets).await;
        // Whoever was first: nothing leaves a third time, and whatever waits is settled by its next look.
        let third: Vec<_> =
            second.iter().map(|start| StartRequest { attempt: 3, ..*start }).collect();
        for start in stage.start(&third).await {
            assert!(matches!(start, Start::Stale(_)), "round {round}: {start:?}");
        }
        let looks: Vec<_> = second
            .iter()
            .map(|start| GiveUpRequest {
                delivery_id: start.delivery_id,
                attempt: 2,
                cause: GiveUp::Closed,
            })
            .collect();
        let (pool, clock) = (stage.pool(), &stage.clock);
        give_up(pool, clock, &policy(), stage.id(), Uuid::new_v4(), &looks).await.unwrap();
        let expected = PRICE.checked_times(u32::try_from(DELIVERIES).unwrap()).unwrap();
        assert_eq!(spent(&stage, &scene).await, expected, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn evidence_against_a_pause() {
    let (mut before, mut after) = (0, 0);
    for round in 0..ROUNDS {
        let stage = Stage::new().await;
        let scene = Scene::enrolled(stage.pool(), &stage.clock, 2, DELIVERIES).await;
        let lost = stage.lose_due().await;
        let barrier = Arc::new(Barrier::new(2));
        let finding = if round % 2 == 0 { Finding::Sent } else { Finding::NotSent };
        let pieces = pieces(&lost, Evidence::Carrier(finding));
        let resolving = tokio::spawn(resolve(stage.pool().clone(), barrier.clone(), pieces));
        let (pool, workflow_id) = (stage.pool().clone(), scene.workflow_id);
        let pausing = tokio::spawn(async move {
            barrier.wait().await;
            let closing = Closing { workflow_id, actor: ACTOR.to_owned(), reason: None };
            pause_workflow(&pool, &clock(), &closing).await.unwrap()
        });
        let (resolved, paused) = (resolving.await.unwrap(), pausing.await.unwrap());
        assert_eq!(decided(&resolved), DELIVERIES);
        // Whichever came first, nobody keeps a place, nothing is queued and nothing is held.
        assert_eq!(paused.removed, DELIVERIES as u64);
        let waiting = "SELECT count(*) FROM deliveries WHERE settled_at IS NULL";
        assert_eq!(stage.count(waiting).await, 0);
        assert_eq!(stage.balance(scene.account_id).await.held, Micros::ZERO);
        let sent = if finding == Finding::Sent { DELIVERIES } else { 0 };
        let expected = PRICE.checked_times(u32::try_from(sent).unwrap()).unwrap();
        assert_eq!(spent(&stage, &scene).await, expected, "round {round}");
        match resolved[0] {
            Resolved::Decided(Finished::Cancelled) => after += 1,
            Resolved::Decided(Finished::Requeued { .. }) => before += 1,
            _ => {}
        }
    }
    assert_eq!(before + after, ROUNDS / 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn evidence_against_a_removal() {
    for round in 0..ROUNDS {
        let stage = Stage::new().await;
        let scene = Scene::enrolled(stage.pool(), &stage.clock, 2, DELIVERIES).await;
        let lost = stage.lose_due().await;
        let barrier = Arc::new(Barrier::new(1 + DELIVERIES));
        let finding = if round % 2 == 0 { Finding::Sent } else { Finding::NotSent };
        let evidence = pieces(&lost, Evidence::Operator(finding));
        let resolving = tokio::spawn(resolve(stage.pool().clone(), barrier.clone(), evidence));
        let live = EnrollmentFilter { live: Some(true), ..EnrollmentFilter::default() };
        let live = enrollments::list(stage.pool(), scene.account_id, &live).await.unwrap();
        let removing: Vec<_> = live
            .iter()
            .map(|e| tokio::spawn(remove(stage.pool().clone(), barrier.clone(), e.enrollment_id)))
            .collect();
        assert_eq!(removing.len(), DELIVERIES);
        assert_eq!(decided(&resolving.await.unwrap()), DELIVERIES);
        for removal in removing {
            removal.await.unwrap();
        }
        let queued = "SELECT count(*) FROM deliveries WHERE settled_at IS NULL";
        assert_eq!(stage.count(queued).await, 0);
        let states = stage.states(scene.workflow_id).await;
        let sent = states.iter().filter(|state| **state == DeliveryState::Sent).count();
        assert_eq!(sent, if finding == Finding::Sent { DELIVERIES } else { 0 });
        let expected = PRICE.checked_times(u32::try_from(sent).unwrap()).unwrap();
        assert_eq!(spent(&stage, &scene).await, expected, "round {round}");
        assert_eq!(stage.balance(scene.account_id).await.held, Micros::ZERO);
    }
}

async fn remove(pool: Pool, barrier: Arc<Barrier>, enrollment_id: EnrollmentId) {
    let removal = Removal { enrollment_id, actor: ACTOR.to_owned(), reason: None };
    barrier.wait().await;
    match remove_contact(&pool, &clock(), &removal).await {
        Ok(_) | Err(RemoveContactError::Ended { .. }) => {}
        Err(error) => panic!("{error:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_pieces_about_one_delivery_decide_once() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let id: DeliveryId = stage.lose_due().await[0].delivery_id;
    let barrier = Arc::new(Barrier::new(8));
    let evidence = [
        Evidence::Receipt,
        Evidence::Carrier(Finding::Sent),
        Evidence::Carrier(Finding::NotSent),
        Evidence::Operator(Finding::Sent),
        Evidence::Operator(Finding::NotSent),
        Evidence::Deadline,
        Evidence::Receipt,
        Evidence::Deadline,
    ];
    let all = evidence.map(|one| {
        tokio::spawn(resolve(stage.pool().clone(), barrier.clone(), vec![says(id, one)]))
    });
    let mut decisions = 0;
    for one in all {
        decisions += decided(&one.await.unwrap());
    }
    let kept = stage.count("SELECT count(*) FROM evidence WHERE effect = 'decided'").await;
    assert_eq!(kept, 1);
    // Whoever says that it was sent has the last word, once, when somebody else had the first.
    let overruled = overruled(&stage).await;
    assert!(overruled <= 1, "{overruled}");
    assert_eq!(i64::try_from(decisions).unwrap(), 1 + overruled);
    assert_eq!(spent(&stage, &scene).await, PRICE);
}
