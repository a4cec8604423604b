use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use dripline_domain::breaker::{Admission, Breaker, BreakerPolicy, Change, Pass, Sign, Symptom};
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::SmallRng;

const POLICY: BreakerPolicy = BreakerPolicy {
    failures: 3,
    cool_down: Duration::from_secs(4),
    ceiling: Duration::from_mins(1),
    resume_per_second: 10,
};

/// A breaker with the time and the chance that it is given.
struct Route {
    breaker: Breaker,
    now: DateTime<Utc>,
    rng: SmallRng,
}

impl Route {
    fn new(seed: u64) -> Self {
        let now = DateTime::<Utc>::UNIX_EPOCH + TimeDelta::days(20_000);
        Self { breaker: Breaker::new(POLICY), now, rng: SmallRng::seed_from_u64(seed) }
    }

    fn pass(&mut self) -> Pass {
        match self.breaker.admit(self.now) {
            Admission::Go(pass) => pass,
            Admission::Wait { until } => panic!("must wait until {until}"),
        }
    }

    fn wait(&mut self) -> TimeDelta {
        match self.breaker.admit(self.now) {
            Admission::Go(_) => panic!("may go"),
            Admission::Wait { until } => until - self.now,
        }
    }

    fn record(&mut self, pass: Pass, sign: Sign) -> Option<Change> {
        self.breaker.record(pass, sign, None, self.now, &mut self.rng)
    }

    fn hand_over(&mut self, sign: Sign) -> Option<Change> {
        let pass = self.pass();
        self.record(pass, sign)
    }

    /// Fails until it is halted. Gives when the probe is due.
    fn break_it(&mut self) -> DateTime<Utc> {
        loop {
            if let Some(Change::Halted { probe_at, .. }) = self.hand_over(Sign::Down) {
                return probe_at;
            }
        }
    }
}

#[test]
fn what_counts() {
    let check = |symptom: Symptom, sign: Sign| assert_eq!(symptom.sign(), sign, "{symptom:?}");
    for status in [200, 201, 302, 400, 403, 404, 409, 422, 425] {
        check(Symptom::Answered(status), Sign::Up);
    }
    for status in [401, 407, 408, 429, 500, 502, 503, 504, 599] {
        check(Symptom::Answered(status), Sign::Down);
    }
    for symptom in
        [Symptom::Unreachable, Symptom::NoAnswer, Symptom::PluginFailed, Symptom::RouteRefused]
    {
        check(symptom, Sign::Down);
    }
    check(Symptom::AccessRevoked, Sign::Out);
    check(Symptom::Nothing, Sign::Silent);
}

#[test]
fn only_failures_in_a_row_halt() {
    let mut route = Route::new(1);
    for _ in 0..20 {
        assert_eq!(route.hand_over(Sign::Down), None);
        assert_eq!(route.hand_over(Sign::Down), None);
        assert_eq!(route.hand_over(Sign::Silent), None, "which breaks no row");
        assert_eq!(route.hand_over(Sign::Up), None);
    }
    route.hand_over(Sign::Down);
    route.hand_over(Sign::Silent);
    route.hand_over(Sign::Down);
    let Some(Change::Halted { probe_at, failed_probes: 0 }) = route.hand_over(Sign::Down) else {
        panic!("not halted");
    };
    let cool_down = probe_at - route.now;
    assert!(cool_down >= TimeDelta::seconds(2) && cool_down <= TimeDelta::seconds(4));
    assert!(!route.breaker.is_running());
}

#[test]
fn what_holds_for_every_message_halts_at_once() {
    let mut route = Route::new(9);
    route.hand_over(Sign::Up);
    let Some(Change::Halted { probe_at, failed_probes: 0 }) = route.hand_over(Sign::Out) else {
        panic!("it runs on");
    };
    route.now = probe_at;
    let again = route.hand_over(Sign::Out);
    assert!(matches!(again, Some(Change::Halted { failed_probes: 1, .. })), "{again:?}");
}

#[test]
fn one_probe_decides_and_the_others_wait() {
    let mut route = Route::new(2);
    route.now = route.break_it();
    let probe = route.pass();
    assert!(route.wait() > TimeDelta::zero());
    assert_eq!(route.record(probe, Sign::Up), Some(Change::Resumed));
    assert!(route.breaker.is_running());
    route.hand_over(Sign::Up);
}

#[test]
fn halts_grow_up_to_the_ceiling_and_begin_anew_after_a_success() {
    let mut route = Route::new(3);
    route.now = route.break_it();
    for number in 2..10 {
        let Some(Change::Halted { probe_at, failed_probes }) = route.hand_over(Sign::Down) else {
            panic!("still halted");
        };
        assert_eq!(failed_probes, number - 1);
        let bound = TimeDelta::from_std(POLICY.bound(number)).unwrap();
        let halt = probe_at - route.now;
        assert!(halt >= bound / 2 && halt <= bound, "halt {number} lasts {halt}");
        route.now = probe_at;
    }
    assert_eq!(POLICY.bound(9), POLICY.ceiling);
    route.hand_over(Sign::Up);
    let again = route.break_it() - route.now;
    assert!(again <= TimeDelta::from_std(POLICY.cool_down).unwrap());
}

#[test]
fn a_probe_that_shows_nothing_is_followed_by_another() {
    let mut route = Route::new(4);
    route.now = route.break_it();
    assert_eq!(route.hand_over(Sign::Silent), None);
    assert_eq!(route.hand_over(Sign::Silent), None);
    assert_eq!(route.hand_over(Sign::Up), Some(Change::Resumed));
}

