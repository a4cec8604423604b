//! Who has to wait for the marks under way, since a mark may go by what it read before.

use std::cell::Cell;

use dripline_domain::ids::EnrollmentId;
use dripline_store::ops::{Removals, Start, begin_removal, pause_route, purge_chunk, update_route};
use dripline_store::route::{self, CallbackChange, RouteDraft};
use dripline_store::testing::factory::{ACTOR, Route, Scene};
use uuid::Uuid;

use crate::support::{Stage, requests};

impl Stage {
    /// Comes back when that many sessions wait for locks, of deeds that are not to be over before.
    pub(crate) async fn until_waiting(&self, sessions: i64, is_over: &Cell<bool>) {
        let waiting = "SELECT count(*) FROM pg_stat_activity
                       WHERE datname = current_database() AND wait_event_type = 'Lock'";
        while self.count(waiting).await < sessions {
            assert!(!is_over.get(), "it did not wait");
            tokio::task::yield_now().await;
        }
    }

    /// Holds a mark up that has entered its workflow's gate, until `deed` waits as well. Gives what the mark
    /// and the deed gave.
    async fn beside_a_mark<T>(&self, deed: impl Future<Output = T>) -> (Start, T) {
        let (_, due) = self.claim_due().await;
        let starts = requests(&due[..1], 1);
        let mut lock = self.pool().begin().await.unwrap();
        sqlx::query("SELECT FROM contacts FOR UPDATE").execute(&mut *lock).await.unwrap();
        let is_over = Cell::new(false);
        let (marks, done, ()) = tokio::join!(
            async {
                let marks = self.start(&starts).await;
                is_over.set(true);
                marks
            },
            async {
                self.until_waiting(1, &is_over).await;
                let done = deed.await;
                is_over.set(true);
                done
            },
            async {
                self.until_waiting(2, &is_over).await;
                lock.rollback().await.unwrap();
            }
        );
        self.assert_sound().await;
        (marks[0], done)
    }
}

#[tokio::test]
async fn the_pause_of_a_route_waits_for_them() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 1).await;
    let pause = pause_route(stage.pool(), &stage.clock, scene.route_id, None, ACTOR);
    let (mark, paused) = Box::pin(stage.beside_a_mark(pause)).await;
    let started = matches!(mark, Start::Started { .. });
    assert_eq!(paused.unwrap().in_flight, u64::from(started));
}

#[tokio::test]
async fn another_failover_waits_for_them() {
    let stage = Stage::new().await;
    let (pool, clock) = (stage.pool(), &stage.clock);
    // Its workflow is not the first one there is.
    Scene::create(pool, clock, 1, 0).await;
    let scene = Scene::enrolled(pool, clock, 1, 1).await;
    let second = Route { name: Some("second".to_owned()), ..Route::default() };
    second.create(pool, clock, scene.account_id).await;
    let route = route::load(pool, scene.route_id).await.unwrap().unwrap();
    let draft = RouteDraft {
        name: route.name,
        carrier: route.carrier,
        senders: route.senders,
        price_per_segment: route.price_micros_per_segment,
        failover: Some("second".to_owned()),
        ..RouteDraft::default()
    };
    let update =
        update_route(pool, clock, scene.route_id, &draft, CallbackChange::Keep, None, ACTOR);
    assert_eq!(Box::pin(stage.beside_a_mark(update)).await.1.unwrap(), 2);
}

#[tokio::test]
async fn whoever_takes_members_out_waits_for_them() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 1, 2).await;
    let members: Vec<i64> = sqlx::query_scalar("SELECT enrollment_id FROM enrollments")
        .fetch_all(stage.pool())
        .await
        .unwrap();
    let removals = Removals {
        account_id: scene.account_id,
        workflow_id: scene.workflow_id,
        enrollments: members.into_iter().map(EnrollmentId).collect(),
        selection: "all".to_owned(),
        batch_id: Uuid::new_v4(),
        actor: ACTOR.to_owned(),
        reason: None,
    };
    let begun = begin_removal(stage.pool(), &stage.clock, &removals).await.unwrap();
    let purge = purge_chunk(stage.pool(), &stage.clock, begun.operation_id, 10);
    let (mark, purged) = Box::pin(stage.beside_a_mark(purge)).await;
    let (purged, started) = (purged.unwrap(), matches!(mark, Start::Started { .. }));
    assert_eq!((purged.removed, purged.cancelled), (2, 2 - u64::from(started)));
}
