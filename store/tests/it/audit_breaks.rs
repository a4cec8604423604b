//! What audits find is kept until somebody settles it, and the money of a settlement is right.

use chrono::TimeDelta;
use dripline_domain::clock::{Clock, ManualClock};
use dripline_domain::ids::AuditBreakId;
use dripline_domain::money::Micros;
use dripline_store::audit::breaks::{self, AuditBreak};
use dripline_store::ops::{
    AdjustError, BreakSettlement, RecordedBreaks, SettleBreakError, SettledBy, record_breaks,
    settle_break,
};
use dripline_store::testing::TestDatabase;
use dripline_store::testing::factory::{ACTOR, Scene};
use dripline_store::{Pool, account, audit};
use uuid::Uuid;

use crate::support::noon;

async fn audit_and_record(pool: &Pool, clock: &dyn Clock) -> RecordedBreaks {
    let results = audit::run(pool, clock).await.unwrap();
    record_breaks(pool, clock, &results).await.unwrap()
}

/// A balance that is wrong by so many micros, as no transaction could make it.
async fn lose(pool: &Pool, micros: i64) {
    sqlx::query("UPDATE balances SET available_micros = available_micros - $1")
        .bind(micros)
        .execute(pool)
        .await
        .unwrap();
}

async fn only(pool: &Pool) -> AuditBreak {
    let breaks = breaks::list(pool, false, None, 10).await.unwrap();
    assert_eq!(breaks.len(), 1, "{breaks:?}");
    breaks[0].clone()
}

fn settlement(found: &AuditBreak, by: SettledBy) -> BreakSettlement {
    BreakSettlement {
        audit_break_id: found.audit_break_id,
        by,
        actor: ACTOR.to_owned(),
        reason: "a disk lost a write".to_owned(),
    }
}

fn recorded(found: u64, new: u64, excused: u64, unsettled: u64) -> RecordedBreaks {
    RecordedBreaks { found, new, excused, unsettled }
}

#[tokio::test]
async fn a_break_is_remembered_when_it_cannot_be_found_any_more() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let clock = ManualClock::new(noon());
    Scene::enrolled(pool, &clock, 1, 3).await;
    assert_eq!(audit_and_record(pool, &clock).await, recorded(0, 0, 0, 0));
    lose(pool, 1).await;
    assert_eq!(audit_and_record(pool, &clock).await, recorded(1, 1, 0, 1));
    let first = only(pool).await;
    assert_eq!((first.invariant, first.gone_at, first.settled_at), (1, None, None));
    assert!(first.subject.starts_with("account "), "{first:?}");

    clock.advance(TimeDelta::minutes(1));
    assert_eq!(audit_and_record(pool, &clock).await, recorded(1, 0, 0, 1));
    let again = only(pool).await;
    assert_eq!(again.audit_break_id, first.audit_break_id);
    assert_eq!((again.first_seen_at, again.last_seen_at), (noon(), clock.now()));

    lose(pool, -1).await;
    clock.advance(TimeDelta::minutes(1));
    assert_eq!(audit_and_record(pool, &clock).await, recorded(0, 0, 0, 1));
    assert_eq!(only(pool).await.gone_at, Some(clock.now()));
    let gone_at = clock.now();
    clock.advance(TimeDelta::minutes(1));
    assert_eq!(audit_and_record(pool, &clock).await, recorded(0, 0, 0, 1));
    assert_eq!(only(pool).await.gone_at, Some(gone_at), "the first audit that missed it is kept");

    lose(pool, 1).await;
    assert_eq!(audit_and_record(pool, &clock).await, recorded(1, 0, 0, 1));
    assert_eq!(only(pool).await.gone_at, None, "it is back");
}

#[tokio::test]
async fn a_settled_break_excuses_only_itself() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let clock = ManualClock::new(noon());
    let scene = Scene::enrolled(pool, &clock, 1, 3).await;
    lose(pool, 5).await;
    audit_and_record(pool, &clock).await;
    let found = only(pool).await;
    let before = account::balance(pool, scene.account_id).await.unwrap().unwrap();
    let batch_id = Uuid::new_v4();
    let account_id = scene.account_id;
    let by = SettledBy::Adjustment { account_id, amount: Micros(5), batch_id };
    let entry = settle_break(pool, &clock, &settlement(&found, by)).await.unwrap();
    let again = settle_break(pool, &clock, &settlement(&found, by)).await.unwrap();
    assert!(entry.is_some() && entry == again, "the same batch books once: {entry:?}, {again:?}");
    let after = account::balance(pool, account_id).await.unwrap().unwrap();
    assert_eq!(after.available, before.available + Micros(5));

    // The rows are as wrong as before, by the same amount, though the balance has moved on.
    assert_eq!(audit_and_record(pool, &clock).await, recorded(0, 0, 1, 0));
    let settled = breaks::list(pool, true, None, 10).await.unwrap();
    assert_eq!(settled.len(), 1);
    assert_eq!(settled[0].ledger_entry_id, entry);
    assert_eq!(settled[0].settled_by.as_deref(), Some(ACTOR));

    // By another amount it is another break.
    lose(pool, 1).await;
    assert_eq!(audit_and_record(pool, &clock).await, recorded(1, 1, 0, 1));
    assert_ne!(only(pool).await.audit_break_id, found.audit_break_id);
}

