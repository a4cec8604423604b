use std::collections::BTreeSet;

use dripline_model::Scene;
use dripline_model::properties::ALWAYS;
use stateright::{Checker, Expectation, Model};

/// Explores a scene to its end. Gives the names of the `sometimes` properties it has seen.
fn explore(scene: Scene) -> BTreeSet<&'static str> {
    let name = scene.name;
    let checker = scene.checker().threads(2).spawn_bfs().join();
    let (unique, depth) = (checker.unique_state_count(), checker.max_depth());
    println!("{name}: {unique} states, {depth} deep");
    let mut seen = BTreeSet::new();
    for (property, path) in checker.discoveries() {
        let way = path.into_actions();
        assert!(!ALWAYS.contains(&property), "{name}: it is not so that {property}: {way:#?}");
        seen.insert(property);
    }
    assert!(checker.is_done(), "{name}: the search was cut short");
    seen
}

#[test]
fn every_state_of_every_scene_is_sound() {
    let scenes = Scene::all();
    let sometimes: BTreeSet<_> = scenes[0]
        .properties()
        .into_iter()
        .filter(|property| property.expectation == Expectation::Sometimes)
        .map(|property| property.name)
        .collect();
    let seen: BTreeSet<_> = scenes.into_iter().flat_map(explore).collect();
    let unseen: Vec<_> = sometimes.difference(&seen).collect();
    assert!(unseen.is_empty(), "no scene has shown: {unseen:#?}");
}
