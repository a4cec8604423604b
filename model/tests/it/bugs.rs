use dripline_model::properties::{
    CARRIER_AGREES, NOTHING_LEAVES_LATE, PURGED_MEANS_EMPTY, REACHED_ONCE,
    SAID_SENT_IS_NOT_SENT_AGAIN, SAID_SENT_IS_PAID,
};
use dripline_model::{Action, Bug, Scene};
use stateright::{Checker, HasDiscoveries, Model};

/// What each bug must be caught by.
const CAUGHT: [(Bug, &str); 14] = [
    (Bug::StatusReadWithoutLock, NOTHING_LEAVES_LATE),
    (Bug::RetryDoesNotReread, PURGED_MEANS_EMPTY),
    (Bug::NotSentByTimer, REACHED_ONCE),
    (Bug::NotSentByTimer, CARRIER_AGREES),
    (Bug::InFlightByStateOnly, NOTHING_LEAVES_LATE),
    (Bug::SettleIgnoresAttempt, CARRIER_AGREES),
    (Bug::ReaperRequeues, REACHED_ONCE),
    (Bug::SendsUnacknowledged, NOTHING_LEAVES_LATE),
    (Bug::PurgeReleasesInFlight, CARRIER_AGREES),
    (Bug::MarkIgnoresSaidSent, SAID_SENT_IS_NOT_SENT_AGAIN),
    (Bug::SettleIgnoresSaidSent, SAID_SENT_IS_PAID),
    (Bug::GivingUpReleases, SAID_SENT_IS_PAID),
    (Bug::RequeueReadsWithoutLock, SAID_SENT_IS_NOT_SENT_AGAIN),
    (Bug::RequeuedLookedForOnce, SAID_SENT_IS_NOT_SENT_AGAIN),
];

/// A way to where `property` is broken, in the first scene that shows it.
fn hunt(bug: Bug, property: &'static str) -> Option<(&'static str, Vec<Action>)> {
    // Where nobody errs, nobody has a reason to say that it was sent after all.
    let of_words = [SAID_SENT_IS_NOT_SENT_AGAIN, SAID_SENT_IS_PAID].contains(&property);
    let scenes = Scene::all().into_iter().filter(|scene| !of_words || scene.errors > 0);
    scenes.into_iter().find_map(|scene| {
        let name = scene.name;
        let scene = scene.with(bug);
        let holds = scene.property(property).condition;
        // One thread, so that the search is in order of length and the same every time.
        let checker = scene.clone().checker();
        let checker = checker.finish_when(HasDiscoveries::AnyOf([property].into())).spawn_bfs();
        let mut way = checker.join().discovery(property)?.into_vec();
        // It may go on behind the state that is wrong.
        let wrong = way.iter().position(|(world, _)| !holds(&scene, world))?;
        way.truncate(wrong);
        Some((name, way.into_iter().filter_map(|(_, action)| action).collect()))
    })
}

#[test]
fn every_bug_is_caught() {
    for bug in Bug::ALL {
        assert!(
            CAUGHT.iter().any(|(caught, _)| *caught == bug),
            "nothing is said to catch {bug:?}"
        );
    }
    for (bug, property) in CAUGHT {
        let (scene, way) = hunt(bug, property).unwrap_or_else(|| {
            panic!("{bug:?}: it was not found that it is not so that {property}")
        });
        println!("{bug:?}: {} actions, in `{scene}`: it is not so that {property}", way.len());
        for action in way {
            println!("    {action:?}");
        }
    }
}