#[tokio::test]
async fn a_settlement_keeps_the_rules_of_money() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let clock = ManualClock::new(noon());
    let scene = Scene::enrolled(pool, &clock, 1, 3).await;
    sqlx::query("DELETE FROM apalis.jobs").execute(pool).await.unwrap();
    clock.advance(TimeDelta::minutes(3));
    assert_eq!(audit_and_record(pool, &clock).await, recorded(3, 3, 0, 3));
    let found = breaks::list(pool, false, None, 10).await.unwrap();
    let settle = async |by, reason: &str| {
        let settlement = BreakSettlement { reason: reason.to_owned(), ..settlement(&found[0], by) };
        settle_break(pool, &clock, &settlement).await
    };
    let account_id = scene.account_id;
    let batch_id = Uuid::new_v4();
    let adjust = |amount| SettledBy::Adjustment { account_id, amount: Micros(amount), batch_id };
    assert!(matches!(settle(SettledBy::NoMoney, " ").await, Err(SettleBreakError::NoReason)));
    assert!(matches!(
        settle(adjust(0), "nothing").await,
        Err(SettleBreakError::Adjust(AdjustError::Zero))
    ));
    assert!(matches!(
        settle(adjust(i64::MIN / 2), "too much").await,
        Err(SettleBreakError::Adjust(AdjustError::Insufficient(_)))
    ));
    let topup: i64 = sqlx::query_scalar("SELECT min(ledger_entry_id) FROM ledger_entries")
        .fetch_one(pool)
        .await
        .unwrap();
    assert!(matches!(
        settle(SettledBy::Entry(topup.into()), "a top-up").await,
        Err(SettleBreakError::NotAnAdjustment(_))
    ));
    assert_eq!(breaks::list(pool, false, None, 10).await.unwrap(), found, "nothing was settled");

    assert_eq!(settle(SettledBy::NoMoney, "somebody deleted tickets").await.unwrap(), None);
    assert!(matches!(
        settle(SettledBy::NoMoney, "again").await,
        Err(SettleBreakError::Settled { .. })
    ));
    let strange = BreakSettlement {
        audit_break_id: AuditBreakId(12_345),
        ..settlement(&found[0], SettledBy::NoMoney)
    };
    let refused = settle_break(pool, &clock, &strange).await;
    assert!(matches!(refused, Err(SettleBreakError::NotFound(_))), "{refused:?}");
    assert_eq!(audit_and_record(pool, &clock).await, recorded(2, 0, 1, 2));
    for result in audit::run(pool, &clock).await.unwrap() {
        assert!(result.holds() || result.invariant.number == 9, "{result:?}");
    }
}

#[tokio::test]
async fn only_what_was_looked_for_can_be_gone() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let clock = ManualClock::new(noon());
    Scene::enrolled(pool, &clock, 1, 1_050).await;
    lose(pool, 1).await;
    audit_and_record(pool, &clock).await;
    let check = async |number: usize| {
        let result = audit::check(pool, &clock, audit::INVARIANTS[number - 1]).await.unwrap();
        record_breaks(pool, &clock, &[result]).await.unwrap()
    };
    lose(pool, -1).await;
    check(2).await;
    assert_eq!(only(pool).await.gone_at, None, "the first invariant was not looked at");
    check(1).await;
    assert!(only(pool).await.gone_at.is_some());

    // More breaks than a result holds: what is not among them may still be there.
    sqlx::query("DELETE FROM apalis.jobs").execute(pool).await.unwrap();
    clock.advance(TimeDelta::minutes(3));
    assert_eq!(check(9).await, recorded(1_000, 1_000, 0, 1_001));
    sqlx::query("UPDATE deliveries SET due_at = due_at + INTERVAL '1 day' WHERE delivery_id = 1")
        .execute(pool)
        .await
        .unwrap();
    check(9).await;
    let gone: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM audit_breaks WHERE invariant = 9 AND gone_at IS NOT NULL",
    )
    .fetch_one(pool)
    .await
    .unwrap();
    assert_eq!(gone, 0);
}
