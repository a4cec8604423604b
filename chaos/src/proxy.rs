//! A TCP proxy on loopback whose connections can be broken in every way that a network knows.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::commit_watch::CommitWatch;

const BUFFER: usize = 64 * 1024;

/// How long a COMMIT whose reply is to be lost may take. After that the connection is cut all the
/// same, and nobody knows.
const COMMIT_PATIENCE: Duration = Duration::from_secs(3);

/// Where a proxy leads to.
#[derive(Clone, Debug)]
pub(crate) enum Upstream {
    /// Postgres, by its unix socket. COMMITs are recognised.
    Postgres(PathBuf),
    /// Anything by TCP.
    Tcp(SocketAddr),
}

/// Which way nothing gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Way {
    /// What the client says is not heard.
    There,
    /// What the server says is not heard.
    Back,
    /// Neither.
    Both,
}

/// When a COMMIT's connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Lost {
    /// The server never hears of it.
    Commit,
    /// The server commits, and the client never hears of that.
    Reply,
}

/// What happens to connections. Counters only rise: whoever was there before is meant.
#[derive(Clone, Copy, Debug, Default)]
struct Rule {
    /// Connections older than the last cut are reset, both ends.
    cuts: u64,
    /// Connections older than this are forgotten: the server's end is closed, the client's stays
    /// open and silent for ever.
    forgotten: u64,
    held_there: bool,
    held_back: bool,
}

#[derive(Debug)]
struct Shared {
    upstream: Upstream,
    rule: watch::Sender<Rule>,
    /// COMMITs that are still to be lost, and their replies.
    commits_to_lose: AtomicU32,
    replies_to_lose: AtomicU32,
    /// What the two above have come to.
    lost: AtomicU64,
    /// Answers that clients waited for when their connection ended, and those that were held up: by
    /// then the client may have gone.
    unanswered: AtomicU64,
}

/// A proxy that runs until it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Begins to listen on a port of its own.
    pub(crate) async fn start(upstream: Upstream) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("open a proxy's port")?;
        let address = listener.local_addr().context("read a proxy's port")?;
        let shared = Arc::new(Shared {
            upstream,
            rule: watch::Sender::new(Rule::default()),
            commits_to_lose: AtomicU32::new(0),
            replies_to_lose: AtomicU32::new(0),
            lost: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
        });
        let serving = shared.clone();
        let accepting = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    Ok((client, _)) => drop(tokio::spawn(serve(client, serving.clone()))),
                    // Out of descriptors, or the client is gone already.
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
        Ok(Self { address, shared, accepting })
    }

    /// Where clients connect to.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Resets every connection there is.
    pub(crate) fn cut(&self) {
        self.shared.rule.send_modify(|rule| rule.cuts += 1);
    }

    /// Leaves every client there is alone with a connection whose other end is gone.
    pub(crate) fn forget(&self) {
        self.shared.rule.send_modify(|rule| rule.forgotten += 1);
    }

    /// Lets nothing through in that way, of old connections and new ones, until [`Proxy::resume`].
    pub(crate) fn hold(&self, way: Way) {
        self.shared.rule.send_modify(|rule| {
            rule.held_there |= way != Way::Back;
            rule.held_back |= way != Way::There;
        });
    }

    /// Lets everything through again, also what was held.
    pub(crate) fn resume(&self) {
        self.shared.rule.send_modify(|rule| {
            rule.held_there = false;
            rule.held_back = false;
        });
    }

    /// Loses the next COMMITs, or their replies, with their connections.
    pub(crate) fn lose_commits(&self, count: u32, lost: Lost) {
        match lost {
            Lost::Commit => self.shared.commits_to_lose.store(count, Ordering::Relaxed),
            Lost::Reply => self.shared.replies_to_lose.store(count, Ordering::Relaxed),
        }
    }

    /// Ends every fault that lasts. Forgotten connections stay forgotten.
    pub(crate) fn heal(&self) {
        self.resume();
        self.shared.commits_to_lose.store(0, Ordering::Relaxed);
        self.shared.replies_to_lose.store(0, Ordering::Relaxed);
    }

    /// COMMITs and replies lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// How many answers did not come so far, or may have come too late.
    pub(crate) fn unanswered(&self) -> u64 {
        self.shared.unanswered.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

/// How a connection ends.
enum Ended {
    /// One end closed it: the other one is closed as well.
    Closed,
    /// Both ends are reset.
    Reset,
    /// The client is left alone.
    Forgotten,
    /// As reset, once the server has answered and the answer was thrown away.
    ReplyLost,
}

async fn serve(mut client: TcpStream, shared: Arc<Shared>) {
    let mut rules = shared.rule.subscribe();
    let born = *rules.borrow_and_update();
    let _ = client.set_nodelay(true);
    let (waiting, used) = (AtomicBool::new(false), AtomicBool::new(false));
    let ended = match &shared.upstream {
        Upstream::Postgres(path) => match UnixStream::connect(path).await {
            Ok(server) => {
                let watch = Some(CommitWatch::default());
                relay(&mut client, server, &shared, born, watch, (&waiting, &used)).await
            }
            Err(_) => Ended::Reset,
        },
        Upstream::Tcp(address) => match TcpStream::connect(address).await {
            Ok(server) => {
                let _ = server.set_nodelay(true);
                relay(&mut client, server, &shared, born, None, (&waiting, &used)).await
            }
            Err(_) => Ended::Reset,
        },
    };
    let was_waiting = waiting.load(Ordering::Relaxed);
    if was_waiting {
        shared.unanswered.fetch_add(1, Ordering::Relaxed);
    }
    match ended {
        Ended::Closed => {}
        Ended::Reset | Ended::ReplyLost => {
            // A request that was written in the very moment of the cut is lost unseen: one for each connection that
            // was in use.
            let is_in_use = used.load(Ordering::Relaxed) && !was_waiting;
            shared.unanswered.fetch_add(u64::from(is_in_use), Ordering::Relaxed);
            // With no time to linger, closing resets the connection.
            drop(client.set_zero_linger());
        }
        Ended::Forgotten => {
            // One that was idle may be used once more.
            let is_used_again = swallow(client).await && !was_waiting;
            shared.unanswered.fetch_add(u64::from(is_used_again), Ordering::Relaxed);
        }
    }
}

/// Reads what a forgotten client says, until it gives up. Gives whether it said anything.
async fn swallow(mut client: TcpStream) -> bool {
    let mut buffer = vec![0; BUFFER];
    let mut said = false;
    while client.read(&mut buffer).await.is_ok_and(|count| count > 0) {
        said = true;
    }
    said
}

async fn relay<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut TcpStream,
    mut server: S,
    shared: &Shared,
    born: Rule,
    mut watch: Option<CommitWatch>,
    (waiting, used): (&AtomicBool, &AtomicBool),
) -> Ended {
    let ended = {
        let (mut from_client, mut to_client) = client.split();
        let (mut from_server, mut to_server) = tokio::io::split(&mut server);
        tokio::select! {
            biased;
            ended = broken(shared, born) => ended,
            ended = there(&mut from_client, &mut to_server, shared, &mut watch, waiting) => ended,
            () = back(&mut from_server, &mut to_client, shared, waiting, used) => Ended::Closed,
        }
    };
    if matches!(ended, Ended::ReplyLost) {
        let mut reply = vec![0; BUFFER];
        // That it took place is as good as certain: the server has it, and nothing is in its way.
        let _ = tokio::time::timeout(COMMIT_PATIENCE, server.read(&mut reply)).await;
    }
    ended
}

