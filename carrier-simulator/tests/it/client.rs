//! A client that hides nothing, and a simulator to talk to.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use dripline_carrier_simulator::faults::FaultPlan;
use dripline_carrier_simulator::log::{LogEntry, read_log};
use dripline_carrier_simulator::messages::Account;
use dripline_carrier_simulator::server::{Options, Simulator, Stats};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const SID: &str = "AC00000000000000000000000000000001";
pub(crate) const TOKEN: &str = "a-token";

/// A simulator in this process.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    log: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Running {
    pub(crate) async fn start(faults: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log = folder.path().join("log.jsonl");
        let simulator = Simulator::bind(Options {
            listen: "127.0.0.1:0".parse().expect("an address"),
            log: log.clone(),
            account: Account::new(SID, None, TOKEN).expect("an account"),
            faults: FaultPlan::parse(faults).expect("a plan"),
        })
        .await
        .expect("listening");
        let address = simulator.local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(async move {
            simulator.serve(async { drop(stopped.await) }, Duration::ZERO).await;
        });
        Self { address, log, stop: Some(stop), serving, _folder: folder }
    }

    /// Stops at once, with whatever is still unanswered.
    pub(crate) async fn stop(&mut self) {
        self.stop.take().expect("running").send(()).expect("serving");
        (&mut self.serving).await.expect("served");
    }

    pub(crate) fn log(&self) -> Vec<LogEntry> {
        read_log(&self.log).expect("a log")
    }

    pub(crate) async fn stats(&self) -> Stats {
        let request = request("GET", "/_simulator/stats", &[authorization(TOKEN)], "");
        let answer = exchange(self.address, &request).await.expect("answered");
        serde_json::from_str(&answer.body).expect("stats")
    }

    /// Waits until so many requests have been decided.
    pub(crate) async fn decided(&self, requests: u64) {
        let wait = async {
            while self.stats().await.requests < requests {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.expect("decided in time");
    }

    pub(crate) async fn send(&self, message: &Message<'_>) -> io::Result<Answer> {
        exchange(self.address, &message.request()).await
    }
}

/// A message as a client would send it.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) account: &'a str,
    pub(crate) token: &'a str,
    pub(crate) content_type: &'a str,
    pub(crate) reference: &'a str,
    pub(crate) to: &'a str,
    pub(crate) text: &'a str,
}

impl Default for Message<'_> {
    fn default() -> Self {
        Self {
            account: SID,
            token: TOKEN,
            content_type: "application/x-www-form-urlencoded",
            reference: "in5-1-1",
            to: "+12025550123",
            text: "Hi",
        }
    }
}

impl Message<'_> {
    pub(crate) fn request(&self) -> String {
        let body: String = form_urlencoded::Serializer::new(String::new())
            .extend_pairs([("To", self.to), ("From", "+12025550100"), ("Body", self.text)])
            .finish();
        let path = format!("/2010-04-01/Accounts/{}/Messages.json", self.account);
        let headers = [
            authorization(self.token),
            ("content-type", self.content_type.to_owned()),
            ("x-dripline-reference", self.reference.to_owned()),
        ];
        request("POST", &path, &headers, &body)
    }
}

pub(crate) fn authorization(token: &str) -> (&'static str, String) {
    ("authorization", format!("Basic {}", STANDARD.encode(format!("{SID}:{token}"))))
}

pub(crate) fn request(method: &str, path: &str, headers: &[(&str, String)], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n");
    for (name, value) in headers {
        text += &[name, ": ", value, "\r\n"].concat();
    }
    text + &format!("content-length: {}\r\n\r\n{body}", body.len())
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// One request on a connection of its own. An answer that breaks off is an error.
pub(crate) async fn exchange(address: SocketAddr, request: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address).await?;
    exchange_on(&mut stream, request).await
}

pub(crate) async fn exchange_on(stream: &mut TcpStream, request: &str) -> io::Result<Answer> {
    stream.write_all(request.as_bytes()).await?;
    let mut bytes = Vec::new();
    loop {
        if let Some(answer) = parse(&bytes) {
            return Ok(answer);
        }
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let head = head.to_lowercase();
    let length = head.split("content-length: ").nth(1)?.lines().next()?.parse::<usize>().ok()?;
    let whole = bytes.len() >= bytes.windows(4).position(|w| w == b"\r\n\r\n")? + 4 + length;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    whole.then(|| Answer { status, body: body.to_owned(), head })
}
