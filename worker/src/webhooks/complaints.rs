//! What goes wrong with reports on a route, told to people now and then: a route that lacks a key has as many
//! unbelievable reports as it sends messages.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use dripline_domain::ids::RouteId;

/// Between two lines about the same trouble of a route.
const TELL_EVERY: Duration = Duration::from_mins(1);

/// When which trouble was told last. There are as many entries as there are routes and kinds of trouble at most.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<HashMap<(RouteId, u16), Told>>);

#[derive(Debug)]
struct Told {
    at: Instant,
    untold: u64,
}

impl Complaints {
    /// Whether people should be told of a request that was answered with this status: then how many there were since
    /// they were told last.
    pub(super) fn untold(&self, route_id: RouteId, status: u16) -> Option<u64> {
        self.untold_at(Instant::now(), route_id, status)
    }

    fn untold_at(&self, now: Instant, route_id: RouteId, status: u16) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match told.get_mut(&(route_id, status)) {
            Some(told) if now.duration_since(told.at) < TELL_EVERY => {
                told.untold += 1;
                None
            }
            Some(told) => {
                told.at = now;
                Some(std::mem::take(&mut told.untold))
            }
            None => {
                told.insert((route_id, status), Told { at: now, untold: 0 });
                Some(0)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_trouble_is_told_once_a_minute() {
        let (complaints, begun) = (Complaints::default(), Instant::now());
        let check = |seconds, route_id, status, expected: Option<u64>| {
            let now = begun + Duration::from_secs(seconds);
            assert_eq!(complaints.untold_at(now, RouteId(route_id), status), expected, "{seconds}");
        };
        check(0, 1, 403, Some(0));
        check(1, 1, 403, None);
        check(59, 1, 403, None);
        check(59, 1, 503, Some(0));
        check(59, 2, 403, Some(0));
        check(60, 1, 403, Some(2));
        check(61, 1, 403, None);
        check(300, 1, 403, Some(1));
    }
}
