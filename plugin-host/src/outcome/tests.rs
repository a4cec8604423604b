use super::*;
use crate::http::Header;

/// What a reading was, in one word; the outcome, in one word.
fn reading(word: &str) -> Option<Result<Accepted, CallError>> {
    let class = match word {
        "none" => return None,
        "accepted" => {
            return Some(Ok(Accepted {
                carrier_references: vec!["SM1".into(), "SM2".into()],
                attributes: vec![],
            }));
        }
        "trap" => {
            return Some(Err(CallError::Plugin(PluginError::Trap {
                plugin: "twilio".into(),
                function: "send-outcome",
                message: "unreachable".into(),
            })));
        }
        "throttled" => FailureClass::Throttled,
        "retryable" => FailureClass::Retryable,
        "permanent" => FailureClass::Permanent,
        "stopped" => FailureClass::Stopped,
        "uncertain" => FailureClass::Uncertain,
        other => panic!("no reading `{other}`"),
    };
    Some(Err(CallError::Failure(failure(class))))
}

fn failure(class: FailureClass) -> Failure {
    Failure {
        class,
        code: "21610".into(),
        text: "to +15551234567 is not possible".into(),
        retry_after: None,
        attributes: vec![],
    }
}

fn word(outcome: &AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::Accepted { .. } => "accepted",
        AttemptOutcome::Refused(_) => "refused",
        AttemptOutcome::NotSent { .. } => "not sent",
        AttemptOutcome::Unknown(_) => "unknown",
    }
}

fn response(status: u16, headers: &[(&str, &str)]) -> WireOutcome {
    let headers = headers.iter().map(|(name, value)| Header::new(*name, *value)).collect();
    WireOutcome::Response(Response { status, headers, body: vec![] })
}

const READINGS: [&str; 8] =
    ["accepted", "throttled", "retryable", "permanent", "stopped", "uncertain", "trap", "none"];

#[track_caller]
fn check(statuses: &[u16], headers: &[(&str, &str)], expected: [&str; 8]) {
    for status in statuses {
        for (reading_word, expected) in READINGS.into_iter().zip(expected) {
            let outcome =
                decide("twilio", &response(*status, headers), reading(reading_word).as_ref());
            assert_eq!(word(&outcome), expected, "{status} read as {reading_word}");
        }
    }
}

#[test]
fn the_table_of_outcomes_holds_for_every_status_and_reading() {
    const A: &str = "accepted";
    const R: &str = "refused";
    const N: &str = "not sent";
    const U: &str = "unknown";
    //                                  acc thr ret per sto unc trap none
    check(&[200, 201, 202, 299], &[], [A, N, N, R, R, U, U, U]);
    check(&[409, 425], &[], [A, N, N, R, R, U, U, U]);
    check(&[400, 401, 403, 404, 422, 499], &[], [A, N, N, R, R, U, R, R]);
    check(&[429], &[], [U, N, N, R, R, U, N, N]);
    check(&[503], &[("Retry-After", "3")], [U, N, N, R, R, U, N, N]);
    check(&[301, 302, 303, 307, 308, 408], &[], [U, U, U, R, R, U, U, U]);
    check(&[500, 502, 503, 504, 599], &[], [U; 8]);
    check(&[0, 101, 600, 999], &[], [U; 8]);
}

#[test]
fn the_wire_alone_decides_without_an_answer() {
    let reason = Reason::new("connect", "connection refused");
    for (wire, expected) in [
        (WireOutcome::NotSent { reason: reason.clone() }, "not sent"),
        (WireOutcome::Uncertain { status: None, reason: reason.clone() }, "unknown"),
        (WireOutcome::Uncertain { status: Some(200), reason: reason.clone() }, "unknown"),
        (WireOutcome::Uncertain { status: Some(500), reason: reason.clone() }, "unknown"),
        (WireOutcome::Uncertain { status: Some(409), reason: reason.clone() }, "unknown"),
        (WireOutcome::Uncertain { status: Some(400), reason: reason.clone() }, "refused"),
        (WireOutcome::Uncertain { status: Some(429), reason: reason.clone() }, "not sent"),
    ] {
        // Whatever a plugin claims about it.
        for reading_word in READINGS {
            let outcome = decide("twilio", &wire, reading(reading_word).as_ref());
            assert_eq!(word(&outcome), expected, "{wire:?} read as {reading_word}");
        }
    }
}

#[test]
fn before_the_wire_nothing_is_unknown() {
    for (class, expected) in [
        (FailureClass::Throttled, "not sent"),
        (FailureClass::Retryable, "not sent"),
        (FailureClass::Uncertain, "not sent"),
        (FailureClass::Permanent, "refused"),
        (FailureClass::Stopped, "refused"),
    ] {
        let outcome = before_wire("twilio", &CallError::Failure(failure(class)));
        assert_eq!(word(&outcome), expected, "{class:?}");
    }
    let outcome = before_wire("twilio", &CallError::Plugin(PluginError::HostStopped));
    assert_eq!(word(&outcome), "not sent");
}

#[test]
fn reasons_name_the_carrier_and_hide_numbers() {
    let outcome = decide("twilio", &response(400, &[]), reading("stopped").as_ref());
    let AttemptOutcome::Refused(reason) = outcome else { panic!("{outcome:?}") };
    assert_eq!(reason, Reason::new("stopped:twilio:21610", "to [number] is not possible"));
    assert!(is_stopped(&reason));

    let outcome = decide("twilio", &response(400, &[]), reading("permanent").as_ref());
    let AttemptOutcome::Refused(reason) = outcome else { panic!("{outcome:?}") };
    assert_eq!(reason.code, "twilio:21610");
    assert!(!is_stopped(&reason));
}

#[test]
fn several_references_are_kept() {
    let outcome = decide("twilio", &response(201, &[]), reading("accepted").as_ref());
    let expected = AttemptOutcome::Accepted { carrier_reference: Some("SM1,SM2".into()) };
    assert_eq!(outcome, expected);
}

#[test]
fn retry_after_is_read_in_both_forms() {
    let date = ("Date", "Wed, 21 Oct 2015 07:28:00 GMT");
    for (headers, expected) in [
        (vec![("Retry-After", "3")], Some(3)),
        (vec![("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT"), date], Some(30)),
        (vec![("retry-after", "Wed, 21 Oct 2015 07:27:30 GMT"), date], None),
        (vec![("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT")], None),
        (vec![("retry-after", "soon")], None),
        (vec![], None),
    ] {
        let outcome = decide("twilio", &response(429, &headers), None);
        let AttemptOutcome::NotSent { retry_after, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(retry_after, expected.map(Duration::from_secs), "{headers:?}");
    }
}

#[test]
fn masking_keeps_short_numbers_and_one_line() {
    for (text, expected) in [
        ("call 5551234567 now", "call [number] now"),
        ("+4915112345678", "[number]"),
        ("to +1 (202) 555-0100, +49 30 1234567.", "to [number], [number]."),
        ("+ 1 2 3 4 5 6 7", "[number]"),
        ("+12 apples and 1 + 234567", "+12 apples and 1 + 234567"),
        ("on 2026-03-01 10:00, 555-0100", "on 2026-03-01 10:00, 555-0100"),
        ("123456 and 1234567", "123456 and [number]"),
        ("error 21610", "error 21610"),
        ("a\nb", "a b"),
    ] {
        assert_eq!(masked(text, REASON_CHARS), expected);
    }
    assert_eq!(masked(&"x".repeat(1000), REASON_CHARS).len(), REASON_CHARS);
}
