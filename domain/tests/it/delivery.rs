use dripline_domain::delivery::{AttemptOutcome, DeliveryState, Reason};
use proptest::prelude::*;

use DeliveryState::{Cancelled, Expired, Failed, Queued, Sending, Sent, Unknown};

#[test]
fn an_opt_out_is_told_from_other_refusals_by_the_first_part_of_its_code() {
    assert!(Reason::stop("twilio:21610", "").is_stop());
    assert!(Reason::new("stopped", "").is_stop());
    for code in ["", "stop", "stoppedd:1", "twilio:stopped", "twilio:21211"] {
        assert!(!Reason::new(code, "").is_stop(), "{code}");
    }
}

#[test]
fn transitions() {
    let check = |from: DeliveryState, to: &[DeliveryState]| {
        for next in DeliveryState::ALL {
            assert_eq!(from.may_become(*next), to.contains(next), "{from} -> {next}");
        }
    };
    check(Queued, &[Sending, Failed, Cancelled, Expired]);
    check(Sending, &[Queued, Unknown, Sent, Failed, Cancelled, Expired]);
    check(Unknown, &[Queued, Sending, Sent, Failed, Cancelled, Expired]);
    for terminal in [Sent, Failed, Cancelled, Expired] {
        check(terminal, &[]);
    }
}

#[test]
fn kinds_of_states() {
    for state in DeliveryState::ALL {
        assert_ne!(state.is_live(), state.is_terminal());
        // A state is terminal exactly when nothing leaves it.
        assert_eq!(state.is_terminal(), DeliveryState::ALL.iter().all(|n| !state.may_become(*n)));
        assert!(!state.may_become(*state), "to stay is no transition");
        assert!(!state.is_on_the_wire() || state.is_live());
    }
}

#[test]
fn only_a_mark_puts_it_on_the_wire() {
    for state in DeliveryState::ALL {
        // From unknown, by a repetition under the same key, which is a mark too.
        assert_eq!(state.may_become(Sending), matches!(state, Queued | Unknown));
        assert_eq!(state.may_become(Unknown), *state == Sending);
        assert_eq!(state.may_become(Sent), state.is_on_the_wire());
    }
}

#[test]
fn names() {
    for state in DeliveryState::ALL {
        assert_eq!(state.as_str().parse::<DeliveryState>().unwrap(), *state);
        assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        let back: DeliveryState = serde_json::from_value(state.as_str().into()).unwrap();
        assert_eq!(back, *state);
    }
    assert_eq!(
        "send".parse::<DeliveryState>().unwrap_err().to_string(),
        "`send` is not a delivery state; known are queued, sending, unknown, sent, failed, cancelled, expired"
    );
}

#[test]
fn outcomes() {
    let reason = Reason::new("twilio:21610", "the recipient has unsubscribed");
    let outcome = AttemptOutcome::Refused(reason.clone());
    assert_eq!((outcome.as_str(), outcome.reason()), ("refused", Some(&reason)));
    assert_eq!(reason.to_string(), "twilio:21610: the recipient has unsubscribed");
    assert_eq!(Reason::new("connect", "").to_string(), "connect");
}

proptest! {
    #[test]
    fn no_walk_leaves_a_terminal_state(steps in prop::collection::vec(0..DeliveryState::ALL.len(), 0..40)) {
        let mut state = Queued;
        let mut ended = None;
        for next in steps.into_iter().map(|index| DeliveryState::ALL[index]) {
            if state.may_become(next) {
                prop_assert_eq!(ended, None);
                state = next;
            }
            if state.is_terminal() {
                prop_assert!(ended.is_none_or(|end| end == state));
                ended = Some(state);
            }
        }
    }
}
