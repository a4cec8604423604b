//! How many requests of one route this worker has on the wire at once.

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use dripline_store::delivery::DueDelivery;
use dripline_store::ops::WaitsFor;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::Outcome;

/// What a request takes, before one has shown it.
const FIRST_GUESS: Duration = Duration::from_millis(200);
/// How much the last request counts against those before it: one in so many.
const MEMORY: u32 = 8;
/// Nobody is sent away for longer. A carrier that was slow for a while would keep messages back for
/// hours.
const LONGEST_WAIT: Duration = Duration::from_mins(5);

/// The places on the wire of one revision of a route. Before them stands a short line, as long as there
/// are places: with it the next request leaves as soon as one ends. Whoever does not fit in waits in
/// the queue, where it takes nobody's room, and comes back about when a place is free for it.
#[derive(Debug)]
pub(super) struct Lane(Option<Limited>);

#[derive(Debug)]
struct Limited {
    places: Arc<Semaphore>,
    line: Semaphore,
    estimate: Arc<Mutex<Estimate>>,
}

/// When places will be free.
#[derive(Debug)]
struct Estimate {
    places: u32,
    /// How long a request has its place, on average.
    held: Duration,
    /// When everybody who was sent away has had a place, by this estimate.
    line_end_at: Option<DateTime<Utc>>,
}

/// A place on the wire, until it is dropped.
#[derive(Debug)]
pub(super) struct Place(Option<Held>);

#[derive(Debug)]
struct Held {
    since: Instant,
    estimate: Arc<Mutex<Estimate>>,
    _place: OwnedSemaphorePermit,
}

impl Lane {
    /// With so many places; `None`: as many as anybody wants.
    pub(super) fn new(places: Option<NonZeroU32>) -> Self {
        Self(places.map(|places| {
            let most = usize::try_from(places.get()).unwrap_or(usize::MAX);
            let most = most.min(Semaphore::MAX_PERMITS);
            Limited {
                places: Arc::new(Semaphore::new(most)),
                line: Semaphore::new(most),
                estimate: Arc::new(Mutex::new(Estimate::new(places))),
            }
        }))
    }

    /// A place, as soon as one is free; the delivery's postponement when the line is full.
    pub(super) async fn enter(
        &self,
        delivery: &DueDelivery,
        now: DateTime<Utc>,
    ) -> Result<Place, Outcome> {
        let Some(limited) = &self.0 else { return Ok(Place(None)) };
        if let Ok(place) = limited.places.clone().try_acquire_owned() {
            return Ok(limited.place(place));
        }
        let Ok(_in_line) = limited.line.try_acquire() else {
            let until = lock(&limited.estimate).turn(now);
            return Err(Outcome::waits(delivery, until, WaitsFor::Place));
        };
        // The semaphore is never closed.
        let place = limited.places.clone().acquire_owned().await;
        Ok(place.map_or(Place(None), |place| limited.place(place)))
    }
}

impl Limited {
    fn place(&self, place: OwnedSemaphorePermit) -> Place {
        let estimate = self.estimate.clone();
        Place(Some(Held { since: Instant::now(), estimate, _place: place }))
    }
}

impl Place {
    /// Somebody else may have it.
    pub(super) fn leave(self) {
        drop(self.0);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.estimate).learn(self.since.elapsed());
    }
}

impl Estimate {
    fn new(places: NonZeroU32) -> Self {
        Self { places: places.get(), held: FIRST_GUESS, line_end_at: None }
    }

    fn learn(&mut self, held: Duration) {
        self.held = (self.held * (MEMORY - 1) + held) / MEMORY;
    }

    /// When somebody who is sent away now may find a place.
    fn turn(&mut self, now: DateTime<Utc>) -> DateTime<Utc> {
        let begin = self.line_end_at.map_or(now, |end| end.max(now));
        let turn = (begin + self.held / self.places).min(now + LONGEST_WAIT);
        self.line_end_at = Some(turn);
        turn
    }
}

fn lock(estimate: &Mutex<Estimate>) -> std::sync::MutexGuard<'_, Estimate> {
    estimate.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noon() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().expect("a time")
    }

    #[test]
    fn who_is_sent_away_comes_back_about_when_a_place_is_free() {
        let mut estimate = Estimate::new(NonZeroU32::new(4).expect("not 0"));
        for _ in 0..100 {
            estimate.learn(Duration::from_secs(2));
        }
        let turns: Vec<_> = (0..100).map(|_| estimate.turn(noon())).collect();
        // Four places of two seconds each: one is free every half a second.
        let last = (turns[99] - noon()).as_seconds_f64();
        assert!((49.0..=50.0).contains(&last), "the hundredth comes after {last} s");
        assert!(turns.is_sorted());
        // Later, those have had their turns.
        let later = noon() + Duration::from_mins(10);
        assert!(estimate.turn(later) - later < chrono::TimeDelta::seconds(1));
    }

    #[test]
    fn nobody_is_sent_away_for_long() {
        let mut estimate = Estimate::new(NonZeroU32::MIN);
        estimate.learn(Duration::from_mins(10));
        for _ in 0..1_000 {
            assert!(estimate.turn(noon()) <= noon() + LONGEST_WAIT);
        }
    }
}
