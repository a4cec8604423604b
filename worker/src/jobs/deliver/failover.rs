//! Over which route a delivery goes: its step's, or that one's failover.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use dripline_domain::breaker::Sign;
use dripline_store::delivery::{DueDelivery, DueRoute};

use super::breakers::Permit;
use super::routes::{ReadyRoute, Unready};
use super::{Deliver, Outcome};

/// The routes that a delivery may go over now, in the order in which they are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) wanted: DueRoute,
    /// While that one is halted.
    pub(super) instead: Option<DueRoute>,
}

impl Choice {
    /// This route and no other.
    pub(super) fn only(route: DueRoute) -> Self {
        Self { wanted: route, instead: None }
    }

    /// The other one than `route`.
    pub(super) fn other(self, route: DueRoute) -> Option<DueRoute> {
        if route == self.wanted { self.instead } else { Some(self.wanted) }
    }
}

/// The delivery's choice; its postponement while its step's route is paused, since whoever pauses a route
/// wants its messages to wait.
///
/// What one route has not sent, the other tries next, and so on in turns. What one route may have sent,
/// until somebody decided that it had not, goes over that route alone: only there do the carrier's key and
/// its books protect the contact from a second copy.
pub(super) fn choose(delivery: &DueDelivery, now: DateTime<Utc>) -> Result<Choice, Outcome> {
    let DueDelivery { route: first, failover, .. } = delivery;
    if first.is_paused {
        return Err(Outcome::paused(delivery, now));
    }
    if let Some(bound_to) = delivery.bound_to {
        let routes = [Some(*first), *failover];
        return match routes.into_iter().flatten().find(|route| route.route_id == bound_to) {
            Some(route) if route.is_paused => Err(Outcome::paused(delivery, now)),
            Some(route) => Ok(Choice::only(route)),
            None => Err(Outcome::bound_elsewhere(delivery, now)),
        };
    }
    let Some(second) = failover.filter(|second| !second.is_paused) else {
        return Ok(Choice::only(*first));
    };
    let seconds_turn = match delivery.last_route_id {
        Some(last) => last == first.route_id,
        // It could not be prepared, for a route that nobody wrote down.
        None => delivery.attempt % 2 == 1,
    };
    let (wanted, instead) = if seconds_turn { (second, *first) } else { (*first, second) };
    Ok(Choice { wanted, instead: Some(instead) })
}

impl Deliver {
    /// The route that there is a permit for, ready for the text.
    ///
    /// It is the step's own instead of its failover where that would need more segments than are held: a
    /// message is priced by its step's route, and going over another one costs nobody more. But for what is
    /// bound to the failover.
    pub(super) async fn ready(
        &self,
        delivery: &DueDelivery,
        text: &str,
        permit: Permit,
    ) -> Result<(Arc<ReadyRoute>, Permit), Outcome> {
        let (route, permit) = self.find(delivery, permit).await?;
        let fits = |segments| segments <= delivery.held_segments;
        if permit.route == delivery.route
            || permit.other.is_none()
            || route.count_segments(delivery, text).is_ok_and(fits)
        {
            return Ok((route, permit));
        }
        drop(permit);
        let permit = self.breakers.admit(delivery, Choice::only(delivery.route))?;
        self.find(delivery, permit).await
    }