#[test]
fn what_left_before_the_halt_decides_nothing_after_it() {
    let mut route = Route::new(5);
    let early = route.pass();
    route.now = route.break_it();
    assert!(!route.breaker.is_valid(&early));
    assert_eq!(route.record(early, Sign::Up), None);
    let probe = route.pass();
    assert_eq!(route.record(early, Sign::Down), None);
    assert_eq!(route.record(probe, Sign::Up), Some(Change::Resumed));
    assert_eq!(route.record(probe, Sign::Down), None, "a pass counts once");
}

#[test]
fn a_carriers_wish_is_obeyed_up_to_the_ceiling() {
    for (wish, least) in [(30, 30), (3_600, 60)] {
        let mut route = Route::new(6);
        route.hand_over(Sign::Down);
        route.hand_over(Sign::Down);
        let pass = route.pass();
        let wish = Some(Duration::from_secs(wish));
        let now = route.now;
        let change = route.breaker.record(pass, Sign::Down, wish, now, &mut route.rng);
        let Some(Change::Halted { probe_at, .. }) = change else { panic!("not halted") };
        assert_eq!(probe_at - now, TimeDelta::seconds(least));
    }
}

#[test]
fn those_who_wait_keep_their_order_and_come_back_at_the_pace() {
    let mut route = Route::new(7);
    let probe_at = route.break_it();
    let waits: Vec<_> = (0..101).map(|_| route.wait()).collect();
    assert!(waits.is_sorted());
    assert_eq!(waits[0], probe_at - route.now, "the first is there for the probe");
    assert!(waits[1] >= waits[0] + TimeDelta::seconds(1), "the others come behind it");
    for second in waits[1..].chunk_by(|a, b| a == b) {
        assert!(second.len() <= 10, "{} come back at once", second.len());
    }
    assert_eq!(waits[100] - waits[1], TimeDelta::seconds(9));
}

#[test]
fn while_a_probe_takes_its_time_the_others_line_up_anew_for_each_cool_down() {
    let mut route = Route::new(8);
    let cool_down = TimeDelta::from_std(POLICY.cool_down).unwrap();
    let in_line = [cool_down, cool_down + TimeDelta::seconds(1)];
    let probe_at = route.break_it();
    for _ in 0..50 {
        route.wait();
    }
    route.now = probe_at;
    let probe = route.pass();
    // Whoever waited for the probe has no place in the new line.
    assert_eq!([route.wait(), route.wait()], in_line);
    route.now += cool_down;
    assert_eq!([route.wait(), route.wait()], in_line);
    assert_eq!(route.record(probe, Sign::Up), Some(Change::Resumed));
}

#[derive(Clone, Debug)]
enum Act {
    Pass(u32),
    Ask,
    GiveBack(usize, Sign),
}

fn act() -> impl Strategy<Value = Act> {
    let sign = prop_oneof![1 => Just(Sign::Up), 3 => Just(Sign::Down), 1 => Just(Sign::Silent)];
    prop_oneof![
        1 => (0..8_000_u32).prop_map(Act::Pass),
        3 => Just(Act::Ask),
        3 => (any::<usize>(), sign).prop_map(|(which, sign)| Act::GiveBack(which, sign)),
    ]
}

proptest! {
    /// Whatever happens in whatever order: a halted route lets one through at a time, everybody else
    /// is sent into the future, and no route stays halted for ever once its probes are given back.
    #[test]
    fn a_halted_route_has_one_probe_and_always_another_chance(
        seed: u64, acts in prop::collection::vec(act(), 1..200)
    ) {
        let mut route = Route::new(seed);
        let mut out: Vec<Pass> = Vec::new();
        for act in acts {
            match act {
                Act::Pass(ms) => route.now += TimeDelta::milliseconds(ms.into()),
                Act::Ask => match route.breaker.admit(route.now) {
                    Admission::Go(pass) => {
                        prop_assert!(route.breaker.is_valid(&pass));
                        out.push(pass);
                        if !route.breaker.is_running() {
                            let valid = out.iter().filter(|pass| route.breaker.is_valid(pass));
                            prop_assert_eq!(valid.count(), 1, "one probe at a time");
                        }
                    }
                    Admission::Wait { until } => {
                        prop_assert!(!route.breaker.is_running());
                        prop_assert!(until > route.now, "nobody is told to come back at once");
                    }
                },
                Act::GiveBack(which, sign) if !out.is_empty() => {
                    let pass = out.swap_remove(which % out.len());
                    let (valid, ran) = (route.breaker.is_valid(&pass), route.breaker.is_running());
                    let change = route.record(pass, sign);
                    match change {
                        None => {}
                        Some(Change::Halted { probe_at, failed_probes }) => {
                            prop_assert!(valid && sign == Sign::Down && probe_at > route.now);
                            prop_assert_eq!(failed_probes == 0, ran);
                        }
                        Some(Change::Resumed) => prop_assert!(valid && sign == Sign::Up && !ran),
                    }
                }
                Act::GiveBack(..) => {}
            }
        }
        for pass in out {
            route.record(pass, Sign::Silent);
        }
        route.now += TimeDelta::from_std(POLICY.ceiling).unwrap();
        route.hand_over(Sign::Up);
        prop_assert!(route.breaker.is_running());
    }
}
