//! What it means that a carrier refuses the token of a request.
//!
//! A 401 says that the message was not taken, and that the token was why: it has ended early, or was revoked. That
//! is no refusal of the message, whatever the plugin makes of the status: it is made again with another token.

use dripline_domain::delivery::AttemptOutcome;

use super::is_stopped;
use crate::egress::WireOutcome;

/// Whether the carrier refuses the token that was in the request.
pub fn refuses_token(wire: &WireOutcome) -> bool {
    match wire {
        WireOutcome::Response(response) => response.status == 401,
        WireOutcome::Uncertain { status, .. } => *status == Some(401),
        WireOutcome::NotSent { .. } => false,
    }
}

/// What an attempt with a token meant, from what it would have meant without one.
pub fn with_token(outcome: AttemptOutcome, wire: &WireOutcome) -> AttemptOutcome {
    match outcome {
        AttemptOutcome::Refused(reason) if refuses_token(wire) && !is_stopped(&reason) => {
            AttemptOutcome::NotSent { reason, retry_after: None }
        }
        outcome => outcome,
    }
}

#[cfg(test)]
mod tests {
    use dripline_domain::delivery::Reason;

    use super::*;
    use crate::http::Response;

    #[test]
    fn only_a_refusal_by_401_is_the_tokens() {
        let refused = |code: &str| AttemptOutcome::Refused(Reason::new(code, ""));
        let unknown = AttemptOutcome::Unknown(Reason::new("timeout", ""));
        let accepted = AttemptOutcome::Accepted { carrier_reference: Some("M1".to_owned()) };
        let check = |status, outcome: AttemptOutcome, expected: &str| {
            let response = Response { status, headers: vec![], body: vec![] };
            let wire = WireOutcome::Response(response);
            assert_eq!(with_token(outcome, &wire).as_str(), expected, "{status}");
        };
        check(401, refused("acme:http-401"), "not_sent");
        check(401, refused("stopped:acme:1"), "refused");
        check(401, accepted, "accepted");
        check(401, unknown, "unknown");
        check(403, refused("acme:http-403"), "refused");
        let reason = Reason::new("connection_lost", "");
        let cut = WireOutcome::Uncertain { status: Some(401), reason };
        assert_eq!(with_token(refused("connection_lost"), &cut).as_str(), "not_sent");
    }
}
