//! What happens in a round and when, all of it drawn from the seed and the round's number.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use crate::deed::Deed;
use crate::fault::Fault;

/// How long things go wrong in one round.
pub(crate) const ROUND: Duration = Duration::from_secs(40);
/// Faults of a round, besides the one in the calm.
const FAULTS: usize = 24;
/// How much of a round's beginning is early.
const EARLY: Duration = Duration::from_secs(8);
/// Around a kill of Postgres in the calm: before it what lasts has ended, after it messages have to
/// leave again.
const CALM_BEFORE: Duration = Duration::from_secs(3);
const CALM_AFTER: Duration = Duration::from_secs(7);
/// When Postgres is killed in the calm, so that the calm ends with the round.
const CALM: Range<Duration> = Duration::from_secs(12)..Duration::from_secs(33);
/// Deeds besides the enrolling, which never pauses.
const DEEDS: usize = 60;

/// A round: what happens, and at what time after its begin.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) round: u64,
    pub(crate) faults: Vec<(Duration, Fault)>,
    pub(crate) deeds: Vec<(Duration, Deed)>,
    /// For choices that depend on what is there when their time comes.
    pub(crate) rng: Xoshiro256PlusPlus,
}

impl Plan {
    /// Draws the plan of one round of one seed, of faults of these kinds, or of all when none is named.
    pub(crate) fn draw(seed: u64, round: u64, only: &[String]) -> Self {
        // Seeds and rounds are small, so that no two of them meet.
        let mut rng = Xoshiro256PlusPlus::seed_from_u64((seed << 20) ^ round);
        let calm = rng.random_range(CALM);
        let mut faults = vec![(calm, Fault::KillPostgres { in_the_calm: true })];
        while faults.len() <= FAULTS {
            let at = rng.random_range(Duration::ZERO..ROUND);
            let fault = Fault::draw(&mut rng, at < EARLY);
            if !only.is_empty() && !only.contains(&fault.kind()) {
                continue;
            }
            let is_calm = at + CALM_BEFORE + lasts(&fault) > calm && at < calm + CALM_AFTER;
            if !is_calm {
                faults.push((at, fault));
            }
        }
        faults.sort_by_key(|(at, _)| *at);
        let mut deeds: Vec<_> = (0..DEEDS)
            .map(|_| (rng.random_range(Duration::ZERO..ROUND), Deed::draw(&mut rng)))
            .collect();
        deeds.sort_by_key(|(at, _)| *at);
        Self { round, faults, deeds, rng }
    }
}

/// For how long a fault is felt, at least.
fn lasts(fault: &Fault) -> Duration {
    match fault {
        Fault::KillWorker { empty_for, .. } | Fault::TerminateWorker { empty_for, .. } => {
            *empty_for + Duration::from_secs(2)
        }
        Fault::FreezeWorker { time, .. }
        | Fault::StepClock { time, .. }
        | Fault::HoldDatabase { time, .. }
        | Fault::HoldWire { time, .. }
        | Fault::Carrier { time, .. } => *time,
        Fault::RestartPostgres { down } => *down + Duration::from_secs(2),
        Fault::KillPostgres { .. } | Fault::KillBackend { .. } => Duration::from_secs(3),
        Fault::ForgetDatabase { .. } => Duration::from_secs(10),
        _ => Duration::ZERO,
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "round {}", self.round)?;
        let faults = self.faults.iter().map(|(at, fault)| (at, fault.to_string()));
        let deeds = self.deeds.iter().map(|(at, deed)| (at, format!("{deed:?}")));
        let mut lines: Vec<_> = faults.chain(deeds).collect();
        lines.sort_by_key(|(at, _)| *at);
        for (at, line) in lines {
            writeln!(f, "  {:>6.2} s  {line}", at.as_secs_f64())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_drawn_from_seed_and_round_alone() {
        let plan = |seed, round| Plan::draw(seed, round, &[]).to_string();
        assert_eq!(plan(7, 3), plan(7, 3));
        assert_ne!(plan(7, 3), plan(7, 4));
        assert_ne!(plan(7, 3), plan(8, 3));
    }

    #[test]
    fn nothing_begins_in_the_calm() {
        for round in 0..50 {
            let plan = Plan::draw(1, round, &[]);
            let is_calm =
                |fault: &Fault| matches!(fault, Fault::KillPostgres { in_the_calm: true });
            let (calm, _) = plan.faults.iter().find(|(_, fault)| is_calm(fault)).unwrap();
            let inside = plan.faults.iter().filter(|(at, fault)| {
                !is_calm(fault) && *at + CALM_BEFORE > *calm && *at < *calm + CALM_AFTER
            });
            assert_eq!(inside.count(), 0);
            assert_eq!(plan.faults.len(), FAULTS + 1);
        }
    }

    #[test]
    fn every_kind_of_fault_comes_up() {
        let mut kinds = std::collections::BTreeSet::new();
        for round in 0..60 {
            kinds.extend(Plan::draw(5, round, &[]).faults.iter().map(|(_, fault)| fault.kind()));
        }
        assert_eq!(kinds, Fault::kinds());
    }
}
