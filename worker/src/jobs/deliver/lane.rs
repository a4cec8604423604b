//! How many requests of one route this worker has on the wire at once.

use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::sync::Notify;

/// What a request takes, before one has shown it.
const FIRST_GUESS: Duration = Duration::from_millis(200);
/// How much the last request counts against those before it: one in so many.
const MEMORY: u32 = 8;
/// Nobody is sent away for longer. A carrier that was slow for a while would keep messages back for
/// hours.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// The places on the wire of one route. Before them stands a short line, as long as there are places: with
/// it the next request leaves as soon as one ends. Whoever does not fit in waits in the queue, where it
/// takes nobody's room, and comes back about when a place is free for it.
///
/// A route keeps its lane through all its revisions, so that what a former one has on the wire counts.
/// Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Lane(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Somebody has left, or there are more places.
    moved: Notify,
}

#[derive(Debug)]
struct State {
    /// The places; `None`: as many as anybody wants.
    most: Option<NonZeroU32>,
    /// On the wire.
    held: u32,
    /// In the line.
    waiting: u32,
    estimate: Estimate,
}

/// When places will be free.
#[derive(Debug)]
struct Estimate {
    /// How long a request has its place, on average.
    held: Duration,
    /// When everybody who was sent away has had a place, by this estimate.
    line_end_at: Option<DateTime<Utc>>,
}

/// A place on the wire, until it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    lane: Lane,
    since: Instant,
}

/// A place in the line, until it is dropped.
struct InLine(Lane);

/// What somebody finds who wants a place.
enum Found {
    Place(Place),
    Line(InLine),
    /// No room.
    Full,
}

impl Lane {
    /// One that is as wide as anybody wants.
    pub(super) fn new() -> Self {
        let estimate = Estimate { held: FIRST_GUESS, line_end_at: None };
        let state = State { most: None, held: 0, waiting: 0, estimate };
        Self(Arc::new(Shared { state: Mutex::new(state), moved: Notify::new() }))
    }

    /// From now on it has so many places; `None`: as many as anybody wants.
    pub(super) fn set_most(&self, most: Option<NonZeroU32>) {
        self.lock().most = most;
        self.0.moved.notify_waiters();
    }

    /// A place, as soon as one is free; when to come back if the line is full.
    pub(super) async fn enter(&self, now: DateTime<Utc>) -> Result<Place, DateTime<Utc>> {
        match self.look() {
            Found::Place(place) => Ok(place),
            Found::Line(in_line) => Ok(self.wait(in_line).await),
            Found::Full => Err(self.lock().turn(now)),
        }
    }

    /// A place, as soon as one is free, however long the line is. For the few that have nowhere else to wait.
    pub(super) async fn enter_anyway(&self) -> Place {
        match self.look() {
            Found::Place(place) => place,
            Found::Line(in_line) => self.wait(in_line).await,
            Found::Full => {
                let in_line = self.lock().stand(self);
                self.wait(in_line).await
            }
        }
    }

    /// Takes a place if one is free and nobody waits for it, else one in the line.
    fn look(&self) -> Found {
        let mut state = self.lock();
        if state.waiting == 0 && state.take() {
            Found::Place(Place::new(self))
        } else if state.most.is_none_or(|most| state.waiting < most.get()) {
            Found::Line(state.stand(self))
        } else {
            Found::Full
        }
    }

