//! Where carriers report to.

use std::collections::BTreeSet;

use dripline_store::callback::{self, Callback, CallbackToken};
use dripline_store::ops::update_route;
use dripline_store::route::{self, CallbackChange, RouteDraft};
use dripline_store::testing::factory::{ACTOR, Scene};

use crate::support::Stage;

async fn token(stage: &Stage, scene: &Scene) -> CallbackToken {
    route::load(stage.pool(), scene.route_id).await.unwrap().unwrap().callback_token
}

#[tokio::test]
async fn each_route_is_found_by_a_token_of_its_own() {
    let stage = Stage::new().await;
    let one = Scene::create(stage.pool(), &stage.clock, 1, 0).await;
    let other = Scene::create(stage.pool(), &stage.clock, 1, 0).await;
    let tokens = [
        token(&stage, &other).await,
        "7".repeat(48).parse().unwrap(),
        token(&stage, &one).await,
        token(&stage, &other).await,
    ];
    let of = |scene: &Scene| {
        Some(Callback { account_id: scene.account_id, route_id: scene.route_id, revision: 1 })
    };
    let found = callback::find(stage.pool(), &tokens).await.unwrap();
    assert_eq!(found, [of(&other), None, of(&one), of(&other)]);
    assert_eq!(callback::find(stage.pool(), &[]).await.unwrap(), []);
    assert!(!format!("{:?}", tokens[0]).contains(tokens[0].expose()));
    for wrong in ["", "1", &"1".repeat(47), &"a".repeat(48), &"1".repeat(49)] {
        assert!(wrong.parse::<CallbackToken>().is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn tokens_are_drawn_one_by_one() {
    let stage = Stage::new().await;
    let drawn: Vec<String> =
        sqlx::query_scalar("SELECT new_callback_token() FROM generate_series(1, 500)")
            .fetch_all(stage.pool())
            .await
            .unwrap();
    assert_eq!(drawn.iter().collect::<BTreeSet<_>>().len(), 500);
    // Three digits for each octet, and every octet is drawn.
    for octet in 0..16 {
        let place = 3 * octet..3 * octet + 3;
        let values: BTreeSet<u16> =
            drawn.iter().map(|token| token[place.clone()].parse().unwrap()).collect();
        assert!(values.len() > 150 && values.iter().all(|value| *value < 256), "{values:?}");
    }
}

/// So have those that an earlier release makes beside this one, which says nothing of tokens.
#[tokio::test]
async fn routes_from_before_have_callbacks_of_their_own() {
    let stage = Stage::new().await;
    let mut before = Vec::new();
    for _ in 0..3 {
        before.push(Scene::create(stage.pool(), &stage.clock, 1, 0).await);
    }
    let earlier =
        "ALTER TABLE routes DROP COLUMN callback_token; DROP FUNCTION new_callback_token();";
    sqlx::raw_sql(earlier).execute(stage.pool()).await.unwrap();
    let migration = include_str!("../../../migrations/0020_callbacks.sql");
    sqlx::raw_sql(migration).execute(stage.pool()).await.unwrap();
    let mut tokens = BTreeSet::new();
    for scene in &before {
        tokens.insert(token(&stage, scene).await.expose().to_owned());
    }
    assert_eq!(tokens.len(), 3);
}

#[tokio::test]
async fn a_callback_changes_only_when_it_is_asked_to() {
    let stage = Stage::new().await;
    let scene = Scene::create(stage.pool(), &stage.clock, 1, 0).await;
    let first = token(&stage, &scene).await;
    let before = route::load(stage.pool(), scene.route_id).await.unwrap().unwrap();
    let draft = RouteDraft {
        name: before.name,
        carrier: before.carrier,
        senders: before.senders,
        price_per_segment: before.price_micros_per_segment,
        ..RouteDraft::default()
    };
    let update = async |change| {
        let (pool, clock, route_id) = (stage.pool(), &stage.clock, scene.route_id);
        update_route(pool, clock, route_id, &draft, change, None, ACTOR).await.unwrap()
    };
    assert_eq!(update(CallbackChange::Keep).await, 2);
    assert_eq!(token(&stage, &scene).await, first);
    assert_eq!(update(CallbackChange::Renew).await, 3);
    let second = token(&stage, &scene).await;
    assert_ne!(second, first);
    let found = callback::find(stage.pool(), &[first, second]).await.unwrap();
    assert_eq!(found.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
}
