//! Putting money in and correcting it.

use dripline_domain::clock::SystemClock;
use dripline_domain::ids::AccountId;
use dripline_domain::ledger::{Balance, EntryKind, InsufficientBalance};
use dripline_domain::money::Micros;
use dripline_store::ledger::{self, LedgerFilter};
use dripline_store::ops::{
    AdjustError, Adjustment, CreateAccountError, NewAccount, TopUp, TopUpError, adjust,
    create_account, top_up,
};
use dripline_store::testing::TestDatabase;
use dripline_store::testing::factory::{ACTOR, Account, PRICE, Scene};
use dripline_store::{account, audit};
use uuid::Uuid;

fn payment(account_id: AccountId, micros: i64) -> TopUp {
    TopUp {
        account_id,
        amount: Micros(micros),
        batch_id: Uuid::new_v4(),
        actor: ACTOR.to_owned(),
        reason: None,
    }
}

fn correction(account_id: AccountId, micros: i64) -> Adjustment {
    Adjustment {
        account_id,
        amount: Micros(micros),
        batch_id: Uuid::new_v4(),
        actor: ACTOR.to_owned(),
        reason: "a test".to_owned(),
    }
}

#[tokio::test]
async fn a_payment_is_booked_once_however_often_it_is_made() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let empty = Account { available: Some(Micros::ZERO), ..Account::default() };
    let account_id = empty.create(pool, &SystemClock).await;
    let payment = payment(account_id, 5_000_000);

    let tries: Vec<_> = (0..4)
        .map(|_| {
            let (pool, payment) = (pool.clone(), payment.clone());
            tokio::spawn(async move { top_up(&pool, &SystemClock, &payment).await.unwrap() })
        })
        .collect();
    let mut entries = Vec::new();
    for tried in tries {
        let booked = tried.await.unwrap();
        assert_eq!(booked.balance.available, Micros(5_000_000));
        entries.push(booked.ledger_entry_id);
    }
    assert!(entries.windows(2).all(|pair| pair[0] == pair[1]), "{entries:?}");
    let list = ledger::list(pool, account_id, &LedgerFilter::default()).await.unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].kind, EntryKind::Topup);
}

#[tokio::test]
async fn a_correction_says_why_and_never_takes_more_than_is_there() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let account = Account { available: Some(Micros(100)), ..Account::default() };
    let account_id = account.create(pool, &SystemClock).await;

    let mut silent = correction(account_id, -1);
    silent.reason = "  ".to_owned();
    assert!(matches!(adjust(pool, &SystemClock, &silent).await, Err(AdjustError::NoReason)));
    let too_much = adjust(pool, &SystemClock, &correction(account_id, -101)).await;
    let Err(AdjustError::Insufficient(InsufficientBalance { needed, available })) = too_much else {
        panic!("more was taken than is there: {too_much:?}");
    };
    assert_eq!((needed, available), (Micros(101), Micros(100)));
    let all = adjust(pool, &SystemClock, &correction(account_id, -100)).await.unwrap();
    assert_eq!(all.balance, Balance::default());
    let back = adjust(pool, &SystemClock, &correction(account_id, 7)).await.unwrap();
    assert_eq!(back.balance.available, Micros(7));

    assert!(matches!(
        adjust(pool, &SystemClock, &correction(account_id, 0)).await,
        Err(AdjustError::Zero)
    ));
    assert!(matches!(
        top_up(pool, &SystemClock, &payment(account_id, 0)).await,
        Err(TopUpError::NotPositive(_))
    ));
    assert!(matches!(
        top_up(pool, &SystemClock, &payment(account_id, i64::MAX)).await,
        Err(TopUpError::TooLarge(_))
    ));
    assert!(matches!(
        top_up(pool, &SystemClock, &payment(AccountId(i64::MAX), 1)).await,
        Err(TopUpError::AccountNotFound(_))
    ));
    for result in audit::run(pool, &SystemClock).await.unwrap() {
        assert!(result.holds(), "{result:?}");
    }
}

#[tokio::test]
async fn entries_are_never_changed_or_removed() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    Account::default().create(pool, &SystemClock).await;
    for statement in [
        "UPDATE ledger_entries SET amount_micros = 1",
        "DELETE FROM ledger_entries",
        // Alone it is refused as well, since other rows point at entries.
        "TRUNCATE ledger_entries CASCADE",
    ] {
        let error = sqlx::query(statement).execute(pool).await.unwrap_err().to_string();
        assert!(error.contains("never changed or removed"), "{statement}: {error}");
    }
}

#[tokio::test]
async fn accounts_are_found_by_name_with_their_balance() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let new = NewAccount {
        name: "shop".to_owned(),
        currency: "EUR".to_owned(),
        one_live_workflow_per_contact: true,
        actor: ACTOR.to_owned(),
    };
    let created = create_account(pool, &SystemClock, &new).await.unwrap();
    let again = create_account(pool, &SystemClock, &new).await;
    assert!(matches!(again, Err(CreateAccountError::NameTaken(name)) if name == "shop"));
    let odd = NewAccount { currency: "eur".to_owned(), ..new.clone() };
    assert!(matches!(
        create_account(pool, &SystemClock, &odd).await,
        Err(CreateAccountError::UnknownCurrency(_))
    ));
    let blank = NewAccount { name: " ".to_owned(), ..new };
    assert!(matches!(
        create_account(pool, &SystemClock, &blank).await,
        Err(CreateAccountError::BlankName)
    ));
    let found = account::find(pool, "shop").await.unwrap().unwrap();
    assert_eq!(found.account_id, created.account_id);
    assert_eq!(account::balance(pool, found.account_id).await.unwrap(), Some(Balance::default()));
    assert_eq!(account::balance(pool, AccountId(i64::MAX)).await.unwrap(), None);
    assert_eq!(account::list(pool).await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_ledger_is_read_by_kind_and_workflow_page_by_page() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let scene = Scene::enrolled(pool, &SystemClock, 3, 2).await;
    let list = |filter: LedgerFilter| async move {
        ledger::list(pool, scene.account_id, &filter).await.unwrap()
    };

    let holds = list(LedgerFilter { kind: Some(EntryKind::Hold), ..LedgerFilter::default() }).await;
    assert_eq!(holds.len(), 1);
    assert_eq!((holds[0].items, holds[0].segments), (2, 6));
    assert_eq!(holds[0].amount_micros, Micros(6 * PRICE.0));
    assert!(holds[0].workflow.is_some());
    let of_workflow = LedgerFilter { workflow_id: Some(scene.workflow_id), ..Default::default() };
    assert_eq!(list(of_workflow).await, holds);
    let first = list(LedgerFilter { limit: 1, ..LedgerFilter::default() }).await;
    let after = Some(first[0].ledger_entry_id);
    let second = list(LedgerFilter { limit: 1, after, ..LedgerFilter::default() }).await;
    assert_eq!((first[0].kind, second[0].kind), (EntryKind::Hold, EntryKind::Topup));
    let totals = ledger::totals(pool, scene.account_id).await.unwrap();
    assert_eq!(totals.hold_micros, holds[0].amount_micros);
    assert_eq!(totals.topup_micros, second[0].amount_micros);
}
