//! One connection: how it is made, and how many bytes were written to it.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use dripline_domain::delivery::Reason;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::address;
use super::grant::Target;
use super::resolve::Resolve;
use crate::crash;

/// Why there is no connection. Nothing of the request was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("`{host}` has no address")]
    Dns { host: String, source: Option<io::Error> },
    #[error("`{host}` leads to a {kind} address, which is refused")]
    RefusedAddress { host: String, kind: &'static str },
    #[error("connect to {origin}: {text}")]
    Connect { origin: String, text: String },
    #[error("set up TLS with {origin}: {text}")]
    Tls { origin: String, text: String },
    #[error("{origin} did not accept a connection within {} s", .limit.as_secs_f32())]
    Timeout { origin: String, limit: Duration },
}

impl From<&DialError> for Reason {
    fn from(error: &DialError) -> Self {
        let code = match error {
            DialError::Dns { .. } => "dns",
            DialError::RefusedAddress { .. } => "address_refused",
            DialError::Connect { .. } => "connect",
            DialError::Tls { .. } => "tls",
            DialError::Timeout { .. } => "connect_timeout",
        };
        Self::new(code, error.to_string())
    }
}

/// Makes connections.
pub(super) struct Dialer {
    resolver: Arc<dyn Resolve>,
    tls: TlsConnector,
    timeout: Duration,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("resolver", &self.resolver).finish_non_exhaustive()
    }
}

impl Dialer {
    /// A dialer that trusts `roots`.
    pub(super) fn new(resolver: Arc<dyn Resolve>, timeout: Duration, roots: RootCertStore) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring speaks the default versions of TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { resolver, tls: TlsConnector::from(Arc::new(config)), timeout }
    }

    pub(super) async fn dial(&self, target: &Target) -> Result<Stream, DialError> {
        tokio::time::timeout(self.timeout, self.dial_patiently(target)).await.unwrap_or_else(|_| {
            Err(DialError::Timeout { origin: target.origin.to_string(), limit: self.timeout })
        })
    }

    async fn dial_patiently(&self, target: &Target) -> Result<Stream, DialError> {
        let addresses = self.addresses(target).await?;
        let tcp = connect(target, &addresses, self.timeout).await?;
        // A message is one small write that should leave at once.
        tcp.set_nodelay(true).map_err(|error| connect_error(target, &error))?;
        let io = if target.origin.tls { self.secure(target, tcp).await? } else { Io::Plain(tcp) };
        Ok(Stream { io, meter: Arc::new(Meter::default()) })
    }

    /// Resolved once and checked; the connection is made to these very addresses, so that a second
    /// answer of the name server cannot lead elsewhere.
    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, DialError> {
        let host = || target.origin.host.clone();
        let addresses = match target.origin.address() {
            Some(address) => vec![SocketAddr::new(address, target.origin.port)],
            None => self
                .resolver
                .resolve(&target.origin.host, target.origin.port)
                .await
                .map_err(|error| DialError::Dns { host: host(), source: Some(error) })?,
        };
        if addresses.is_empty() {
            return Err(DialError::Dns { host: host(), source: None });
        }
        // One refused address taints the name: a mixed answer is how rebinding begins.
        for address in &addresses {
            if let Some(kind) = address::refusal(address.ip(), target.allow_loopback) {
                return Err(DialError::RefusedAddress { host: host(), kind });
            }
        }
        Ok(addresses)
    }

    async fn secure(&self, target: &Target, tcp: TcpStream) -> Result<Io, DialError> {
        let tls_error = |text: String| DialError::Tls { origin: target.origin.to_string(), text };
        let name = match target.origin.address() {
            Some(address) => ServerName::from(address),
            None => ServerName::try_from(target.origin.host.clone())
                .map_err(|error| tls_error(error.to_string()))?,
        };
        let stream =
            self.tls.connect(name, tcp).await.map_err(|error| tls_error(error.to_string()))?;
        Ok(Io::Tls(Box::new(stream)))
    }
}

/// Tries the addresses one after the other, each with its share of the time.
async fn connect(
    target: &Target,
    addresses: &[SocketAddr],
    limit: Duration,
) -> Result<TcpStream, DialError> {
    let share = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX);
    let mut last = None;
    for address in addresses {
        match tokio::time::timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok(tcp),
            Ok(Err(error)) => last = Some(connect_error(target, &error)),
            Err(_) => {
                last = Some(DialError::Timeout { origin: target.origin.to_string(), limit: share });
            }
        }
    }
    Err(last.expect("there is at least one address"))
}

fn connect_error(target: &Target, error: &io::Error) -> DialError {
    DialError::Connect { origin: target.origin.to_string(), text: error.to_string() }
}

/// The certificates that this machine trusts.
pub(super) fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::warn!("no root certificates found; every https carrier will fail");
    }
    roots
}

/// What was written to a connection since it was made.
#[derive(Debug, Default)]
pub(super) struct Meter {
    written: AtomicU64,
    /// Look before the next write whether the peer has closed: set when a kept connection is used
    /// again.
    look_first: AtomicBool,
}

impl Meter {
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(super) fn look_before_next_write(&self) {
        self.look_first.store(true, Ordering::Relaxed);
    }
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A TCP or TLS stream that counts. It counts what TLS took over, so that "nothing written" is
/// never claimed too often.
pub(super) struct Stream {
    io: Io,
    meter: Arc<Meter>,
}

impl Stream {
    pub(super) fn meter(&self) -> Arc<Meter> {
        Arc::clone(&self.meter)
    }

    /// An idle connection on which the server has said anything, and be it goodbye, is not used
    /// again: with nothing written yet, the request can still go over another one.
    fn look(&self) -> io::Result<()> {
        let tcp = match &self.io {
            Io::Plain(tcp) => tcp,
            Io::Tls(tls) => tls.get_ref().0,
        };
        let mut byte = [MaybeUninit::uninit()];
        match socket2::SockRef::from(tcp).peek(&mut byte) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the server closed the connection while it was idle",
            )),
        }
    }

    fn write_with(
        &mut self,
        write: impl FnOnce(&mut Io) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if self.meter.look_first.swap(false, Ordering::Relaxed) {
            self.look()?;
        }
        let result = write(&mut self.io);
        if let Poll::Ready(Ok(count)) = result {
            self.meter.written.fetch_add(count as u64, Ordering::Relaxed);
            if count > 0 {
                crash::point("wire-bytes-written");
            }
        }
        result
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Io::Tls(tls) => Pin::new(tls).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write_with(|io| match io {
            Io::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Io::Tls(tls) => Pin::new(tls).poll_write(cx, bytes),
        })
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write_with(|io| match io {
            Io::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, slices),
            Io::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, slices),
        })
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(tcp) => tcp.is_write_vectored(),
            Io::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Io::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Io::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
