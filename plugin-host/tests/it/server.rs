//! Loopback servers that do exactly what a test says, byte by byte.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// What a server does once a request has arrived.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Behaviour {
    /// Answers, and waits for the next request.
    Answer,
    /// Answers, and closes without having said so.
    AnswerAndClose,
    /// Sends the answer back as the body of a 200, and waits for the next request.
    Echo,
    /// Closes with a reset.
    Reset,
    /// Says nothing.
    Silent,
}

/// A server on this machine. It stops when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    behaviour: Behaviour,
    answer: Vec<u8>,
    connections: AtomicUsize,
    requests: Mutex<Vec<String>>,
    closed: Notify,
}

impl Server {
    pub(crate) async fn answering(answer: &str) -> Self {
        Self::start(Behaviour::Answer, answer).await
    }

    pub(crate) async fn start(behaviour: Behaviour, answer: impl Into<Vec<u8>>) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        Self::listening(address, behaviour, answer.into()).await
    }

    /// One that answers at an address of the caller's choice.
    pub(crate) async fn at(address: SocketAddr, answer: &str) -> Self {
        Self::listening(address, Behaviour::Answer, answer.into()).await
    }

    async fn listening(address: SocketAddr, behaviour: Behaviour, answer: Vec<u8>) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            behaviour,
            answer,
            connections: AtomicUsize::new(0),
            requests: Mutex::default(),
            closed: Notify::new(),
        });
        let served = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                served.connections.fetch_add(1, Ordering::SeqCst);
                let served = Arc::clone(&served);
                tokio::spawn(async move {
                    served.serve(stream).await;
                    served.closed.notify_one();
                });
            }
        });
        Self { address, shared, task }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn requests(&self) -> Vec<String> {
        self.shared.requests.lock().unwrap().clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Until a connection has been closed by the server.
    pub(crate) async fn closed(&self) {
        self.shared.closed.notified().await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    async fn serve(&self, mut stream: TcpStream) {
        while let Some(request) = read_request(&mut stream).await {
            self.requests.lock().unwrap().push(request.clone());
            match self.behaviour {
                Behaviour::Answer => stream.write_all(&self.answer).await.unwrap(),
                Behaviour::AnswerAndClose => {
                    // Who is told too much may hang up before the end.
                    let _ = stream.write_all(&self.answer).await;
                    return;
                }
                Behaviour::Echo => {
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nx-echo: {}\r\ncontent-length: {}\r\n\r\n{request}",
                        request.lines().find(|l| l.starts_with("authorization")).unwrap_or("none"),
                        request.len()
                    );
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
                Behaviour::Reset => {
                    stream.set_zero_linger().unwrap();
                    return;
                }
                Behaviour::Silent => std::future::pending().await,
            }
        }
    }
}

/// One request with its body; `None` when the client has closed.
async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return Some(text.into_owned());
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return None;
        }
    }
}
