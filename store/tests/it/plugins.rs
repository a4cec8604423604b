//! Plugins that are installed: versions, what is in force, and what keeps one from being removed.

use dripline_domain::clock::SystemClock;
use dripline_store::ops::{
    InstallPluginError, NewPluginVersion, RemovePluginError, install_plugin, remove_plugin,
};
use dripline_store::plugin;
use dripline_store::testing::TestDatabase;
use dripline_store::testing::factory::{Account, Route, Workflow};
use dripline_store::worker_registry;

const CLOCK: SystemClock = SystemClock;

fn digest(number: u8) -> String {
    format!("{number:02x}").repeat(32)
}

async fn install(
    database: &TestDatabase,
    name: &str,
    kind: &str,
    number: u8,
    permissions: &[&str],
) -> Result<bool, InstallPluginError> {
    let permissions: Vec<String> = permissions.iter().map(|p| (*p).to_owned()).collect();
    let new = NewPluginVersion {
        name,
        kind,
        digest: &digest(number),
        version: "1.0.0",
        component: &[number; 3],
        permissions: &permissions,
    };
    install_plugin(database.pool(), &CLOCK, &new, "ann").await
}

#[tokio::test]
async fn the_last_installed_version_is_in_force_and_the_others_are_kept() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    assert!(install(&database, "acme", "carrier", 1, &["secret key"]).await.unwrap());
    assert!(!install(&database, "acme", "carrier", 1, &["secret key"]).await.unwrap());
    assert!(install(&database, "acme", "carrier", 2, &["secret key", "sign"]).await.unwrap());

    let in_force = plugin::in_force(pool).await.unwrap();
    assert_eq!(in_force.len(), 1);
    assert_eq!(in_force[0].digest, digest(2));
    assert_eq!(in_force[0].permissions, ["secret key", "sign"]);
    assert_eq!(plugin::component(pool, "acme", &digest(2)).await.unwrap(), Some(vec![2; 3]));
    assert_eq!(plugin::component(pool, "acme", &digest(3)).await.unwrap(), None);

    // Back to the first one, by installing it again.
    assert!(install(&database, "acme", "carrier", 1, &["secret key"]).await.unwrap());
    let versions = plugin::versions(pool, "acme").await.unwrap();
    let listed: Vec<_> = versions.iter().map(|v| (v.digest.clone(), v.in_force)).collect();
    assert_eq!(listed, [(digest(2), false), (digest(1), true)]);
}

#[tokio::test]
async fn what_was_rolled_back_comes_before_no_later_version() {
    let database = TestDatabase::new().await;
    // Version 2 is rolled back, and installed once more when 3 has come.
    for number in [1, 2, 1, 3, 2] {
        assert!(install(&database, "acme", "carrier", number, &["sign"]).await.unwrap());
    }
    remove_plugin(database.pool(), &CLOCK, "acme", "ann").await.unwrap();
    install(&database, "acme", "carrier", 4, &[]).await.unwrap();
    install(&database, "other", "carrier", 5, &[]).await.unwrap();
    for (number, expected) in [(1, None), (2, Some(1)), (3, Some(1)), (4, None), (5, None)] {
        let before = plugin::before(database.pool(), "acme", &digest(number)).await.unwrap();
        assert!(before.iter().all(|before| before.permissions == ["sign"] && !before.in_force));
        assert_eq!(before.map(|before| before.digest), expected.map(digest), "before {number}");
    }
}

#[tokio::test]
async fn a_plugin_stays_what_it_is() {
    let database = TestDatabase::new().await;
    install(&database, "acme", "carrier", 1, &[]).await.unwrap();
    let refused = install(&database, "acme", "renderer", 2, &[]).await;
    assert!(matches!(refused, Err(InstallPluginError::OtherKind { .. })), "{refused:?}");
    assert_eq!(plugin::versions(database.pool(), "acme").await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_in_use_is_not_removed() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let account_id = Account::default().create(pool, &CLOCK).await;
    let route = Route { carrier: Some("acme".to_owned()), ..Route::default() };
    route.create(pool, &CLOCK, account_id).await;
    Workflow::with_steps(1).create(pool, &CLOCK, account_id).await;
    install(&database, "acme", "carrier", 1, &[]).await.unwrap();
    install(&database, "template", "renderer", 2, &[]).await.unwrap();
    install(&database, "spare", "renderer", 3, &[]).await.unwrap();
    for (name, user) in [("acme", "route `main`"), ("template", "workflow `")] {
        match remove_plugin(pool, &CLOCK, name, "ann").await {
            Err(RemovePluginError::InUse { users, .. }) => {
                assert!(users.contains(user), "{name}: {users}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    remove_plugin(pool, &CLOCK, "spare", "ann").await.unwrap();
    let again = remove_plugin(pool, &CLOCK, "spare", "ann").await;
    assert!(matches!(again, Err(RemovePluginError::NotInstalled(_))), "{again:?}");
    assert_eq!(plugin::in_force(pool).await.unwrap().len(), 2);
    // It can come back.
    assert!(install(&database, "spare", "renderer", 3, &[]).await.unwrap());
}

#[tokio::test]
async fn what_workers_made_of_it_is_told_of_those_that_run() {
    let database = TestDatabase::new().await;
    let pool = database.pool();
    let worker = worker_registry::register(pool, &CLOCK, "w1").await.unwrap();
    let record = async |digest: &str, problem: Option<&str>| {
        let (id, runs) = (worker.worker_id, Some("the first"));
        plugin::record_load(pool, &CLOCK, id, "acme", digest, problem, runs).await.unwrap();
    };
    record(&digest(1), None).await;
    record(&digest(2), Some("it traps")).await;
    let loads = plugin::loads(pool, "acme").await.unwrap();
    assert_eq!(loads.len(), 1);
    assert_eq!((&*loads[0].worker, &loads[0].digest), ("w1", &digest(2)));
    assert_eq!(loads[0].problem.as_deref(), Some("it traps"));
    assert_eq!(loads[0].runs.as_deref(), Some("the first"));
    assert_eq!(plugin::loads(pool, "other").await.unwrap(), []);
}
