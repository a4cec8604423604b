//! Random deeds, played to the store and to a plain model of it. After each deed the balance, every
//! delivery's state and money and every enrollment's exit are the same in both, and the audit finds
//! nothing.

use proptest::prelude::*;
use proptest::sample::Index;

mod deed;
mod model;
mod play;

use deed::{Deed, Outcome, Spoken};
use play::Play;

/// Deeds of one case. Long sequences find more than many short ones, and a database costs a second.
const DEEDS: usize = 120;
/// The audit looks at everything, so not after each of them.
const AUDIT_EVERY: usize = 15;

fn deed() -> impl Strategy<Value = Deed> {
    let index = any::<Index>;
    prop_oneof![
        2 => (1..200_i64).prop_map(|segments| Deed::TopUp { micros: segments * 5_000 }),
        1 => (-300_000..300_000_i64).prop_map(|micros| Deed::Adjust { micros }),
        6 => (index(), any::<u8>(), prop::collection::vec(1..4_u32, 4))
            .prop_map(|(workflow, contacts, segments)| Deed::Enroll { workflow, contacts, segments }),
        16 => (index(), 1..5_u32).prop_map(|(queued, segments)| Deed::Start { queued, segments }),
        14 => (index(), outcome()).prop_map(|(taken, outcome)| Deed::Finish { taken, outcome }),
        5 => (index(), spoken())
            .prop_map(|(handed_over, witness)| Deed::Resolve { handed_over, witness }),
        3 => index().prop_map(|handed_over| Deed::Receipt { handed_over }),
        4 => index().prop_map(|unknown| Deed::Repeat { unknown }),
        1 => index().prop_map(|queued| Deed::Expire { queued }),
        1 => index().prop_map(|queued| Deed::Refuse { queued }),
        2 => index().prop_map(|queued| Deed::Retry { queued }),
        1 => index().prop_map(|queued| Deed::GiveUpClosed { queued }),
        2 => index().prop_map(|workflow| Deed::Pause { workflow }),
        3 => index().prop_map(|live| Deed::Remove { live }),
        2 => (index(), any::<u8>())
            .prop_map(|(workflow, contacts)| Deed::RemoveSome { workflow, contacts }),
        3 => (index(), 1..5_usize, any::<bool>())
            .prop_map(|(workflow, steps, charge)| Deed::Edit { workflow, steps, charge }),
        1 => index().prop_map(|workflow| Deed::Delete { workflow }),
        1 => index().prop_map(|contact| Deed::OptOut { contact }),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => Just(Outcome::Accepted),
        1 => Just(Outcome::Refused),
        2 => Just(Outcome::NotSent),
        3 => Just(Outcome::Unknown),
    ]
}

fn spoken() -> impl Strategy<Value = Spoken> {
    prop_oneof![
        Just(Spoken::CarrierHasIt),
        Just(Spoken::CarrierHasItNot),
        Just(Spoken::OperatorSent),
        Just(Spoken::OperatorNotSent),
        Just(Spoken::Deadline),
    ]
}

#[test]
fn the_store_does_what_a_plain_model_does() {
    let mut config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 6;
    }
    config.max_shrink_iters = 60;
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let deeds = prop::collection::vec(deed(), DEEDS / 2..DEEDS);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime starts");
    let played = runner.run(&deeds, |deeds| {
        runtime.block_on(async {
            let mut play = Play::new().await;
            for (number, deed) in deeds.iter().enumerate() {
                play.perform(deed).await.map_err(TestCaseError::fail)?;
                play.compare().await.map_err(|difference| {
                    TestCaseError::fail(format!("after deed {number}, {deed:?}: {difference}"))
                })?;
                if number % AUDIT_EVERY == 0 {
                    play.audit().await.map_err(TestCaseError::fail)?;
                }
            }
            play.audit().await.map_err(TestCaseError::fail)
        })
    });
    if let Err(failure) = played {
        panic!("{failure}");
    }
}
