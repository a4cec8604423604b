//! What a hostile plugin costs: how late it is stopped, and what its neighbours lose meanwhile. Tests do not look at the
//! time; this bench does, and [`judge`]s what it sees.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use dripline_plugin_host::egress::Secrets;
use dripline_plugin_host::{
    CallError, Fields, Hook, HookError, HostOptions, LoadError, Outgoing, PluginError, PluginHost,
    Question, RenderCheckError, Response, Settings,
};

use crate::carrier::Carrier;
use crate::deliver::{Form, deliver, until_due, waiting};
use crate::lab::Lab;
use crate::report::Figure;
use crate::seed::Content;

const CORPUS: &str = "hostile-corpus";
const ABILITIES: &str = "hostile-abilities";
const RENDERER: &str = "hostile-renderer";
/// One hostile message among so many.
const ONE_IN: usize = 20;
const MILLIS: f64 = 1e3;

/// A plugin that hangs is stopped so many milliseconds after its deadline, at the latest.
const MOST_OVERRUN: f64 = 100.0;
/// Its neighbours keep so much of what they would send without it.
const LEAST_LEFT: f64 = 0.9;

/// Every place in which a plugin can hang, as the host names them in its errors.
const PLACES: [&str; 11] = [
    "start",
    "describe",
    "send-request",
    "send-outcome",
    "lookup.request",
    "lookup.outcome",
    "token.request",
    "token.outcome",
    "webhook.parse",
    "check",
    "render",
];

/// Milliseconds between a call's deadline and its end, for each place in which a plugin never comes back.
pub(crate) async fn overruns(directory: &Path, runs: usize) -> anyhow::Result<Vec<Figure>> {
    // What is hung in while it is loaded would else be compiled each time.
    let home = tempfile::tempdir()?;
    // The host makes it, for nobody else to reach.
    let cache_directory = Some(home.path().join("cache"));
    let options = HostOptions { cache_directory, ..HostOptions::default() };
    let host = PluginHost::new(options)?;
    for name in [ABILITIES, RENDERER] {
        let path = component(directory, name);
        host.load_file(&path).with_context(|| format!("load {}", path.display()))?;
    }
    let mut figures = Vec::new();
    for place in PLACES {
        // The first time compiles.
        hang(&host, directory, place).await?;
        let mut late = Vec::new();
        for _ in 0..runs {
            let begun = Instant::now();
            let limit = hang(&host, directory, place).await?;
            late.push(begun.elapsed().saturating_sub(limit).as_secs_f64() * MILLIS);
        }
        figures.push(Figure::of("hostile", place, "ms", 1, &late));
    }
    let worst: Vec<f64> = figures.iter().map(|figure| figure.max).collect();
    figures.push(Figure::of("hostile", "worst of all", "ms", 1, &worst));
    Ok(figures)
}

/// Fails when a plugin was stopped too late, or when its neighbours lost too much: the latter at the full size only,
/// since a fifth of it is over before the worker has given up on the plugin that hangs.
pub(crate) fn judge(overruns: &[Figure], neighbours: Option<&[Figure; 2]>) -> anyhow::Result<()> {
    for Figure { form, max, .. } in overruns {
        anyhow::ensure!(
            *max <= MOST_OVERRUN,
            "a plugin that hangs in `{form}` was stopped {max} ms late; the limit is {MOST_OVERRUN}"
        );
    }
    let Some([alone, beside]) = neighbours else { return Ok(()) };
    let left = beside.median / alone.median;
    anyhow::ensure!(
        left >= LEAST_LEFT,
        "a route beside one whose carrier hangs sends {:.1} % less; the limit is {:.0} %",
        (1.0 - left) * 100.0,
        (1.0 - LEAST_LEFT) * 100.0
    );
    Ok(())
}