/// Waits until a rule breaks the connection.
async fn broken(shared: &Shared, born: Rule) -> Ended {
    let mut rules = shared.rule.subscribe();
    let meant = |rule: &Rule| rule.cuts > born.cuts || rule.forgotten > born.forgotten;
    match rules.wait_for(meant).await {
        Ok(rule) if rule.cuts == born.cuts => Ended::Forgotten,
        // The sender lives as long as the proxy and its connections.
        _ => Ended::Reset,
    }
}

/// Waits until that way is open, with something in hand that is a question or an answer.
async fn open(shared: &Shared, held: fn(&Rule) -> bool) {
    let mut rules = shared.rule.subscribe();
    let is_held = held(&rules.borrow_and_update());
    if is_held {
        shared.unanswered.fetch_add(1, Ordering::Relaxed);
        let _ = rules.wait_for(|rule| !held(rule)).await;
    }
}

/// From the client to the server.
async fn there(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    shared: &Shared,
    watch: &mut Option<CommitWatch>,
    waiting: &AtomicBool,
) -> Ended {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(count) if count > 0 => count,
            _ => return Ended::Closed,
        };
        waiting.store(true, Ordering::Relaxed);
        open(shared, |rule| rule.held_there).await;
        let piece = &buffer[..count];
        if let Some(commit) = watch.as_mut().and_then(|watch| watch.feed(piece)) {
            if take_one(&shared.commits_to_lose) {
                shared.lost.fetch_add(1, Ordering::Relaxed);
                // What stands before it is none of its business.
                let _ = to.write_all(&piece[..commit.before]).await;
                return Ended::Reset;
            }
            if take_one(&shared.replies_to_lose) {
                shared.lost.fetch_add(1, Ordering::Relaxed);
                return match to.write_all(piece).await {
                    Ok(()) => Ended::ReplyLost,
                    Err(_) => Ended::Reset,
                };
            }
        }
        if to.write_all(piece).await.is_err() {
            return Ended::Closed;
        }
    }
}

/// From the server to the client.
async fn back(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    shared: &Shared,
    waiting: &AtomicBool,
    used: &AtomicBool,
) {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(count) if count > 0 => count,
            _ => return,
        };
        open(shared, |rule| rule.held_back).await;
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
        waiting.store(false, Ordering::Relaxed);
        used.store(true, Ordering::Relaxed);
    }
}

fn take_one(count: &AtomicU32) -> bool {
    count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1)).is_ok()
}
