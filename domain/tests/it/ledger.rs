use dripline_domain::ledger::{
    Balance, BalanceError, EntryKind, Hold, InsufficientBalance, Settlement,
};
use dripline_domain::money::Micros;
use proptest::prelude::*;

use EntryKind::{Adjust, Capture, Release, Topup};

fn balance(available: i64, held: i64, spent: i64) -> Balance {
    Balance { available: Micros(available), held: Micros(held), spent: Micros(spent) }
}

fn hold(segments: u64, micros: i64) -> Hold {
    Hold { segments, micros: Micros(micros) }
}

#[test]
fn what_each_kind_does() {
    let check = |kind, amount, expected| {
        assert_eq!(
            balance(100, 50, 10).apply(kind, Micros(amount)),
            Ok(expected),
            "{kind} {amount}"
        );
    };
    check(Topup, 7, balance(107, 50, 10));
    check(Topup, 0, balance(100, 50, 10));
    check(EntryKind::Hold, 100, balance(0, 150, 10));
    check(Capture, 50, balance(100, 0, 60));
    check(Release, 20, balance(120, 30, 10));
    check(Adjust, 5, balance(105, 50, 10));
    check(Adjust, -100, balance(0, 50, 10));
}

#[test]
fn holds_add_up() {
    let mut sum = hold(1, 7_500);
    sum += hold(2, 15_000);
    assert_eq!(sum, hold(3, 22_500));
}

#[test]
fn what_is_refused() {
    let check = |kind, amount, expected: BalanceError| {
        let error = balance(100, 50, 10).apply(kind, Micros(amount)).unwrap_err();
        assert_eq!(error, expected, "{kind} {amount}");
    };
    let insufficient = |needed| {
        let available = Micros(100);
        BalanceError::Insufficient(InsufficientBalance { needed: Micros(needed), available })
    };
    check(EntryKind::Hold, 101, insufficient(101));
    check(Adjust, -101, insufficient(101));
    let not_held = BalanceError::NotHeld { needed: Micros(51), held: Micros(50) };
    check(Capture, 51, not_held);
    check(Release, 51, not_held);
    for kind in [Topup, EntryKind::Hold, Capture, Release] {
        check(kind, -1, BalanceError::Negative { kind, amount: Micros(-1) });
    }
    check(Topup, i64::MAX, BalanceError::TooLarge);
    check(Adjust, i64::MIN, BalanceError::TooLarge);
    assert_eq!(
        insufficient(2_500_000).to_string(),
        "2.50 are needed and 0.0001 are available, 2.4999 are missing"
    );
}

#[test]
fn settlements() {
    let check = |held, sent, captured, released| {
        assert_eq!(Settlement::sent(held, sent), Settlement { captured, released });
    };
    check(hold(3, 30), 3, hold(3, 30), Hold::NONE);
    check(hold(3, 30), 1, hold(1, 10), hold(2, 20));
    check(hold(3, 30), 0, Hold::NONE, hold(3, 30));
    check(hold(3, 30), 9, hold(3, 30), Hold::NONE);
    check(hold(0, 0), 1, Hold::NONE, Hold::NONE);
    // Held at two prices: in proportion, the fraction stays with the payer.
    check(hold(3, 31), 2, hold(2, 20), hold(1, 11));
    check(
        hold(u64::from(u32::MAX), i64::MAX),
        u32::MAX - 1,
        hold(u64::from(u32::MAX) - 1, 9_223_372_034_707_292_158),
        hold(1, 2_147_483_649),
    );
    assert_eq!(Settlement::unsent(hold(3, 30)).released, hold(3, 30));
}

#[test]
fn surplus() {
    let held = hold(2, 20);
    assert_eq!(held.surplus(2, Micros(12)), Some(Hold::NONE));
    assert_eq!(held.surplus(1, Micros(12)), Some(Hold::NONE));
    assert_eq!(held.surplus(5, Micros(12)), Some(hold(3, 36)));
    assert_eq!(held.surplus(5, Micros(i64::MAX)), None);
}

#[test]
fn names() {
    for kind in EntryKind::ALL {
        assert_eq!(kind.as_str().parse::<EntryKind>().unwrap(), *kind);
    }
    assert_eq!(serde_json::to_string(&Capture).unwrap(), "\"capture\"");
}

proptest! {
    #[test]
    fn every_hold_ends_captured_or_released_exactly(
        segments in 0..1_000_u64, micros in 0..i64::MAX, sent in 0..1_100_u32
    ) {
        let held = hold(segments, micros);
        for settlement in [Settlement::sent(held, sent), Settlement::unsent(held)] {
            prop_assert_eq!(settlement.captured + settlement.released, held);
            prop_assert!(settlement.captured.micros >= Micros::ZERO);
            prop_assert!(settlement.released.micros >= Micros::ZERO);
        }
    }

    #[test]
    fn a_price_per_segment_settles_exactly(
        price in 0..1_000_000_i64, segments in 0..1_000_u32, sent in 0..1_000_u32
    ) {
        let held = hold(u64::from(segments), price * i64::from(segments));
        let captured = Settlement::sent(held, sent).captured;
        prop_assert_eq!(captured.micros, Micros(price * i64::from(sent.min(segments))));
    }

    #[test]
    fn a_surplus_covers_the_text(
        segments in 0..20_u64, needed in 0..20_u32, price in 0..1_000_000_i64
    ) {
        let held = hold(segments, 10);
        let whole = held + held.surplus(needed, Micros(price)).unwrap();
        prop_assert!(whole.segments >= u64::from(needed));
        prop_assert_eq!(whole.surplus(needed, Micros(price)), Some(Hold::NONE));
    }

    #[test]
    fn money_is_neither_made_nor_lost(
        entries in prop::collection::vec((0..EntryKind::ALL.len(), -500..1_000_i64), 0..60)
    ) {
        let mut balance = Balance::default();
        let mut put_in = Micros::ZERO;
        for (kind, amount) in entries {
            let (kind, amount) = (EntryKind::ALL[kind], Micros(amount));
            // A refused entry changes nothing.
            let Ok(next) = balance.apply(kind, amount) else { continue };
            if matches!(kind, Topup | Adjust) {
                put_in += amount;
            }
            balance = next;
            prop_assert_eq!(balance.total(), put_in);
            for part in [balance.available, balance.held, balance.spent] {
                prop_assert!(part >= Micros::ZERO);
            }
        }
    }
}
