use std::time::Duration;

use dripline_domain::retry::{LONGEST_RETRY_AFTER, RetryPolicy};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;

const POLICY: RetryPolicy = RetryPolicy {
    max_attempts: 5,
    first: Duration::from_secs(10),
    ceiling: Duration::from_mins(1),
};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_bound_doubles_up_to_the_ceiling() {
    let bounds: Vec<_> = (1..=5).map(|attempt| POLICY.bound(attempt).as_secs()).collect();
    assert_eq!(bounds, [10, 20, 40, 60, 60]);
    assert_eq!(POLICY.bound(u32::MAX), POLICY.ceiling);
}

#[test]
fn attempts_are_used_up() {
    let mut rng = SmallRng::seed_from_u64(1);
    assert!(POLICY.delay(4, &mut rng, None).is_some());
    for attempt in [5, 6, u32::MAX] {
        assert_eq!(POLICY.delay(attempt, &mut rng, None), None);
        assert_eq!(POLICY.delay(attempt, &mut rng, Some(seconds(1))), None);
    }
}

#[test]
fn jitter_fills_the_whole_range() {
    let mut rng = SmallRng::seed_from_u64(1);
    let waits: Vec<_> = (0..1000).filter_map(|_| POLICY.delay(1, &mut rng, None)).collect();
    assert!(waits.iter().all(|wait| *wait <= seconds(10)));
    assert!(waits.iter().any(|wait| *wait < seconds(1)));
    assert!(waits.iter().any(|wait| *wait > seconds(9)));
}

#[test]
fn a_carriers_mistake_is_not_believed() {
    let mut rng = SmallRng::seed_from_u64(1);
    let a_week = seconds(7 * 24 * 60 * 60);
    assert_eq!(LONGEST_RETRY_AFTER, a_week);
    let wait = POLICY.delay(1, &mut rng, Some(Duration::MAX)).unwrap();
    assert!((a_week..=a_week + POLICY.first).contains(&wait), "{wait:?}");
}

proptest! {
    #[test]
    fn a_wait_is_within_its_bounds(
        attempt in 1..5_u32, seed: u64, retry_after in prop::option::of(0..100_000_u64)
    ) {
        let mut rng = SmallRng::seed_from_u64(seed);
        let wait = POLICY.delay(attempt, &mut rng, retry_after.map(seconds)).unwrap();
        match retry_after {
            None => prop_assert!(wait <= POLICY.bound(attempt)),
            Some(wish) => {
                prop_assert!(wait >= seconds(wish));
                prop_assert!(wait <= (seconds(wish) + POLICY.first).max(POLICY.bound(attempt)));
            }
        }
    }

    #[test]
    fn no_policy_overflows(
        max_attempts: u32, first: Duration, ceiling: Duration, attempt: u32, seed: u64,
        retry_after: Option<Duration>
    ) {
        let policy = RetryPolicy { max_attempts, first, ceiling };
        let _ = policy.delay(attempt, &mut SmallRng::seed_from_u64(seed), retry_after);
    }
}
