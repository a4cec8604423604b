//! Many trials at once, and what came of them.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use futures::FutureExt;
use futures::stream::{self, StreamExt};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::points;
use crate::scene::scenes;
use crate::stage::Programs;
use crate::trial::Trial;

/// What to play.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often each point strikes, and at least once in each of its scenes.
    pub times: u32,
    /// Decides at which passage.
    pub seed: u64,
    /// Trials at the same time.
    pub parallel: usize,
    /// Only these points; empty: all.
    pub points: Vec<String>,
}

/// What came of all trials.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Points that struck.
    pub points: usize,
    /// Trials.
    pub trials: usize,
    /// What did not agree: one text for each trial that was not survived.
    pub violations: Vec<String>,
    /// How long it took.
    pub took: Duration,
}

#[derive(Default)]
struct Tally {
    played: usize,
    passages: Vec<u32>,
    seconds: f64,
    violations: Vec<String>,
}

/// Plays every point's scenes. Tells `say` one line for each point when all of its trials are over,
/// and each violation.
pub async fn run(
    programs: &Programs,
    options: &Options,
    mut say: impl FnMut(&str),
) -> anyhow::Result<Summary> {
    let begun = Instant::now();
    let trials = plan(options)?;
    programs.compile_plugins().await?;
    let mut left: BTreeMap<&'static str, usize> = BTreeMap::new();
    for trial in &trials {
        *left.entry(trial.point).or_default() += 1;
    }
    let mut summary = Summary {
        points: left.len(),
        trials: trials.len(),
        violations: Vec::new(),
        took: Duration::ZERO,
    };
    let mut tallies: BTreeMap<&'static str, Tally> = BTreeMap::new();
    let playing = stream::iter(trials.into_iter().map(|trial| {
        let programs = programs.clone();
        async move {
            let begun = Instant::now();
            // What the factories cannot make, they panic about.
            let played = AssertUnwindSafe(trial.play(&programs)).catch_unwind().await;
            let played = played.unwrap_or_else(|_| Err(anyhow!("the trial panicked")));
            (trial, played, begun.elapsed())
        }
    }));
    let mut playing = playing.buffer_unordered(options.parallel.max(1));
    while let Some((trial, played, took)) = playing.next().await {
        let tally = tallies.entry(trial.point).or_default();
        tally.played += 1;
        tally.passages.push(trial.passage);
        tally.seconds += took.as_secs_f64();
        if let Err(error) = played {
            let violation = format!("{error:#}");
            tally.violations.push(violation.clone());
            summary.violations.push(violation);
        }
        if left.get(trial.point) == Some(&tally.played) {
            say_point(trial.point, tally, &mut say);
        }
    }
    summary.took = begun.elapsed();
    Ok(summary)
}

fn say_point(point: &str, tally: &mut Tally, say: &mut impl FnMut(&str)) {
    tally.passages.sort_unstable();
    let verdict = if tally.violations.is_empty() { "ok" } else { "VIOLATED" };
    let passages: Vec<String> = tally.passages.iter().map(u32::to_string).collect();
    let each = tally.seconds / f64::from(u32::try_from(tally.played).unwrap_or(u32::MAX));
    say(&format!(
        "{verdict:<9} {point:<28} {:>2} times, {each:>5.1} s each, at passages {}",
        tally.played,
        passages.join(" ")
    ));
    for violation in &tally.violations {
        say(&format!("  {violation}"));
    }
}

/// The trials, those of one point beside each other.
fn plan(options: &Options) -> anyhow::Result<Vec<Trial>> {
    let all = points::all();
    if let Some(unknown) = options.points.iter().find(|name| !all.contains(&name.as_str())) {
        bail!("there is no point `{unknown}`; the points are {}", all.join(", "));
    }
    let mut trials = Vec::new();
    for (number, point) in (0_u64..).zip(all) {
        if !options.points.is_empty() && options.points.iter().all(|name| name != point) {
            continue;
        }
        let scenes = scenes(point);
        if scenes.is_empty() {
            bail!("the point `{point}` has no scene");
        }
        // Each point has chance of its own, so that one alone is played as it is among all.
        let mut chance = StdRng::seed_from_u64(options.seed.wrapping_add(number));
        let times = scenes.len().max(usize::try_from(options.times)?);
        for (scene, last) in scenes.into_iter().cycle().take(times) {
            let passage = chance.random_range(0..=last);
            trials.push(Trial { point, scene, passage });
        }
    }
    Ok(trials)
}
