use dripline_domain::evidence::{Effect, Evidence, Finding, Verdict, Witness};
use dripline_domain::receipt::ReceiptStatus;

use Finding::{NotSent, Sent};

#[test]
fn who_says_what() {
    let check = |evidence: Evidence, witness: Witness, verdict: Verdict| {
        assert_eq!((evidence.witness(), evidence.verdict()), (witness, verdict), "{evidence:?}");
    };
    check(Evidence::Receipt, Witness::Receipt, Verdict::Sent);
    check(Evidence::Carrier(Sent), Witness::Carrier, Verdict::Sent);
    check(Evidence::Carrier(NotSent), Witness::Carrier, Verdict::NotSent);
    check(Evidence::Operator(Sent), Witness::Operator, Verdict::Sent);
    check(Evidence::Operator(NotSent), Witness::Operator, Verdict::NotSent);
    check(Evidence::Worker(NotSent), Witness::Worker, Verdict::NotSent);
    check(Evidence::Deadline, Witness::Deadline, Verdict::PresumedSent);
}

#[test]
fn a_presumption_agrees_with_sent() {
    let check = |evidence: Evidence, decided: Finding, effect: Effect| {
        assert_eq!(evidence.beside(decided, false), effect, "{evidence:?} beside {decided:?}");
    };
    check(Evidence::Receipt, Sent, Effect::Agreed);
    check(Evidence::Receipt, NotSent, Effect::Contradicted);
    check(Evidence::Carrier(NotSent), Sent, Effect::Contradicted);
    check(Evidence::Carrier(NotSent), NotSent, Effect::Agreed);
    check(Evidence::Deadline, Sent, Effect::Agreed);
    assert_eq!(Verdict::PresumedSent.finding(), Sent);
}

#[test]
fn who_says_that_it_was_sent_keeps_it_from_being_sent_again() {
    let waiting = |evidence: Evidence| evidence.beside(NotSent, true);
    for witness in [
        Evidence::Receipt,
        Evidence::Carrier(Sent),
        Evidence::Operator(Sent),
        Evidence::Worker(Sent),
    ] {
        assert_eq!(waiting(witness), Effect::Overruled, "{witness:?}");
    }
    assert_eq!(waiting(Evidence::Carrier(NotSent)), Effect::Agreed);
    // Whoever knows nothing is no witness against one who does.
    assert_eq!(waiting(Evidence::Deadline), Effect::Contradicted);
}

#[test]
fn names() {
    for verdict in Verdict::ALL {
        assert_eq!(verdict.as_str().parse::<Verdict>().unwrap(), *verdict);
    }
    for witness in Witness::ALL {
        assert_eq!(witness.as_str().parse::<Witness>().unwrap(), *witness);
    }
    assert_eq!(
        "maybe".parse::<Effect>().unwrap_err().to_string(),
        "`maybe` is not an effect of evidence; known are decided, agreed, contradicted, overruled"
    );
}

#[test]
fn receipts_have_a_rank_and_two_ends() {
    use ReceiptStatus::{Delivered, Queued, Sent, Undelivered};
    assert!(Queued.rank() < Sent.rank() && Sent.rank() < Delivered.rank());
    assert_eq!(Delivered.rank(), Undelivered.rank());
}
