//! What a hostile plugin costs: how late it is stopped, and what its neighbours lose meanwhile.

use std::time::Instant;

use anyhow::Context;
use dripline_plugin_host::egress::Secrets;
use dripline_plugin_host::{CallError, Limits, Outgoing, PluginError, PluginHost, Settings};

use crate::carrier::Carrier;
use crate::deliver::{Form, deliver, until_due, waiting};
use crate::lab::Lab;
use crate::report::Figure;
use crate::seed::Content;

const HOSTILE: &str = "hostile-corpus";
/// One hostile message among so many.
const ONE_IN: usize = 20;
const MILLIS: f64 = 1e3;

/// Milliseconds between a call's deadline and its end, for a carrier that never comes back. The target is
/// 100 for the worst.
pub(crate) async fn overrun(plugins: &PluginHost, runs: usize) -> anyhow::Result<Figure> {
    let deadline = Limits::default().carrier_deadline;
    let settings = Settings::from([("base_url".to_owned(), "http://127.0.0.1:9".to_owned())]);
    let mut late = Vec::new();
    for _ in 0..runs {
        let begun = Instant::now();
        let built = plugins
            .build_requests(HOSTILE, &settings, &Secrets::default(), vec![message("loop")])
            .await;
        let took = begun.elapsed();
        let error = built.into_iter().next().context("an answer")?.err().context("an error")?;
        anyhow::ensure!(
            matches!(error, CallError::Plugin(PluginError::Deadline { .. })),
            "it ended otherwise: {error}"
        );
        late.push(took.saturating_sub(deadline).as_secs_f64() * MILLIS);
    }
    Ok(Figure::of("hostile", "beyond the deadline", "ms", 1, &late))
}

/// Messages per second of one route, alone and beside one whose carrier hangs in every call. The target is
/// less than a tenth lost.
pub(crate) async fn neighbours(
    lab: &Lab,
    messages: usize,
    runs: usize,
) -> anyhow::Result<[Figure; 2]> {
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for run in 0..runs {
        for (hostile, rates) in [(false, &mut alone), (true, &mut beside)] {
            let carrier = Carrier::start()?;
            let name = format!("hostile_{hostile}_{run}");
            let (pool, seed) = waiting(lab, &name, carrier.at(), messages).await?;
            if hostile {
                let (clock, count) = (&*lab.clock, messages / ONE_IN);
                let other =
                    seed.beside(&pool, clock, Content::HOSTILE, carrier.at(), count).await?;
                other.enroll(&pool, clock, &lab.plugins, count).await?;
                until_due(lab, &pool).await?;
            }
            rates.push(deliver(lab, Form::Wire, &pool, messages).await?);
            pool.close().await;
        }
    }
    Ok([
        Figure::of("hostile", "a route alone", "messages/s", messages, &alone),
        Figure::of("hostile", "a route beside it", "messages/s", messages, &beside),
    ])
}

fn message(text: &str) -> Outgoing {
    Outgoing {
        reference: "bench-1-1".to_owned(),
        sender: "+12025550100".to_owned(),
        recipient: "+12025550123".to_owned(),
        text: text.to_owned(),
        callback_url: None,
    }
}
