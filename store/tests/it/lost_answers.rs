//! Answers that do not come: the same batch runs twice at once, and sessions end behind one's back.

use std::time::{Duration, Instant};

use dripline_domain::retry::RetryPolicy;
use dripline_store::StoreError;
use dripline_store::ops::{FinishRequest, Finished, finish_attempts};
use dripline_store::testing::factory::Scene;
use uuid::Uuid;

use crate::support::{Stage, accepted, requests};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_may_run_while_the_server_still_works_on_its_first_try() {
    let stage = Stage::new().await;
    let scene = Scene::enrolled(stage.pool(), &stage.clock, 6, 40).await;
    for _ in 0..6 {
        let (tickets, due) = stage.claim_due().await;
        assert_eq!(due.len(), scene.contacts.len());
        stage.start(&requests(&due, 1)).await;
        let finish: Vec<FinishRequest> = due
            .iter()
            .map(|due| FinishRequest {
                delivery_id: due.delivery_id,
                attempt: due.attempt + 1,
                outcome: accepted(),
            })
            .collect();
        let (batch_id, policy) = (Uuid::new_v4(), RetryPolicy::default());
        let run =
            || finish_attempts(stage.pool(), &stage.clock, &policy, stage.id(), batch_id, &finish);
        let (first, second) = tokio::join!(run(), run());
        let mut answers = [first.unwrap(), second.unwrap()].concat();
        answers.sort_by_key(|answer| *answer != Finished::Sent);
        let (sent, again) = answers.split_at(due.len());
        assert!(sent.iter().all(|answer| *answer == Finished::Sent));
        assert!(again.iter().all(|answer| *answer == Finished::AlreadyDone));
        stage.acknowledge(&tickets).await;
    }
    stage.assert_sound().await;
}

#[tokio::test]
async fn a_session_that_was_still_for_too_long_is_a_lost_connection() {
    let stage = Stage::new().await;
    let mut tx = stage.pool().begin().await.unwrap();
    sqlx::raw_sql("SET LOCAL idle_in_transaction_session_timeout = '20ms'")
        .execute(&mut *tx)
        .await
        .unwrap();
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut *tx).await.unwrap();
    let began = Instant::now();
    let lives = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1";
    while sqlx::query_scalar::<_, i64>(lives).bind(pid).fetch_one(stage.pool()).await.unwrap() > 0 {
        assert!(began.elapsed() < Duration::from_mins(1), "the server keeps the session");
        tokio::task::yield_now().await;
    }
    let error = sqlx::query("SELECT 1").execute(&mut *tx).await.unwrap_err();
    assert!(StoreError::from(error).is_connection_lost());
}
