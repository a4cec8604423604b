//! How fast one sender of a route may send: its throttle.
//!
//! Carriers limit the segments that leave one number, by the second and by the day. All workers share
//! one [`Pace`] for each sender, kept in the database: whoever may not leave now is given a turn, and
//! waits for it in the queue.
//!
//! The limit by the second is a token bucket, kept as the one instant at which it will be full again
//! (the generic cell rate algorithm, ITU-T I.371, appendix A). Before it stands a line: turns are given
//! out one behind the other, so that whoever waits is looked at when its turn comes and not before, and
//! a newcomer does not pass those who wait. Who finds no room at its turn, as all do whose turns came
//! while no worker ran, is given another one in a second line, so that after an outage not everybody
//! comes back every second.

use std::num::NonZeroU32;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Serialize};

/// Turns come at whole seconds, and are taken now a little earlier in them and now a little later. Whoever
/// comes this much earlier after the one before than is allowed is let through all the same, or a slow
/// sender would lose a whole second each time.
const EARLY: Duration = Duration::from_millis(250);
/// What the bucket holds: a second's worth, and what may come early.
const BUCKET: Duration = Duration::from_millis(1_250);
/// More segments than any carrier takes in one message.
const LONGEST_MESSAGE: u32 = 255;
/// What a limit by the day is spread over.
const DAY: Duration = Duration::from_hours(24);

/// How many segments one sender may send. Without a limit it is no throttle.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Throttle {
    /// Segments in a second, on average: in any `t` seconds at most `t + 1.25` times as many, or one
    /// message more.
    pub segments_per_second: Option<NonZeroU32>,
    /// Segments in a day of UTC. One message that has more alone may leave as the first of its day.
    pub segments_per_day: Option<NonZeroU32>,
}

impl Throttle {
    /// Whether there is a limit.
    pub const fn is_limited(self) -> bool {
        self.segments_per_second.is_some() || self.segments_per_day.is_some()
    }

    /// How long so many segments use up what may be sent in a second.
    fn cost(self, segments: u32) -> Duration {
        self.segments_per_second
            .map_or(Duration::ZERO, |rate| (Duration::from_secs(1) / rate.get()) * segments)
    }

    /// How long so many segments use up what may be sent in a day.
    fn share_of_day(self, segments: u32) -> Duration {
        self.segments_per_day
            .map_or(Duration::ZERO, |per_day| (DAY / per_day.get()).saturating_mul(segments))
    }

    /// When nothing has left for so long, nobody is standing in line any more.
    fn idle(self) -> Duration {
        2 * self.share_of_day(1).max(Duration::from_secs(1))
    }
}

/// How far one sender has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// When the bucket is full again.
    pub full_at: DateTime<Utc>,
    /// When everybody in line has had its turn.
    pub line_end_at: DateTime<Utc>,
    /// When everybody who found no room at its turn has had another one.
    pub late_end_at: DateTime<Utc>,
    /// The day, of UTC, of [`Self::day_segments`].
    pub day: NaiveDate,
    /// Segments that were let through on that day.
    pub day_segments: u64,
}

impl Pace {
    /// That of a sender that has not sent anything.
    pub fn new(now: DateTime<Utc>) -> Self {
        let day = now.date_naive();
        Self { full_at: now, line_end_at: now, late_end_at: now, day, day_segments: 0 }
    }

