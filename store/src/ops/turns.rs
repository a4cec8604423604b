//! Who of a batch may leave by the throttles of their senders, and whose turn comes later.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use dripline_domain::ids::{ContactId, RouteId};
use dripline_domain::sender;
use dripline_domain::throttle::Throttle;
use sqlx::PgConnection;

use crate::StoreError;
use crate::sender_pace::{self, Key};

/// What the throttle of its route means for a message.
#[derive(Debug)]
pub(super) struct Throttled {
    key: Key,
    throttle: Throttle,
    /// It has waited before, for its turn or for its route.
    has_waited: bool,
}

impl Throttled {
    /// `None` when the route has no sender for the contact.
    pub(super) fn new(
        route_id: RouteId,
        senders: &[String],
        contact_id: ContactId,
        throttle: Throttle,
        has_waited: bool,
    ) -> Option<Self> {
        let sender = sender::of_contact(senders, contact_id)?;
        Some(Self { key: (route_id, sender.to_owned()), throttle, has_waited })
    }
}

/// Where those stand for whom there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// In the sender's line, each for its turn.
    Senders,
    /// In none of the sender's.
    Elsewhere,
}

/// A message that wants to leave now.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    /// Its place in the batch.
    place: usize,
    segments: u32,
    throttled: &'a Throttled,
}

impl<'a> Wish<'a> {
    /// `None` for one that nothing throttles.
    pub(super) fn of(
        place: usize,
        segments: u32,
        throttled: Option<&'a Throttled>,
    ) -> Option<Self> {
        Some(Self { place, segments, throttled: throttled? })
    }
}

/// Lets wishes through in their order, as far as there is room. Gives until when the others wait, by
/// their places. `now` is the caller's time, in which they wait; the paces are kept in the database's.
/// Whoever comes back at another time than its turn takes none (`line`), so that nobody waits behind it.
pub(super) async fn take(
    conn: &mut PgConnection,
    wishes: &[Wish<'_>],
    line: Line,
    now: DateTime<Utc>,
) -> Result<HashMap<usize, DateTime<Utc>>, StoreError> {
    let keys: BTreeSet<Key> = wishes.iter().map(|wish| wish.throttled.key.clone()).collect();
    // Most batches go over routes without a throttle.
    let Some(mut locked) = sender_pace::lock(conn, keys).await? else {
        return Ok(HashMap::new());
    };
    let mut waiting = HashMap::new();
    for Wish { place, segments, throttled } in wishes {
        let Some(pace) = locked.paces.get_mut(&throttled.key) else { continue };
        let before = *pace;
        let taken = pace.take(throttled.throttle, *segments, throttled.has_waited, locked.now);
        if let Err(turn) = taken {
            waiting.insert(*place, now + (turn - locked.now));
            if line == Line::Elsewhere {
                *pace = before;
            }
        }
    }
    locked.save(conn).await?;
    Ok(waiting)
}
