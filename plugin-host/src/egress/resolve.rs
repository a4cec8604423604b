//! From names to addresses, once per connection.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};

use async_trait::async_trait;

/// Finds the addresses of a host. What it answers is still checked against the refused ranges.
#[async_trait]
pub trait Resolve: Send + Sync + std::fmt::Debug {
    /// Every address of `host`, each with `port`.
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// The system's resolver.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

#[async_trait]
impl Resolve for SystemResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        Ok(tokio::net::lookup_host((host, port)).await?.collect())
    }
}

/// A fixed table, for tests.
#[derive(Clone, Debug, Default)]
pub struct FixedResolver(pub BTreeMap<String, Vec<IpAddr>>);

#[async_trait]
impl Resolve for FixedResolver {
    async fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let addresses = self.0.get(host).ok_or_else(|| io::Error::other("unknown name"))?;
        Ok(addresses.iter().map(|address| SocketAddr::new(*address, port)).collect())
    }
}
