//! Amounts, for people.

/// An amount of micros in its currency, exactly.
pub(super) fn show(micros: i64, currency: &str) -> String {
    let sign = if micros < 0 { "-" } else { "" };
    let (whole, fraction) = (micros.unsigned_abs() / 1_000_000, micros.unsigned_abs() % 1_000_000);
    let fraction = format!("{fraction:06}");
    let kept = fraction.trim_end_matches('0').len().max(2);
    format!("{sign}{whole}.{} {currency}", &fraction[..kept])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_keep_every_digit_that_counts() {
        #[track_caller]
        fn check(micros: i64, shown: &str) {
            assert_eq!(show(micros, "EUR"), shown);
        }
        check(0, "0.00 EUR");
        check(1_500_000, "1.50 EUR");
        check(7_900, "0.0079 EUR");
        check(-1, "-0.000001 EUR");
        check(12_345_678_900, "12345.6789 EUR");
    }
}