    /// Waits until there is a place, and leaves the line.
    async fn wait(&self, _in_line: InLine) -> Place {
        loop {
            // Listened for before the look, so that nobody leaves unnoticed between the two.
            let mut moved = pin!(self.0.moved.notified());
            moved.as_mut().enable();
            if self.lock().take() {
                return Place::new(self);
            }
            moved.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes a place if one is free.
    fn take(&mut self) -> bool {
        let is_free = self.most.is_none_or(|most| self.held < most.get());
        self.held += u32::from(is_free);
        is_free
    }

    /// Takes a place at the end of the line.
    fn stand(&mut self, lane: &Lane) -> InLine {
        self.waiting += 1;
        InLine(lane.clone())
    }

    /// When somebody who is sent away now may find a place.
    fn turn(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        let places = self.most.unwrap_or(NonZeroU32::MIN);
        self.estimate.turn(places, now)
    }
}

impl Place {
    fn new(lane: &Lane) -> Self {
        Self { lane: lane.clone(), since: Instant::now() }
    }

    /// Somebody else may have it.
    pub(super) fn leave(self) {
        drop(self);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.lane.lock();
        state.held -= 1;
        state.estimate.learn(self.since.elapsed());
        drop(state);
        self.lane.0.moved.notify_one();
    }
}

impl Drop for InLine {
    fn drop(&mut self) {
        self.0.lock().waiting -= 1;
    }
}

impl Estimate {
    fn learn(&mut self, held: Duration) {
        self.held = (self.held * (MEMORY - 1) + held) / MEMORY;
    }

    /// When somebody who is sent away now may find one of so many places.
    fn turn(&mut self, places: NonZeroU32, now: DateTime<Utc>) -> DateTime<Utc> {
        let begin = self.line_end_at.map_or(now, |end| end.max(now));
        let turn = (begin + self.held / places.get()).min(now + LONGEST_WAIT);
        self.line_end_at = Some(turn);
        turn
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().expect("a time")
    }

    fn places(number: u32) -> NonZeroU32 {
        NonZeroU32::new(number).expect("not 0")
    }

    fn lane(most: u32) -> Lane {
        let lane = Lane::new();
        lane.set_most(Some(places(most)));
        lane
    }

    /// What somebody finds who does not wait: a place, `None` in the line, or that there is no room.
    fn enter(lane: &Lane) -> Option<Result<Place, DateTime<Utc>>> {
        lane.enter(noon()).now_or_never()
    }

    fn take(lane: &Lane) -> Place {
        enter(lane).expect("no wait").expect("a place")
    }

    #[tokio::test]
    async fn who_finds_no_place_stands_in_a_line_as_long_as_there_are_places() {
        let lane = lane(2);
        let places = [take(&lane), take(&lane)];
        let mut line = [Box::pin(lane.enter(noon())), Box::pin(lane.enter(noon()))];
        for waiting in &mut line {
            assert!(waiting.as_mut().now_or_never().is_none());
        }
        assert!(matches!(enter(&lane), Some(Err(until)) if until > noon()));
        let [first, second] = line;
        let [one, other] = places;
        one.leave();
        // Nobody passes those who wait.
        assert!(matches!(enter(&lane), Some(Err(_))));
        let one = first.await.expect("a place");
        assert!(enter(&lane).is_none(), "there is room in the line again");
        other.leave();
        let other = second.await.expect("a place");
        drop((one, other));
        let left = lane.lock();
        assert_eq!((left.held, left.waiting), (0, 0));
    }

    #[tokio::test]
    async fn who_has_nowhere_else_to_wait_stands_in_line_anyway() {
        let lane = lane(1);
        let place = take(&lane);
        let mut first = Box::pin(lane.enter(noon()));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(matches!(enter(&lane), Some(Err(_))));
        let mut last = Box::pin(lane.enter_anyway());
        assert!(last.as_mut().now_or_never().is_none());
        place.leave();
        let place = first.await.expect("a place");
        assert!(last.as_mut().now_or_never().is_none());
        place.leave();
        last.await.leave();
    }

    #[tokio::test]
    async fn what_is_dropped_in_the_line_leaves_it() {
        let lane = lane(1);
        let place = take(&lane);
        let mut first = Box::pin(lane.enter(noon()));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(matches!(enter(&lane), Some(Err(_))));
        drop(first);
        let mut second = Box::pin(lane.enter(noon()));
        assert!(second.as_mut().now_or_never().is_none());
        place.leave();
        second.await.expect("a place").leave();
    }

    #[tokio::test]
    async fn a_lane_goes_on_when_its_route_changes() {
        let lane = lane(1);
        let first = take(&lane);
        let mut waiting = Box::pin(lane.enter(noon()));
        assert!(waiting.as_mut().now_or_never().is_none());
        lane.set_most(Some(places(2)));
        let second = waiting.await.expect("a place");
        lane.set_most(None);
        let more: Vec<_> = (0..10).map(|_| take(&lane)).collect();
        lane.set_most(Some(places(1)));
        drop((more, first));
        assert!(enter(&lane).is_none(), "one of before is on the wire");
        second.leave();
        take(&lane).leave();
    }

    #[test]
    fn who_is_sent_away_comes_back_about_when_a_place_is_free() {
        let mut estimate = Estimate { held: FIRST_GUESS, line_end_at: None };
        for _ in 0..100 {
            estimate.learn(Duration::from_secs(2));
        }
        let turns: Vec<_> = (0..100).map(|_| estimate.turn(places(4), noon())).collect();
        // Four places of two seconds each: one is free every half a second.
        let last = (turns[99] - noon()).as_seconds_f64();
        assert!((49.0..=50.0).contains(&last), "the hundredth comes after {last} s");
        assert!(turns.is_sorted());
        // Later, those have had their turns.
        let later = noon() + Duration::from_mins(10);
        assert!(estimate.turn(places(4), later) - later < chrono::TimeDelta::seconds(1));
    }

    #[test]
    fn nobody_is_sent_away_for_long() {
        let mut estimate = Estimate { held: FIRST_GUESS, line_end_at: None };
        estimate.learn(Duration::from_mins(10));
        for _ in 0..1_000 {
            assert!(estimate.turn(places(1), noon()) <= noon() + LONGEST_WAIT);
        }
    }
}
