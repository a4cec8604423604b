//! A carrier on this machine that gives tokens, and takes messages without looking at them.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

/// Answers a request for a token with one body, and any other with a message's id and the token that it came with. It
/// ends with the process.
pub(crate) struct TokenServer {
    pub(crate) origin: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl TokenServer {
    pub(crate) fn start(token: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let heard = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let head = stream.and_then(|stream| answer(stream, token));
                // Who breaks off is not answered.
                if let Ok(head) = head {
                    heard.lock().unwrap_or_else(PoisonError::into_inner).push(head);
                }
            }
        });
        Self { origin, asked }
    }

    /// The heads of the requests so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers one request, and gives its head.
fn answer(stream: TcpStream, token: &str) -> io::Result<String> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let field = |name: &str| {
        let mut lines = head.lines();
        lines.find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_owned()
    };
    let length = field("content-length: ").parse().unwrap_or_default();
    stream.read_exact(&mut vec![0; length])?;
    let (body, echo) = if head.starts_with("POST /tokens/oauth ") {
        (token, String::new())
    } else {
        (r#"{"sid":"SM1"}"#, format!("x-echo: {}\r\n", field("authorization: ")))
    };
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 200 OK\r\n{echo}connection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.get_mut().write_all(answer.as_bytes())?;
    Ok(head)
}
