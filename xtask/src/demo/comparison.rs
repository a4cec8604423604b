//! Our books against the carrier's own log, delivery by delivery.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One delivery, as `dripline delivery list` tells it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Delivery {
    delivery_id: i64,
    state: String,
    attempt: u32,
    captured_segments: u64,
}

/// One request, as the carrier wrote it down.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Request {
    reference: Option<String>,
    accepted: bool,
    segments: u64,
}

/// What was compared, and what does not agree.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Comparison {
    pub(super) deliveries: usize,
    pub(super) requests: usize,
    pub(super) accepted: usize,
    pub(super) disagreements: Vec<String>,
}

/// What the carrier has of one delivery.
#[derive(Debug, Default)]
struct Evidence {
    requests: usize,
    last_attempt: u32,
    accepted: usize,
    segments: u64,
}

/// Compares both. Sent: accepted exactly once, for as many segments as were paid. Not known: accepted
/// once at most. Anything else: never accepted. Nothing in the log that we do not know of, and no
/// attempt that we did not make.
pub(super) fn compare(deliveries: &[Delivery], log: &[Request]) -> Comparison {
    let mut comparison =
        Comparison { deliveries: deliveries.len(), requests: log.len(), ..Comparison::default() };
    let mut evidence: BTreeMap<i64, Evidence> = BTreeMap::new();
    for request in log {
        let Some((delivery_id, attempt)) = request.reference.as_deref().and_then(parse) else {
            let reference = &request.reference;
            comparison.disagreements.push(format!("a request with the reference {reference:?}"));
            continue;
        };
        let entry = evidence.entry(delivery_id).or_default();
        entry.requests += 1;
        entry.last_attempt = entry.last_attempt.max(attempt);
        if request.accepted {
            comparison.accepted += 1;
            entry.accepted += 1;
            entry.segments += request.segments;
        }
    }
    for delivery in deliveries {
        let found = evidence.remove(&delivery.delivery_id).unwrap_or_default();
        if let Some(problem) = disagreement(delivery, &found) {
            let Delivery { delivery_id, state, .. } = delivery;
            comparison.disagreements.push(format!("delivery {delivery_id} is {state}, {problem}"));
        }
    }
    for delivery_id in evidence.keys() {
        comparison
            .disagreements
            .push(format!("the carrier knows delivery {delivery_id}, we do not"));
    }
    comparison
}

fn disagreement(delivery: &Delivery, found: &Evidence) -> Option<String> {
    let times = found.accepted;
    let expected = match delivery.state.as_str() {
        "sent" => times == 1,
        "unknown" | "sending" => times <= 1,
        _ => times == 0,
    };
    if !expected {
        return Some(format!("but the carrier accepted it {times} times"));
    }
    if delivery.state == "sent" && found.segments != delivery.captured_segments {
        return Some(format!(
            "paid with {} segments, but the carrier counted {}",
            delivery.captured_segments, found.segments
        ));
    }
    // Every request belongs to an attempt that was marked before it.
    if found.requests > delivery.attempt as usize || found.last_attempt > delivery.attempt {
        return Some(format!(
            "marked {} times, but the carrier got {} requests, the last for attempt {}",
            delivery.attempt, found.requests, found.last_attempt
        ));
    }
    None
}

/// `<installation>-<delivery>-<attempt>`.
fn parse(reference: &str) -> Option<(i64, u32)> {
    let (rest, attempt) = reference.rsplit_once('-')?;
    let (_, delivery) = rest.rsplit_once('-')?;
    Some((delivery.parse().ok()?, attempt.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(delivery_id: i64, state: &str, attempt: u32, captured_segments: u64) -> Delivery {
        Delivery { delivery_id, state: state.to_owned(), attempt, captured_segments }
    }

    fn request(delivery: i64, attempt: u32, accepted: bool) -> Request {
        Request { reference: Some(format!("f00d-{delivery}-{attempt}")), accepted, segments: 1 }
    }

    #[track_caller]
    fn check(deliveries: &[Delivery], log: &[Request], expected: &[&str]) {
        let found = compare(deliveries, log).disagreements;
        assert_eq!(found.len(), expected.len(), "{found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.contains(expected), "{found}");
        }
    }

    #[test]
    fn books_that_agree_are_found_to_agree() {
        let deliveries = [
            delivery(1, "sent", 2, 1),
            delivery(2, "cancelled", 0, 0),
            delivery(3, "failed", 1, 0),
            delivery(4, "unknown", 1, 0),
        ];
        let log =
            [request(1, 1, false), request(1, 2, true), request(3, 1, false), request(4, 1, true)];
        check(&deliveries, &log, &[]);
    }

    #[test]
    fn every_way_to_disagree_is_found() {
        check(&[delivery(1, "sent", 1, 1)], &[], &["accepted it 0 times"]);
        let twice = [request(1, 1, true), request(1, 2, true)];
        check(&[delivery(1, "sent", 2, 1)], &twice, &["accepted it 2 times"]);
        check(&[delivery(1, "unknown", 2, 0)], &twice, &["accepted it 2 times"]);
        check(&[delivery(1, "cancelled", 1, 0)], &[request(1, 1, true)], &["accepted it 1 times"]);
        check(&[delivery(1, "sent", 1, 2)], &[request(1, 1, true)], &["2 segments"]);
        check(&[delivery(1, "failed", 1, 0)], &[request(1, 2, false)], &["marked 1 times"]);
        check(&[], &[request(9, 1, false)], &["knows delivery 9"]);
        let nameless = Request { reference: None, accepted: true, segments: 1 };
        check(&[], &[nameless], &["None"]);
    }
}
