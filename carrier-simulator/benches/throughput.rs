//! How many requests a second one core of the simulator answers: real HTTP over loopback, log
//! included.
//!
//! ```text
//! cargo bench -p dripline-carrier-simulator
//! ```
//!
//! Prints one JSON line. `per_core_second` divides by the processor time that the simulator's own
//! thread used, so that the load generator, which has to share the machine, does not count.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use dripline_carrier_simulator::faults::FaultPlan;
use dripline_carrier_simulator::messages::Account;
use dripline_carrier_simulator::server::{Options, Simulator};
use tokio::sync::oneshot;

const SID: &str = "AC00000000000000000000000000000001";
const CONNECTIONS: usize = 64;
const RUN: Duration = Duration::from_secs(5);

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let log = folder.path().join("log.jsonl");
    let (address_known, address) = std::sync::mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let server = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let options = Options {
                listen: "127.0.0.1:0".parse().expect("an address"),
                log,
                account: Account::new(SID, None, "token").expect("an account"),
                faults: FaultPlan::default(),
            };
            let simulator = Simulator::bind(options).await.expect("listening");
            address_known.send(simulator.local_addr().expect("bound")).expect("awaited");
            let stop = async { drop(stopped.await) };
            simulator.serve(stop, Duration::ZERO).await;
        });
        thread_seconds()
    });
    let address = address.recv().expect("listening");

    let body = "To=%2B12025550123&From=%2B12025550100&Body=Hi+Zo%C3%AB%2C+your+parcel+is+on+its+\
                way.+Track+it+at+https%3A%2F%2Fexample.com%2Ft%2F12345678+or+reply+STOP";
    let request = format!(
        "POST /2010-04-01/Accounts/{SID}/Messages.json HTTP/1.1\r\nhost: {address}\r\n\
         authorization: Basic {}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         x-dripline-reference: 0123456789abcdef0123456789abcdef-123456-1\r\n\
         content-length: {}\r\n\r\n{body}",
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, format!("{SID}:token")),
        body.len()
    );
    let (done, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| {
                let mut stream = TcpStream::connect(address).expect("connected");
                stream.set_nodelay(true).expect("set");
                let mut answer = [0; 4_096];
                while !over.load(Ordering::Relaxed) {
                    stream.write_all(request.as_bytes()).expect("written");
                    let length = stream.read(&mut answer).expect("answered");
                    assert!(answer[..length].starts_with(b"HTTP/1.1 201"), "accepted");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        std::thread::sleep(RUN);
        over.store(true, Ordering::Relaxed);
    });
    let elapsed = started.elapsed();
    stop.send(()).expect("running");
    let processor = server.join().expect("served");

    let requests = u32::try_from(done.into_inner()).expect("a few million at most");
    let line = serde_json::json!({
        "requests": requests,
        "connections": CONNECTIONS,
        "per_second": (f64::from(requests) / elapsed.as_secs_f64()).round(),
        "per_core_second": (f64::from(requests) / processor).round(),
    });
    writeln!(std::io::stdout(), "{line}").expect("printed");
}

/// Processor time of the calling thread, in seconds: user and system, in hundredths, are the 14th and
/// 15th field of its `stat`.
fn thread_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/stat").expect("Linux");
    let fields = stat.rsplit_once(')').expect("a name in brackets").1;
    let ticks: f64 = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<f64>().expect("a number"))
        .sum();
    ticks / 100.0
}
