//! Connections whose other end has gone without a word: nothing is refused, and nothing answers.

use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

use dripline_domain::clock::SystemClock;
use dripline_domain::delivery::DeliveryState;
use dripline_store::route_halt;
use dripline_store::testing::factory::{Account, Contacts, Enrolment, Workflow};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;

use crate::support::{PATIENCE, Scene, Stage, pause, route_to};

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_that_accepts_and_never_answers_is_left_alone() {
    let stage = Stage::new().await;
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    // Keeps what it accepts open until the test ends.
    std::thread::spawn(move || silent.incoming().collect::<Vec<_>>());
    let waiting = enrol_to(&stage, address, 40).await;
    let harmless = stage.enrol(2, 60).await;
    let worker = stage
        .worker()
        .setting("WORKER__CONCURRENCY", &16)
        .setting("WORKER__SEND_TIMEOUT_MS", &1_000)
        .setting("WORKER__BREAKER__FAILURES", &3)
        .setting("WORKER__BREAKER__COOL_DOWN_SECONDS", &1)
        .start();
    stage.wait_for(&harmless, DeliveryState::Sent, 120).await;
    let started = Instant::now();
    let halt = loop {
        let halts = route_halt::current(&stage.pool, waiting.account_id, None).await.unwrap();
        if let Some(halt) = halts.into_iter().find(|halt| halt.failed_probes >= 1) {
            break halt;
        }
        assert!(started.elapsed() < PATIENCE, "not halted");
        pause().await;
    };
    assert_eq!(halt.reason.code, "timeout");
    worker.stop().await;
    // Nobody knows of what was written whether it arrived; the others still wait.
    let unknown = stage.count(&waiting, DeliveryState::Unknown).await;
    assert!((3..=16 + halt.failed_probes + 2).contains(&unknown), "{unknown} unknown");
    assert_eq!(stage.count(&waiting, DeliveryState::Queued).await, 40 - unknown);
    stage.assert_invariants().await;
}

async fn enrol_to(stage: &Stage, address: SocketAddr, contacts: usize) -> Scene {
    let (pool, clock) = (&stage.pool, &SystemClock);
    let account_id = Account::default().create(pool, clock).await;
    route_to(&format!("http://{address}")).create(pool, clock, account_id).await;
    let workflow_id = Workflow::with_steps(1).create(pool, clock, account_id).await;
    let contacts = Contacts::many(contacts).create(pool, clock, account_id).await;
    let enrolment = Enrolment { steps: Some(1), ..Enrolment::default() };
    enrolment.create(pool, clock, workflow_id, &contacts).await;
    Scene { account_id, contacts: contacts.len() as u64 }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_gets_out_of_dead_connections_to_its_database() {
    let stage = Stage::with_faults("latency_ms = [5, 30]").await;
    let scene = stage.enrol(2, 300).await;
    let proxy = Proxy::start(&stage.url).await;
    let mut worker =
        stage.worker().database(&proxy.url).setting("WORKER__DATABASE_TIMEOUT_SECONDS", &5).start();
    stage.wait_for(&scene, DeliveryState::Sent, 50).await;
    proxy.freeze();
    stage.wait_until_quiet(&scene).await;
    assert!(worker.is_running());
    assert_eq!(stage.count(&scene, DeliveryState::Sent).await, 600);
    let log = worker.stop().await;
    assert!(log.contains("the database does not answer"), "{log}");
    stage.assert_invariants().await;
}

/// Stands between a worker and its database, until it forwards nothing any more of the connections that
/// it has. It closes none, and acknowledges whatever they are sent. New ones work.
struct Proxy {
    url: String,
    /// Raised by each freeze. Connections made before the last one are frozen.
    freezes: watch::Sender<u64>,
}

impl Proxy {
    async fn start(url: &str) -> Self {
        // postgres://user:password@%2Fpath%2Fof%2Fthe%2Fsocket:5432/database?...
        let address = url.strip_prefix("postgres://").unwrap().split('?').next().unwrap();
        let (credentials, place) = address.split_once('@').unwrap();
        let (server, database) = place.split_once('/').unwrap();
        let (directory, port) = server.rsplit_once(':').unwrap();
        let socket = format!("{}/.s.PGSQL.{port}", percent_decode(directory));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (freezes, _) = watch::channel(0);
        let followed = freezes.clone();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                let (from_client, to_client) = client.into_split();
                let (from_server, to_server) = server.into_split();
                tokio::spawn(forward(from_client, to_server, followed.subscribe()));
                tokio::spawn(forward(from_server, to_client, followed.subscribe()));
            }
        });
        Self { url: format!("postgres://{credentials}@127.0.0.1:{port}/{database}"), freezes }
    }

    fn freeze(&self) {
        self.freezes.send_modify(|freezes| *freezes += 1);
    }
}

fn percent_decode(text: &str) -> String {
    let mut parts = text.split('%');
    let mut decoded = parts.next().unwrap().to_owned();
    for part in parts {
        let (code, rest) = part.split_at(2);
        decoded.push(char::from(u8::from_str_radix(code, 16).unwrap()));
        decoded.push_str(rest);
    }
    decoded
}

/// Copies until either end closes or the connection is frozen; then it only swallows, and keeps both
/// ends open.
async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut freezes: watch::Receiver<u64>,
) {
    let mut buffer = vec![0; 64 * 1024];
    let mut frozen = false;
    loop {
        let count = tokio::select! {
            biased;
            changed = freezes.changed(), if !frozen => {
                if changed.is_err() {
                    return;
                }
                frozen = true;
                continue;
            }
            read = from.read(&mut buffer) => read.unwrap_or(0),
        };
        match (count, frozen) {
            (0, false) => return,
            // The end of a frozen connection is not passed on either.
            (0, true) => std::future::pending().await,
            (_, true) => {}
            (count, false) => {
                if to.write_all(&buffer[..count]).await.is_err() {
                    return;
                }
            }
        }
    }
}