    /// Lets a message of so many segments through, or gives it the turn for which it has to wait.
    /// `has_waited`: it is no newcomer. Its turn has come, or what else it waited for.
    pub fn take(
        &mut self,
        throttle: Throttle,
        segments: u32,
        has_waited: bool,
        now: DateTime<Utc>,
    ) -> Result<(), DateTime<Utc>> {
        if now.date_naive() > self.day {
            (self.day, self.day_segments) = (now.date_naive(), 0);
        }
        // No message has left the bucket emptier than this, so that a clock was set back since.
        let emptiest = BUCKET.max(throttle.cost(LONGEST_MESSAGE));
        self.full_at = self.full_at.min(now + emptiest);
        let day_is_full = self.day_is_full(throttle, segments);
        let room_at =
            if day_is_full { next_day(self.day) } else { self.room_at(throttle, segments) };
        if room_at <= now && self.full_at + throttle.idle() <= now {
            // Whoever stood in line was cancelled or has expired.
            self.line_end_at = self.line_end_at.min(now);
            self.late_end_at = self.late_end_at.min(now);
        }
        let lines_end_at = self.line_end_at.max(self.late_end_at);
        if room_at <= now && (has_waited || lines_end_at <= now) {
            self.full_at = self.full_at.max(now) + throttle.cost(segments);
            self.day_segments += u64::from(segments);
            return Ok(());
        }
        let cost = throttle.cost(segments);
        if has_waited && !day_is_full {
            let given = room_at.max(self.late_end_at);
            self.late_end_at = given + cost;
            return Err(given);
        }
        let given = room_at.max(lines_end_at);
        let spacing = if day_is_full { cost.max(throttle.share_of_day(segments)) } else { cost };
        self.line_end_at = given + spacing;
        Err(given)
    }

    /// A message longer than a day's worth would wait for ever.
    fn day_is_full(&self, throttle: Throttle, segments: u32) -> bool {
        throttle.segments_per_day.is_some_and(|per_day| {
            self.day_segments > 0
                && self.day_segments + u64::from(segments) > u64::from(per_day.get())
        })
    }

    /// When the bucket has room for so many segments. For more than it holds, that is when it is full.
    fn room_at(&self, throttle: Throttle, segments: u32) -> DateTime<Utc> {
        self.full_at - BUCKET.saturating_sub(throttle.cost(segments)).max(EARLY)
    }
}

