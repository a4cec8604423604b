//! What calls of plugins cost: on one thread, in batches, as the worker and the CLI make them.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use dripline_domain::ids::ContactId;
use dripline_domain::money::Micros;
use dripline_domain::segment::TextRules;
use dripline_plugin_host::egress::Secrets;
use dripline_plugin_host::quote::{QuoteStep, quote};
use dripline_plugin_host::{Fields, HostOptions, Outgoing, PluginHost, Response, Settings};

use crate::report::{Figure, per_second};
use crate::seed::TEMPLATE;

/// Messages per batch: what one call of a renderer takes.
const BATCH: usize = 500;
/// How long one run of a figure lasts.
const FOR: Duration = Duration::from_secs(2);
/// A fresh carrier's answer to a message that it took.
const ANSWER: &[u8] = br#"{"sid":"SM0123456789abcdef0123456789abcdef","status":"queued","num_segments":"1","error_code":null}"#;
const MICROS: f64 = 1e6;

/// Rates of rendering and pricing, and the time of building a request and reading its answer.
pub(crate) async fn run(directory: &Path, runs: usize) -> anyhow::Result<Vec<Figure>> {
    // One thread, so that a rate is a core's.
    let options = HostOptions { threads: NonZeroUsize::MIN, ..HostOptions::default() };
    let host = PluginHost::new(options)?;
    for name in ["template.wasm", "twilio.wasm"] {
        let path = directory.join(name);
        host.load_file(&path).with_context(|| format!("load {}", path.display()))?;
    }
    let mut render = Vec::new();
    let mut priced = Vec::new();
    let mut carried = Vec::new();
    for _ in 0..runs {
        render.push(rendering(&host).await?);
        priced.push(pricing(&host).await?);
        carried.push(carrying(&host).await?);
    }
    Ok(vec![
        Figure::of("plugins", "render", "messages/s", BATCH, &render),
        Figure::of("plugins", "quote", "messages/s", BATCH, &priced),
        Figure::of("plugins", "build and read", "us", BATCH, &carried),
    ])
}

fn audience() -> Arc<[Fields]> {
    (0..BATCH)
        .map(|n| {
            [("first_name", "Ann"), ("plan", "Plus"), ("city", "Bern"), ("ends", "Friday")]
                .map(|(name, value)| (name.to_owned(), format!("{value}{n}")))
                .into()
        })
        .collect()
}

async fn rendering(host: &PluginHost) -> anyhow::Result<f64> {
    let (audience, template) = (audience(), Arc::<str>::from(TEMPLATE));
    let (begun, mut messages) = (Instant::now(), 0);
    while begun.elapsed() < FOR {
        let length = |text: String| text.len();
        let (template, audience) = (Arc::clone(&template), Arc::clone(&audience));
        messages += host.render_each("template", template, audience, length).await?.len();
    }
    Ok(per_second(messages, begun.elapsed().as_secs_f64()))
}

async fn pricing(host: &PluginHost) -> anyhow::Result<f64> {
    let step = QuoteStep {
        template: TEMPLATE.into(),
        renderer: "template".to_owned(),
        rules: TextRules::default(),
        price_per_segment: Micros(7_500),
    };
    let contacts: Vec<_> = (1..).map(ContactId).zip(audience().iter().cloned()).collect();
    let (begun, mut messages) = (Instant::now(), 0);
    while begun.elapsed() < FOR {
        messages += quote(host, std::slice::from_ref(&step), &contacts).await?.len();
    }
    Ok(per_second(messages, begun.elapsed().as_secs_f64()))
}

/// Microseconds of one message.
async fn carrying(host: &PluginHost) -> anyhow::Result<f64> {
    let settings = Settings::from(
        [
            ("account_sid", "AC0123456789abcdef0123456789abcdef"),
            ("api_base", "https://api.twilio.com"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let outgoing: Vec<Outgoing> = (0..BATCH)
        .map(|n| Outgoing {
            reference: format!("0123456789abcdef0123456789abcdef-{n}-1"),
            sender: "+12025550100".to_owned(),
            recipient: "+12025550123".to_owned(),
            text: "Hi Ann, Plus in Bern ends Friday. Reply YES to keep your place.".to_owned(),
            callback_url: None,
        })
        .collect();
    let answer = Response { status: 201, headers: vec![], body: ANSWER.to_vec() };
    let (begun, mut messages) = (Instant::now(), 0);
    while begun.elapsed() < FOR {
        let built =
            host.build_requests("twilio", &settings, &Secrets::default(), outgoing.clone()).await;
        let built = built.into_iter().collect::<Result<Vec<_>, _>>()?;
        let answers = vec![answer.clone(); built.len()];
        let read = host.read_responses("twilio", &settings, answers).await;
        messages += read.into_iter().collect::<Result<Vec<_>, _>>()?.len();
    }
    Ok(MICROS / per_second(messages, begun.elapsed().as_secs_f64()))
}
