//! What calls to the bundled plugins and requests through the door cost. Prints one line of JSON per
//! figure; `send` includes the answering server, which runs in this process:
//!
//! ```text
//! cargo run --release -p dripline-plugin-host --example measure -- plugins/target/wasm32-wasip2/release
//! ```

#![expect(clippy::print_stdout, reason = "its figures are what it is for")]

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use dripline_domain::ids::ContactId;
use dripline_domain::money::Micros;
use dripline_domain::segment::SegmentRules;
use dripline_plugin_host::egress::{
    Egress, EgressOptions, Grant, RouteRights, Secrets, WireOutcome,
};
use dripline_plugin_host::quote::{QuoteStep, quote};
use dripline_plugin_host::{
    Fields, HostOptions, Manifest, Outgoing, PluginHost, Request, Response, Settings,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// Messages per batch.
const BATCH: usize = 500;

/// How long each figure is measured.
const FOR: Duration = Duration::from_secs(2);

const TEMPLATE: &str = "Hi {{ first_name }}, your order {{ order }} of {{ shop }} is on its way to {{ city }}. Reply STOP to end.";

const ANSWER: &[u8] = b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: 69\r\n\r\n{\"sid\":\"SM0123456789abcdef0123456789abcdef\",\"status\":\"queued\",\"a\":1}\n";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args().nth(1).ok_or("give the directory of the plugins")?;
    let threads = NonZeroUsize::MIN;
    let host = PluginHost::new(HostOptions { threads, ..HostOptions::default() })?;
    for name in ["template", "twilio"] {
        let began = Instant::now();
        host.load_file(std::path::Path::new(&format!("{directory}/{name}.wasm")))?;
        println!("{{\"load\":\"{name}\",\"ms\":{}}}", began.elapsed().as_millis());
    }
    rendering(&host).await?;
    let origin = serve().await?;
    let manifest = host.manifest("twilio").ok_or("no manifest")?;
    let settings = manifest.complete_settings(&settings(&manifest, &origin), ["auth_token"])?;
    calling(&host, &settings).await;
    sending(&host, &manifest, &settings, &origin).await?;
    Ok(())
}

fn settings(manifest: &Manifest, origin: &str) -> Settings {
    let known = [("account_sid", "AC0123456789abcdef0123456789abcdef"), ("api_base", origin)];
    known
        .into_iter()
        .filter(|(name, _)| manifest.settings.iter().any(|s| s.name == *name))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn audience(count: usize) -> Vec<Fields> {
    (0..count)
        .map(|n| {
            BTreeMap::from(
                [("first_name", "Ann"), ("order", "A-12345"), ("shop", "Blue"), ("city", "Bern")]
                    .map(|(name, value)| (name.to_owned(), format!("{value}{n}"))),
            )
        })
        .collect()
}

async fn rendering(host: &PluginHost) -> Result<(), Box<dyn std::error::Error>> {
    let audience: Arc<[Fields]> = audience(BATCH).into();
    let template: Arc<str> = Arc::from(TEMPLATE);
    let texts = host.render_each("template", Arc::clone(&template), Arc::clone(&audience), |t| t);
    println!("{{\"text\":{:?}}}", texts.await?[0]);
    let (began, mut batches) = (Start::now(), 0);
    while began.goes_on() {
        let length = |text: String| text.len();
        host.render_each("template", Arc::clone(&template), Arc::clone(&audience), length).await?;
        batches += 1;
    }
    figure("render", began, batches * BATCH);

    let step = QuoteStep {
        template,
        renderer: "template".to_owned(),
        rules: SegmentRules::default(),
        price_per_segment: Micros(7_500),
    };
    let contacts: Vec<_> = (1..).map(ContactId).zip(audience.iter().cloned()).collect();
    let (began, mut batches) = (Start::now(), 0);
    while began.goes_on() {
        quote(host, std::slice::from_ref(&step), &contacts).await?;
        batches += 1;
    }
    figure("quote", began, batches * BATCH);
    Ok(())
}

fn outgoing(number: usize) -> Outgoing {
    Outgoing {
        reference: format!("0123456789abcdef0123456789abcdef-{number}-1"),
        sender: "+15550000000".to_owned(),
        recipient: "+15551234567".to_owned(),
        text: "Hi Ann, your order A-12345 of Blue is on its way to Bern. Reply STOP to end.".into(),
        callback_url: None,
    }
}

async fn calling(host: &PluginHost, settings: &Settings) {
    let messages: Vec<Outgoing> = (0..BATCH).map(outgoing).collect();
    let (began, mut batches) = (Start::now(), 0);
    while began.goes_on() {
        host.build_requests("twilio", settings, messages.clone()).await;
        batches += 1;
    }
    figure("build_requests", began, batches * BATCH);

    let split = ANSWER.windows(4).position(|four| four == b"\r\n\r\n").map_or(0, |at| at + 4);
    let body = ANSWER[split..].to_vec();
    let responses = vec![Response { status: 201, headers: vec![], body }; BATCH];
    let (began, mut batches, mut accepted) = (Start::now(), 0, 0);
    while began.goes_on() {
        let read = host.read_responses("twilio", settings, responses.clone()).await;
        accepted += read.iter().filter(|read| read.is_ok()).count();
        batches += 1;
    }
    figure("read_responses", began, batches * BATCH);
    println!("{{\"accepted\":{accepted},\"of\":{}}}", batches * BATCH);
}

async fn sending(
    host: &PluginHost,
    manifest: &Manifest,
    settings: &Settings,
    origin: &str,
) -> Result<(), Box<dyn std::error::Error>> {
    let mut secrets = Secrets::default();
    secrets.insert("auth_token", "0123456789abcdef")?;
    let allowed = [origin.to_owned()];
    let rights = RouteRights { allowed_origins: &allowed, allow_loopback: true, secrets };
    let grant = Grant::new(manifest, settings, &rights)?;
    let built = host.build_requests("twilio", settings, vec![outgoing(1)]).await;
    let request = built.into_iter().next().ok_or("no request")??;
    let egress = Egress::new(EgressOptions::default());
    for concurrency in [1, 64] {
        let began = Start::now();
        let counts = (0..concurrency).map(|_| send_all(&egress, &grant, &request, began));
        let sent: usize = futures::future::join_all(counts).await.into_iter().sum();
        figure(&format!("send_{concurrency}"), began, sent);
    }
    Ok(())
}

async fn send_all(egress: &Egress, grant: &Grant, request: &Request, began: Start) -> usize {
    let mut sent = 0;
    while began.goes_on() {
        match egress.send(grant, request.clone()).await {
            WireOutcome::Response(_) => sent += 1,
            other => {
                println!("{{\"failed\":{other:?}}}");
                break;
            }
        }
    }
    sent
}

/// When a measurement began, by the clock and in processor time of the whole process. The second
/// holds on a busy machine too.
#[derive(Clone, Copy)]
struct Start {
    clock: Instant,
    processor: Duration,
}

impl Start {
    fn now() -> Self {
        Self { clock: Instant::now(), processor: processor_time() }
    }

    fn goes_on(self) -> bool {
        self.clock.elapsed() < FOR
    }
}

fn figure(name: &str, began: Start, count: usize) {
    let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let per_second = count / began.clock.elapsed().as_secs_f64();
    let micros =
        processor_time().saturating_sub(began.processor).as_secs_f64() * 1_000_000.0 / count;
    println!(
        "{{\"figure\":\"{name}\",\"per_second\":{per_second:.0},\"cpu_us_each\":{micros:.2}}}"
    );
}

/// What all threads of this process have used. Zero where the system does not tell.
fn processor_time() -> Duration {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return Duration::ZERO };
    threads
        .flatten()
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse().ok())
        .map(Duration::from_nanos)
        .sum()
}

/// A server on a thread of its own that answers as soon as a request's body has come.
async fn serve() -> Result<String, std::io::Error> {
    let (told, address) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            // The other side waits for it.
            let _ = told.send(listener.local_addr()?);
            loop {
                let (mut stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                tokio::spawn(async move {
                    let mut buffer = vec![0; 16 * 1024];
                    // A request of this test fits one read.
                    while matches!(stream.read(&mut buffer).await, Ok(count) if count > 0) {
                        if stream.write_all(ANSWER).await.is_err() {
                            return;
                        }
                    }
                });
            }
            #[expect(unreachable_code, reason = "it serves until the process ends")]
            Ok::<(), std::io::Error>(())
        })
    });
    let address = address.await.map_err(std::io::Error::other)?;
    Ok(format!("http://{address}"))
}
