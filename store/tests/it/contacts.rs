//! Importing, finding and choosing contacts.

use dripline_domain::clock::SystemClock;
use dripline_domain::contact::ContactDraft;
use dripline_domain::ids::{AccountId, ContactId};
use dripline_domain::phone::Phone;
use dripline_store::Pool;
use dripline_store::contact::{self, ContactFilter};
use dripline_store::ops::{
    Closing, ImportContactsError, Imported, import_contacts, opt_out, pause_workflow,
};
use dripline_store::selection::{self, Audience, Obstacle, Selection};
use dripline_store::testing::TestDatabase;
use dripline_store::testing::factory::{ACTOR, Account, Contacts, Enrolment, Scene, Workflow};

fn draft(number: u32, name: &str) -> ContactDraft {
    ContactDraft {
        phone: phone(number),
        fields: [("name".to_owned(), name.to_owned())].into(),
        time_zone: chrono_tz::Europe::Rome,
    }
}

fn phone(number: u32) -> Phone {
    Phone::from_e164(&format!("+39333{number:07}")).unwrap()
}

async fn import(pool: &Pool, account_id: AccountId, drafts: &[ContactDraft]) -> Imported {
    import_contacts(pool, &SystemClock, account_id, drafts, ACTOR).await.unwrap()
}

#[tokio::test]
async fn an_import_says_what_is_new_and_what_has_changed() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let account_id = Account::default().create(pool, &SystemClock).await;
    let first = [draft(1, "Ada"), draft(2, "Zoë 🎉"), draft(3, "O'Brien")];
    let all_new = Imported { inserted: 3, updated: 0, unchanged: 0 };
    assert_eq!(import(pool, account_id, &first).await, all_new);

    let mut moved = draft(2, "Zoë 🎉");
    moved.time_zone = chrono_tz::Asia::Tokyo;
    let second = [draft(4, "New"), moved, draft(1, "Ada"), draft(3, "O’Brien")];
    let mixed = Imported { inserted: 1, updated: 2, unchanged: 1 };
    assert_eq!(import(pool, account_id, &second).await, mixed);

    let found = contact::find(pool, account_id, &phone(2)).await.unwrap().unwrap();
    assert_eq!(found.time_zone, "Asia/Tokyo");
    assert_eq!(found.fields["name"], "Zoë 🎉");
    assert!(found.updated_at > found.created_at);
    let other = Account::default().create(pool, &SystemClock).await;
    assert_eq!(contact::find(pool, other, &phone(2)).await.unwrap(), None);
    assert_eq!(import(pool, other, &first).await, all_new, "accounts know nothing of each other");
}

#[tokio::test]
async fn an_import_is_all_or_nothing() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let account_id = Account::default().create(pool, &SystemClock).await;
    let twice = [draft(1, "a"), draft(2, "b"), draft(1, "c")];
    let refused = import_contacts(pool, &SystemClock, account_id, &twice, ACTOR).await;
    assert!(matches!(refused, Err(ImportContactsError::Duplicate { first: 0, second: 2 })));
    let nobody = AccountId(i64::MAX);
    let refused = import_contacts(pool, &SystemClock, nobody, &twice[..1], ACTOR).await;
    assert!(matches!(refused, Err(ImportContactsError::AccountNotFound(id)) if id == nobody));
    let all = contact::list(pool, account_id, &ContactFilter::default()).await.unwrap();
    assert_eq!(all, []);
}

