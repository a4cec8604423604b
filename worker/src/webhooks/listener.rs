//! The place at which carriers are listened to.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

/// A place that is listened at. It is one for the whole process: who calls while the daemon goes on under another name
/// waits, and is not refused.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    address: SocketAddr,
}

/// Why a place cannot be listened at.
#[derive(Debug, thiserror::Error)]
#[error("listen for carriers at {address}, as `worker.webhooks.listen` says{hint}")]
pub struct ListenError {
    address: SocketAddr,
    hint: &'static str,
    source: io::Error,
}

impl Listener {
    /// Begins to listen.
    pub async fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let failed = |source: io::Error| {
            let hint = match source.kind() {
                ErrorKind::AddrInUse => {
                    "; another program listens there, perhaps another worker: only one worker of a machine needs the \
                     setting, or give this one another port"
                }
                ErrorKind::AddrNotAvailable => {
                    "; this machine has no such address: `127.0.0.1` and `0.0.0.0` are always there"
                }
                ErrorKind::PermissionDenied => {
                    "; ports below 1024 are not for everybody: take a higher one, and let the proxy in front have 443"
                }
                _ => "",
            };
            ListenError { address, hint, source }
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where that is, also when any free port was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next one who calls.
    pub(super) async fn accept(&self) -> io::Result<TcpStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}
