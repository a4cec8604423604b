//! One round: everything goes wrong, everything is healed, everything is compared.

use std::time::{Duration, Instant};

use crate::carrier::Witness;
use crate::deed::{Came, Deed};
use crate::feeding;
use crate::plan::{Plan, ROUND};
use crate::report::Report;
use crate::stage::Stage;
use crate::strike::{Struck, strike};
use crate::verdict;
use futures::stream::{FuturesUnordered, StreamExt};

/// How long deeds that are under way at a round's end may take. Longer than their own patience.
const LAST_DEEDS: Duration = Duration::from_secs(150);

/// What becomes of something that was planned.
enum Happened {
    Struck(String, anyhow::Result<Struck>),
    Did(Deed, anyhow::Result<Came>),
}

/// Plays a round, of which no more than `time` goes wrong. Adds to the report.
pub(crate) async fn play(
    stage: &mut Stage,
    plan: Plan,
    time: Duration,
    witness: &mut Witness,
    report: &mut Report,
) -> anyhow::Result<()> {
    let time = time.min(ROUND);
    let round = plan.round;
    let begin = Instant::now();
    go_wrong(stage, plan, time, report).await?;
    stage.heal().await?;
    let healed = begin.elapsed();
    let mut violations = verdict::until_quiet(stage).await?;
    let quiet = begin.elapsed();
    violations.extend(verdict::judge(stage, witness).await?);
    // One of them each time, since a worker that was never started anew has seen the most.
    let retiring = usize::try_from(round).unwrap_or_default() % stage.slots.len();
    stage.slots[retiring].retire().await?;
    violations.extend(stage.take_complaints());
    if stage.carrier.has_ended() {
        violations.push("the carrier simulator has ended".to_owned());
    }
    report.violations.extend(violations.into_iter().map(|text| format!("round {round}: {text}")));
    report.rounds += 1;
    report.messages = witness.accepted;
    report.unknown = verdict::undecided(stage, witness).await?.count;
    report.commits_lost = stage.databases.iter().map(crate::proxy::Proxy::lost).sum();
    report.worker_starts = stage.slots.iter().map(|slot| slot.starts()).sum();
    crate::say(&format!(
        "round {round}: {} faults and {} messages so far; healed after {:.1} s, quiet after {:.1} s, \
         compared after {:.1} s; {} unknown, {} violations",
        report.fault_count(),
        report.messages,
        healed.as_secs_f64(),
        quiet.as_secs_f64(),
        begin.elapsed().as_secs_f64(),
        report.unknown,
        report.violations.len()
    ));
    Ok(())
}

/// Lets everything happen that is planned, while contacts are enrolled all the time.
async fn go_wrong(
    stage: &Stage,
    plan: Plan,
    time: Duration,
    report: &mut Report,
) -> anyhow::Result<()> {
    let Plan { round, faults, deeds, rng } = plan;
    let happening = FuturesUnordered::new();
    for (number, (at, fault)) in faults.into_iter().enumerate() {
        if at >= time {
            continue;
        }
        let id = round * 1_000 + number as u64;
        happening.push(futures::future::Either::Left(async move {
            tokio::time::sleep(at).await;
            let struck = strike(stage, id, &fault).await;
            Happened::Struck(fault.kind(), struck)
        }));
    }
    for (at, deed) in deeds.into_iter().filter(|(at, _)| *at < time) {
        happening.push(futures::future::Either::Right(async move {
            tokio::time::sleep(at).await;
            Happened::Did(deed, deed.run(stage).await)
        }));
    }
    let all = happening.for_each(|happened| {
        note(stage, report, happened);
        std::future::ready(())
    });
    let feeding = async {
        let fed = tokio::time::timeout(time, feeding::feed(stage, rng)).await;
        if let Ok(Err(error)) = fed {
            stage.complain(format!("the enrolling failed: {error:#}"));
        }
    };
    let everything = async { tokio::join!(all, feeding) };
    if tokio::time::timeout(time + LAST_DEEDS, everything).await.is_err() {
        stage.complain("what people do did not come to an end".to_owned());
    }
    Ok(())
}

fn note(stage: &Stage, report: &mut Report, happened: Happened) {
    match happened {
        Happened::Struck(kind, struck) => {
            match struck {
                Ok(Struck::Something) => {}
                Ok(Struck::Stillness(recovery)) => report.recovered(recovery),
                Ok(Struck::Nothing) => return report.in_vain += 1,
                Err(error) => stage.complain(format!("the fault {kind} failed: {error:#}")),
            }
            *report.faults.entry(kind).or_default() += 1;
        }
        Happened::Did(deed, came) => {
            let counts = report.deeds.entry(deed.kind().to_owned()).or_default();
            match came {
                Ok(Came::Done) => counts[0] += 1,
                Ok(Came::Refused) => counts[1] += 1,
                Ok(Came::Failed) => counts[2] += 1,
                Err(error) => stage.complain(format!("{deed:?} failed: {error:#}")),
            }
        }
    }
}