#[tokio::test]
async fn an_import_of_many_takes_more_than_one_chunk() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let account_id = Account::default().create(pool, &SystemClock).await;
    let many: Vec<_> = (0..12_345).map(|n| draft(n, "someone")).collect();
    let report = import(pool, account_id, &many).await;
    assert_eq!(report, Imported { inserted: 12_345, updated: 0, unchanged: 0 });
    assert_eq!(selection::count(pool, account_id, &Selection::All.into()).await.unwrap(), 12_345);
    let report = import(pool, account_id, &many).await;
    assert_eq!(report, Imported { inserted: 0, updated: 0, unchanged: 12_345 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imports_of_the_same_people_at_once_never_wait_in_a_ring() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let account_id = Account::default().create(pool, &SystemClock).await;
    let mut forwards: Vec<_> = (0..500).map(|n| draft(n, "a")).collect();
    let mut imports = Vec::new();
    for _ in 0..6 {
        forwards.reverse();
        let (pool, drafts) = (pool.clone(), forwards.clone());
        imports.push(tokio::spawn(async move { import(&pool, account_id, &drafts).await }));
    }
    let mut inserted = 0;
    for done in imports {
        inserted += done.await.unwrap().inserted;
    }
    assert_eq!(inserted, 500);
}

#[tokio::test]
async fn contacts_are_filtered_and_read_page_by_page() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let scene = Scene::create(pool, &SystemClock, 3, 10).await;
    let enrolled = &scene.contacts[..4];
    Enrolment::default().create(pool, &SystemClock, scene.workflow_id, enrolled).await;
    opt_out(pool, &SystemClock, scene.contacts[9], ACTOR).await.unwrap();
    let ids = async |filter: ContactFilter| {
        let list = contact::list(pool, scene.account_id, &filter).await.unwrap();
        list.into_iter().map(|c| c.contact_id).collect::<Vec<ContactId>>()
    };
    let any = ContactFilter::default;

    assert_eq!(ids(any()).await, scene.contacts);
    let page = ids(ContactFilter { limit: 3, ..any() }).await;
    assert_eq!(page, scene.contacts[..3]);
    let next = ContactFilter { limit: 3, after: page.last().copied(), ..any() };
    assert_eq!(ids(next).await, scene.contacts[3..6]);
    assert_eq!(ids(ContactFilter { enrolled: Some(true), ..any() }).await, enrolled);
    assert_eq!(ids(ContactFilter { enrolled: Some(false), ..any() }).await, scene.contacts[4..]);
    let in_workflow = ContactFilter { workflow_id: Some(scene.workflow_id), ..any() };
    assert_eq!(ids(in_workflow).await, enrolled);
    assert_eq!(ids(ContactFilter { opted_out: Some(true), ..any() }).await, scene.contacts[9..]);
    let field = Some(("name".to_owned(), "Contact 7".to_owned()));
    assert_eq!(ids(ContactFilter { field, ..any() }).await, scene.contacts[6..7]);
    let phone = Some("00010".to_owned());
    assert_eq!(ids(ContactFilter { phone, ..any() }).await, scene.contacts[9..]);
    let zone = Some("Europe/Rome".to_owned());
    assert_eq!(ids(ContactFilter { time_zone: zone, ..any() }).await, []);
}

#[tokio::test]
async fn a_selection_says_what_stands_in_the_way_of_each() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let scene = Scene::create(pool, &SystemClock, 3, 5).await;
    let other = Workflow { name: Some("other".to_owned()), ..Workflow::default() };
    let other = other.create(pool, &SystemClock, scene.account_id).await;
    Enrolment::default().create(pool, &SystemClock, scene.workflow_id, &scene.contacts[..1]).await;
    Enrolment::default().create(pool, &SystemClock, other, &scene.contacts[1..2]).await;
    opt_out(pool, &SystemClock, scene.contacts[2], ACTOR).await.unwrap();

    let all = Selection::All.into();
    let page = selection::page(pool, scene.account_id, scene.workflow_id, &all, None, 100);
    let obstacles: Vec<_> = page.await.unwrap().into_iter().map(|c| c.obstacle).collect();
    let in_other = Obstacle::InOtherWorkflow { workflow: "other".to_owned() };
    assert_eq!(
        obstacles,
        [Some(Obstacle::AlreadyEnrolled), Some(in_other), Some(Obstacle::OptedOut), None, None]
    );
}

#[tokio::test]
async fn people_are_chosen_by_their_numbers_or_from_a_receipt() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let scene = Scene::enrolled(pool, &SystemClock, 3, 4).await;
    let closing = Closing { workflow_id: scene.workflow_id, actor: ACTOR.to_owned(), reason: None };
    let paused = pause_workflow(pool, &SystemClock, &closing).await.unwrap();
    Contacts::many(3).create(pool, &SystemClock, scene.account_id).await;
    let chosen = async |audience: &Audience, after, limit| {
        let (account, workflow) = (scene.account_id, scene.workflow_id);
        let page = selection::page(pool, account, workflow, audience, after, limit).await;
        page.unwrap().into_iter().map(|c| c.contact_id).collect::<Vec<_>>()
    };

    let receipt = Selection::Operation(paused.operation_id).into();
    assert_eq!(selection::count(pool, scene.account_id, &receipt).await.unwrap(), 4);
    assert_eq!(chosen(&receipt, None, 3).await, scene.contacts[..3]);
    assert_eq!(chosen(&receipt, Some(scene.contacts[2]), 3).await, scene.contacts[3..]);

    let known = contact::load(pool, scene.contacts[1]).await.unwrap().unwrap().phone;
    let phones = vec![phone(1), known, phone(2)];
    let unknown = selection::unknown_phones(pool, scene.account_id, &phones).await.unwrap();
    assert_eq!(unknown, [phone(1), phone(2)]);
    let by_number = Selection::Phones(phones).into();
    assert_eq!(chosen(&by_number, None, 9).await, scene.contacts[1..2]);
    assert_eq!(selection::count(pool, scene.account_id, &by_number).await.unwrap(), 1);
}