/// Hangs there until it is stopped, and gives the deadline.
async fn hang(host: &PluginHost, directory: &Path, place: &str) -> anyhow::Result<Duration> {
    let settings: Settings =
        [("api_base", "http://127.0.0.1:9".to_owned()), ("harm", format!("{place} loop"))]
            .map(|(name, value)| (name.to_owned(), value))
            .into();
    let secrets = Secrets::default();
    let response = Response { status: 200, headers: vec![], body: b"{}".to_vec() };
    let error = match place {
        "start" => loaded(host, &std::fs::read(component(directory, "hostile-start"))?)?,
        "describe" => loaded(host, &hung_description(&component(directory, CORPUS))?)?,
        "send-request" => {
            let messages = vec![message()];
            said(host.build_requests(ABILITIES, &settings, &secrets, messages).await.pop())?
        }
        "send-outcome" => {
            said(host.read_responses(ABILITIES, &settings, vec![response]).await.pop())?
        }
        "lookup.request" => {
            let questions = vec![question()];
            said(host.build_questions(ABILITIES, &settings, &secrets, questions).await.pop())?
        }
        "lookup.outcome" => {
            let answers = vec![(question(), response)];
            said(host.read_findings(ABILITIES, &settings, answers).await.pop())?
        }
        "token.request" => {
            said(Some(host.build_token_request(ABILITIES, &settings, &secrets).await))?
        }
        "token.outcome" => {
            said(Some(host.read_token_answer(ABILITIES, &settings, &response).await))?
        }
        "webhook.parse" => {
            match host.read_hooks(ABILITIES, &settings, &secrets, vec![hook()]).await.pop() {
                Some(Err(HookError::Plugin(error))) => error,
                other => bail!("it ended otherwise: {other:?}"),
            }
        }
        "check" => match host.check_template(RENDERER, "check-loop").await {
            Err(RenderCheckError::Plugin(error)) => error,
            other => bail!("it ended otherwise: {other:?}"),
        },
        _ => host
            .render(RENDERER, Arc::from("loop"), vec![Fields::new()])
            .await
            .err()
            .context("it came back")?,
    };
    match error {
        PluginError::Deadline { limit, .. } => Ok(limit),
        error => bail!("it ended otherwise: {error}"),
    }
}

fn component(directory: &Path, name: &str) -> std::path::PathBuf {
    directory.join(format!("{}.wasm", name.replace('-', "_")))
}

/// The carrier that never comes back from describing itself, as it is told to in its bytes.
fn hung_description(path: &Path) -> anyhow::Result<Vec<u8>> {
    const MARKER: &[u8] = b"dripline hostile mode:";
    const MODE: &[u8] = b"describe loop";
    let mut bytes = std::fs::read(path)?;
    let at = bytes.windows(MARKER.len()).position(|window| window == MARKER);
    let place = at.context("there is no place for its mode")? + MARKER.len();
    bytes[place..place + MODE.len()].copy_from_slice(MODE);
    Ok(bytes)
}

fn loaded(host: &PluginHost, bytes: &[u8]) -> anyhow::Result<PluginError> {
    match host.load("hanging", bytes) {
        Err(LoadError::SelfCheck { source, .. }) => Ok(source),
        other => bail!("it ended otherwise: {other:?}"),
    }
}

fn said<T: std::fmt::Debug>(called: Option<Result<T, CallError>>) -> anyhow::Result<PluginError> {
    match called {
        Some(Err(CallError::Plugin(error))) => Ok(error),
        other => bail!("it ended otherwise: {other:?}"),
    }
}

fn question() -> Question {
    Question {
        reference: "bench-1-1".to_owned(),
        sender: "+12025550100".to_owned(),
        recipient: "+12025550123".to_owned(),
        attempted_at_ms: 0,
    }
}

fn hook() -> Hook {
    let url = "https://dripline.example/hooks".to_owned();
    Hook { method: "POST".to_owned(), url, headers: vec![], body: vec![] }
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

fn message() -> Outgoing {
    Outgoing {
        reference: "bench-1-1".to_owned(),
        sender: "+12025550100".to_owned(),
        recipient: "+12025550123".to_owned(),
        text: "Hi".to_owned(),
        callback_url: None,
    }
}