fn next_day(day: NaiveDate) -> DateTime<Utc> {
    let next = day.checked_add_days(Days::new(1)).unwrap_or(NaiveDate::MAX);
    next.and_time(NaiveTime::MIN).and_utc()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;

    fn throttle(per_second: u32, per_day: u32) -> Throttle {
        Throttle {
            segments_per_second: NonZeroU32::new(per_second),
            segments_per_day: NonZeroU32::new(per_day),
        }
    }

    fn noon() -> DateTime<Utc> {
        "2026-03-01T12:00:00Z".parse().unwrap()
    }

    /// What the queue makes of a turn: tickets fall due at whole seconds.
    fn round_up(at: DateTime<Utc>) -> DateTime<Utc> {
        let whole = DateTime::from_timestamp(at.timestamp(), 0).unwrap();
        if whole == at { at } else { whole + TimeDelta::seconds(1) }
    }

    /// A message that comes at a time, with so many segments.
    #[derive(Clone, Copy, Debug)]
    struct Message {
        at_ms: u64,
        segments: u32,
    }

    /// When each was let through, and how often all were looked at, with each looked at up to
    /// `lateness` after its turn.
    fn play(
        throttle: Throttle,
        messages: &[Message],
        lateness: &mut dyn FnMut() -> Duration,
    ) -> (Vec<(DateTime<Utc>, u32)>, usize) {
        let mut pace = Pace::new(noon());
        let mut coming: BTreeMap<(DateTime<Utc>, usize), bool> = BTreeMap::new();
        for (number, message) in messages.iter().enumerate() {
            coming.insert((noon() + Duration::from_millis(message.at_ms), number), false);
        }
        let (mut left, mut looks) = (Vec::new(), 0);
        while let Some(((at, number), has_waited)) = coming.pop_first() {
            looks += 1;
            assert!(looks < 200 * messages.len(), "it takes no end: {pace:?}");
            match pace.take(throttle, messages[number].segments, has_waited, at) {
                Ok(()) => left.push((at, messages[number].segments)),
                Err(until) => {
                    let due = round_up(until);
                    assert!(due > at, "sent away at {at} until {until}");
                    coming.insert((due + lateness(), number), true);
                }
            }
        }
        (left, looks)
    }

    #[test]
    fn a_limit_of_either_kind_is_a_limit() {
        assert!(!throttle(0, 0).is_limited());
        assert!(throttle(1, 0).is_limited());
        assert!(throttle(0, 1).is_limited());
        assert!(throttle(1, 1).is_limited());
    }

    #[test]
    fn a_second_is_shared_and_the_rest_stands_in_line() {
        let ten = throttle(10, 0);
        let mut pace = Pace::new(noon());
        let answers: Vec<_> = (0..24).map(|_| pace.take(ten, 1, false, noon())).collect();
        assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 12);
        let turns: Vec<_> = answers.into_iter().filter_map(Result::err).collect();
        assert_eq!(turns[0], noon() + Duration::from_millis(50));
        for pair in turns.windows(2) {
            assert_eq!(pair[1] - pair[0], TimeDelta::milliseconds(100));
        }
        // Nobody passes them, though there would be room by now.
        let later = noon() + Duration::from_millis(900);
        assert_eq!(pace.take(ten, 1, false, later), Err(noon() + Duration::from_millis(1_250)));
        assert_eq!(pace.take(ten, 1, true, later), Ok(()));
    }

    #[test]
    fn a_line_that_was_cancelled_holds_nobody_up() {
        let one = throttle(1, 0);
        let mut pace = Pace::new(noon());
        for _ in 0..10_000 {
            let _ = pace.take(one, 1, false, noon());
        }
        let soon = noon() + Duration::from_secs(1);
        assert!(pace.take(one, 1, false, soon).unwrap_err() > noon() + Duration::from_hours(2));
        let later = noon() + Duration::from_secs(10);
        assert_eq!(pace.take(one, 1, false, later), Ok(()));
        assert_eq!(pace.take(one, 1, false, later), Err(later + Duration::from_millis(750)));
    }

    #[test]
    fn a_full_day_moves_its_rest_over_the_days_to_come() {
        let throttle = throttle(0, 4);
        let mut pace = Pace::new(noon());
        let answers: Vec<_> = (0..10).map(|_| pace.take(throttle, 1, false, noon())).collect();
        assert_eq!(answers[..4], [Ok(()); 4]);
        let tomorrow: DateTime<Utc> = "2026-03-02T00:00:00Z".parse().unwrap();
        for (place, answer) in (0_u32..).zip(&answers[4..]) {
            assert_eq!(*answer, Err(tomorrow + place * Duration::from_hours(6)));
        }
        assert_eq!(pace.take(throttle, 1, true, tomorrow), Ok(()));
        assert_eq!(pace.day_segments, 1);
    }

    #[test]
    fn who_finds_no_room_at_its_turn_does_not_stand_behind_all_others_again() {
        let one = throttle(1, 0);
        let mut pace = Pace::new(noon());
        for _ in 0..100 {
            let _ = pace.take(one, 1, false, noon());
        }
        let first = noon() + Duration::from_millis(750);
        assert_eq!(pace.take(one, 1, true, noon()), Err(first));
        assert_eq!(pace.take(one, 1, true, noon()), Err(first + Duration::from_secs(1)));
    }

    #[test]
    fn who_finds_a_full_day_at_its_turn_stands_in_the_line_of_the_next() {
        let four = throttle(0, 4);
        let mut pace = Pace::new(noon());
        for _ in 0..4 {
            assert_eq!(pace.take(four, 1, true, noon()), Ok(()));
        }
        let tomorrow: DateTime<Utc> = "2026-03-02T00:00:00Z".parse().unwrap();
        for (place, has_waited) in (0_u32..).zip([true, false, true]) {
            let turn = tomorrow + place * Duration::from_hours(6);
            assert_eq!(pace.take(four, 1, has_waited, noon()), Err(turn));
        }
    }

    #[test]
    fn a_message_longer_than_what_is_allowed_leaves_alone() {
        let throttle = throttle(1, 2);
        let mut pace = Pace::new(noon());
        assert_eq!(pace.take(throttle, 5, false, noon()), Ok(()));
        assert!(pace.take(throttle, 1, false, noon() + Duration::from_secs(9)).is_err());
    }

    #[test]
    fn after_an_outage_everybody_is_let_through_with_few_looks() {
        for outage in [Duration::from_mins(2), Duration::from_mins(15)] {
            let ten = throttle(10, 0);
            let mut pace = Pace::new(noon());
            let mut waiting: Vec<_> =
                (0..3_000).filter_map(|_| pace.take(ten, 1, false, noon()).err()).collect();
            let (mut looks, mut now) = (0, noon() + outage);
            while !waiting.is_empty() {
                let (due, later): (Vec<_>, Vec<_>) =
                    waiting.into_iter().partition(|turn| round_up(*turn) <= now);
                looks += due.len();
                waiting = later;
                waiting.extend(due.iter().filter_map(|_| pace.take(ten, 1, true, now).err()));
                now += TimeDelta::seconds(1);
            }
            assert!(looks < 3 * 3_000, "{looks} looks after {outage:?}");
            assert!(now < noon() + outage + Duration::from_secs(330), "only at {now}");
        }
    }

    #[test]
    fn a_clock_that_was_set_back_holds_nobody_up_for_as_long() {
        let ten = throttle(10, 0);
        let mut pace = Pace::new(noon() + Duration::from_hours(3));
        let mut now = noon();
        while pace.take(ten, 1, false, now).is_err() {
            now += TimeDelta::seconds(10);
        }
        assert!(now <= noon() + Duration::from_mins(1), "only at {now}");
    }

    proptest! {
        #[test]
        fn no_second_and_no_day_is_overrun_and_everybody_leaves(
            per_second in 0_u32..40,
            per_day in prop_oneof![Just(0_u32), 50_u32..400],
            messages in prop::collection::vec(
                (0_u64..20_000, 1_u32..4).prop_map(|(at_ms, segments)| Message { at_ms, segments }),
                1..150,
            ),
            late_ms in prop_oneof![Just(EARLY.as_millis()), Just(2_000)],
            lateness in prop::collection::vec(0.0..1.0, 16),
        ) {
            let throttle = throttle(per_second, per_day);
            let longest = Duration::from_millis(u64::try_from(late_ms).unwrap());
            let prompt = longest <= EARLY;
            let mut turns = lateness.iter().cycle();
            let mut lateness = || longest.mul_f64(*turns.next().unwrap());
            let (left, looks) = play(throttle, &messages, &mut lateness);
            prop_assert_eq!(left.len(), messages.len());
            prop_assert!(
                !prompt || looks <= 12 * messages.len(),
                "{} looks for {}", looks, messages.len()
            );
            if per_day > 0 {
                let mut days: BTreeMap<NaiveDate, u32> = BTreeMap::new();
                for (at, segments) in &left {
                    *days.entry(at.date_naive()).or_default() += segments;
                }
                prop_assert!(days.values().all(|segments| *segments <= per_day), "{days:?}");
            }
            if per_second > 0 {
                for (place, (from, _)) in left.iter().enumerate() {
                    let mut sum = 0;
                    for (at, segments) in &left[place..] {
                        sum += segments;
                        let seconds = (*at - *from).as_seconds_f64() + BUCKET.as_secs_f64();
                        let most = f64::from(per_second) * seconds + 3.0;
                        prop_assert!(f64::from(sum) <= most + 1e-6, "{sum} from {from} to {at}");
                    }
                }
            }
            if prompt && per_second > 0 && per_day == 0 {
                let all: u32 = messages.iter().map(|message| message.segments).sum();
                let last = left.iter().map(|(at, _)| *at).max().unwrap();
                let longest = 20.0 + 1.25 * f64::from(all) / f64::from(per_second) + 5.0;
                prop_assert!((last - noon()).as_seconds_f64() <= longest, "ended at {last}");
            }
        }
    }
}
