//! The one order of an account's workflows.

use std::collections::BTreeSet;

use dripline_domain::clock::SystemClock;
use dripline_domain::ids::{AccountId, WorkflowId};
use dripline_domain::workflow::{Place, ReorderError};
use dripline_store::ops::{Closing, MoveWorkflowError, Moved, delete_workflow, move_workflow};
use dripline_store::testing::TestDatabase;
use dripline_store::testing::factory::{ACTOR, Account, Route, Workflow};
use dripline_store::{Pool, workflow};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

async fn account_with(pool: &Pool, workflows: usize) -> (AccountId, Vec<WorkflowId>) {
    let account_id = Account::default().create(pool, &SystemClock).await;
    Route::default().create(pool, &SystemClock, account_id).await;
    let mut ids = Vec::new();
    for _ in 0..workflows {
        ids.push(Workflow::with_steps(1).create(pool, &SystemClock, account_id).await);
    }
    (account_id, ids)
}

/// The order that the list shows. Fails unless its positions are 1 to n and the picker shows the same.
async fn order(pool: &Pool, account_id: AccountId) -> Vec<WorkflowId> {
    let list = workflow::list(pool, account_id).await.unwrap();
    let positions: Vec<u32> = list.iter().map(|w| w.position).collect();
    assert_eq!(positions, (1..).take(list.len()).collect::<Vec<_>>(), "positions without gaps");
    list.into_iter().map(|w| w.workflow_id).collect()
}

async fn picked(pool: &Pool, account_id: AccountId) -> Vec<WorkflowId> {
    let choices = workflow::choices(pool, account_id).await.unwrap();
    let positions: Vec<u32> = choices.iter().map(|w| w.position).collect();
    assert_eq!(positions, (1..).take(choices.len()).collect::<Vec<_>>(), "positions without gaps");
    choices.into_iter().map(|w| w.workflow_id).collect()
}

#[tokio::test]
async fn a_new_workflow_stands_last_and_a_move_leaves_the_others_in_order() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let (account_id, w) = account_with(pool, 4).await;
    assert_eq!(order(pool, account_id).await, w);

    let moved = move_workflow(pool, &SystemClock, w[3], Place::Top, ACTOR).await.unwrap();
    assert_eq!(moved, Moved { from: 4, to: 1 });
    assert_eq!(order(pool, account_id).await, [w[3], w[0], w[1], w[2]]);
    for (id, place, expected) in [
        (w[3], Place::After(w[1]), [w[0], w[1], w[3], w[2]]),
        (w[2], Place::Before(w[0]), [w[2], w[0], w[1], w[3]]),
        (w[0], Place::Down, [w[2], w[1], w[0], w[3]]),
        (w[0], Place::Up, [w[2], w[0], w[1], w[3]]),
        (w[2], Place::Bottom, [w[0], w[1], w[3], w[2]]),
        (w[0], Place::Position(3), [w[1], w[3], w[0], w[2]]),
    ] {
        move_workflow(pool, &SystemClock, id, place, ACTOR).await.unwrap();
        assert_eq!(order(pool, account_id).await, expected, "{id} to {place:?}");
        assert_eq!(picked(pool, account_id).await, expected);
    }
}

#[tokio::test]
async fn a_move_to_no_place_is_refused() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let (_, w) = account_with(pool, 2).await;
    let (_, foreign) = account_with(pool, 1).await;

    let to = |place| move_workflow(pool, &SystemClock, w[0], place, ACTOR);
    assert!(matches!(
        to(Place::Position(3)).await,
        Err(MoveWorkflowError::NoSuchPlace(ReorderError::NoSuchPosition { position: 3, count: 2 }))
    ));
    assert!(matches!(
        to(Place::Before(foreign[0])).await,
        Err(MoveWorkflowError::NoSuchPlace(ReorderError::NotInList(_)))
    ));
    let nobody = WorkflowId(i64::MAX);
    let missing = move_workflow(pool, &SystemClock, nobody, Place::Top, ACTOR).await;
    assert!(matches!(missing, Err(MoveWorkflowError::NotFound(id)) if id == nobody));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn eight_movers_always_leave_a_total_order() {
    const MOVERS: u64 = 8;
    const MOVES: usize = 125;
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let (account_id, workflows) = account_with(pool, 12).await;
    let everybody: BTreeSet<WorkflowId> = workflows.iter().copied().collect();

    let movers: Vec<_> = (0..MOVERS)
        .map(|seed| {
            let (pool, workflows) = (pool.clone(), workflows.clone());
            tokio::spawn(async move {
                let mut rng = StdRng::seed_from_u64(seed);
                for _ in 0..MOVES {
                    let any = |rng: &mut StdRng| workflows[rng.random_range(0..workflows.len())];
                    let moved = any(&mut rng);
                    let place = match rng.random_range(0..7) {
                        0 => Place::Top,
                        1 => Place::Bottom,
                        2 => Place::Up,
                        3 => Place::Down,
                        4 => Place::Position(rng.random_range(1..=12)),
                        5 => Place::Before(any(&mut rng)),
                        _ => Place::After(any(&mut rng)),
                    };
                    match move_workflow(&pool, &SystemClock, moved, place, ACTOR).await {
                        Ok(_) | Err(MoveWorkflowError::NoSuchPlace(ReorderError::ToItself(_))) => {}
                        Err(error) => panic!("{moved} to {place:?}: {error}"),
                    }
                }
            })
        })
        .collect();

    let mut looks = 0;
    while !movers.iter().all(tokio::task::JoinHandle::is_finished) {
        let list = order(pool, account_id).await;
        assert_eq!(list.iter().copied().collect::<BTreeSet<_>>(), everybody);
        let choices = picked(pool, account_id).await;
        assert_eq!(choices.into_iter().collect::<BTreeSet<_>>(), everybody);
        looks += 1;
    }
    for mover in movers {
        mover.await.unwrap();
    }
    assert!(looks > 10, "the order was looked at only {looks} times");
    assert_eq!(order(pool, account_id).await, picked(pool, account_id).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn creating_deleting_and_moving_at_once_leaves_no_gap() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let (account_id, workflows) = account_with(pool, 20).await;
    let (deleted, kept) = workflows.split_at(10);

    let deleter = {
        let (pool, deleted) = (pool.clone(), deleted.to_vec());
        tokio::spawn(async move {
            for workflow_id in deleted {
                let closing = Closing { workflow_id, actor: ACTOR.to_owned(), reason: None };
                delete_workflow(&pool, &SystemClock, &closing).await.unwrap();
            }
        })
    };
    let creator = {
        let pool = pool.clone();
        tokio::spawn(async move {
            for _ in 0..10 {
                Workflow::with_steps(1).create(&pool, &SystemClock, account_id).await;
            }
        })
    };
    for _ in 0..5 {
        for id in kept {
            move_workflow(pool, &SystemClock, *id, Place::Top, ACTOR).await.unwrap();
            order(pool, account_id).await;
        }
    }
    deleter.await.unwrap();
    creator.await.unwrap();

    let order = order(pool, account_id).await;
    assert_eq!(order.len(), 20);
    assert!(deleted.iter().all(|id| !order.contains(id)));
    let gone = move_workflow(pool, &SystemClock, deleted[0], Place::Top, ACTOR).await;
    assert!(matches!(gone, Err(MoveWorkflowError::NotFound(_))));
}
