use dripline_domain::money::{Micros, ParseMicrosError};
use proptest::prelude::*;

#[test]
fn amounts_are_integers_of_micros() {
    assert_eq!(Micros::from(7), Micros(7));
    assert_eq!(-Micros(7), Micros(-7));
    let mut rest = Micros(7);
    rest -= Micros(9);
    assert_eq!(rest, Micros(-2));
}

#[test]
fn shown_and_read() {
    for (micros, text) in [
        (0, "0.00"),
        (12_500_000, "12.50"),
        (7_500, "0.0075"),
        (-3_000_000, "-3.00"),
        (1, "0.000001"),
        (-1, "-0.000001"),
        (i64::MAX, "9223372036854.775807"),
        (i64::MIN, "-9223372036854.775808"),
    ] {
        assert_eq!(Micros(micros).to_string(), text);
        assert_eq!(text.parse(), Ok(Micros(micros)));
    }
    assert_eq!(
        format!("{:>8}|{:<8}|", Micros(1_500_000), Micros(-1_500_000)),
        "    1.50|-1.50   |"
    );
}

#[test]
fn read_only() {
    for (text, micros) in [("5", 5_000_000), ("5.", 5_000_000), ("007.1", 7_100_000), ("-0", 0)] {
        assert_eq!(text.parse(), Ok(Micros(micros)), "{text}");
    }
}

#[test]
fn what_is_no_amount() {
    let error = |text: &str| text.parse::<Micros>().unwrap_err();
    for text in ["", "-", ".5", "1,50", "1.2.3", "1e3", " 1", "+1", "--1", "1.-5", "١"] {
        assert_eq!(error(text), ParseMicrosError::NotAnAmount(text.to_owned()));
    }
    assert_eq!(error("0.0000001"), ParseMicrosError::TooFine("0.0000001".to_owned()));
    for text in ["9223372036854.775808", "-9223372036854.775809", "99999999999999999999999"] {
        assert_eq!(error(text), ParseMicrosError::TooLarge(text.to_owned()));
    }
}

#[test]
#[should_panic(expected = "an amount of micros fits 64 bits")]
fn an_overflow_stops() {
    let _ = Micros(i64::MAX) + Micros(1);
}

#[test]
fn prices() {
    assert_eq!(Micros(7_500).checked_times(3), Some(Micros(22_500)));
    assert_eq!(Micros(i64::MAX).checked_times(2), None);
    assert_eq!(Micros(i64::MAX).checked_add(Micros(1)), None);
    assert_eq!(Micros(i64::MIN).checked_neg(), None);
}

proptest! {
    #[test]
    fn what_is_shown_reads_back(micros: i64) {
        prop_assert_eq!(Micros(micros).to_string().parse(), Ok(Micros(micros)));
    }

    #[test]
    fn any_text_is_survived(text in any::<String>()) {
        let _ = text.parse::<Micros>();
    }

    #[test]
    fn any_number_is_survived(text in "-?[0-9]{1,22}(\\.[0-9]{0,8})?") {
        if let Ok(micros) = text.parse::<Micros>() {
            prop_assert_eq!(micros.to_string().parse(), Ok(micros));
        }
    }

    #[test]
    fn a_sum_is_the_integers_sum(parts in prop::collection::vec(-1_000_000_000..1_000_000_000_i64, 0..50)) {
        let sum: Micros = parts.iter().copied().map(Micros).sum();
        prop_assert_eq!(sum, Micros(parts.iter().sum()));
        prop_assert_eq!(sum - sum, Micros::ZERO);
        prop_assert_eq!(-(-sum), sum);
    }
}