    async fn find(
        &self,
        delivery: &DueDelivery,
        permit: Permit,
    ) -> Result<(Arc<ReadyRoute>, Permit), Outcome> {
        match self.routes.find(permit.route.route_id, permit.route.revision).await {
            Ok(route) => Ok((route, permit)),
            Err(Unready::Interrupted) => Err(Outcome::Interrupted),
            Err(Unready::Unusable(reason)) => {
                Err(permit.unprepared(delivery, Sign::Out, reason, None))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use dripline_domain::contact::Fields;
    use dripline_domain::ids::RouteId;
    use dripline_domain::money::Micros;
    use dripline_domain::phone::Phone;

    use super::*;

    const FIRST: DueRoute = DueRoute { route_id: RouteId(1), revision: 3, is_paused: false };
    const SECOND: DueRoute = DueRoute { route_id: RouteId(2), revision: 5, is_paused: false };

    fn noon() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().expect("a time")
    }

    /// After so many hand-overs, the last one over `last`.
    fn delivery(attempt: u32, last: Option<DueRoute>) -> DueDelivery {
        DueDelivery {
            delivery_id: 1.into(),
            account_id: 1.into(),
            workflow_id: 1.into(),
            enrollment_id: 1.into(),
            contact_id: 1.into(),
            step_id: 1.into(),
            position: 1,
            attempt,
            due_at: noon(),
            expires_at: None,
            held_segments: 1,
            held_micros: Micros(7_500),
            template: "Hello".into(),
            renderer: "plain".into(),
            route: FIRST,
            failover: Some(SECOND),
            last_route_id: last.map(|route| route.route_id),
            bound_to: None,
            phone: Phone::from_e164("+4930123456").expect("a number"),
            fields: Fields::from(BTreeMap::new()),
            time_zone: "UTC".to_owned(),
        }
    }

    fn bound(attempt: u32, last: DueRoute, to: RouteId) -> DueDelivery {
        DueDelivery { bound_to: Some(to), ..delivery(attempt, Some(last)) }
    }

    fn wanted(delivery: &DueDelivery) -> (DueRoute, Option<DueRoute>) {
        let choice = choose(delivery, noon()).expect("a choice");
        (choice.wanted, choice.instead)
    }

    #[test]
    fn what_one_route_has_not_sent_the_other_tries_next() {
        assert_eq!(wanted(&delivery(0, None)), (FIRST, Some(SECOND)));
        assert_eq!(wanted(&delivery(1, Some(FIRST))), (SECOND, Some(FIRST)));
        assert_eq!(wanted(&delivery(2, Some(SECOND))), (FIRST, Some(SECOND)));
        // Its failover was another one then.
        let third = DueRoute { route_id: RouteId(9), ..FIRST };
        assert_eq!(wanted(&delivery(3, Some(third))), (FIRST, Some(SECOND)));
    }

    #[test]
    fn what_could_not_be_prepared_goes_over_them_in_turns() {
        assert_eq!(wanted(&delivery(1, None)), (SECOND, Some(FIRST)));
        assert_eq!(wanted(&delivery(2, None)), (FIRST, Some(SECOND)));
    }

    #[test]
    fn what_a_route_may_have_sent_stays_with_it() {
        for attempt in 1..4 {
            assert_eq!(wanted(&bound(attempt, FIRST, FIRST.route_id)), (FIRST, None));
            assert_eq!(wanted(&bound(attempt, SECOND, SECOND.route_id)), (SECOND, None));
        }
        let paused = DueRoute { is_paused: true, ..SECOND };
        for failover in [Some(paused), None] {
            let waits = DueDelivery { failover, ..bound(2, SECOND, SECOND.route_id) };
            assert!(matches!(choose(&waits, noon()), Err(Outcome::Postponed(_))), "{failover:?}");
        }
    }

    #[test]
    fn a_paused_route_keeps_its_messages_and_a_paused_failover_takes_none() {
        let paused = DueRoute { is_paused: true, ..FIRST };
        let all = [
            delivery(0, None),
            delivery(1, Some(FIRST)),
            delivery(2, Some(SECOND)),
            bound(1, FIRST, FIRST.route_id),
            bound(1, SECOND, SECOND.route_id),
        ];
        for waits in all {
            let waits = DueDelivery { route: paused, ..waits };
            assert!(matches!(choose(&waits, noon()), Err(Outcome::Postponed(_))), "{waits:?}");
        }
        for failover in [None, Some(DueRoute { is_paused: true, ..SECOND })] {
            let alone = DueDelivery { failover, ..delivery(1, Some(FIRST)) };
            assert_eq!(wanted(&alone), (FIRST, None));
        }
    }
}
